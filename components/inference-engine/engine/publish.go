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
)

const (
	// pendingLimit bounds the publications whose acknowledgement by the nucleus is outstanding.
	pendingLimit = 64
	// busyAt is from how many on predictions wait for each other, to leave together: the nucleus is slower than the rows.
	busyAt = 4
	// answerLimit is how long the nucleus may take to answer.
	answerLimit = 30 * time.Second
	// confirmGrace is how long the nucleus may take, after the end of a run, to answer what was published before.
	confirmGrace = 2 * time.Second
	// waitingLimit bounds the rows that wait for each other; several are refused ones, which have no bytes.
	waitingLimit = 100
	// roomSize is how much memory for predictions is allocated at once.
	roomSize = 32 << 10
)

// handled is a row that was scored, or refused.
type handled struct {
	thing, epoch string
	seq          uint64
	prediction   []byte // encoded; nil for a row that was refused
	arrived      time.Time
}

func (h handled) scored() bool { return h.prediction != nil }

// publication is one message, and the rows that it and their order stand for.
type publication struct {
	rows        []handled // refused ones among them
	predictions int
	call        *ipc.Call // nil where there is no prediction
	begun       time.Time
}

// outlet publishes predictions: one by one while the nucleus is fast enough, else several in a message. So do those of rows
// that came in one message. The intake's goroutine owns it.
type outlet struct {
	rt      *component.Runtime
	now     func() time.Time
	settled func([]handled) // takes rows whose fate is known, in order
	batches bool            // predictions may leave in batches
	waiting []handled       // in the order of arrival
	bytes   int             // of predictions that wait
	room    []byte          // what predictions are kept in: many share a piece of memory
	joined  [][]byte        // scratch

	pending       [pendingLimit]publication // a ring, of which
	first, number int                       // these are under way
	told          chan struct{}             // the nucleus has answered
	answers       *component.Publication
	latencies     *component.Latencies
	published     *atomic.Uint64
}

func newOutlet(rt *component.Runtime, now func() time.Time, batches bool, settled func([]handled)) *outlet {
	return &outlet{rt: rt, now: now, settled: settled, batches: batches, told: make(chan struct{}, 1),
		answers: rt.Publication(event.FilterPrediction), latencies: rt.Latencies(), published: rt.Counter(CounterPredictions)}
}

// keep copies a prediction, to be added.
func (o *outlet) keep(prediction []byte) []byte {
	if len(prediction) > cap(o.room)-len(o.room) { // what is full lives as long as a prediction in it is under way
		o.room = make([]byte, 0, max(roomSize, len(prediction)))
	}
	begin := len(o.room)
	o.room = append(o.room, prediction...)
	return o.room[begin:len(o.room):len(o.room)]
}

// add takes a row; release publishes its prediction.
func (o *outlet) add(row handled) {
	if len(o.waiting) == cap(o.waiting) {
		o.waiting = append(make([]handled, 0, max(waitingLimit, 2*len(o.waiting))), o.waiting...)
	}
	o.waiting = append(o.waiting, row)
	o.bytes += len(row.prediction)
}

// release publishes what waits, unless it is better to wait until the nucleus has answered: more may come to leave together.
func (o *outlet) release(ctx context.Context) error {
	busy := o.number >= busyAt && o.bytes < event.Local.Limit() && len(o.waiting) < waitingLimit
	if busy && o.batches {
		return nil
	}
	return o.flush(ctx)
}

// full reports whether no more rows should be scored until the nucleus has answered.
func (o *outlet) full() bool {
	if o.batches {
		return o.number >= busyAt && (o.bytes >= event.Local.Limit() || len(o.waiting) >= waitingLimit)
	}
	return o.number+len(o.waiting) >= pendingLimit
}

// flush publishes what waits. Where too much is under way, it waits until the nucleus has answered the oldest.
func (o *outlet) flush(ctx context.Context) error {
	for len(o.waiting) > 0 {
		if o.number == pendingLimit {
			o.settle(ctx)
			continue
		}
		p, err := o.publish()
		if err != nil {
			return fmt.Errorf("publish predictions: %w", err)
		}
		o.waiting = o.waiting[len(p.rows):]
		o.pending[(o.first+o.number)%pendingLimit] = p
		o.number++
	}
	o.bytes = 0
	o.confirm(ctx)
	return nil
}

