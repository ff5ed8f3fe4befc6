package engine

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/shadow"
)

// shadow handles an accepted update of a device shadow. Only classic shadows are heard, so that the named ones of the
// predictions do not come back as rows.
func (r *run) shadow(m ipc.TopicMessage, arrived time.Time) {
	t, err := event.DecodeShadow(event.ShadowThing(m.Topic), m.Payload, arrived)
	r.score(event.Row{Telemetry: t, Err: err}, arrived)
}

// startShadows begins to write predictions to shadows, until the function that it returns is called.
func (r *run) startShadows(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	r.shadowProblems = make(chan string)
	r.shadows = shadow.NewWriter(r.rt, r.config.PredictionShadow, func(problem string) {
		select {
		case r.shadowProblems <- problem:
		case <-ctx.Done():
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.shadows.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
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
func (r *run) putShadow(p *event.Prediction) {
	if r.shadows == nil {
		return
	}
	type state struct {
		Reported shadowPrediction `json:"reported"`
	}
	document, err := json.Marshal(struct {
		State state `json:"state"`
	}{state{shadowPrediction{p.ID, p.TS, p.Label, p.Probability, p.Threshold, p.Model.Version, p.Text, p.Simulated}}})
	if err != nil { // it has no value that JSON cannot say
		r.rt.Log.Error("a prediction does not go to its shadow", "error", err)
		return
	}
	if !r.shadows.Put(p.Thing, document) {
		r.shadows = nil // the nucleus has none, and the state says so
	}
}

// shadowsAre says in the health messages what is wrong with shadows; "": they work.
func (r *run) shadowsAre(problem string) {
	var err error
	if problem != "" {
		err = errors.New(problem)
	}
	r.rt.Conditions().Set(event.CodeShadow, "predictions", err)
}

// ready says in the health messages that rows are scored.
func (r *run) ready() {
	if r.model != nil { // else the state says so
		r.rt.SetState(event.StateOK, "")
	}
}
