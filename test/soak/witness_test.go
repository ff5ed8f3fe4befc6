package soak

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/plant"
)

// witness notes what is said on the site and what arrives in the cloud, by the ids of the records.
type witness struct {
	sub  *ipc.Subscription[ipc.TopicMessage]
	done chan struct{}

	mu       sync.Mutex
	sent     map[string]bool         // rows that the nucleus took
	scored   map[string]bool         // predictions
	alerts   map[string]bool         // alerts, from their first publication on
	accepted map[string]bool         // what the forwarder has acknowledged
	arrived  map[string]int          // in the cloud, whatever the answer was
	unmarked map[string]bool         // what arrived again without the mark
	health   map[string]event.Health // the last of each run
	newest   map[string]event.Health // of each component
	known    map[string]bool         // ids of alerts before the last forget
	words    map[string]bool         // what was said since then, without what depends on the time
}

func newWitness() *witness {
	return &witness{
		done: make(chan struct{}), sent: make(map[string]bool), scored: make(map[string]bool), alerts: make(map[string]bool), accepted: make(map[string]bool),
		arrived: make(map[string]int), unmarked: make(map[string]bool), health: make(map[string]event.Health),
		newest: make(map[string]event.Health), words: make(map[string]bool),
	}
}

// watch begins to listen; the test's cleanup waits for the end.
func (w *witness) watch(t *testing.T, p *plant.Plant) {
	t.Helper()
	var err error
	if w.sub, err = p.Client.Subscribe(t.Context(), "pdm/v1/#", ipc.ReceiveFromOthers); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(w.done)
		for m := range w.sub.Events() {
			w.heard(m)
		}
	}()
	t.Cleanup(func() {
		_ = p.Client.Close()
		<-w.done
	})
}

func (w *witness) heard(m ipc.TopicMessage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case strings.HasPrefix(m.Topic, event.PredictionTopic("")):
		if p, err := event.DecodePrediction(m.Payload); err == nil {
			w.scored[p.ID] = true
			w.words[fmt.Sprint(p.ID, " ", p.Label, " ", p.Probability, " ", p.Model.Version)] = true
		}
	case m.Topic == event.TopicPredictionBatch:
		batch, _ := event.DecodePredictionBatch(m.Payload)
		for _, p := range batch {
			w.scored[p.ID] = true
		}
	case strings.HasPrefix(m.Topic, event.AlertTopic("")):
		if a, err := event.DecodeAlert(m.Payload); err == nil {
			w.alerts[a.ID] = true
			which := "new"
			if w.known[a.ID] {
				which = a.ID
			}
			w.words[fmt.Sprint("alert ", which, " ", a.Thing, " ", a.Fault, " ", a.State)] = true
		}
	case m.Topic == event.TopicAckAlert, m.Topic == event.TopicAckPrediction, m.Topic == event.TopicAckModel:
		a, _ := event.DecodeAck(m.Payload)
		for _, id := range a.IDs {
			w.accepted[id] = true
		}
	case strings.HasPrefix(m.Topic, event.ModelTopic("")):
		if e, err := event.DecodeModelEvent(m.Payload); err == nil {
			w.words[fmt.Sprint("model ", e.Event, " ", e.Name, " ", e.Version)] = true
		}
	case strings.HasPrefix(m.Topic, "pdm/v1/reply/"):
		var r event.Reply
		if event.Unmarshal(m.Payload, &r) == nil {
			w.words[fmt.Sprint("reply ", r.OK, " ", r.Text)] = true
		}
	case strings.HasPrefix(m.Topic, event.HealthTopic("")):
		if h, err := event.DecodeHealth(m.Payload); err == nil {
			w.health[h.Component+" "+h.Run] = h
			w.newest[h.Component] = h
		}
	}
}

// forget begins the account of one start of a component.
func (w *witness) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known == nil {
		w.known = maps.Clone(w.alerts)
	}
	clear(w.scored)
	clear(w.accepted)
	clear(w.arrived)
	clear(w.unmarked)
	clear(w.words)
}

// said returns what was said since forget.
func (w *witness) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(w.words)), "; ")
}

// delivered notes what reached the cloud. It is the cloud's Publish.
func (w *witness) delivered(_ string, payload []byte) error {
	var record struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(payload, &record) != nil || record.ID == "" {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.arrived[record.ID]++; w.arrived[record.ID] > 1 && !bytes.HasPrefix(payload, []byte(`{"replayed":true`)) {
		w.unmarked[record.ID] = true
	}
	return nil
}

// figures are what a run comes to.
type figures struct {
	sent, scored, alerts, accepted, arrived, again int
	unscored                                       int    // rows without a prediction
	missed, invalid                                uint64 // as told, over all runs
	runs                                           map[string]int
	lost, undelivered, unmarked                    []string
}

func (w *witness) figures() figures {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := figures{sent: len(w.sent), scored: len(w.scored), alerts: len(w.alerts), accepted: len(w.accepted), arrived: len(w.arrived), runs: make(map[string]int)}
	for id := range w.sent {
		if !w.scored[id] {
			f.unscored++
		}
	}
	for id := range w.accepted {
		if w.arrived[id] == 0 {
			f.lost = append(f.lost, id)
		}
	}
	for id := range w.alerts {
		if w.arrived[id] == 0 {
			f.undelivered = append(f.undelivered, id)
		}
	}
	for _, n := range w.arrived {
		f.again += n - 1
	}
	f.unmarked = slices.Sorted(maps.Keys(w.unmarked))
	for _, h := range w.health {
		f.runs[h.Component]++
		if h.Component != event.InferenceEngine {
			continue
		}
		for name, n := range h.Counters {
			switch {
			case name == event.CounterTelemetryMissed, name == event.CounterTelemetryUnheard:
				f.missed += n
			case strings.HasPrefix(name, event.CounterTelemetryInvalid):
				f.invalid += n
			}
		}
	}
	return f
}

// state returns the newest health message of a component, if it is from after a time.
func (w *witness) state(name string, after time.Time) (event.Health, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h := w.newest[name]; h.TS.After(after) {
		return h, true
	}
	return event.Health{}, false
}

// has tells whether all ids are in one of the sets.
func (w *witness) has(set map[string]bool, ids ...string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !slices.ContainsFunc(ids, func(id string) bool { return !set[id] })
}

// emptied tells whether nothing waits in the forwarder.
func emptied(h event.Health) bool { return h.Drained() }

// drained tells whether nothing waits in the forwarder or the alarm manager, by their words after a time.
func (w *witness) drained(after time.Time) bool {
	f, known := w.state(event.CloudForwarder, after)
	m, alsoKnown := w.state(event.AlarmManager, after)
	return known && alsoKnown && emptied(f) && m.Counters["alert.pending"] == 0
}
