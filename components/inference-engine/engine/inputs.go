package engine

import (
	"context"
	"path/filepath"
	"reflect"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/window"
)

// CounterInputsMissing counts rows whose inputs over time are missing, of a fault model: and the reason.
const CounterInputsMissing = "inputs.missing."

// idleAfter is how long the last rows of a thing that is silent are kept.
const idleAfter = 24 * time.Hour

// rings are the last rows of all things, of which a model's inputs over time are made.
type rings struct {
	*window.Windows
	spec window.Spec
}

// windowsCandidate is where the rings of a candidate are kept.
const windowsCandidate = "windows-candidate"

// windowsFile is where the rings of a role are kept.
func windowsFile(role event.Role) string {
	if role == event.RoleLife {
		return "windows-life"
	}
	return "windows"
}

// ringsOf returns the rings for a model: those in use if it has the same inputs as the model before, else those on disk if these
// are of its inputs, else new ones.
func (m *models) ringsOf(model *activeModel) *rings {
	if model == nil || model.inputs == nil {
		return nil
	}
	if old := m.rings.Load(); old != nil && reflect.DeepEqual(old.spec, *model.inputs) {
		return old
	}
	if t := m.trial.Load(); t != nil && t.model == model && t.rings != nil { // it is promoted
		return t.rings
	}
	return m.openRings(model, windowsFile(m.role))
}

// ringsOfCandidate returns those of a candidate; nil: it is given the row, or the inputs of the active model.
func (m *models) ringsOfCandidate(t *trial) *rings {
	if t.model.inputs == nil || t.same {
		return nil
	}
	if old := m.trial.Load(); old != nil && old.model == t.model {
		return old.rings
	}
	return m.openRings(t.model, windowsCandidate)
}

// openRings returns the rings in a file, if it has those of a model's inputs, else new ones.
func (m *models) openRings(model *activeModel, name string) *rings {
	windows, err := window.New(*model.inputs, m.config.WindowMemory)
	if err != nil { // prepare has checked them
		m.rt.Log.Error("no inputs over time", "role", m.role, "error", err)
		return nil
	}
	damage, err := windows.Load(filepath.Join(m.rt.WorkDir, name))
	if damage != nil {
		m.rt.Log.Error("the last rows on disk are damaged: what is whole of them is used", "role", m.role, "error", damage)
	}
	m.rt.Conditions().Set(event.CodeDisk, name, err)
	return &rings{windows, *model.inputs}
}

// saveRings keeps the rings of both roles on disk from time to time, until ctx ends.
func (k *keeper) saveRings(ctx context.Context, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			k.saveRingsNow()
		}
	}
}

func (k *keeper) saveRingsNow() {
	for _, m := range k.roles() {
		m.saveRings(m.rings.Load(), windowsFile(m.role))
		if t := m.trial.Load(); t != nil {
			m.saveRings(t.rings, windowsCandidate)
		}
	}
}

func (m *models) saveRings(r *rings, name string) {
	if r == nil {
		return
	}
	r.DropIdle(m.now(), idleAfter)
	m.rt.Conditions().Set(event.CodeDisk, name, r.Save(filepath.Join(m.rt.WorkDir, name)))
}

// add makes a model's inputs of a row and those before it. missing says why they are, "" if they are not.
func (r *rings) add(dst []float32, t *event.Telemetry, values []float32) (row []float32, missing string) {
	row, outcome := r.Add(dst, t.Thing, window.Row{Epoch: t.Epoch, Seq: t.Seq, TS: t.TS, Values: values})
	switch outcome {
	case window.Added, window.Repeated:
	case window.Late:
		missing = missingLate
	case window.Full:
		missing = missingMemory
	}
	return row, missing
}
