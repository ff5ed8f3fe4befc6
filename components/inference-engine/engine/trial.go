package engine

import (
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"edgepdm/components/inference-engine/candidate"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
)

// trial is a candidate beside the model in use. Another model in use is another trial.
type trial struct {
	held   modelstore.Installed
	active *activeModel // in use
	model  *activeModel // the candidate, as it will be in use if it is promoted: nobody scores with it before
	rings  *rings       // of the candidate; nil: it is given the row, or what the model in use is given
	pick   []int        // where in the active model's rows the candidate's values are; nil: in the same places
	same   bool         // both are given the same inputs over time
	pair   candidate.Pair

	ended bool // its last figures were told, or are about to be; the keeper's

	queue  queue
	latest atomic.Pointer[event.Comparison] // what is known; nil: nothing yet
}

// newTrial returns why a candidate cannot be compared with the model in use.
func newTrial(held modelstore.Installed, active, model *activeModel, config Config) (*trial, error) {
	t := &trial{
		held: held, active: active, model: model, same: reflect.DeepEqual(active.inputs, model.inputs),
		pair: candidate.Pair{
			Active: active.ref, Candidate: model.ref, Threshold: [2]float64{active.threshold, model.threshold},
			How: fmt.Sprintf("%s %s", config.Engine, config.Iterations), Held: held.Accepted,
		},
	}
	var err error
	if t.pick, err = picks(active, model); err != nil {
		return nil, err
	}
	inputs := 0
	if active.inputs != nil {
		inputs = len(active.inputs.Inputs)
	}
	t.queue.init(active.features, inputs)
	return t, nil
}

// picks returns where in rows of one model the sensors of another are; nil: in the same places.
func picks(active, model *activeModel) ([]int, error) {
	if len(active.names) == 0 || len(model.names) == 0 {
		if len(active.names)+len(model.names) > 0 || active.features != model.features {
			return nil, fmt.Errorf("it has %d values, of which %d are named, the active model has %d and %d: its rows cannot be made of that model's",
				model.features, len(model.names), active.features, len(active.names))
		}
		return nil, nil
	}
	pick := make([]int, 0, len(model.names))
	alike := active.features == model.features
	for i, name := range model.names {
		at, ok := active.sensors[name]
		if !ok {
			return nil, fmt.Errorf("its sensor %.128q is none of the %d that the active model %s has", name, len(active.names), active.ref.Version)
		}
		pick = append(pick, at)
		alike = alike && at == i
	}
	if alike {
		return nil, nil
	}
	return pick, nil
}

// offer gives the trial a row that was scored. It waits for nothing; the scorer calls it.
func (t *trial) offer(by *activeModel, row *event.Telemetry, values, scored []float32, probability float64, label string) {
	s := t.queue.next()
	if s == nil || by != t.active || len(values) != len(s.values) { // no room, or another model took over
		t.queue.skipped.Add(1)
		return
	}
	copy(s.values, values)
	copy(s.inputs, scored)
	s.thing, s.epoch, s.seq, s.ts = row.Thing, row.Epoch, row.Seq, row.TS
	s.probability, s.faulty, s.verdict = float32(probability), label == event.LabelFaulty, label != event.LabelNoData
	t.queue.push()
}

// slot is a row that waits for the candidate.
type slot struct {
	values, inputs  []float32 // of the active model; inputs only if it has some over time
	thing, epoch    string
	seq             uint64
	ts              time.Time
	probability     float32
	faulty, verdict bool
}

const (
	queueBytes = 1 << 20
	minSlots   = 16
	maxSlots   = 512
)

// queue hands rows from the scorer's goroutine to another one, without a lock and without waking it for every row.
type queue struct {
	slots   []slot
	in, out atomic.Uint64 // rows that were put in, and taken out
	skipped atomic.Uint64 // rows that were not put in
	filling chan struct{} // it is half full
}

func (q *queue) init(values, inputs int) {
	n := min(max(queueBytes/(4*(values+inputs)+128), minSlots), maxSlots)
	q.slots, q.filling = make([]slot, n), make(chan struct{}, 1)
	all := make([]float32, n*(values+inputs))
	for i := range q.slots {
		q.slots[i].values, all = all[:values:values], all[values:]
		q.slots[i].inputs, all = all[:inputs:inputs], all[inputs:]
	}
}

// next returns the slot for the next row; nil: there is no room.
func (q *queue) next() *slot {
	in := q.in.Load()
	if in-q.out.Load() >= uint64(len(q.slots)) {
		return nil
	}
	return &q.slots[in%uint64(len(q.slots))]
}

// push puts the row in that next returned.
func (q *queue) push() {
	if in := q.in.Add(1); in-q.out.Load() == uint64(len(q.slots))/2 {
		select {
		case q.filling <- struct{}{}:
		default:
		}
	}
}

// first returns the row that waits longest; nil: none does. pop takes it out.
func (q *queue) first() *slot {
	out := q.out.Load()
	if out == q.in.Load() {
		return nil
	}
	return &q.slots[out%uint64(len(q.slots))]
}

func (q *queue) pop() { q.out.Add(1) }
