package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/shadow"
)

// scorer scores rows with the model in use and hands out predictions. The intake's goroutine owns it.
type scorer struct {
	rt        *component.Runtime
	config    Config
	now       func() time.Time
	models    *models // of faults
	life      *lifeScorer
	losses    *losses
	outlet    *outlet
	shadows   *shadow.Writer // nil: predictions go to no shadow
	drifts    *drifts        // nil: drift is not looked for
	qualities *qualities     // nil: the quality of values is not judged
	platform  string
	assembler *assembler
	limit     *reasonsLimit
	asks      *asks
	logged    map[event.Reason]time.Time

	given     *use         // by models
	model     *activeModel // nil: there is none
	rings     *rings       // nil: the model is given the row
	probation probation
	inputs    []float32   // scratch
	scored    []float32   // what the model was given for the row at hand
	extra     []float32   // of the row at hand: values of sensors that only the life model has
	remaining *event.Life // of its thing

	prediction event.Prediction // for the row at hand
	payload    []byte           // its message
}

// adopt takes over the models that were given, if they are others, and reports whether that of faults is.
func (s *scorer) adopt() bool {
	given, life := s.models.inUse.Load(), s.life.adopt()
	another := given != s.given
	if another {
		if s.model == nil || s.model.schema != given.model.schema || s.model.features != given.model.features {
			s.assembler = newAssembler(s.config.MaxAge) // its rows are in the order of a model's sensors
		}
		s.given, s.model, s.rings, s.probation = given, given.model, given.rings, given.probation
		s.qualities.use(s.model)
	}
	if (another || life) && s.model != nil {
		s.assembler.extend(s.model, s.life.layOut(s.model))
	}
	return another
}

// score scores a row and hands out its prediction. A bad row is counted and logged.
func (s *scorer) score(ctx context.Context, row *event.Row, arrived time.Time) {
	t := &row.Telemetry
	if row.Err != nil {
		var invalid *event.InvalidError
		if !errors.As(row.Err, &invalid) {
			invalid = &event.InvalidError{Reason: event.ReasonMalformed, Detail: row.Err.Error()}
		}
		s.reject(t, invalid)
		return
	}
	s.adopt()
	values, invalid := s.values(t, arrived)
	if invalid != nil {
		s.reject(t, invalid)
		return
	}
	p, sentBack, err := s.probability(ctx, t, values)
	if sentBack && s.adopt() { // the model before scores the row, and may have its sensors in another order
		if values, invalid = s.values(t, arrived); invalid != nil {
			s.reject(t, invalid)
			return
		}
		p, err = s.model.probability(s.modelRow(t, values))
	}
	if err != nil { // the row was checked: only its values, or the model, can be wrong
		s.reject(t, &event.InvalidError{Reason: reasonScore, Detail: err.Error()})
		return
	}
	latency := s.now().Sub(arrived)
	s.remaining = s.life.estimate(t, values, s.extra)
	s.predict(t, p, values, s.lacks(t, values, arrived), arrived, latency)
}

// modelRow returns what the model is given for a row: the row, or inputs over time.
func (s *scorer) modelRow(t *event.Telemetry, values []float32) []float32 {
	if s.scored = values; s.rings == nil {
		return values
	}
	var missing string
	if s.inputs, missing = s.rings.add(s.inputs[:0], t, values); missing != "" {
		s.rt.Counter(CounterInputsMissing + missing).Add(1)
	}
	s.scored = s.inputs
	return s.scored
}

// probability scores a row. A new model that fails at it, or is too slow, is sent back.
func (s *scorer) probability(ctx context.Context, t *event.Telemetry, values []float32) (p float64, sentBack bool, err error) {
	if s.probation.until.IsZero() {
		p, err = s.model.probability(s.modelRow(t, values))
		return p, false, err
	}
	begin := s.now()
	p, err = s.model.probability(s.modelRow(t, values))
	now := s.now()
	reason := s.probation.row(err, now.Sub(begin), now)
	if reason == "" {
		return p, false, err
	}
	s.probation = probation{} // one judgement is enough, whatever comes of it
	s.models.sendBack(ctx, s.model, reason)
	return p, true, err
}

