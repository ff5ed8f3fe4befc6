package engine

import (
	"encoding/json"
	"errors"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/shadow"
)

// newShadows makes what writes predictions to shadows; its problems go into the health messages.
func newShadows(rt *component.Runtime, name string) *shadow.Writer {
	return shadow.NewWriter(rt, name, func(problem string) {
		var err error
		if problem != "" {
			err = errors.New(problem)
		}
		rt.Conditions().Set(event.CodeShadow, "predictions", err)
	})
}

// shadowPrediction is what a shadow tells of a prediction. Every member is always there: an update leaves standing what
// it does not name.
type shadowPrediction struct {
	ID          string    `json:"id"` // of the row
	TS          time.Time `json:"ts"` // of the row
	Label       string    `json:"label"`
	Probability float64   `json:"probability"`
	Threshold   float64   `json:"threshold"`
	Model       string    `json:"model"` // version
	Text        string    `json:"text"`
	Simulated   bool      `json:"simulated"`
}

// putShadow reports the prediction as the state of its thing's shadow, where that is configured. The latest one wins.
func (s *scorer) putShadow(p *event.Prediction) {
	if s.shadows == nil {
		return
	}
	type state struct {
		Reported shadowPrediction `json:"reported"`
	}
	document, err := json.Marshal(struct {
		State state `json:"state"`
	}{state{shadowPrediction{p.ID, p.TS, p.Label, p.Probability, p.Threshold, p.Model.Version, p.Text, p.Simulated}}})
	if err != nil { // it has no value that JSON cannot say
		s.rt.Log.Error("the prediction could not be encoded for its shadow", "error", err)
		return
	}
	if !s.shadows.Put(p.Thing, document) {
		s.shadows = nil // the nucleus has none, and the state says so
	}
}
