package main

import (
	"slices"
	"strings"
	"sync"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

// watcher keeps account of what the components say.
type watcher struct {
	mu          sync.Mutex
	predictions uint64
	rows        map[string]uint64 // of each thing: the predictions' numbers, added up; each row once is the sum of all numbers
	latencies   []float64         // milliseconds from a row's time to the arrival of its prediction
	alerts      map[string]bool   // ids; true: the forwarder has it
	health      map[string]event.Health
	largest     int // bytes of a health message
}

func newWatcher() *watcher {
	return &watcher{rows: make(map[string]uint64), alerts: make(map[string]bool), health: make(map[string]event.Health)}
}

// watch handles messages until the subscription ends.
func (w *watcher) watch(messages *ipc.Subscription[ipc.TopicMessage]) {
	for m := range messages.Events() {
		w.mu.Lock()
		w.handle(m, time.Now())
		w.mu.Unlock()
	}
}

func (w *watcher) handle(m ipc.TopicMessage, now time.Time) {
	switch {
	case strings.HasPrefix(m.Topic, event.PredictionTopic("")):
		if p, err := event.DecodePrediction(m.Payload); err == nil {
			w.prediction(&p, now)
		}
	case m.Topic == event.TopicPredictionBatch:
		batch, err := event.DecodePredictionBatch(m.Payload)
		if err != nil {
			return // what is missing is told
		}
		for i := range batch {
			if batch[i].Err == nil {
				w.prediction(&batch[i].Prediction, now)
			}
		}
	case strings.HasPrefix(m.Topic, event.AlertTopic("")):
		if a, err := event.DecodeAlert(m.Payload); err == nil {
			if _, known := w.alerts[a.ID]; !known {
				w.alerts[a.ID] = false
			}
		}
	case m.Topic == event.TopicAckAlert:
		if a, err := event.DecodeAck(m.Payload); err == nil {
			for _, id := range a.IDs {
				w.alerts[id] = true
			}
		}
	case strings.HasPrefix(m.Topic, event.HealthTopic("")):
		if h, err := event.DecodeHealth(m.Payload); err == nil {
			w.health[h.Component] = h
			w.largest = max(w.largest, len(m.Payload))
		}
	}
}

func (w *watcher) prediction(p *event.Prediction, now time.Time) {
	w.predictions++
	w.rows[p.Thing] += p.Seq
	w.latencies = append(w.latencies, float64(now.Sub(p.TS))/float64(time.Millisecond))
}

// of returns a component's last health message.
func (w *watcher) of(component string) event.Health {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.health[component]
}

// ok reports whether components say that they work.
func (w *watcher) ok(components ...string) bool {
	return !slices.ContainsFunc(components, func(name string) bool { return w.of(name).State != event.StateOK })
}

// seen returns how many predictions came, and how many alerts the forwarder does not have.
func (w *watcher) seen() (predictions uint64, waiting int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, taken := range w.alerts {
		if !taken {
			waiting++
		}
	}
	return w.predictions, waiting
}
