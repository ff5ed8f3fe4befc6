package console

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"edgepdm/components/operator-console/web"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

// Rows of machines are heard only while a page shows the machine: nothing else needs them, and there are many.
const (
	liveFor     = 10 * time.Second // after a page asked last
	liveCheck   = 2 * time.Second
	maxLive     = 64 // machines that are looked at
	describeFor = 30 * time.Second
)

// live is what pages look at.
type live struct {
	wake chan struct{} // somebody looks

	mu      sync.Mutex
	looks   map[string]*look // by thing
	problem string           // why no rows come
	model   string           // of sensors
	sensors []web.Sensor
	read    time.Time // when sensors were
}

// look is a machine that a page shows.
type look struct {
	asked time.Time
	row   event.Telemetry
}

// liveOf returns a machine's last row since somebody looks at it, and has the rows heard for a while.
func (l *listener) liveOf(thing, known string) web.Live {
	l.live.mu.Lock()
	defer l.live.mu.Unlock()
	now := l.now()
	w := l.live.looks[thing]
	if w == nil {
		if len(l.live.looks) >= maxLive {
			return web.Live{Problem: "too many machines are looked at"}
		}
		w = new(look)
		l.live.looks[thing] = w
	}
	w.asked = now
	select {
	case l.live.wake <- struct{}{}:
	default: // is awake
	}
	if now.Sub(l.live.read) >= describeFor {
		l.live.sensors, l.live.model = l.describe()
		l.live.read = now
	}
	out := web.Live{Problem: l.live.problem, Model: l.live.model}
	if w.row.Thing == "" {
		return out
	}
	out.TS = w.row.TS.UnixMilli()
	sensors := l.live.sensors
	if w.row.Readings != nil && len(sensors) == 0 { // no model says what there is: the row does
		for _, name := range slices.Sorted(maps.Keys(w.row.Readings)) {
			sensors = append(sensors, web.Sensor{Sensor: name})
		}
		out.Model = fmt.Sprintf("row of %d", len(sensors))
	}
	if out.Model != known {
		out.Sensors = sensors
	}
	out.Values = valuesOf(&w.row, sensors)
	return out
}

// valuesOf returns the values of a row in the order of sensors; nil where one is missing.
func valuesOf(t *event.Telemetry, sensors []web.Sensor) []*float32 {
	if t.Values != nil && len(t.Values) != len(sensors) {
		return nil // of another model's sensors
	}
	values := make([]*float32, len(sensors))
	for i, s := range sensors {
		x, there := t.Readings[s.Sensor]
		if t.Values != nil {
			x, there = t.Values[i], true
		}
		if there && !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) {
			values[i] = &x
		}
	}
	return values
}

// hearLive hears rows while somebody looks, until ctx ends.
func (l *listener) hearLive(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.live.wake:
		}
		err := l.hearRows(ctx)
		if ctx.Err() != nil {
			return
		}
		l.live.mu.Lock()
		l.live.problem = ""
		if err != nil {
			l.live.problem = err.Error()
			l.rt.Log.Debug("rows are not heard", "error", err)
		}
		l.live.mu.Unlock()
		if err == nil {
			continue
		}
		l.someoneLooks()
		select { // what is refused is not asked for again at once
		case <-ctx.Done():
			return
		case <-time.After(liveFor):
		}
	}
}

// hearRows subscribes to rows and takes those of the machines that somebody looks at, until nobody does.
func (l *listener) hearRows(ctx context.Context) error {
	single, err := l.rt.IPC().Subscribe(ctx, event.FilterTelemetry, ipc.ReceiveFromOthers)
	if err != nil {
		return fmt.Errorf("hear rows: %w", err)
	}
	defer func() { _ = single.Close() }()
	batches, err := l.rt.IPC().Subscribe(ctx, event.TopicTelemetryBatch, ipc.ReceiveFromOthers)
	if err != nil {
		return fmt.Errorf("hear batches of rows: %w", err)
	}
	defer func() { _ = batches.Close() }()
	l.live.mu.Lock()
	l.live.problem = ""
	l.live.mu.Unlock()
	ticker := time.NewTicker(liveCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case m, open := <-single.Events():
			if !open {
				return single.Err()
			}
			if l.looked(event.TelemetryThing(m.Topic)) {
				if t, err := event.DecodeTelemetry(m.Payload); err == nil {
					l.showRow(t)
				}
			}
		case m, open := <-batches.Events():
			if !open {
				return batches.Err()
			}
			if !l.mentions(m.Payload) {
				continue
			}
			rows, err := event.DecodeTelemetryBatch(m.Payload)
			if err != nil {
				continue // the engine counts it
			}
			for _, r := range rows {
				if r.Err == nil {
					l.showRow(r.Telemetry)
				}
			}
		case <-ticker.C:
			if !l.someoneLooks() {
				return nil
			}
		}
	}
}

func (l *listener) looked(thing string) bool {
	l.live.mu.Lock()
	defer l.live.mu.Unlock()
	return l.live.looks[thing] != nil
}

// mentions says whether a batch may have a row of a machine that somebody looks at: to decode it costs much more.
func (l *listener) mentions(payload []byte) bool {
	l.live.mu.Lock()
	defer l.live.mu.Unlock()
	for thing := range l.live.looks {
		if bytes.Contains(payload, []byte(`"`+thing+`"`)) {
			return true
		}
	}
	return false
}

func (l *listener) showRow(t event.Telemetry) {
	l.live.mu.Lock()
	defer l.live.mu.Unlock()
	if w := l.live.looks[t.Thing]; w != nil {
		w.row = t
	}
}

// someoneLooks forgets machines that no page shows any more.
func (l *listener) someoneLooks() bool {
	l.live.mu.Lock()
	defer l.live.mu.Unlock()
	now := l.now()
	maps.DeleteFunc(l.live.looks, func(_ string, w *look) bool { return now.Sub(w.asked) > liveFor })
	return len(l.live.looks) > 0
}
