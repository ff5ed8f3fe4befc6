package engine

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/modelevents"
	"edgepdm/shared/random"
)

// Names of the counters of drift.
const (
	CounterDriftRows    = "drift.rows"    // that drift was looked for in
	CounterDriftSkipped = "drift.skipped" // that were not: no room, or too many lines
	CounterDriftUnlike  = "drift.unlike"  // sensors of all lines that were unlike the training when they were learned; a gauge
)

const (
	driftSlots   = 64
	driftUnknown = 8 // sensors of a row that the model does not have
	placeDrift   = "drift"
)

// driftRow is a row that counts.
type driftRow struct {
	model       *activeModel
	thing, line string
	at          time.Time
	values      []float32 // what the model was given
	probability float64
	faulty      bool
	unknown     []string
}

// drifts looks for drift. The scorer offers rows; one goroutine does the rest.
type drifts struct {
	rt     *component.Runtime
	config DriftConfig
	things int // of all lines that are looked at
	now    func() time.Time
	news   *modelevents.Outbox
	alarms *ipc.Subscription[ipc.TopicMessage]

	last       map[string]time.Time // when a row of a thing counted; the scorer's
	free, full chan *driftRow

	off     *offline
	model   *activeModel // whose drift is looked for; nil: no row has come
	lines   *driftLines
	saved   time.Time
	again   time.Time // when the last events were told again
	name    string
	told    int
	summary atomic.Pointer[string] // of the state, for operators
}

// newDrifts returns nil if drift is not looked for.
func newDrifts(rt *component.Runtime, config DriftConfig, maxThings int, now func() time.Time, news *modelevents.Outbox, alarms *ipc.Subscription[ipc.TopicMessage]) *drifts {
	d := &drifts{
		rt: rt, config: config, things: driftThings(maxThings), now: now, news: news, alarms: alarms, last: make(map[string]time.Time),
		free: make(chan *driftRow, driftSlots), full: make(chan *driftRow, driftSlots), off: newOffline(), saved: now(), again: now(),
		name: "drift-" + random.ID() + "-",
	}
	d.lines = openDriftLines(d)
	if config.Every == 0 {
		d.lines.endKept(event.ModelRef{}) // else its alarm would stand for ever
		return nil
	}
	for range driftSlots {
		d.free <- &driftRow{}
	}
	return d
}

// offer takes a row of the scorer if it counts. It copies it and does not wait.
func (d *drifts) offer(m *activeModel, a *assembler, t *event.Telemetry, scored []float32, p *event.Prediction, arrived time.Time) {
	if d == nil || p.Label == event.LabelNoData || p.Assembling || workshops(t) {
		return
	}
	if since := arrived.Sub(d.last[t.Thing]); since >= 0 && since < d.config.Every {
		return
	}
	d.last[t.Thing] = arrived
	select {
	case row := <-d.free:
		row.model, row.thing, row.line, row.at = m, t.Thing, t.Line, arrived
		row.values, row.unknown = append(row.values[:0], scored...), row.unknown[:0]
		row.probability, row.faulty = p.Probability, p.Label == event.LabelFaulty
		for name := range t.Readings {
			if _, known := a.position(m, t, name); !known && len(row.unknown) < driftUnknown {
				row.unknown = append(row.unknown, name)
			}
		}
		d.full <- row // there are as many places as rows
	default:
		d.rt.Counter(CounterDriftSkipped).Add(1)
	}
}

// run works until ctx ends.
func (d *drifts) run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	alarms := d.alarms.Events()
	for {
		select {
		case <-ctx.Done():
			return
		case row := <-d.full:
			d.row(row)
		case m, open := <-alarms:
			if !open {
				alarms = nil
				continue
			}
			d.off.event(m.Payload)
		case <-ticker.C:
			d.tick(d.now())
		}
	}
}

// close takes the rows that wait, and keeps what is known. No row comes any more.
func (d *drifts) close() {
	if d == nil {
		return
	}
	for len(d.full) > 0 {
		d.row(<-d.full)
	}
	d.lines.save()
}

// row looks for drift in a row, and gives it back.
func (d *drifts) row(row *driftRow) {
	defer func() { d.free <- row }()
	if d.off.is(row.thing, row.line) {
		return
	}
	if d.model != row.model {
		d.use(row.model)
	}
	if !d.lines.add(row) {
		d.rt.Counter(CounterDriftSkipped).Add(1)
		return
	}
	d.rt.Counter(CounterDriftRows).Add(1)
}

// use begins with another model, or goes on with the same one under another configuration.
func (d *drifts) use(m *activeModel) {
	before := d.model
	if d.model = m; before == nil || before.ref.SHA256 != m.ref.SHA256 {
		d.lines.use(m)
	}
}

// driftRetryEvery is the time after which what the disk did not take is tried again.
const driftRetryEvery = 10 * time.Second

// driftSaveEvery is the time between two times at which lines are kept on disk, beside those at which drift is found or is over.
const driftSaveEvery = 10 * time.Minute

func (d *drifts) tick(now time.Time) {
	d.lines.forget(now)
	d.lines.retry(now)
	d.rt.Conditions().Set(event.CodeStateOnDisk, placeDrift, d.lines.damage.Told(now))
	if now.Sub(d.saved).Abs() >= driftSaveEvery {
		d.saved = now
		d.lines.save()
	}
	if now.Sub(d.again).Abs() >= driftAgainEvery {
		d.again = now
		d.lines.again(now)
	}
	text, unlike := d.lines.describe(now)
	d.summary.Store(&text)
	d.rt.Counter(CounterDriftUnlike).Store(unlike)
}

// status says how the lines are.
func (d *drifts) status() string {
	if d == nil {
		return "\ndrift: is not looked for"
	}
	if text := d.summary.Load(); text != nil {
		return *text
	}
	return ""
}

// put has an event published until the forwarder has it.
func (d *drifts) put(e event.Drift) {
	dropped, err := d.news.AddDrift(e)
	d.rt.Counter(CounterModelEventsLost).Add(uint64(dropped))
	if err != nil {
		d.rt.Log.Warn("the event of drift could not be written to disk: it is published anyway", "id", e.ID, "error", err)
	}
}

// publish hands out an event.
func (d *drifts) publish(e event.Drift) {
	d.put(e)
	sensors := make([]string, 0, len(e.Found))
	for _, f := range e.Found {
		sensors = append(sensors, string(f.Kind)+" "+f.Sensor)
	}
	d.rt.Log.Info("drift", "id", e.ID, "line", e.Line, "state", e.State, "since", e.Since, "rows", e.Rows, "found", sensors, "more", e.More, "unknown", slices.Clone(e.Unknown))
}
