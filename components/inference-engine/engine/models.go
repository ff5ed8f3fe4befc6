package engine

import (
	"context"
	"sync/atomic"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/modelevents"
	"edgepdm/shared/request"
)

// lookEvery is the time between two looks into the inbox, and at the commands.
const lookEvery = time.Second

// models owns the choice of the model that scores. Its goroutine opens the store, loads models, tests and activates
// deliveries, and obeys commands. It hands each model over to the scorer, which picks it up between two rows.
type models struct {
	rt      *component.Runtime
	config  Config
	now     func() time.Time
	shipped string // path of the model
	seeded  *bool  // the store has the shipped model, or a newer one
	kept    *kept
	news    *modelevents.Outbox

	access   access    // to the store
	registry *registry // nil: the configuration names the model, or the store is closed
	loading  loading
	active   *activeModel       // nil: there is none
	desk     *request.Server    // where commands given on the device wait
	back     []*request.Request // commands to roll back, which wait for the end of a test

	inUse  atomic.Pointer[use]
	faults chan fault
}

// use is how rows are scored.
type use struct {
	model     *activeModel
	probation probation // of a new model
}

// fault says that a new model fails its probation.
type fault struct {
	model  *activeModel
	reason string
	done   chan struct{} // closed when it is dealt with
}

// begin chooses the first model.
func (m *models) begin() {
	m.activate()
	m.ready()
	m.commands()
}

// run works until ctx ends.
func (m *models) run(ctx context.Context) {
	defer m.refuseCommands()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		var tested <-chan testResult
		if m.registry != nil { // the store may be opened later
			tested = m.registry.tested
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			m.commands()
			m.tick()
		case result := <-tested:
			if m.registry.settle(result) {
				m.sayWhichScores(nil)
				m.rt.Conditions().Set(event.CodeModelStore, placeBack, nil)
				m.ready()
			}
		case f := <-m.faults:
			if f.model == m.active {
				m.rt.Conditions().Set(event.CodeModelStore, placeBack, m.rollback(f.reason)) // after an error the model stays
			}
			close(f.done)
		}
	}
}

// tick looks for what no message announces.
func (m *models) tick() {
	m.rt.Conditions().Set(event.CodeStateOnDisk, newsFile, m.news.Problem())
	if m.access.due(m.now()) {
		m.openStore()
	}
	if m.loading.due(m.now()) {
		if m.activate(); m.active != nil {
			m.ready()
		}
	}
	if m.registry != nil {
		m.rt.Conditions().Set(event.CodeModelStore, placeKey, m.registry.untrusted())
		m.registry.look()
	}
}

// use hands a model over to the scorer.
func (m *models) use(model *activeModel, probation probation) {
	m.active = model
	m.rt.Log.Info("model in use", "version", model.ref.Version, "sha256", model.ref.SHA256, "features", model.features, "threshold", model.threshold)
	m.rt.SetModel(&model.ref)
	m.rt.Conditions().Set(event.CodeConfiguration, placeWatch, model.unwatched(m.config))
	m.inUse.Store(&use{model, probation})
}

// sendBack makes the model before active again, because model failed, and waits for that. It is called by the scorer.
func (m *models) sendBack(ctx context.Context, model *activeModel, reason string) {
	f := fault{model, reason, make(chan struct{})}
	select {
	case m.faults <- f:
		<-f.done
	case <-ctx.Done():
	}
}

// rollback makes the model before active again. Without one the active model stays.
func (m *models) rollback(reason string) error {
	if _, err := m.registry.rollback(reason); err != nil {
		m.rt.Log.Error("rollback failed", "error", err)
		return err
	}
	m.sayWhichScores(nil)
	return nil
}

// ready says in the health messages that rows are scored.
func (m *models) ready() {
	if m.active != nil { // else the state says so
		m.rt.SetState(event.StateOK, "")
	}
}

// close waits for a test under way and closes the store.
func (m *models) close() {
	if m.registry != nil {
		m.registry.close()
	}
}
