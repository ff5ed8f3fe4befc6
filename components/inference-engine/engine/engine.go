package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/ledger"
	"edgepdm/shared/modelnews"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/request"
	"edgepdm/shared/shadow"
	"edgepdm/shared/wait"
)

// reasonNoModel counts rows that came while there was no model.
const reasonNoModel event.Reason = "no-model"

// reasonThings counts rows of things beyond maxThings.
const reasonThings event.Reason = "things"

// reasonEncode counts rows whose prediction cannot be said in a message.
const reasonEncode event.Reason = "encode"

// reasonScore counts rows that the model could not score.
const reasonScore event.Reason = "score"

// Names of the counters in the health messages. Invalid rows are counted as event.CounterTelemetryInvalid and the reason.
const (
	CounterRows             = "telemetry.rows"        // rows received, in any form
	CounterJumps            = "telemetry.jumps"       // rows whose number is too far from the others to say what is between
	CounterTwoSenders       = "telemetry.two-senders" // rows of another sender under the same thing's name
	CounterRepeated         = "telemetry.repeated"    // rows that came again, scored all the same
	CounterDropped          = "telemetry.dropped"     // messages dropped because the engine was too slow
	CounterGarbled          = "telemetry.garbled"     // messages that the nucleus delivered damaged
	CounterUnknown          = "telemetry.unknown"     // readings of sensors that the model does not have
	CounterNoVerdict        = "prediction.no-verdict" // too few sensors have a value
	CounterPredictions      = "prediction.published"  // accepted by the nucleus
	CounterBatches          = "prediction.batches"    // messages with several
	CounterRefused          = "prediction.refused"    // not accepted by the nucleus
	CounterModelsActivated  = "model.activated"
	CounterModelsRejected   = "model.rejected"
	CounterModelsRolledBack = "model.rolled-back"
	CounterModelEventsLost  = "model.events.lost" // made room for newer ones while no forwarder took them
	CounterLedger           = "ledger.failed"     // rows whose number could not be recorded
)

const (
	ledgerName = "sequence-numbers"
	newsFile   = "model-events.json"
	// logEvery is how often a reason for invalid rows, or a gap, is logged; all are counted.
	logEvery = 10 * time.Second
)

// Engine scores rows.
type Engine struct {
	ShippedModel string           // path of the model that is used when the configuration names none
	Now          func() time.Time // time.Now in production
	// OpenStore opens the store of models. Default: modelstore.OpenStore.
	OpenStore func(dir string, options modelstore.Options) (*modelstore.Store, error)

	news   *modelnews.Outbox // events of models that the forwarder does not have
	seeded bool              // the store has the shipped model, or a newer one
	kept   kept
}

// Run scores telemetry until ctx ends. It is the component's Run.
func (e *Engine) Run(ctx context.Context, rt *component.Runtime, config Config) error {
	r := &run{
		rt: rt, config: config, now: e.Now, shipped: e.ShippedModel, seeded: &e.seeded, kept: &e.kept, assembler: newAssembler(config.MaxAge), logged: make(map[event.Reason]time.Time),
		outlet: newOutlet(rt, config.PredictionBatch == BatchAuto), platform: runtime.GOOS + "/" + runtime.GOARCH,
		desk: request.NewDesk(event.InferenceEngine, rt.WorkDir, e.Now, rt.Log),
	}
	var err error
	r.ledger = ledger.Begin(filepath.Join(rt.WorkDir, ledgerName), config.MaxThings)
	r.tellLedger()
	defer func() { _ = r.ledger.Close() }()
	if e.news == nil {
		e.news = modelnews.Open(filepath.Join(rt.WorkDir, newsFile), e.Now)
	}
	r.news = e.news
	stop, err := modelnews.Start(ctx, rt, r.news)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", event.TopicAckModel, err)
	}
	defer stop()
	r.losses = newLosses(rt, config.MaxMissed, e.Now())
	if r.store.open = e.OpenStore; r.store.open == nil {
		r.store.open = modelstore.OpenStore
	}
	if config.Model == "" {
		r.openStore()
	}
	defer func() {
		if r.models != nil {
			r.models.close()
		}
	}()
	return r.run(ctx)
}

