package forwarder

import (
	"context"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ledger"
	"edgepdm/shared/spool"
)

const (
	maxPending = 4096
	maxAckIDs  = 30 // in one local message
	ackTimeout = 5 * time.Second
	maxSettled = 64 // numbers that are recorded together
)

// acks publishes acknowledgements.
type acks struct {
	rt     *component.Runtime
	topics map[string]*component.Publication
}

func newAcks(rt *component.Runtime) acks {
	a := acks{rt, make(map[string]*component.Publication)}
	for _, topic := range []string{event.TopicAckAlert, event.TopicAckLabel, event.TopicAckModel, event.TopicAckPrediction} {
		a.topics[topic] = rt.Publication(topic)
	}
	return a
}

// publish publishes an acknowledgement, or two halves of one that is too long.
func (a acks) publish(ctx context.Context, topic string, ids []string) {
	payload, err := event.Encode(event.Ack{V: event.Version, IDs: ids})
	if half := len(ids) / 2; err != nil && half > 0 {
		a.publish(ctx, topic, ids[:half])
		a.publish(ctx, topic, ids[half:])
		return
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, ackTimeout)
		defer cancel()
		err = a.rt.IPC().Publish(ctx, topic, payload)
	}
	if ctx.Err() == nil {
		a.topics[topic].Answered(err)
	}
}

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

// acknowledge publishes the ids of predictions that are on disk, several in a message, until pending is closed.
func (p *predictionIntake) acknowledge(ctx context.Context) {
	n := numbers{owing: make(map[string]pending)}
	var ids []string
	for received := range p.pending {
		if received.receipt != nil {
			select {
			case <-received.receipt.Done():
			default: // the disk may take long: what was dealt with is not to wait for it
				p.record(&n)
			}
			if err := received.receipt.Err(); err != nil { // waits for the disk
				received.to.refused(err)
				p.filter.forget(received.thing)
			} else {
				received.to.accepted()
				ids = append(ids, received.id)
			}
		}
		n.settle(received)
		last := len(p.pending) == 0
		if last || len(ids) == maxAckIDs || len(n.settled) >= maxSettled {
			p.record(&n)
		}
		if len(ids) > 0 && (last || len(ids) == maxAckIDs) {
			p.acks.publish(ctx, event.TopicAckPrediction, ids)
			ids = ids[:0]
		}
	}
}

// record puts the numbers that were settled into the ledger.
func (p *predictionIntake) record(n *numbers) {
	settled := uint64(len(n.settled))
	err := p.ledger.CommitAll(n.settled...)
	n.settled = n.settled[:0]
	if err != nil && p.rt.Counter(CounterLedger).Add(settled) == settled {
		p.rt.Log.Error("sequence number could not be recorded: gaps may be miscounted", "error", err)
	}
}

// numbers are the numbers of predictions that are on disk, refused or stay here. One that was received, and lost with a
// process that was killed, is so counted as missed by the next. While a change is held back, in memory only, the number on disk
// is one less, for that one.
type numbers struct {
	settled []ledger.Number    // that are to be recorded
	owing   map[string]pending // by thing: the newest one, while a change of the thing is held back
}

func (n *numbers) settle(p pending) {
	newest := p
	if before, owes := n.owing[p.thing]; owes && !p.numbered {
		newest = before
	}
	if p.free {
		delete(n.owing, p.thing)
	}
	if !newest.numbered {
		return
	}
	number := ledger.Number{Thing: newest.thing, Epoch: newest.epoch, Seq: newest.seq}
	if _, owes := n.owing[p.thing]; owes || p.held && p.numbered {
		n.owing[p.thing] = newest
		number.Seq--
	}
	n.settled = append(n.settled, number)
}
