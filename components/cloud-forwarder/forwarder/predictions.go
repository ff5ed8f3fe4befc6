package forwarder

import (
	"context"
	"fmt"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/ledger"
	"edgepdm/shared/spool"
)

// predictionIntake takes predictions, chooses those that leave the site, and puts them on disk. It has a goroutine of its own so
// that alerts overtake predictions here too (promise F6), and a second one that acknowledges.
type predictionIntake struct {
	rt                   *component.Runtime
	now                  func() time.Time
	acks                 acks
	decoder              event.PredictionDecoder
	filter               *filter
	ledger               *ledger.Ledger
	predictions, changes *stream
	pending              chan pending
	single, batches      *ipc.Subscription[ipc.TopicMessage]
	gapTold              time.Time // when a gap was last told at once
}

// receive takes predictions until ctx ends; what it has taken by then goes to the disk while keep lasts.
func (p *predictionIntake) receive(ctx, keep context.Context) error {
	if !opened(ctx, p.predictions, p.changes) {
		return nil
	}
	defer p.releaseHeld(keep, true)
	var due <-chan time.Time
	if tick := p.filter.tick(); tick > 0 {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		due = ticker.C
	}
	for {
		var m ipc.TopicMessage
		open := false
		take, from := p.takeOne, p.single
		select {
		case <-ctx.Done():
			return nil
		case <-due:
			p.releaseHeld(keep, false)
			continue
		case m, open = <-p.single.Events():
		case m, open = <-p.batches.Events():
			take, from = p.takeBatch, p.batches
		}
		if !open {
			return fmt.Errorf("receive predictions: %w", from.Err())
		}
		take(keep, m)
	}
}

// takeOne takes a message with a prediction.
func (p *predictionIntake) takeOne(ctx context.Context, m ipc.TopicMessage) {
	prediction, err := p.decoder.Decode(m.Payload)
	p.take(ctx, m, &prediction, err)
}

// takeBatch takes a message with several. Each leaves the site as if it had come by itself.
func (p *predictionIntake) takeBatch(ctx context.Context, m ipc.TopicMessage) {
	batch, err := p.decoder.DecodeBatch(m.Payload)
	if err != nil {
		invalid(p.rt, m, err)
		return
	}
	for i := range batch {
		one := &batch[i]
		p.take(ctx, ipc.TopicMessage{Topic: event.PredictionTopic(one.Thing), Payload: one.Payload}, &one.Prediction, one.Err)
	}
}

// take puts a prediction on disk, if it leaves the site. The acknowledgement follows with its group.
func (p *predictionIntake) take(ctx context.Context, m ipc.TopicMessage, prediction *event.Prediction, err error) {
	if err != nil {
		invalid(p.rt, m, err)
		return
	}
	received := pending{
		id: prediction.ID, thing: prediction.Thing, epoch: prediction.Epoch, seq: prediction.Seq, numbered: p.countGap(prediction),
	}
	verdict, dropped := p.filter.judge(m, prediction, p.now())
	received.held, received.free = verdict == held, dropped
	if dropped {
		p.rt.Counter(CounterSkipped).Add(1)
		p.rt.Counter(CounterSuppressed).Add(1)
	}
	switch verdict {
	case stays:
		p.rt.Counter(CounterSkipped).Add(1)
	case held: // by the filter
	case sampled, changed:
		received.to = p.route(verdict)
		received.receipt = p.put(ctx, received.to, m, prediction)
	}
	p.pend(ctx, received)
}

// route is the stream of a prediction. Label changes pass others once those wait; without a backlog all keep their order.
func (p *predictionIntake) route(v verdict) *stream {
	if v == changed && (p.predictions.waiting() > fastLaneFrom || p.changes.queue.Depth() > 0) {
		return p.changes
	}
	return p.predictions
}

// put begins to put a prediction on disk; nil when that is refused.
func (p *predictionIntake) put(ctx context.Context, to *stream, m ipc.TopicMessage, prediction *event.Prediction) *spool.Receipt {
	receipt, err := to.put(ctx, m, prediction.ID, prediction.TS)
	if err != nil {
		to.refused(err)
		p.filter.forget(prediction.Thing)
	}
	return receipt
}

// releaseHeld lets label changes leave that were held back: those that are due, or all.
func (p *predictionIntake) releaseHeld(ctx context.Context, all bool) {
	for _, c := range p.filter.due(p.now(), all) {
		to := p.route(changed)
		receipt := p.put(ctx, to, c.message, &c.prediction)
		p.pend(ctx, pending{id: c.prediction.ID, thing: c.prediction.Thing, free: true, to: to, receipt: receipt})
	}
}

// pend hands a prediction on to be acknowledged.
func (p *predictionIntake) pend(ctx context.Context, received pending) {
	select {
	case p.pending <- received:
	case <-ctx.Done(): // the disk hangs
	}
}

// countGap counts the predictions that never came before this one, and reports whether its number is to be recorded.
func (p *predictionIntake) countGap(prediction *event.Prediction) bool {
	if prediction.Seq == 0 || prediction.Epoch == "" {
		return false
	}
	gap, err := p.ledger.Observe(prediction.Thing, prediction.Epoch, prediction.Seq)
	gap.Tally(p.rt.Counter(CounterMissed))
	if gap.Jump {
		p.rt.Counter(CounterJumps).Add(1)
	}
	if now := p.now(); gap.Missed > 0 && now.Sub(p.gapTold).Abs() >= time.Second {
		p.gapTold = now
		p.rt.ReportHealth() // the process may be killed before the next health message is due
	}
	return err == nil && gap.New()
}