// run is one Run of the engine.
type run struct {
	rt      *component.Runtime
	config  Config
	now     func() time.Time
	model   *activeModel // nil: there is none
	models  *models      // nil: the configuration names the model, or the store is closed
	store   access       // to the store
	news    *modelnews.Outbox
	loading loading

	shipped   string // path of the model
	seeded    *bool
	kept      *kept
	ledger    *ledger.Ledger
	assembler *assembler
	platform  string
	outlet    *outlet
	losses    *losses
	logged    map[event.Reason]time.Time
	desk      *request.Desk      // where commands given on the device wait
	back      []*request.Request // to roll back, which wait for the end of a test

	shadows        *shadow.Writer // nil: predictions go to no shadow
	shadowProblems chan string    // from the Writer
}

// use scores with the model from the next row on.
func (r *run) use(model *activeModel) {
	if r.model == nil || r.model.schema != model.schema || r.model.features != model.features {
		r.assembler = newAssembler(r.config.MaxAge) // its rows are in the order of a model's sensors
	}
	r.model = model
	r.rt.Log.Info("model in use", "version", model.ref.Version, "sha256", model.ref.SHA256, "features", model.features, "threshold", model.threshold)
	r.rt.SetModel(&model.ref)
}

// rollback uses the model before the active one again. Without one the active one stays.
func (r *run) rollback(reason string) error {
	model, err := r.models.rollback(reason)
	if err != nil {
		r.rt.Log.Error("no roll-back", "error", err)
		return err
	}
	r.use(model)
	r.sayWhichScores(nil)
	return nil
}

func (r *run) run(ctx context.Context) error {
	confirmed := make(chan struct{})
	go func() {
		defer close(confirmed)
		within, release := wait.Outlive(ctx, confirmGrace)
		defer release()
		r.outlet.confirm(within, r.note)
	}()
	defer func() {
		_ = r.outlet.flush() // without a connection there is nobody to take it
		close(r.outlet.pending)
		<-confirmed
	}()
	if r.config.PredictionShadow != "" {
		defer r.startShadows(ctx)()
	}
	filters := []string{event.FilterTelemetry, event.TopicTelemetryBatch}
	if r.config.ShadowInput {
		filters = append(filters, event.FilterShadow)
	}
	subs := make([]*ipc.Subscription[ipc.TopicMessage], 0, 3)
	for _, filter := range filters {
		sub, err := r.rt.Subscribe(ctx, filter)
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", filter, err)
		}
		subs = append(subs, sub)
	}
	r.activate() // what the state says of the model, it says when rows are heard
	r.ready()
	rows, batches := subs[0], subs[1]
	var shadows *ipc.Subscription[ipc.TopicMessage]
	var updates <-chan ipc.TopicMessage
	if r.config.ShadowInput {
		shadows = subs[2]
		updates = shadows.Events()
	}
	r.commands()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var lost unread
	defer func() { r.countLosses(&lost, subs) }()
	defer r.refuseCommands()
	for {
		r.countLosses(&lost, subs)
		var tested <-chan testResult
		if r.models != nil { // the store may be opened later
			tested = r.models.tested
		}
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			r.commands()
			r.tick()
		case <-r.outlet.available:
			err = r.outlet.release()
		case result := <-tested:
			if model, active := r.models.settle(result); active {
				r.use(model)
				r.sayWhichScores(nil)
				r.rt.Conditions().Set(event.CodeModelStore, placeBack, nil)
				r.ready()
			}
		case problem := <-r.shadowProblems:
			r.shadowsAre(problem)
			r.ready()
		case m, open := <-rows.Events():
			err = r.handle(m, open, rows, r.row)
		case m, open := <-batches.Events():
			err = r.handle(m, open, batches, r.batch)
		case m, open := <-updates:
			err = r.handle(m, open, shadows, r.shadow)
		}
		if err != nil {
			return err
		}
	}
}

