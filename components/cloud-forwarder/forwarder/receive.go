package forwarder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/ledger"
	"edgepdm/shared/spool"
)

// Names of counters in the health messages; those of streams are in stream.go.
const (
	CounterInvalid     = "message.invalid"
	CounterRefused     = "message.refused"       // could not be put on disk: not acknowledged; also with "." and the reason
	CounterOverrun     = "message.overrun"       // came faster than the disk took it; alerts come again
	CounterSkipped     = "prediction.skipped"    // stays on the site, by the sample setting
	CounterSuppressed  = "prediction.suppressed" // of those, changes of a label that came too fast one after another
	CounterMissed      = "prediction.missed"     // numbers that never came: rows that were not scored, or local messages that were lost
	CounterJumps       = "prediction.jumps"      // numbers too far from the others to say what is between
	CounterDeadDropped = "deadletters.dropped"   // as there were too many
	CounterLedger      = "ledger.failed"         // predictions whose number could not be recorded
)

// Reasons of CounterRefused.
const (
	refusedFull  = ".full"       // of the stream's bound in bytes
	refusedSpace = ".free-space" // of the disk's floor
	refusedDisk  = ".disk"       // it does not take it
)

// pending is a prediction that was received: one on its way to the disk, or one that stays on the site.
type pending struct {
	id, thing, epoch string
	seq              uint64
	numbered         bool           // the number is newer than those before it
	held             bool           // it is held back
	free             bool           // the one of its thing that was held back is not any more
	to               *stream        // on whose way it is
	receipt          *spool.Receipt // nil for one that does not go to the disk
}

const (
	maxPending = 4096
	maxAckIDs  = 30 // in one local message
	ackTimeout = 5 * time.Second
)

func (r *run) subscribe(ctx context.Context, filter string) (*ipc.Subscription[ipc.TopicMessage], error) {
	sub, err := r.rt.Subscribe(ctx, filter)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", filter, err)
	}
	return sub, nil
}

// receiveAlerts takes alerts until ctx ends; what it has taken by then goes to the disk while keep lasts.
func (r *run) receiveAlerts(ctx, keep context.Context) error {
	if !opened(ctx, r.toIoT, r.toSNS) {
		return nil
	}
	return receive(ctx, r.alerts, func(m ipc.TopicMessage) { r.alert(keep, m) })
}

// receivePredictions does the same for predictions. They have a goroutine of their own so that alerts overtake them
// here too (promise F6).
func (r *run) receivePredictions(ctx, keep context.Context) error {
	if !opened(ctx, r.toPredictions, r.toChanges) {
		return nil
	}
	defer r.releaseHeld(keep, true)
	var due <-chan time.Time
	if tick := r.filter.tick(); tick > 0 {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		due = ticker.C
	}
	for {
		var m ipc.TopicMessage
		open := false
		take, from := r.prediction, r.predictions
		select {
		case <-ctx.Done():
			return nil
		case <-due:
			r.releaseHeld(keep, false)
			continue
		case m, open = <-r.predictions.Events():
		case m, open = <-r.batches.Events():
			take, from = r.predictionBatch, r.batches
		}
		if !open {
			return fmt.Errorf("receive predictions: %w", from.Err())
		}
		take(keep, m)
	}
}

// receiveModels does the same for what happens to models (promise M12).
func (r *run) receiveModels(ctx, keep context.Context) error {
	if !opened(ctx, r.toIoT) {
		return nil
	}
	return receive(ctx, r.models, func(m ipc.TopicMessage) { r.modelEvent(keep, m) })
}

