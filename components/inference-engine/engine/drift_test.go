package engine_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/components/inference-engine/engine"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/request"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// driftRig is an engine that looks for drift of rows that come as fast as they can.
type driftRig struct {
	*rig
	events   *ipc.Subscription[ipc.TopicMessage]
	features []string
	base     []float32
	r        *rand.Rand
	seq      uint64
	shift    map[string]float32 // of sensors by name
	line     string             // of which
	told     map[string]bool
	heard    []event.Drift
}

const (
	hostileLine = "line 7/+#ä"
	otherLine   = "line-8"
)

func newDriftRig(t *testing.T, settings map[string]any) *driftRig {
	t.Helper()
	r := newRig(t)
	d := &driftRig{rig: r, events: coretest.Subscribe(t, r.client, event.FilterDrift), r: rand.New(rand.NewPCG(1, 2)), told: make(map[string]bool)}
	features, rows, _ := golden(t)
	d.features, d.base = features, slices.Clone(rows[0])
	for i, x := range d.base {
		if x != x {
			d.base[i] = 1
		}
	}
	coretest.Configure(t, r.core, engineName, map[string]any{"drift": settings, "threshold": 1, "frozenAfter": "0s"})
	r.start(shippedModel)
	r.await("a model", ok)
	return d
}

// send sends rounds of rows, one of each of ten things of two lines and of one of no line, and notes what is told.
func (d *driftRig) send(rounds int, until func() bool) bool {
	d.t.Helper()
	for range rounds {
		for thing := range 11 {
			d.seq++
			values := make([]float32, len(d.base))
			line := []string{hostileLine, otherLine}[thing%2]
			if thing == 10 {
				line = ""
			}
			for i, x := range d.base {
				values[i] = x + float32(d.r.NormFloat64())
				if line == d.line {
					values[i] += d.shift[d.features[i]]
				}
			}
			name := fmt.Sprint("press-", thing)
			row := event.Telemetry{V: 1, Thing: name, Line: line, Epoch: "e1", Seq: d.seq, TS: time.Now().UTC(), Values: values}
			d.publish(event.TelemetryTopic(name), encode(d.t, row))
		}
		d.take()
		if until != nil && until() {
			return true
		}
	}
	return false
}

// take notes what is told. An event that nobody acknowledges comes again.
func (d *driftRig) take() {
	for {
		select {
		case m := <-d.events.Events():
			e, err := event.DecodeDrift(m.Payload)
			must.OK(d.t, err)
			if m.Topic != event.DriftTopic(e.Line) {
				d.t.Errorf("event of line %q on %s", e.Line, m.Topic)
			}
			if !d.told[e.ID] {
				d.told[e.ID] = true
				d.heard = append(d.heard, e)
			}
		default:
			return
		}
	}
}

func (d *driftRig) last(state event.DriftState) func() bool {
	return func() bool { return len(d.heard) > 0 && d.heard[len(d.heard)-1].State == state }
}

func (d *driftRig) status() string {
	d.t.Helper()
	text, err := request.Call{Component: engineName, WorkDir: d.env.WorkDir, Command: event.CommandStatus, Timeout: 30 * time.Second}.Do(d.t.Context())
	must.OK(d.t, err)
	return text
}

// Drift of one line is told once, whatever the line is called, survives a restart, and is over when it is.
func TestDriftOfALineIsTold(t *testing.T) {
	need.Long(t)
	d := newDriftRig(t, map[string]any{"every": "1ms", "learn": "1ms"})
	for range 100 { // until 1,500 rows of both lines have counted
		if d.send(50, nil); strings.Count(d.status(), "is judged") == 2 {
			break
		}
	}
	if len(d.heard) > 0 {
		t.Fatalf("told while nothing changed: %s", encode(t, d.heard))
	}
	d.line, d.shift = hostileLine, map[string]float32{"oil_temp": 4}
	if !d.send(1000, d.last(event.DriftFound)) {
		t.Fatalf("nothing is told; status: %s", d.status())
	}
	e := d.heard[0]
	if e.Line != hostileLine || len(e.Found) != 1 || e.Found[0].Kind != event.DriftSensor || e.Found[0].Sensor != "oil_temp" || e.Found[0].PSI <= e.Found[0].Limit ||
		e.Model.SHA256 == "" || e.Rows == 0 || !e.Since.Before(e.TS) {
		t.Errorf("event %+v", e)
	}
	d.await("the next second", func(event.Health) bool { return strings.Contains(d.status(), "DRIFT since") })
	first := d.await("a run", ok).Run
	d.stop()
	d.start(shippedModel)
	d.await("a new run", func(h event.Health) bool { return ok(h) && h.Run != first })
	if d.send(60, nil); len(d.heard) != 1 {
		t.Fatalf("told again after a restart: %s", encode(t, d.heard[1:]))
	}
	d.shift = nil
	if !d.send(2000, d.last(event.DriftOver)) || len(d.heard) != 2 || d.heard[1].Line != hostileLine || !d.heard[1].Since.Equal(e.Since) {
		t.Errorf("told: %s", encode(t, d.heard[1:]))
	}
}