// tick looks for what comes by no message.
func (r *run) tick() {
	r.tellLedger()
	r.rt.Conditions().Set(event.CodeStateOnDisk, newsFile, r.news.Problem())
	if r.models != nil {
		r.rt.Conditions().Set(event.CodeModelStore, placeKey, r.models.untrusted())
	}
	if r.store.due(r.now()) {
		if r.openStore(); r.models != nil {
			r.loading = loading{again: r.now()}
		}
	}
	if r.loading.due(r.now()) {
		if r.activate(); r.model != nil {
			r.ready()
		}
	}
	if r.models != nil {
		r.models.look()
	}
	r.losses.judge(r.now(), r.rt.Counter(CounterRows).Load())
}

// tellLedger says what is wrong with the file of numbers.
func (r *run) tellLedger() {
	r.rt.Conditions().Set(event.CodeStateOnDisk, ledgerName, r.ledger.State())
}

// unread are messages that a connection's subscriptions dropped, or could not read, as counted.
type unread struct{ dropped, garbled uint64 }

// countLosses adds to the process's counters what was lost since.
func (r *run) countLosses(counted *unread, subs []*ipc.Subscription[ipc.TopicMessage]) {
	var all unread
	for _, sub := range subs {
		all.dropped += sub.Dropped()
		all.garbled += sub.Garbled()
	}
	r.rt.Counter(CounterDropped).Add(all.dropped - counted.dropped)
	r.rt.Counter(CounterGarbled).Add(all.garbled - counted.garbled)
	*counted = all
}

func (r *run) handle(m ipc.TopicMessage, open bool, sub *ipc.Subscription[ipc.TopicMessage], handler func(ipc.TopicMessage, time.Time)) error {
	if !open {
		return fmt.Errorf("receive telemetry: %w", sub.Err())
	}
	handler(m, r.now())
	return r.outlet.release()
}

// row handles a message with one row.
func (r *run) row(m ipc.TopicMessage, arrived time.Time) {
	t, err := event.DecodeTelemetry(m.Payload)
	if named := event.TelemetryThing(m.Topic); err == nil && t.Thing != named {
		err = &event.InvalidError{Reason: event.ReasonName, Detail: fmt.Sprintf("row of %s on the topic of %.128s", t.Thing, named)}
	}
	r.score(event.Row{Telemetry: t, Err: err}, arrived)
}

// batch handles a message with several rows.
func (r *run) batch(m ipc.TopicMessage, arrived time.Time) {
	rows, err := event.DecodeTelemetryBatch(m.Payload)
	if err != nil {
		rows = []event.Row{{Err: err}}
	}
	for _, row := range rows {
		r.score(row, arrived)
	}
}

// score scores a row and hands out its prediction. A bad row is counted and logged.
func (r *run) score(row event.Row, arrived time.Time) {
	r.rt.Counter(CounterRows).Add(1)
	t := &row.Telemetry
	if row.Err != nil {
		var invalid *event.InvalidError
		if !errors.As(row.Err, &invalid) {
			invalid = &event.InvalidError{Reason: event.ReasonMalformed, Detail: row.Err.Error()}
		}
		r.reject(t, invalid)
		return
	}
	values, invalid := r.values(t, arrived)
	if invalid != nil {
		r.reject(t, invalid)
		return
	}
	model := r.model
	p, err := r.probability(values)
	if r.model != model { // sent back: the one before scores the row, whose sensors it may want in another order
		if values, invalid = r.values(t, arrived); invalid != nil {
			r.reject(t, invalid)
			return
		}
		p, err = r.model.probability(values)
	}
	if err != nil { // the row was checked: only its values, or the model, can be wrong
		r.reject(t, &event.InvalidError{Reason: reasonScore, Detail: err.Error()})
		return
	}
	r.predict(t, p, r.lacks(t, values, arrived), r.now().Sub(arrived))
}

