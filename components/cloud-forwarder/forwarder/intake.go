package forwarder

import (
	"context"
	"fmt"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/spool"
)

// alertIntake takes alerts and events of models: each is on disk for every sink that gets it, and then acknowledged.
type alertIntake struct {
	rt             *component.Runtime
	now            func() time.Time
	acks           acks
	dedup          *dedup
	iot, sns       lanes // sns has no streams without a topic
	normal         bool  // sns also gets the end of alarms
	alerts, models *ipc.Subscription[ipc.TopicMessage]
	labels, kpis   *ipc.Subscription[ipc.TopicMessage]

	drifts, comparisons *ipc.Subscription[ipc.TopicMessage]
}

// receiveAlerts takes alerts until ctx ends; what it has taken by then goes to the disk while keep lasts.
func (a *alertIntake) receiveAlerts(ctx, keep context.Context) error {
	if !opened(ctx, append(a.iot.all(), a.sns.all()...)...) {
		return nil
	}
	return receive(ctx, a.alerts, func(m ipc.TopicMessage) { a.alert(keep, m) })
}

// receiveModels does the same for what happens to models (promise M12).
func (a *alertIntake) receiveModels(ctx, keep context.Context) error {
	if !opened(ctx, a.iot.urgent) {
		return nil
	}
	return receive(ctx, a.models, func(m ipc.TopicMessage) { a.modelEvent(keep, m) })
}

// receiveDrifts does the same for drift.
func (a *alertIntake) receiveDrifts(ctx, keep context.Context) error {
	if !opened(ctx, a.iot.later) {
		return nil
	}
	return receive(ctx, a.drifts, func(m ipc.TopicMessage) {
		d, err := event.DecodeDrift(m.Payload)
		a.record(keep, m, event.TopicAckModel, d.ID, d.TS, err)
	})
}

// compareEvery is the time between two messages with a candidate's figures that go to the cloud while it is not decided.
const compareEvery = time.Hour

// receiveComparisons does the same for the figures of candidates, which nobody waits for: the next ones have all that these have.
func (a *alertIntake) receiveComparisons(ctx, keep context.Context) error {
	if !opened(ctx, a.iot.later) {
		return nil
	}
	var last event.Comparison
	return receive(ctx, a.comparisons, func(m ipc.TopicMessage) {
		c, err := event.DecodeComparison(m.Payload)
		if err != nil {
			invalid(a.rt, m, err)
			return
		}
		if known := c.Candidate == last.Candidate && c.Decision == last.Decision; known && c.TS.Sub(last.TS).Abs() < compareEvery {
			return
		}
		last = c
		a.store(keep, m, seen{ID: c.ID}, c.TS, []*stream{a.iot.later})
	})
}

// receiveLabels does the same for what people found at alarms.
func (a *alertIntake) receiveLabels(ctx, keep context.Context) error {
	if !opened(ctx, a.iot.later) {
		return nil
	}
	return receive(ctx, a.labels, func(m ipc.TopicMessage) {
		l, err := event.DecodeLabel(m.Payload)
		a.record(keep, m, event.TopicAckLabel, l.ID, l.TS, err)
	})
}

// receiveKPIs does the same for the figures of a day's alarms.
func (a *alertIntake) receiveKPIs(ctx, keep context.Context) error {
	if !opened(ctx, a.iot.later) {
		return nil
	}
	return receive(ctx, a.kpis, func(m ipc.TopicMessage) {
		k, err := event.DecodeRecord(m.Payload)
		a.record(keep, m, event.TopicAckLabel, k.ID, k.TS, err)
	})
}

// record keeps a label, figures or drift, and acknowledges it on a topic.
func (a *alertIntake) record(ctx context.Context, m ipc.TopicMessage, ack, id string, ts time.Time, err error) {
	if err != nil {
		invalid(a.rt, m, err)
		return
	}
	if a.store(ctx, m, seen{ID: id}, ts, []*stream{a.iot.later}) {
		a.acks.publish(ctx, ack, []string{id})
	}
}

func receive(ctx context.Context, sub *ipc.Subscription[ipc.TopicMessage], take func(ipc.TopicMessage)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case m, open := <-sub.Events():
			if !open {
				return fmt.Errorf("receive messages: %w", sub.Err())
			}
			take(m)
		}
	}
}

func (a *alertIntake) alert(ctx context.Context, m ipc.TopicMessage) {
	alert, err := event.DecodeAlert(m.Payload)
	if err != nil {
		invalid(a.rt, m, err)
		return
	}
	lane := alert.Severity
	if alert.State == event.AlarmNormal && a.dedup.hasAlarm(seenAlert(alert), a.iot.later.name) {
		lane = event.SeverityLow // behind the alert that raised the alarm, whose priority was changed
	}
	streams := []*stream{a.iot.of(lane)}
	if to := a.sns.of(lane); to != nil && alert.ForPeople() && (alert.State == event.AlarmUnacknowledged || alert.State == event.AlarmNormal && a.normal) {
		streams = append(streams, to)
	}
	if a.store(ctx, m, seenAlert(alert), alert.TS, streams) {
		a.acks.publish(ctx, event.TopicAckAlert, []string{alert.ID})
	}
}

func (a *alertIntake) modelEvent(ctx context.Context, m ipc.TopicMessage) {
	e, err := event.DecodeModelEvent(m.Payload)
	if err != nil {
		invalid(a.rt, m, err)
		return
	}
	if a.store(ctx, m, seen{ID: e.ID}, e.TS, []*stream{a.iot.urgent}) {
		a.acks.publish(ctx, event.TopicAckModel, []string{e.ID})
	}
}

// store puts a message into the streams that do not have it yet, and reports whether all have it on disk now (promises F1 and
// F12). Otherwise it is not acknowledged and comes again.
func (a *alertIntake) store(ctx context.Context, m ipc.TopicMessage, s seen, ts time.Time, streams []*stream) (onDisk bool) {
	earlier, err := a.dedup.note(s, a.now())
	a.iot.urgent.report(placeDedup, err)
	if earlier {
		m.Payload = markReplayed(m.Payload)
	}
	receipts := make([]*spool.Receipt, len(streams))
	onDisk = true
	for i, to := range streams {
		if a.dedup.has(s.ID, to.name) { // the acknowledgement was lost
			continue
		}
		if receipts[i], err = to.put(ctx, m, s.ID, ts); err != nil {
			to.refused(err)
			onDisk = false
		}
	}
	for i, to := range streams {
		if receipts[i] == nil {
			continue
		}
		err := await(ctx, receipts[i])
		switch {
		case ctx.Err() != nil && err != nil:
			a.dedup.doubt(s.ID)
			return false
		case err != nil:
			to.refused(err)
			onDisk = false
		default:
			to.accepted()
			a.iot.urgent.report(placeDedup, a.dedup.accept(s.ID, to.name))
		}
	}
	return onDisk
}

// await waits for the disk's answer.
func await(ctx context.Context, receipt *spool.Receipt) error {
	select {
	case <-receipt.Done():
		return receipt.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func invalid(rt *component.Runtime, m ipc.TopicMessage, err error) {
	if rt.Counter(CounterInvalid).Add(1) == 1 {
		rt.Log.Warn("invalid messages are ignored, and counted", "topic", m.Topic, "error", err)
	}
}
