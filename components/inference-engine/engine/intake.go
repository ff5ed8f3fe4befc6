package engine

import (
	"context"
	"fmt"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/wait"
)

// intake owns the subscriptions. Its goroutine decodes messages and scores their rows at once: handing each row to another
// goroutine would cost more time than most models take.
type intake struct {
	rt      *component.Runtime
	now     func() time.Time
	scorer  *scorer
	losses  *losses
	outlet  *outlet
	sources []source
	lost    unread

	decoder event.TelemetryDecoder
	one     event.Row // the row of a message with one
}

// source is a subscription and what handles its messages.
type source struct {
	*ipc.Subscription[ipc.TopicMessage]
	handle func(ctx context.Context, m ipc.TopicMessage, arrived time.Time)
}

// subscribe subscribes to telemetry, and with shadowInput to the updates of device shadows.
func (i *intake) subscribe(ctx context.Context, shadowInput bool) error {
	for _, s := range []struct {
		filter string
		handle func(ctx context.Context, m ipc.TopicMessage, arrived time.Time)
		wanted bool
	}{
		{event.FilterTelemetry, i.row, true}, {event.TopicTelemetryBatch, i.batch, true}, {event.FilterShadow, i.shadow, shadowInput},
	} {
		if !s.wanted {
			i.sources = append(i.sources, source{})
			continue
		}
		sub, err := i.rt.Subscribe(ctx, s.filter)
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", s.filter, err)
		}
		i.sources = append(i.sources, source{sub, s.handle})
	}
	return nil
}

// run takes messages until ctx or a subscription ends. What was scored is published a little longer.
func (i *intake) run(ctx context.Context) error {
	longer, release := wait.Outlive(ctx, confirmGrace)
	defer release()
	defer func() {
		i.countLosses()
		i.outlet.drain(longer)
	}()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	rows, batches, shadows := i.sources[0], i.sources[1], i.sources[2]
	var updates <-chan ipc.TopicMessage
	if shadows.Subscription != nil {
		updates = shadows.Events()
	}
	for {
		i.countLosses()
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			i.outlet.expire(longer)
			i.losses.tellLedger()
			i.scorer.qualities.tell()
			i.losses.judge(i.now(), i.rt.Counter(CounterRows).Load())
		case <-i.outlet.told:
			i.outlet.confirm(longer)
			err = i.outlet.release(longer)
		case m, open := <-rows.Events():
			err = i.take(ctx, longer, m, open, rows)
		case m, open := <-batches.Events():
			err = i.take(ctx, longer, m, open, batches)
		case m, open := <-updates:
			err = i.take(ctx, longer, m, open, shadows)
		}
		if err != nil {
			return err
		}
	}
}

// take handles a message of a source; open is false when the source has ended.
func (i *intake) take(ctx, longer context.Context, m ipc.TopicMessage, open bool, s source) error {
	if !open {
		return fmt.Errorf("receive telemetry: %w", s.Err())
	}
	s.handle(ctx, m, i.now())
	return i.outlet.release(longer)
}

// row handles a message with one row.
func (i *intake) row(ctx context.Context, m ipc.TopicMessage, arrived time.Time) {
	t, err := i.decoder.Decode(m.Payload)
	if named := event.TelemetryThing(m.Topic); err == nil && t.Thing != named {
		err = &event.InvalidError{Reason: event.ReasonName, Detail: fmt.Sprintf("row of %s on the topic of %.128s", t.Thing, named)}
	}
	i.one = event.Row{Telemetry: t, Err: err}
	i.scorer.score(ctx, &i.one, arrived)
}

// batch handles a message with several rows.
func (i *intake) batch(ctx context.Context, m ipc.TopicMessage, arrived time.Time) {
	rows, err := i.decoder.DecodeBatch(m.Payload)
	if err != nil {
		rows = []event.Row{{Err: err}}
	}
	for r := range rows {
		i.scorer.score(ctx, &rows[r], arrived)
	}
}

// shadow handles an accepted update of a device shadow. Only classic shadows are subscribed to: predictions, which go to
// named ones, do not come back as rows.
func (i *intake) shadow(ctx context.Context, m ipc.TopicMessage, arrived time.Time) {
	t, err := event.DecodeShadow(event.ShadowThing(m.Topic), m.Payload, arrived)
	i.one = event.Row{Telemetry: t, Err: err}
	i.scorer.score(ctx, &i.one, arrived)
}

// unread are messages that a connection's subscriptions dropped, or could not read, as counted.
type unread struct{ dropped, garbled uint64 }

// countLosses adds to the process's counters what was lost since the last call.
func (i *intake) countLosses() {
	var all unread
	for _, s := range i.sources {
		if s.Subscription != nil {
			all.dropped += s.Dropped()
			all.garbled += s.Garbled()
		}
	}
	i.rt.Counter(CounterDropped).Add(all.dropped - i.lost.dropped)
	i.rt.Counter(CounterGarbled).Add(all.garbled - i.lost.garbled)
	i.lost = all
}