// values returns the row in the fault model's order, and keeps what only the life model has.
func (s *scorer) values(t *event.Telemetry, arrived time.Time) ([]float32, *event.InvalidError) {
	if s.model == nil {
		return nil, &event.InvalidError{Reason: reasonNoModel, Detail: "no model loaded"}
	}
	if !s.losses.ledger.Admits(t.Thing) {
		return nil, &event.InvalidError{Reason: reasonThings, Detail: fmt.Sprintf("thing %s is one more than maxThings (%d)", t.Thing, s.config.MaxThings)}
	}
	if invalid := s.model.check(t); invalid != nil {
		return nil, invalid
	}
	if s.extra = nil; t.Readings == nil {
		return t.Values, nil
	}
	values, unknown, invalid := s.assembler.merge(s.model, t, arrived)
	s.rt.Counter(CounterUnknown).Add(uint64(unknown))
	if invalid != nil {
		return nil, invalid
	}
	s.extra = values[s.model.features:]
	return values[:s.model.features], nil
}

// predict hands out the prediction for a row.
func (s *scorer) predict(t *event.Telemetry, probability float64, values []float32, lack lack, arrived time.Time, latency time.Duration) {
	label := event.LabelNotFaulty
	switch {
	case lack.absent > 0:
		label = event.LabelNoData
		s.rt.Counter(CounterNoVerdict).Add(1)
	case probability >= s.model.threshold:
		label = event.LabelFaulty
	}
	prediction := &s.prediction
	*prediction = event.Prediction{
		V: event.Version, ID: t.ID(), Thing: t.Thing, Line: t.Line, Epoch: t.Epoch, Seq: t.Seq, TS: t.TS, Model: s.model.ref,
		Probability: probability, Label: label, Threshold: s.model.threshold, LatencyUS: latency.Microseconds(),
		Platform: s.platform, Text: event.PredictionText(label, latency, s.platform), Simulated: t.Simulated, Faulty: t.Faulty,
		Absent: lack.absent, Missing: lack.missing, Assembling: lack.assembling,
		Watched: s.watched(values), Quality: s.qualities.of(t, values, s.now()), Remaining: t.Remaining,
	}
	if lack.absent == 0 {
		prediction.Life = s.remaining
	}
	s.explain(prediction, s.scored)
	payload, err := s.encode(prediction)
	if err != nil {
		s.reject(t, &event.InvalidError{Reason: reasonEncode, Detail: err.Error()})
		return
	}
	s.putShadow(prediction)
	s.outlet.add(handled{t.Thing, t.Epoch, t.Seq, s.outlet.keep(payload), arrived})
	s.drifts.offer(s.model, s.assembler, t, s.scored, prediction, arrived)
	if trial := s.models.trial.Load(); trial != nil {
		trial.offer(s.model, t, values, s.scored, probability, label)
	}
}

// reject counts and logs an invalid row. If it has a number, it leaves no gap.
func (s *scorer) reject(t *event.Telemetry, invalid *event.InvalidError) {
	total := s.rt.Counter(event.CounterTelemetryInvalid + string(invalid.Reason)).Add(1)
	now := s.now()
	if last, seen := s.logged[invalid.Reason]; !seen || now.Sub(last) >= logEvery {
		s.logged[invalid.Reason] = now
		s.rt.Log.Warn("telemetry is invalid", "reason", invalid.Reason, "detail", invalid.Detail, "thing", t.Thing, "seq", t.Seq, "total", total)
	}
	if t.Thing != "" && t.Epoch != "" && t.Seq > 0 {
		s.outlet.add(handled{t.Thing, t.Epoch, t.Seq, nil, time.Time{}})
	}
}