// opened waits until the streams are open. Meanwhile messages wait in their subscriptions.
func opened(ctx context.Context, streams ...*stream) bool {
	for _, s := range streams {
		if s == nil {
			continue
		}
		select {
		case <-s.opened:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func receive(ctx context.Context, sub *ipc.Subscription[ipc.TopicMessage], take func(ipc.TopicMessage)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case m, open := <-sub.Events():
			if open {
				take(m)
				continue
			}
			return fmt.Errorf("receive messages: %w", sub.Err())
		}
	}
}

// alert puts an alert on disk, for every sink that gets it, and then acknowledges it (promises F1 and F12).
func (r *run) alert(ctx context.Context, m ipc.TopicMessage) {
	a, err := event.DecodeAlert(m.Payload)
	if err != nil {
		r.invalid(m, err)
		return
	}
	streams := []*stream{r.toIoT}
	if r.toSNS != nil && (a.State == event.AlarmUnacknowledged || a.State == event.AlarmNormal && r.config.AlertTopicNormal) {
		streams = append(streams, r.toSNS)
	}
	if r.heard(heardAlert(a)) {
		m.Payload = markReplayed(m.Payload)
	}
	receipts := make([]*spool.Receipt, len(streams))
	onDisk := true
	for i, s := range streams {
		if r.forwarder.known.has(a.ID, s.name) { // the acknowledgement was lost
			continue
		}
		if receipts[i], err = r.keep(ctx, s, m, a.ID, a.TS); err != nil {
			r.refuse(s, err)
			onDisk = false // without an acknowledgement it comes again, for this queue; others have it already
		}
	}
	for i, s := range streams {
		if receipts[i] == nil {
			continue
		}
		select {
		case <-receipts[i].Done():
			err = receipts[i].Err()
		case <-ctx.Done():
			r.forwarder.known.doubt(a.ID)
			return
		}
		if err != nil {
			r.refuse(s, err)
			onDisk = false
			continue
		}
		r.took(s)
		r.accepted(a.ID, s)
	}
	if onDisk {
		r.publishAck(ctx, event.TopicAckAlert, []string{a.ID})
	}
}

// modelEvent puts an event of a model on disk, beside the alerts, and then acknowledges it.
func (r *run) modelEvent(ctx context.Context, m ipc.TopicMessage) {
	e, err := event.DecodeModelEvent(m.Payload)
	if err != nil {
		r.invalid(m, err)
		return
	}
	if r.heard(heard{ID: e.ID}) {
		m.Payload = markReplayed(m.Payload)
	}
	if r.forwarder.known.has(e.ID, r.toIoT.name) { // the acknowledgement was lost
		r.publishAck(ctx, event.TopicAckModel, []string{e.ID})
		return
	}
	receipt, err := r.keep(ctx, r.toIoT, m, e.ID, e.TS)
	if err == nil {
		select {
		case <-receipt.Done():
			err = receipt.Err()
		case <-ctx.Done():
			r.forwarder.known.doubt(e.ID)
			return
		}
	}
	if err != nil {
		r.refuse(r.toIoT, err)
		return
	}
	r.took(r.toIoT)
	r.accepted(e.ID, r.toIoT)
	r.publishAck(ctx, event.TopicAckModel, []string{e.ID})
}

// heard notes what comes, and reports whether an earlier process may have sent it.
func (r *run) heard(h heard) bool {
	earlier, err := r.forwarder.known.hear(h, r.forwarder.Now())
	r.toIoT.report(placeKnown, err)
	return earlier
}

// accepted notes that a stream has it on disk.
func (r *run) accepted(id string, s *stream) {
	r.toIoT.report(placeKnown, r.forwarder.known.accept(id, s.name))
}

// progress tells what has happened to an alarm.
func (r *run) progress(a event.Alert) progress {
	return r.forwarder.known.progress(a, r.forwarder.Now())
}

// prediction takes a message with a prediction.
func (r *run) prediction(ctx context.Context, m ipc.TopicMessage) {
	p, err := event.DecodePrediction(m.Payload)
	r.predicted(ctx, m, p, err)
}

// predictionBatch takes a message with several. Each leaves the site as if it had come by itself.
func (r *run) predictionBatch(ctx context.Context, m ipc.TopicMessage) {
	batch, err := event.DecodePredictionBatch(m.Payload)
	if err != nil {
		r.invalid(m, err)
		return
	}
	for _, p := range batch {
		one := ipc.TopicMessage{Topic: event.PredictionTopic(p.Thing), Payload: p.Payload}
		r.predicted(ctx, one, p.Prediction, p.Err)
	}
}

// predicted puts a prediction on disk, if it leaves the site. The acknowledgement follows with its group.
func (r *run) predicted(ctx context.Context, m ipc.TopicMessage, p event.Prediction, err error) {
	if err != nil {
		r.invalid(m, err)
		return
	}
	received := pending{id: p.ID, thing: p.Thing, epoch: p.Epoch, seq: p.Seq, numbered: r.hear(&p)}
	verdict, dropped := r.filter.judge(m, &p, r.forwarder.Now())
	received.held, received.free = verdict == held, dropped
	if dropped {
		r.rt.Counter(CounterSkipped).Add(1)
		r.rt.Counter(CounterSuppressed).Add(1)
	}
	switch verdict {
	case stays:
		r.rt.Counter(CounterSkipped).Add(1)
	case held: // by the filter
	case sampled, changed:
		received.to = r.way(verdict)
		received.receipt = r.leave(ctx, received.to, m, &p)
	}
	r.pend(ctx, received)
}

// way is the stream of a prediction. Changes of labels pass others once those wait; without a backlog all keep their order.
func (r *run) way(v verdict) *stream {
	if v == changed && (r.toPredictions.waiting() > fastLaneFrom || r.toChanges.queue.Depth() > 0) {
		return r.toChanges
	}
	return r.toPredictions
}

// leave begins to put a prediction on disk; nil when that is refused.
func (r *run) leave(ctx context.Context, to *stream, m ipc.TopicMessage, p *event.Prediction) *spool.Receipt {
	receipt, err := r.keep(ctx, to, m, p.ID, p.TS)
	if err != nil {
		r.refuse(to, err)
		r.filter.forget(p.Thing)
	}
	return receipt
}

// releaseHeld lets changes of labels leave that were held back: those that are due, or all.
func (r *run) releaseHeld(ctx context.Context, all bool) {
	for _, c := range r.filter.due(r.forwarder.Now(), all) {
		to := r.way(changed)
		receipt := r.leave(ctx, to, c.message, &c.prediction)
		r.pend(ctx, pending{id: c.prediction.ID, thing: c.prediction.Thing, free: true, to: to, receipt: receipt})
	}
}

// pend hands a prediction on to be acknowledged.
func (r *run) pend(ctx context.Context, p pending) {
	select {
	case r.pending <- p:
	case <-ctx.Done(): // the disk hangs
	}
}

// hear counts the predictions that never came before this one, and reports whether its number is to be recorded.
func (r *run) hear(p *event.Prediction) bool {
	if p.Seq == 0 || p.Epoch == "" {
		return false
	}
	gap, err := r.ledger.Hear(p.Thing, p.Epoch, p.Seq)
	gap.Tally(r.rt.Counter(CounterMissed))
	if gap.Jump {
		r.rt.Counter(CounterJumps).Add(1)
	}
	if now := r.forwarder.Now(); gap.Missed > 0 && now.Sub(r.toldGap).Abs() >= time.Second {
		r.toldGap = now
		r.rt.ReportHealth() // the process may be killed before the next health message is due
	}
	return err == nil && gap.New()
}

// numbers records the numbers of predictions that are on disk, refused or stay here. One that was received, and lost with a
// process that was killed, is so counted as missed by the next. While a change is held back, in memory only, the number on disk
// is one less, for that one.
type numbers struct {
	ledger *ledger.Ledger
	owing  map[string]pending // by thing: the newest one, while a change of the thing is held back
}

func (n numbers) settle(p pending) error {
	newest := p
	if before, owes := n.owing[p.thing]; owes && !p.numbered {
		newest = before
	}
	if p.free {
		delete(n.owing, p.thing)
	}
	if !newest.numbered {
		return nil
	}
	if _, owes := n.owing[p.thing]; !owes && !(p.held && p.numbered) {
		return n.ledger.Keep(newest.thing, newest.epoch, newest.seq)
	}
	n.owing[p.thing] = newest
	return n.ledger.Keep(newest.thing, newest.epoch, newest.seq-1)
}

// keep begins to put a message on disk.
func (r *run) keep(ctx context.Context, s *stream, m ipc.TopicMessage, id string, ts time.Time) (*spool.Receipt, error) {
	payload, err := encode(envelope{m.Topic, m.Payload})
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	if ts.IsZero() {
		ts = r.forwarder.Now()
	}
	return s.queue.AppendAsync(ctx, spool.Record{Stream: s.name, ID: id, Time: ts.UnixNano(), Payload: payload})
}

// encode is json.Marshal without the escapes for HTML: a message is kept as it came.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// acknowledge publishes the ids of predictions that are on disk, several in a message, until pending is closed.
func (r *run) acknowledge(ctx context.Context) {
	n := numbers{r.ledger, make(map[string]pending)}
	var ids []string
	for p := range r.pending {
		if p.receipt != nil {
			if err := p.receipt.Err(); err != nil { // waits for the disk
				r.refuse(p.to, err)
				r.filter.forget(p.thing)
			} else {
				r.took(p.to)
				ids = append(ids, p.id)
			}
		}
		if err := n.settle(p); err != nil && r.rt.Counter(CounterLedger).Add(1) == 1 {
			r.rt.Log.Error("gaps may be counted wrong", "error", err)
		}
		if len(ids) > 0 && (len(ids) == maxAckIDs || len(r.pending) == 0) {
			r.publishAck(ctx, event.TopicAckPrediction, ids)
			ids = ids[:0]
		}
	}
}

// publishAck publishes an acknowledgement, or two halves of one that is too long.
func (r *run) publishAck(ctx context.Context, topic string, ids []string) {
	payload, err := event.Encode(event.Ack{V: event.Version, IDs: ids})
	if half := len(ids) / 2; err != nil && half > 0 {
		r.publishAck(ctx, topic, ids[:half])
		r.publishAck(ctx, topic, ids[half:])
		return
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, ackTimeout)
		defer cancel()
		err = r.rt.IPC().Publish(ctx, topic, payload)
	}
	if ctx.Err() == nil {
		r.acks[topic].Answered(err)
	}
}

func (r *run) invalid(m ipc.TopicMessage, err error) {
	if r.rt.Counter(CounterInvalid).Add(1) == 1 {
		r.rt.Log.Warn("invalid messages are ignored, and counted", "topic", m.Topic, "error", err)
	}
}

// took counts a message that is on disk.
func (r *run) took(s *stream) {
	s.count(counterAccepted, 1)
	s.report(placeReceive, nil)
}

// refuse counts a message that is not.
func (r *run) refuse(s *stream, err error) {
	reason := refusedDisk
	switch {
	case errors.Is(err, spool.ErrFull):
		reason = refusedFull
	case errors.Is(err, spool.ErrNoSpace):
		reason = refusedSpace
	}
	r.rt.Counter(CounterRefused).Add(1)
	r.rt.Counter(CounterRefused + reason).Add(1)
	s.report(placeReceive, fmt.Errorf("not put on disk: %w", err))
}
