package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/wait"
)

const (
	// slice is how long rows are scored until their predictions leave and other work is looked at, where more rows wait.
	slice = 10 * time.Millisecond
	// behindAt is from how many messages on that wait they are taken before what came earlier is scored.
	behindAt = 16
)

// intake owns the subscriptions. Its goroutine decodes messages and scores their rows at once: handing each row to another
// goroutine would cost more time than most models take. When more come than it can score, they wait in the backlog.
type intake struct {
	rt      *component.Runtime
	now     func() time.Time
	scorer  *scorer
	losses  *losses
	outlet  *outlet
	backlog *backlog
	sources []source
	lost    unread

	receiving, scoring time.Duration // since the backlog was empty

	decoder event.TelemetryDecoder
	row     waiting // that is scored
	rows    *atomic.Uint64
}

// source is a subscription and what handles its messages.
type source struct {
	*ipc.Subscription[ipc.TopicMessage]
	handle func(m ipc.TopicMessage, arrived time.Time)
}

// subscribe subscribes to telemetry, and with shadowInput to the updates of device shadows.
func (i *intake) subscribe(ctx context.Context, shadowInput bool) error {
	for _, s := range []struct {
		filter string
		handle func(m ipc.TopicMessage, arrived time.Time)
		wanted bool
	}{
		{event.FilterTelemetry, i.single, true}, {event.TopicTelemetryBatch, i.batch, true}, {event.FilterShadow, i.shadow, shadowInput},
	} {
		if !s.wanted {
			i.sources = append(i.sources, source{Subscription: new(ipc.Subscription[ipc.TopicMessage])})
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

// run takes messages until ctx or a subscription ends. Rows that wait then are left to the next run; what was scored is published a
// little longer.
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
	always := make(chan struct{})
	close(always)
	for {
		i.countLosses()
		var more <-chan struct{} // nil: there is nothing to score, or the nucleus must answer first
		if !i.backlog.empty() && !i.outlet.full() {
			more = always
		}
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			i.outlet.expire(longer)
			err = i.outlet.release(longer) // what waited for the answers that will not come
			i.losses.tellLedger()
			i.scorer.qualities.tell()
			i.losses.judge(i.now(), i.rows.Load()-i.backlog.rows)
		case <-i.outlet.told:
			i.outlet.confirm(longer)
			err = i.outlet.release(longer)
		case m, open := <-rows.Events():
			err = i.take(ctx, longer, m, open, rows)
		case m, open := <-batches.Events():
			err = i.take(ctx, longer, m, open, batches)
		case m, open := <-shadows.Events():
			err = i.take(ctx, longer, m, open, shadows)
		case <-more:
			err = i.work(ctx, longer)
		}
		if err != nil {
			return err
		}
	}
}

// take handles a message of a source, and scores what waits; open is false when the source has ended.
func (i *intake) take(ctx, longer context.Context, m ipc.TopicMessage, open bool, s source) error {
	if err := i.receive(m, open, s); err != nil {
		return err
	}
	return i.work(ctx, longer)
}

func (i *intake) receive(m ipc.TopicMessage, open bool, s source) error {
	if !open {
		return fmt.Errorf("receive telemetry: %w", s.Err())
	}
	s.handle(m, i.now())
	return nil
}

// work scores rows that wait, and publishes their predictions. It takes what arrives meanwhile, but no longer than it scores.
func (i *intake) work(ctx, longer context.Context) error {
	begin := i.now()
	for now := begin; !i.backlog.empty() && !i.outlet.full() && len(i.outlet.waiting) < waitingLimit && now.Sub(begin) < slice; {
		i.row = i.backlog.take(now)
		i.scorer.score(ctx, &i.row.Row, i.row.arrived)
		scored := i.now()
		i.scoring += scored.Sub(now)
		if err := i.catchUp(); err != nil {
			return err
		}
		now = i.now()
		i.receiving += now.Sub(scored)
	}
	if i.backlog.empty() {
		i.receiving, i.scoring = 0, 0
	}
	return i.outlet.release(longer)
}

// catchUp takes messages that wait while many do, or rows wait anyway.
func (i *intake) catchUp() error {
	begin := i.now()
	for {
		s, n := i.fullest()
		if n == 0 || n < behindAt && i.backlog.empty() || i.receiving+i.now().Sub(begin) > i.scoring {
			return nil
		}
		m, open := <-s.Events() // the only reader
		if err := i.receive(m, open, s); err != nil {
			return err
		}
	}
}

// fullest returns the source with the most messages that wait.
func (i *intake) fullest() (most source, n int) {
	for _, s := range i.sources {
		if waiting := len(s.Events()); waiting > n {
			most, n = s, waiting
		}
	}
	return most, n
}

// single handles a message with one row.
func (i *intake) single(m ipc.TopicMessage, arrived time.Time) {
	t, err := i.decoder.Decode(m.Payload)
	if named := event.TelemetryThing(m.Topic); err == nil && t.Thing != named {
		err = &event.InvalidError{Reason: event.ReasonName, Detail: fmt.Sprintf("row of %s on the topic of %.128s", t.Thing, named)}
	}
	i.put(event.Row{Telemetry: t, Err: err}, arrived)
}

// batch handles a message with several rows.
func (i *intake) batch(m ipc.TopicMessage, arrived time.Time) {
	rows, err := i.decoder.DecodeBatch(m.Payload)
	if err != nil {
		rows = []event.Row{{Err: err}}
	}
	for _, row := range rows {
		i.put(row, arrived)
	}
}

// shadow handles an accepted update of a device shadow. Only classic shadows are subscribed to: predictions, which go to
// named ones, do not come back as rows.
func (i *intake) shadow(m ipc.TopicMessage, arrived time.Time) {
	t, err := event.DecodeShadow(event.ShadowThing(m.Topic), m.Payload, arrived)
	i.put(event.Row{Telemetry: t, Err: err}, arrived)
}

func (i *intake) put(row event.Row, arrived time.Time) {
	i.rows.Add(1)
	if row.Err != nil {
		row.Telemetry = row.Identity()
	}
	i.backlog.put(waiting{Row: row, arrived: arrived})
}

// unread are messages that a connection's subscriptions dropped, or could not read, as counted.
type unread struct{ dropped, garbled uint64 }

// countLosses adds to the process's counters what was lost since the last call.
func (i *intake) countLosses() {
	var all unread
	for _, s := range i.sources {
		all.dropped += s.Dropped()
		all.garbled += s.Garbled()
	}
	i.rt.Counter(CounterDropped).Add(all.dropped - i.lost.dropped)
	i.rt.Counter(CounterGarbled).Add(all.garbled - i.lost.garbled)
	i.lost = all
}
