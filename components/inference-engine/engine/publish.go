package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/wait"
)

const (
	// pendingLimit bounds the publications whose acknowledgement by the nucleus is outstanding.
	pendingLimit = 64
	// busyAt is from how many on predictions wait for each other, to leave together: the nucleus is slower than the rows.
	busyAt = 4
	// confirmGrace is how long the nucleus may take, after the end of a run, to answer what was published before.
	confirmGrace = 2 * time.Second
	// waitingLimit bounds the rows that wait for each other; several are refused ones, which have no bytes.
	waitingLimit = 100
)

// handled is a row that was scored, or refused.
type handled struct {
	thing, epoch string
	seq          uint64
	prediction   []byte // encoded; nil for a row that was refused
}

func (h handled) scored() bool { return h.prediction != nil }

// publication is one message, and the rows that it and their order stand for.
type publication struct {
	rows        []handled // refused ones among them
	predictions int
	call        *ipc.Call // nil where there is no prediction
}

// outlet publishes predictions: one by one while the nucleus is fast enough, else several in a message. So do those of rows
// that came in one message.
type outlet struct {
	rt        *component.Runtime
	batches   atomic.Bool // predictions may leave in batches
	waiting   []handled   // in the order of arrival
	bytes     int         // of predictions that wait
	pending   chan publication
	underWay  atomic.Int64
	available chan struct{} // the nucleus has answered, and takes more
	answers   *component.Publication
}

func newOutlet(rt *component.Runtime, batches bool) *outlet {
	o := &outlet{rt: rt, pending: make(chan publication, pendingLimit), available: make(chan struct{}, 1),
		answers: rt.Publication(event.FilterPrediction)}
	o.batches.Store(batches)
	return o
}

// add takes a row; release publishes its prediction.
func (o *outlet) add(row handled) {
	o.waiting = append(o.waiting, row)
	o.bytes += len(row.prediction)
}

// release publishes what waits, unless it is better to wait until the nucleus has answered: more may come to leave together.
func (o *outlet) release() error {
	busy := o.underWay.Load() >= busyAt && o.bytes < event.Local.Limit() && len(o.waiting) < waitingLimit
	if busy && o.batches.Load() {
		return nil
	}
	return o.flush()
}

// full reports whether no more rows should be scored until the nucleus has answered.
func (o *outlet) full() bool {
	if o.batches.Load() {
		return o.underWay.Load() >= busyAt && (o.bytes >= event.Local.Limit() || len(o.waiting) >= waitingLimit)
	}
	return int(o.underWay.Load())+len(o.waiting) >= pendingLimit
}

// flush publishes what waits.
func (o *outlet) flush() error {
	for len(o.waiting) > 0 {
		p, err := o.publish()
		if err != nil {
			return fmt.Errorf("publish predictions: %w", err)
		}
		o.waiting = o.waiting[len(p.rows):]
		o.underWay.Add(1)
		o.pending <- p
	}
	o.waiting, o.bytes = nil, 0
	return nil
}

// publish begins to publish the first of what waits, as much as goes into a message.
func (o *outlet) publish() (publication, error) {
	first := slices.IndexFunc(o.waiting, handled.scored)
	if first < 0 {
		return publication{rows: o.waiting}, nil
	}
	one := o.waiting[first]
	p := publication{rows: o.waiting[:first+1], predictions: 1}
	topic, payload := event.PredictionTopic(one.thing), one.prediction
	if o.batches.Load() {
		if batch, taken, rows := o.join(); taken > 1 {
			o.rt.Counter(CounterBatches).Add(1)
			topic, payload = event.TopicPredictionBatch, batch
			p.rows, p.predictions = o.waiting[:rows], taken
		}
	}
	var err error
	p.call, err = o.rt.IPC().StartPublish(context.Background(), topic, payload) // what was scored leaves, also at the end
	return p, err
}

// join makes a batch, and returns how many predictions are in it, and of how many of the rows that wait.
func (o *outlet) join() (batch []byte, taken, rows int) {
	var list [][]byte
	bytes := 0
	for _, row := range o.waiting {
		if !row.scored() {
			continue
		}
		if bytes += len(row.prediction); bytes > event.Local.Limit() {
			break
		}
		list = append(list, row.prediction)
	}
	batch, taken = event.JoinPredictions(list)
	for left := taken; left > 0; rows++ {
		if o.waiting[rows].scored() {
			left--
		}
	}
	return batch, taken, rows
}

// confirm waits for the nucleus's answers and gives settled each row whose fate is known, in order, until pending is closed.
// It runs in a goroutine of its own, and a little longer than ctx.
func (o *outlet) confirm(ctx context.Context, settled func(handled)) {
	ctx, release := wait.Outlive(ctx, confirmGrace)
	defer release()
	for p := range o.pending {
		known := p.call == nil || o.answered(ctx, p)
		o.underWay.Add(-1)
		select {
		case o.available <- struct{}{}:
		default:
		}
		if !known {
			continue
		}
		for _, row := range p.rows {
			settled(row)
		}
	}
}

// answered waits for the nucleus's answer and counts the predictions. It reports false if nobody knows whether they were taken.
func (o *outlet) answered(ctx context.Context, p publication) bool {
	err := p.call.Wait(ctx)
	if _, unauthorized := errors.AsType[*ipc.UnauthorizedError](err); unauthorized && p.predictions > 1 {
		return o.separate(ctx, p.rows, err)
	}
	return o.count(ctx, err, p.predictions)
}

// separate publishes predictions one by one, and all from now on: the nucleus does not grant batches.
func (o *outlet) separate(ctx context.Context, rows []handled, refusal error) bool {
	if o.batches.CompareAndSwap(true, false) {
		o.rt.Log.Warn("batches are refused: predictions are published one by one", "error", refusal)
	}
	for _, row := range rows {
		if row.scored() && !o.count(ctx, o.rt.IPC().Publish(ctx, event.PredictionTopic(row.thing), row.prediction), 1) {
			return false
		}
	}
	return true
}

// count counts n predictions, of which err says whether the nucleus took them.
func (o *outlet) count(ctx context.Context, err error, n int) bool {
	if err != nil && (ctx.Err() != nil || errors.Is(err, ipc.ErrConnectionLost)) {
		return false
	}
	counter := CounterPredictions
	if err != nil {
		counter = CounterRefused
	}
	o.rt.Counter(counter).Add(uint64(n))
	o.answers.Answered(err)
	return true
}