// publish begins to publish the first of what waits, as much as goes into a message.
func (o *outlet) publish() (publication, error) {
	first := slices.IndexFunc(o.waiting, handled.scored)
	if first < 0 {
		return publication{rows: o.waiting[:len(o.waiting):len(o.waiting)]}, nil
	}
	one := o.waiting[first]
	p := publication{rows: o.waiting[: first+1 : first+1], predictions: 1, begun: o.now()}
	topic, payload := event.PredictionTopic(one.thing), one.prediction
	if o.batches {
		if batch, taken, rows := o.join(); taken > 1 {
			o.rt.Counter(CounterBatches).Add(1)
			topic, payload = event.TopicPredictionBatch, batch
			p.rows, p.predictions = o.waiting[:rows:rows], taken
		}
	}
	var err error
	p.call, err = o.rt.IPC().StartPublishTold(context.Background(), topic, payload, o.told) // what was scored leaves, also at the end
	return p, err
}

// join makes a batch, and returns how many predictions are in it, and of how many of the rows that wait.
func (o *outlet) join() (batch []byte, taken, rows int) {
	list := o.joined[:0]
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
	o.joined = list
	for left := taken; left > 0; rows++ {
		if o.waiting[rows].scored() {
			left--
		}
	}
	return batch, taken, rows
}

// confirm settles what the nucleus has answered, in order.
func (o *outlet) confirm(ctx context.Context) {
	for o.number > 0 {
		if call := o.pending[o.first].call; call != nil && !call.Answered() {
			return
		}
		o.settle(ctx)
	}
}

// settle waits for the answer to the oldest publication, and gives away its rows if their fate is known.
func (o *outlet) settle(ctx context.Context) {
	p := o.pending[o.first]
	o.pending[o.first] = publication{}
	o.first, o.number = (o.first+1)%pendingLimit, o.number-1
	if p.call != nil && !o.answered(ctx, p) {
		return
	}
	for now, i := o.now(), 0; i < len(p.rows); i++ {
		if p.rows[i].scored() {
			o.latencies.Observe(p.rows[i].arrived, now)
		}
	}
	o.settled(p.rows)
}

// expire gives up what the nucleus does not answer.
func (o *outlet) expire(ctx context.Context) {
	for o.number > 0 && o.now().Sub(o.pending[o.first].begun) >= answerLimit {
		o.settle(ctx)
	}
}

// drain publishes what waits, and waits for all answers, but not for long.
func (o *outlet) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, confirmGrace)
	defer cancel()
	_ = o.flush(ctx) // without a connection nobody takes it
	for o.number > 0 {
		o.settle(ctx)
	}
}

// answered waits for the nucleus's answer and counts the predictions. It reports false if nobody knows whether they were taken.
func (o *outlet) answered(ctx context.Context, p publication) bool {
	err := o.answer(ctx, p)
	if _, unauthorized := errors.AsType[*ipc.UnauthorizedError](err); unauthorized && p.predictions > 1 {
		return o.separate(ctx, p.rows, err)
	}
	return o.count(ctx, err, p.predictions)
}

func (o *outlet) answer(ctx context.Context, p publication) error {
	if p.call.Answered() || o.now().Sub(p.begun) < answerLimit {
		return p.call.Wait(ctx)
	}
	over, cancel := context.WithTimeout(ctx, 0)
	defer cancel()
	err := p.call.Wait(over)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = ipc.ErrTimeout
	}
	return err
}

// separate publishes predictions one by one, and all from now on: the nucleus does not grant batches.
func (o *outlet) separate(ctx context.Context, rows []handled, refusal error) bool {
	if o.batches {
		o.batches = false
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
	counter := o.published
	if err != nil {
		counter = o.rt.Counter(CounterRefused)
	}
	counter.Add(uint64(n))
	o.answers.Answered(err)
	return true
}
