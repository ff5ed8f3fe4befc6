package engine

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/memory"
	"edgepdm/shared/modelevents"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/request"
	"golang.org/x/sync/errgroup"
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
	CounterDropped          = "telemetry.dropped"     // messages dropped unread because the engine was too slow
	CounterSuperseded       = "telemetry.superseded"  // rows that were not scored, as the engine was too slow and newer ones came
	CounterGarbled          = "telemetry.garbled"     // messages that the nucleus delivered damaged
	CounterUnknown          = "telemetry.unknown"     // readings of sensors that the model does not have
	CounterNoVerdict        = "prediction.no-verdict" // too few sensors have a value
	CounterReasons          = "reasons.given"         // predictions with contributors
	CounterReasonsSpaced    = "reasons.spaced"        // faulty ones without: reasonsEvery after the thing's last
	CounterReasonsWithheld  = "reasons.withheld"      // faulty ones without: reasonsPerSecond, or the processor's time
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

	news   *modelevents.Outbox // events of models that the forwarder does not have
	orders *orders             // over IPC
	seeded bool                // the store has the shipped model, or a newer one
	kept   kept

	qualities *qualities // what was learned of the sensors
	backlog   *backlog   // rows that wait
}

// Run scores telemetry until ctx ends. It is the component's Run.
func (e *Engine) Run(ctx context.Context, rt *component.Runtime, config Config) error {
	memory.Lean(config.MaxThings > memory.ManyThings)
	if e.backlog == nil {
		e.backlog = newBacklog()
	}
	e.backlog.superseded = rt.Counter(CounterSuperseded)
	losses := newLosses(rt, config, e.Now, e.backlog.rows)
	defer losses.close()
	if e.news == nil {
		e.news = modelevents.Open(filepath.Join(rt.WorkDir, newsFile), e.Now)
	}
	stop, err := modelevents.Start(ctx, rt, e.news)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", event.TopicAckModel, err)
	}
	defer stop()
	keeper := e.newKeeper(rt, config)
	defer keeper.close()
	if err := keeper.orders.subscribe(ctx, rt); err != nil {
		return err
	}
	labels, err := rt.Subscribe(ctx, event.FilterLabel)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", event.FilterLabel, err)
	}
	comparer := newComparer(rt, config, e.Now, keeper.fault, labels)
	alarms, err := rt.Subscribe(ctx, event.TopicAlarmEvent)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", event.TopicAlarmEvent, err)
	}
	drifts := newDrifts(rt, config.Drift, config.MaxThings, e.Now, e.news, alarms)
	keeper.drifts = drifts
	outlet := newOutlet(rt, e.Now, config.PredictionBatch == BatchAuto, losses.record)
	scorer := &scorer{
		rt: rt, config: config, now: e.Now, models: keeper.fault, life: newLifeScorer(rt, e.Now, keeper.life), losses: losses, outlet: outlet, platform: runtime.GOOS + "/" + runtime.GOARCH,
		logged: make(map[event.Reason]time.Time), limit: newReasonsLimit(config), asks: keeper.asks,
	}
	e.qualities = newQualities(e.qualities, rt, config.FrozenAfter)
	scorer.qualities, scorer.drifts = e.qualities, drifts
	intake := &intake{rt: rt, now: e.Now, scorer: scorer, losses: losses, outlet: outlet, backlog: e.backlog, rows: rt.Counter(CounterRows)}
	if err := intake.subscribe(ctx, config.ShadowInput); err != nil {
		return err
	}
	keeper.begin() // once rows can arrive: the state tells of the model and that they do
	work, ctx := errgroup.WithContext(ctx)
	if config.PredictionShadow != "" {
		scorer.shadows = newShadows(rt, config.PredictionShadow)
		work.Go(func() error { scorer.shadows.Run(ctx); return nil })
	}
	if e.qualities != nil {
		work.Go(func() error { e.qualities.keep(ctx, rt); return nil })
	}
	work.Go(func() error { keeper.run(ctx); return nil })
	work.Go(func() error { comparer.run(ctx); return nil })
	if drifts != nil {
		work.Go(func() error { drifts.run(ctx); return nil })
	}
	work.Go(func() error { keeper.saveRings(ctx, config.WindowSave); return nil })
	work.Go(func() error { return intake.run(ctx) })
	err = work.Wait()
	comparer.close()
	drifts.close()
	keeper.saveRingsNow() // with the last rows
	e.qualities.end(rt)
	return err
}

// newKeeper opens the store of the fault models, unless the configuration names the model.
func (e *Engine) newKeeper(rt *component.Runtime, config Config) *keeper {
	if e.orders == nil {
		e.orders = &orders{}
	}
	k := &keeper{rt: rt, now: e.Now, orders: e.orders, asks: newAsks(), news: e.news, desk: request.NewServer(event.InferenceEngine, rt.WorkDir, e.Now, rt.Log)}
	open := e.OpenStore
	if open == nil {
		open = modelstore.OpenStore
	}
	ofRole := func(role event.Role) *models {
		return &models{
			rt: rt, role: role, config: config, now: e.Now, news: e.news, faults: make(chan fault),
			another: make(chan struct{}, 1), verdicts: make(chan verdict, 1), loaded: make(chan parsed, 1), comparisons: rt.Publication(event.TopicComparison),
			access: access{open: open, dir: filepath.Join(rt.WorkDir, storeDir(role))},
		}
	}
	k.fault, k.life = ofRole(event.RoleFault), ofRole(event.RoleLife)
	k.life.faults = make(chan fault, 1) // no row waits until a life model is sent back
	k.fault.shipped, k.fault.seeded, k.fault.kept = e.ShippedModel, &e.seeded, &e.kept
	if config.Model == "" {
		k.fault.openStore()
	}
	return k
}