// probability scores a row. A new model that fails at it, or is too slow, is sent back.
func (r *run) probability(values []float32) (float64, error) {
	begin := r.now()
	p, err := r.model.probability(values)
	if r.models == nil {
		return p, err
	}
	now := r.now()
	if reason := r.models.probation.row(err, now.Sub(begin), now); reason != "" {
		r.rt.Conditions().Set(event.CodeModelStore, placeBack, r.rollback(reason)) // after an error the model stays
	}
	return p, err
}

// values returns the row in the model's order.
func (r *run) values(t *event.Telemetry, arrived time.Time) ([]float32, *event.InvalidError) {
	if r.model == nil {
		return nil, &event.InvalidError{Reason: reasonNoModel, Detail: "there is no model to score the row"}
	}
	if !r.ledger.Admits(t.Thing) {
		return nil, &event.InvalidError{Reason: reasonThings, Detail: fmt.Sprintf("thing %s is one more than maxThings (%d)", t.Thing, r.config.MaxThings)}
	}
	if invalid := r.model.check(t); invalid != nil {
		return nil, invalid
	}
	if t.Readings == nil {
		return t.Values, nil
	}
	values, unknown, invalid := r.assembler.merge(r.model, t, arrived)
	r.rt.Counter(CounterUnknown).Add(uint64(unknown))
	return values, invalid
}

// predict hands out the prediction for a row.
func (r *run) predict(t *event.Telemetry, probability float64, lack lack, latency time.Duration) {
	label := event.LabelNotFaulty
	switch {
	case lack.absent > 0:
		label = event.LabelNoData
		r.rt.Counter(CounterNoVerdict).Add(1)
	case probability >= r.model.threshold:
		label = event.LabelFaulty
	}
	prediction := event.Prediction{
		V: event.Version, ID: t.ID(), Thing: t.Thing, Line: t.Line, Epoch: t.Epoch, Seq: t.Seq, TS: t.TS, Model: r.model.ref,
		Probability: probability, Label: label, Threshold: r.model.threshold, LatencyUS: latency.Microseconds(),
		Platform: r.platform, Text: event.PredictionText(label, latency, r.platform), Simulated: t.Simulated, Faulty: t.Faulty,
		Absent: lack.absent, Missing: lack.missing, Assembling: lack.assembling,
	}
	payload, err := event.Encode(prediction)
	if err != nil {
		r.reject(t, &event.InvalidError{Reason: reasonEncode, Detail: err.Error()})
		return
	}
	r.putShadow(&prediction)
	r.outlet.add(handled{t.Thing, t.Epoch, t.Seq, payload})
}

// reject counts and logs an invalid row. Where it told its number, it is no gap.
func (r *run) reject(t *event.Telemetry, invalid *event.InvalidError) {
	r.rt.Counter(event.CounterTelemetryInvalid + string(invalid.Reason)).Add(1)
	now := r.now()
	if last, seen := r.logged[invalid.Reason]; !seen || now.Sub(last) >= logEvery {
		r.logged[invalid.Reason] = now
		r.rt.Log.Warn("telemetry is invalid", "reason", invalid.Reason, "detail", invalid.Detail, "thing", t.Thing, "seq", t.Seq,
			"total", r.rt.Counter(event.CounterTelemetryInvalid+string(invalid.Reason)).Load())
	}
	if t.Thing != "" && t.Epoch != "" && t.Seq > 0 {
		r.outlet.add(handled{t.Thing, t.Epoch, t.Seq, nil})
	}
}

// confirmGrace is how long the nucleus may take, after the end of a run, to answer what was published before.
const confirmGrace = 2 * time.Second

// note records the row's number, and counts the rows that never came. A prediction that the nucleus has not taken when the
// process is killed is not recorded, so that its row is counted as missed afterwards. Of a stranger whose row was refused
// nothing is remembered.
func (r *run) note(t handled) {
	if !t.scored() && !r.ledger.Knows(t.thing) {
		return
	}
	gap, err := r.ledger.Note(t.thing, t.epoch, t.seq)
	if err != nil && r.rt.Counter(CounterLedger).Add(1) == 1 {
		r.rt.Log.Error("gaps may be counted wrong", "error", err)
	}
	r.losses.note(t, gap, r.now())
}
