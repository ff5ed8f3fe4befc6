package alarms

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

// roundLimit is how many alerts are published at a time.
const roundLimit = 100

// round is the alerts that are published at a time.
type round struct {
	alerts []event.Alert
	again  int // so many of them, the last ones, were published before
}

// outbox decides when the alerts of the alarm list are published: new ones at once, and those that were not acknowledged again and
// again, the one that waits longest first, so that each has its turn however many there are (promise F12). Of those that wait
// equally long the severe ones are first. What happens to
// one alarm is told in its order: an alert is not published before those of its thing and fault that it follows are
// acknowledged, or nobody may have heard that the alarm was raised when its end is told.
type outbox struct {
	republish time.Duration
	published map[string]time.Time // when the alerts of the alarm list were published last, by id
	followed  map[string]struct{}  // those that others of their thing and fault wait for
	awaited   map[string]struct{}  // those of the last round that were published again and are not acknowledged
	again     time.Time            // before it nothing is published again
	due       time.Time            // before it there is nothing to do
}

// newOutbox begins with the alerts that the last run left, which may have been published.
func newOutbox(republish time.Duration, left []event.Alert) *outbox {
	o := &outbox{republish: republish, published: make(map[string]time.Time), followed: make(map[string]struct{}), awaited: make(map[string]struct{})}
	o.left(left)
	return o
}

// left adds alerts that the last run left.
func (o *outbox) left(alerts []event.Alert) {
	for _, a := range alerts {
		o.published[a.ID] = time.Time{}
	}
}

// entered makes the next round begin at once.
func (o *outbox) entered() { o.due = time.Time{} }

// gone forgets an alert that is not in the alarm list any more: the one that follows it may be published. When all of a round are
// acknowledged somebody listens: the next one need not wait.
func (o *outbox) gone(id string) {
	delete(o.published, id)
	if _, ok := o.followed[id]; ok {
		o.due = time.Time{}
	}
	if _, ok := o.awaited[id]; !ok {
		return
	}
	if delete(o.awaited, id); len(o.awaited) == 0 {
		o.again, o.due = time.Time{}, time.Time{}
	}
}

// next returns the round that is to be published now. waiting are the alerts of the alarm list, oldest first.
func (o *outbox) next(waiting []event.Alert, now time.Time) (next round) {
	if now.Before(o.due) {
		return round{}
	}
	var old []event.Alert
	first := o.firstOfEach(waiting)
	for _, a := range first {
		last, before := o.published[a.ID]
		switch {
		case !before && len(next.alerts) == roundLimit:
			o.due = time.Time{} // the others follow at once
			return o.begin(next, now)
		case !before:
			next.alerts = append(next.alerts, a)
		case now.Sub(last) >= o.republish:
			a.Replayed = true // it may have arrived, and its acknowledgement is lost
			old = append(old, a)
		}
	}
	o.due = now.Add(o.republish)
	if now.Before(o.again) {
		o.due = o.again
		return o.begin(next, now)
	}
	slices.SortStableFunc(old, func(a, b event.Alert) int { return o.published[a.ID].Compare(o.published[b.ID]) })
	if room := roundLimit - len(next.alerts); len(old) > room {
		old = old[:room]
	}
	if next.again = len(old); next.again > 0 {
		o.again = now.Add(o.republish)
		clear(o.awaited)
		for _, a := range old {
			o.awaited[a.ID] = struct{}{}
		}
	} else {
		o.due = o.earliest(first, now)
	}
	next.alerts = append(next.alerts, old...)
	return o.begin(next, now)
}

// firstOfEach returns the alerts that follow no other of their thing and fault, the severe ones first.
func (o *outbox) firstOfEach(waiting []event.Alert) []event.Alert {
	type alarm struct {
		thing string
		fault event.Fault
	}
	seen := make(map[alarm]string, len(waiting))
	first := make([]event.Alert, 0, len(waiting))
	clear(o.followed)
	for _, a := range waiting {
		key := alarm{a.Thing, a.Fault}
		if id, follows := seen[key]; follows {
			o.followed[id] = struct{}{}
			continue
		}
		seen[key] = a.ID
		first = append(first, a)
	}
	slices.SortStableFunc(first, func(a, b event.Alert) int { return cmp.Compare(a.Severity.Rank(), b.Severity.Rank()) })
	return first
}

// earliest returns when an alert that was published has to be published again.
func (o *outbox) earliest(waiting []event.Alert, now time.Time) time.Time {
	first := now
	for _, a := range waiting {
		if last, before := o.published[a.ID]; before && last.Before(first) {
			first = last
		}
	}
	return first.Add(o.republish)
}

// begin notes that a round is published.
func (o *outbox) begin(r round, now time.Time) round {
	for _, a := range r.alerts {
		o.published[a.ID] = now
	}
	return r
}

// outcome is how a round went.
type outcome struct {
	first, again int    // so many were published, for the first time and again
	failed       string // the id of one that was not
	err          error  // why
	lost         bool   // the connection is
}

// courier publishes rounds in a goroutine of its own: a nucleus that is slow delays no event.
type courier struct {
	publish func(ctx context.Context, topic string, payload []byte) error
	rounds  chan round   // holds one
	done    chan outcome // holds one
	busy    bool         // a round is under way
}

// startCourier starts it; stop ends it and waits for it.
func startCourier(ctx context.Context, publish func(context.Context, string, []byte) error) (c *courier, stop func()) {
	c = &courier{publish: publish, rounds: make(chan round, 1), done: make(chan outcome, 1)}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		for r := range c.rounds {
			c.done <- c.send(ctx, r)
		}
	})
	return c, func() {
		cancel()
		close(c.rounds)
		work.Wait()
	}
}

func (c *courier) send(ctx context.Context, r round) (o outcome) {
	for i, a := range r.alerts {
		payload, err := event.Encode(a)
		if err == nil {
			err = c.publish(ctx, event.AlertTopic(a.Thing), payload)
		}
		switch {
		case ctx.Err() != nil:
			return o
		case errors.Is(err, ipc.ErrConnectionLost):
			o.failed, o.err, o.lost = a.ID, err, true
			return o
		case err != nil:
			o.failed, o.err = a.ID, err
		case i < len(r.alerts)-r.again:
			o.first++
		default:
			o.again++
		}
	}
	return o
}