// Rows of things in alarm, or out of service, do not count.
func TestThingsInAlarmDoNotCount(t *testing.T) {
	d := newDriftRig(t, map[string]any{"every": "1ms", "learn": "1ms"})
	rows := func() uint64 {
		d.await("counters", ok)
		return d.await("counters", ok).Counters[engine.CounterDriftRows]
	}
	change := func(fields string) {
		d.publish(event.TopicAlarmEvent, []byte(`{"v":1,"n":1,"ts":"2026-11-28T10:00:00Z",`+fields+`}`))
	}
	counted := func(what string, least, most uint64) {
		t.Helper()
		before := rows()
		d.send(20, nil)
		d.await(what, func(h event.Health) bool { return h.Counters[engine.CounterPredictions] >= d.seq })
		if got := rows() - before; got < least || got > most {
			t.Errorf("%s: %d rows counted, want %d to %d", what, got, least, most)
		}
	}
	counted("all", 150, 220)
	for thing := range 11 {
		change(fmt.Sprintf(`"change":"raised","thing":"press-%d","fault":"machine-fault","state":"UNACKNOWLEDGED","active":true`, thing))
	}
	counted("all in alarm", 0, 11)
	for thing := range 11 {
		change(fmt.Sprintf(`"change":"returned","thing":"press-%d","fault":"machine-fault","state":"NORMAL"`, thing))
		change(fmt.Sprintf(`"change":"raised","thing":"press-%d","fault":"drift","state":"UNACKNOWLEDGED","active":true`, thing))
	}
	change(`"change":"out-of-service","line":"line-8"`)
	change(`"change":"out-of-service","thing":"press-0"`)
	counted("a line and a thing out of service", 50, 110)
	change(`"change":"returned-to-service","line":"line-8"`)
	change(`"change":"retired","thing":"press-1"`)
	change(`{`)
	counted("two things", 120, 190)
}

// Another model begins again; drift of the one before is over.
func TestAnotherModelBeginsAgain(t *testing.T) {
	need.Long(t)
	d := newDriftRig(t, map[string]any{"every": "1ms", "learn": "0s", "reference": "training"})
	d.line = otherLine
	if !d.send(400, d.last(event.DriftFound)) { // the rows are unlike those of the training
		t.Fatalf("nothing is told; status: %s", d.status())
	}
	lines := make(map[string]event.DriftState)
	d.stop()
	coretest.Configure(t, d.core, engineName, map[string]any{"model": secondModel})
	first := d.heard[0].Model.SHA256
	d.start(shippedModel)
	d.await("the second model", func(h event.Health) bool { return ok(h) && h.Model.SHA256 != first })
	for _, e := range d.heard {
		lines[e.Line] = e.State
	}
	found := len(lines)
	over := func() bool {
		n := 0
		for _, e := range d.heard {
			if e.State == event.DriftOver && e.Model.SHA256 == first {
				n++
			}
		}
		return n >= found
	}
	if !d.send(100, over) {
		t.Errorf("told: %+v", d.heard)
	}
}

// No more lines are looked at than fit.
func TestLinesAreBounded(t *testing.T) {
	d := newDriftRig(t, map[string]any{"every": "1ms"})
	for i := range 70 {
		name := fmt.Sprint("saw-", i)
		row := event.Telemetry{V: 1, Thing: name, Line: fmt.Sprint("line ", i), Epoch: "e1", Seq: 1, TS: time.Now().UTC(), Values: d.base}
		d.publish(event.TelemetryTopic(name), encode(t, row))
	}
	d.await("six lines that are not looked at", func(h event.Health) bool {
		return h.Counters[engine.CounterDriftRows] == 64 && h.Counters[engine.CounterDriftSkipped] == 6
	})
}

// Of many things so many are looked at as fit into memory, and of each line some.
func TestThingsOfDriftAreBounded(t *testing.T) {
	d := newDriftRig(t, map[string]any{"every": "1ms"})
	coretest.Configure(t, d.core, engineName, map[string]any{"maxThings": 10_000})
	rows := uint64(0)
	send := func(things int, lines ...string) {
		for i := range things {
			name, line := fmt.Sprintf("saw-%s-%d", lines[0], i), lines[i%len(lines)]
			row := event.Telemetry{V: 1, Thing: name, Line: line, Epoch: "e1", Seq: 1, TS: time.Now().UTC(), Packed: d.base}
			d.publish(event.TelemetryTopic(name), encode(t, row))
			if rows++; rows%20 == 0 { // else rows would find no room on the way
				d.await("rows", func(h event.Health) bool {
					return h.Counters[engine.CounterDriftRows]+h.Counters[engine.CounterDriftSkipped] == rows
				})
			}
		}
	}
	send(510, "a", "b")
	send(30, "c")
	d.await("things beyond", func(h event.Health) bool {
		return h.Counters[engine.CounterDriftRows] == 500+10 && h.Counters[engine.CounterDriftSkipped] == 10+20
	})
}
