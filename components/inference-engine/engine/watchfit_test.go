package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
)

// watchingAll returns a scorer that watches as much as it may, under the longest names, and a row.
func watchingAll() (s *scorer, values []float32) {
	s = &scorer{model: &activeModel{sensors: map[string]int{}}}
	values = make([]float32, event.MaxWatched)
	for i := range values {
		name := fmt.Sprintf("%02d%s", i, strings.Repeat("<", 62)) // 6 bytes each in JSON
		s.config.Watch = append(s.config.Watch, name)
		s.model.sensors[name], values[i] = i, 1e-7
	}
	return s, values
}

// Reasons give way before what is watched: first their names in further languages, then the last of them.
func TestReasonsThatDoNotFitAreLeftOut(t *testing.T) {
	limit := event.IoTCoreIPC.Limit() - maxPredictionMark
	row := func(name, foreign int) *event.Prediction {
		p := &event.Prediction{V: 1, ID: "p-e-1", Thing: "p", Epoch: "e", Seq: 1, TS: time.Now(), Label: event.LabelFaulty}
		for i := range event.MaxContributors {
			p.Contributors = append(p.Contributors, event.Contributor{
				Sensor: fmt.Sprint("s", i), Name: strings.Repeat("n", name), Names: map[string]string{"de": strings.Repeat("d", foreign)}, Share: 0.2,
			})
		}
		return p
	}
	all, values := watchingAll()
	for name, c := range map[string]struct {
		p            *event.Prediction
		watch        int
		names        bool
		contributors int
	}{
		"all fits": {row(20, 20), 2, true, 5}, "no names": {row(20, 600), 4, false, 5}, "fewer": {row(590, 600), 4, false, 4}, "none": {row(600, 600), 32, false, 0},
	} {
		s := &scorer{model: all.model}
		s.config.Watch = all.config.Watch[:c.watch]
		c.p.Watched = s.watched(values)
		payload, err := s.encode(c.p)
		got, wrong := event.DecodePrediction(payload)
		if err != nil || wrong != nil || len(payload) > limit {
			t.Fatalf("%s: %d bytes, %v, %v", name, len(payload), err, wrong)
		}
		if n := len(got.Contributors); n != c.contributors || n > 0 && (got.Contributors[0].Names != nil) != c.names || n > 0 && len(got.Watched) != c.watch {
			t.Errorf("%s: %d contributors, %d values, want %+v", name, n, len(got.Watched), c)
		}
		for i, r := range got.Contributors {
			if r.Sensor != fmt.Sprint("s", i) {
				t.Errorf("%s: the last do not give way first: %+v", name, got.Contributors)
			}
		}
	}
}

// What does not fit is left out of what is watched, the last of the configuration first; the prediction stays whole, and batches
// within their limit.
func TestWatchedValuesThatDoNotFitAreLeftOut(t *testing.T) {
	s, values := watchingAll()
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
