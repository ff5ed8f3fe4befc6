package forwarder

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/spool"
)

// telemetryIntake takes rows of sensor values, of which a sample leaves the site, to train models with. A row that does not get to
// the disk is not asked for again: another one of its machine comes.
type telemetryIntake struct {
	rt              *component.Runtime
	now             func() time.Time
	every           time.Duration // between two rows of a thing
	to              *stream
	single, batches *ipc.Subscription[ipc.TopicMessage]

	left    map[string]time.Time // when the last row of a thing was taken
	pending []pendingRow         // on their way to the disk, oldest first
}

// pendingRow is a row on its way to the disk.
type pendingRow struct {
	thing   string
	receipt *spool.Receipt
}

// CounterTelemetryInvalid counts rows that would have left the site and are none; the engine counts all of them by their reasons.
const CounterTelemetryInvalid = "telemetry.invalid"

// receive takes rows until ctx ends; what it has taken by then goes to the disk while keep lasts.
func (t *telemetryIntake) receive(ctx, keep context.Context) error {
	if t.single == nil || !opened(ctx, t.to) {
		return nil
	}
	t.left = make(map[string]time.Time)
	for {
		var landed <-chan struct{}
		if len(t.pending) > 0 {
			landed = t.pending[0].receipt.Done()
		}
		var m ipc.TopicMessage
		open := false
		take, from := t.takeOne, t.single
		select {
		case <-ctx.Done():
			return nil
		case <-landed:
			t.settle()
			continue
		case m, open = <-t.single.Events():
		case m, open = <-t.batches.Events():
			take, from = t.takeBatch, t.batches
		}
		if !open {
			return fmt.Errorf("receive telemetry: %w", from.Err())
		}
		take(keep, m)
	}
}

// settle counts the oldest row that was on its way.
func (t *telemetryIntake) settle() {
	row := t.pending[0]
	t.pending = t.pending[1:]
	if err := row.receipt.Err(); err != nil {
		t.to.refused(err)
		delete(t.left, row.thing)
		return
	}
	t.to.accepted()
}

// takeOne takes a message with a row.
func (t *telemetryIntake) takeOne(ctx context.Context, m ipc.TopicMessage) {
	t.take(ctx, event.TelemetryThing(m.Topic), m.Payload)
}

// takeBatch takes a message with several. Each leaves the site as if it had come by itself.
func (t *telemetryIntake) takeBatch(ctx context.Context, m ipc.TopicMessage) {
	rows, err := event.SplitTelemetryBatch(m.Payload)
	if err != nil {
		t.invalid(m.Topic, err)
		return
	}
	for _, row := range rows {
		t.take(ctx, row.Thing, row.Payload)
	}
}

// take puts a row on disk, if it is due. The others are not even read.
func (t *telemetryIntake) take(ctx context.Context, thing string, payload []byte) {
	now := t.now()
	last, known := t.left[thing]
	if known && now.Sub(last).Abs() < t.every || !known && len(t.left) >= maxThings {
		return
	}
	topic := event.TelemetryTopic(thing)
	row, err := event.DecodeTelemetry(payload)
	if err == nil && row.Thing != thing {
		err = fmt.Errorf("it is of %q", row.Thing)
	}
	if err != nil {
		t.invalid(topic, err)
		return
	}
	receipt, err := t.to.put(ctx, ipc.TopicMessage{Topic: topic, Payload: withID(payload, row.ID())}, row.ID(), row.TS)
	if err != nil {
		t.to.refused(err)
		return
	}
	t.left[thing] = now
	t.pending = append(t.pending, pendingRow{thing, receipt})
}

func (t *telemetryIntake) invalid(topic string, err error) {
	if t.rt.Counter(CounterTelemetryInvalid).Add(1) == 1 {
		t.rt.Log.Warn("invalid rows do not leave the site, and are counted", "topic", topic, "error", err)
	}
}

// withID adds the id to a row, so that it is known again when it arrives twice, as any other message; one that has a member of
// that name keeps it.
func withID(payload []byte, id string) []byte {
	var row struct {
		ID json.RawMessage `json:"id"`
	}
	rest, ok := bytes.CutPrefix(bytes.TrimSpace(payload), []byte("{"))
	if !ok || json.Unmarshal(payload, &row) != nil || row.ID != nil {
		return payload
	}
	named := make([]byte, 0, len(payload)+len(id)+len(`{"id":"",`))
	named = append(named, `{"id":"`...)
	named = append(named, id...) // a name, an epoch and a number: there is nothing to escape
	named = append(named, `",`...)
	return append(named, rest...)
}

// makeRoom gives up telemetry that waits, oldest first, as long as the disk has less free space than that leaves: others are to
// find room before they have to drop anything.
func (s *stream) makeRoom() {
	if s == nil || !s.isOpen() || s.options.MinFree == 0 {
		return
	}
	free, err := durable.FreeSpace(s.dir)
	if err != nil || free >= s.options.MinFree {
		return
	}
	_, err = s.queue.Shed(s.options.MinFree - free)
	s.report(placeExpire, err)
}
