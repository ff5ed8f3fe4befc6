package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
)

// What does not fit is left out of what is watched, the last of the configuration first; the prediction stays whole, and batches
// within their limit.
func TestWatchedValuesThatDoNotFitAreLeftOut(t *testing.T) {
	s := &scorer{model: &activeModel{sensors: map[string]int{}}}
	values := make([]float32, event.MaxWatched)
	for i := range values {
		name := fmt.Sprintf("%02d%s", i, strings.Repeat("<", 62)) // 6 bytes each in JSON
		s.config.Watch = append(s.config.Watch, name)
		s.model.sensors[name], values[i] = i, 1e-7
	}
	p := event.Prediction{V: 1, ID: "p-e-1", Thing: "p", Epoch: "e", Seq: 1, TS: time.Now(), Label: event.LabelFaulty, Text: "text", Watched: s.watched(values)}
	if len(p.Watched) != event.MaxWatched {
		t.Fatalf("%d values", len(p.Watched))
	}
	var encoded [][]byte
	for range 5 {
		one := p
		one.Watched = s.watched(values)
		payload, err := s.encode(&one)
		got, wrong := event.DecodePrediction(payload)
		if err != nil || wrong != nil || event.IoTCoreIPC.Check(payload) != nil || got.Text != "text" {
			t.Fatalf("%d bytes, %v, %v, %+v", len(payload), err, wrong, got)
		}
		n := len(got.Watched)
		if n < 5 || n >= event.MaxWatched {
			t.Errorf("%d values", n)
		}
		for i, name := range s.config.Watch {
			if _, there := got.Watched[name]; there != (i < n) {
				t.Errorf("of %d values %d is there: %v", n, i, there)
			}
		}
		encoded = append(encoded, payload)
	}
	for len(encoded) > 0 {
		batch, taken := event.JoinPredictions(encoded)
		if err := event.Local.Check(batch); err != nil || taken < 1 {
			t.Fatal(err)
		}
		encoded = encoded[taken:]
	}
}
