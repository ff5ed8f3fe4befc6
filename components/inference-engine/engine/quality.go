package engine

import (
	"context"
	"path/filepath"
	"time"

	"edgepdm/components/inference-engine/quality"
	"edgepdm/shared/component"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
)

// What is found of the quality of values is on disk: a restart has to learn what is usual, and ends no alarm for that.

const (
	qualityName   = "quality.json"
	qualityFormat = 1
	maxQuality    = 4 << 20
)

// qualityFile is the file.
type qualityFile struct {
	Format int                      `json:"format"`
	Things map[string]quality.Found `json:"things"`
}

// qualities judges the values of rows. It is the scorer's, and learns as long as the process runs.
type qualities struct {
	judge *quality.Judge
	after time.Duration
	found chan map[string]quality.Found // for the disk
	late  map[string]quality.Found      // what the channel has no room for yet
}

// newQualities goes on with what is on disk, or in this process; nil: nothing is judged.
func newQualities(before *qualities, rt *component.Runtime, after time.Duration) *qualities {
	if after == 0 {
		return nil
	}
	if before != nil && before.after == after {
		return before
	}
	q := &qualities{judge: quality.New(after), after: after, found: make(chan map[string]quality.Found, 1)}
	kept, damage, err := qualityState(rt).Open()
	if damage != nil || err != nil {
		rt.Log.Warn("what was found of the quality of values is not known: it is found again", "damage", damage, "error", err)
	}
	q.judge.Resume(kept.Things)
	return q
}

func qualityState(rt *component.Runtime) durable.State[qualityFile] {
	return durable.State[qualityFile]{Path: filepath.Join(rt.WorkDir, qualityName), Format: qualityFormat, Limit: maxQuality}
}

// use takes over the sensors of a model.
func (q *qualities) use(m *activeModel) {
	if q != nil {
		q.judge.Use(m.features, m.names, m.baseline)
	}
}

// of judges a row. The workshop's property stands for a whole one, and has no sensors.
func (q *qualities) of(t *event.Telemetry, values []float32, now time.Time) *event.Quality {
	if q == nil || workshops(t) {
		return nil
	}
	return q.judge.Row(t.Thing, values, now)
}

// tell gives the disk what has changed.
func (q *qualities) tell() {
	if q == nil || !q.changed() {
		return
	}
	select {
	case q.found <- q.late:
		q.late = nil
	default: // with a later one
	}
}

// changed reports whether there is something that the disk does not have.
func (q *qualities) changed() bool {
	if all, news := q.judge.News(); news {
		q.late = all
	}
	return q.late != nil
}

// keep puts on disk what is found, until ctx ends.
func (q *qualities) keep(ctx context.Context, rt *component.Runtime) {
	for {
		select {
		case all := <-q.found:
			saveQuality(rt, all)
		case <-ctx.Done():
			return
		}
	}
}

// end puts the rest on disk, when nobody judges any more.
func (q *qualities) end(rt *component.Runtime) {
	if q == nil {
		return
	}
	late := q.changed()
	select {
	case all := <-q.found:
		if !late {
			saveQuality(rt, all)
		}
	default:
	}
	if late {
		saveQuality(rt, q.late)
		q.late = nil
	}
}

func saveQuality(rt *component.Runtime, all map[string]quality.Found) {
	rt.Conditions().Set(event.CodeDisk, qualityName, qualityState(rt).Save(qualityFile{qualityFormat, all}))
}

// baselineOf is what training saw of each feature, by name; nil: the manifest does not say.
func baselineOf(m *envelope.Manifest) map[string]envelope.Histogram {
	if m.Baseline == nil {
		return nil
	}
	baseline := make(map[string]envelope.Histogram, len(m.Features))
	for i, name := range m.Features {
		baseline[name] = m.Baseline.Features[i]
	}
	return baseline
}
