package engine

import (
	"context"
	"sync/atomic"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/modelevents"
)

// models owns the choice of the model of a role. It opens the store, loads models, and activates deliveries that were tested.
// It hands each model over to the scorer, which picks it up between two rows. The keeper's goroutine uses it.
type models struct {
	rt      *component.Runtime
	role    event.Role
	config  Config
	now     func() time.Time
	shipped string // path of the model; empty for life, of which none ships
	seeded  *bool  // the store has the shipped model, or a newer one
	kept    *kept
	news    *modelevents.Outbox

	access   access    // to the store
	registry *registry // nil: the configuration names the model, or the store is closed
	loading  loading
	active   *activeModel // nil: there is none

	rings  atomic.Pointer[rings] // of the model in use; nil: it has no inputs over time
	inUse  atomic.Pointer[use]
	faults chan fault

	trial       atomic.Pointer[trial] // the candidate beside the model in use; nil: there is none
	another     chan struct{}         // trial is another one
	verdicts    chan verdict
	comparisons *component.Publication
	parsing     bool // a candidate is being loaded
	parsed      parsed
	loaded      chan parsed
}

// use is how rows are scored.
type use struct {
	model     *activeModel // nil: there is none, as may be with life
	rings     *rings       // nil: it is given the row
	probation probation    // of a new model
}

// fault says that a new model fails its probation.
type fault struct {
	model  *activeModel
	reason string
	done   chan struct{} // closed when it is dealt with
}

// place names a place of conditions.
func (m *models) place(name string) string {
	if m.role == event.RoleLife {
		return "life: " + name
	}
	return name
}

// tested gives the outcome of the test under way.
func (m *models) tested() <-chan testResult {
	if m.registry == nil { // the store may be opened later
		return nil
	}
	return m.registry.tested
}

// testing reports whether a delivery is being tested.
func (m *models) testing() bool { return m.registry != nil && m.registry.testing }

// settle ends the test of a delivery.
func (m *models) settle(result testResult) {
	active := m.registry.settle(&result)
	if result.held {
		m.hold(result.candidate.Installed, result.model)
	}
	if active {
		m.sayWhichScores(nil)
		m.rt.Conditions().Set(event.CodeModelStore, m.place(placeBack), nil)
		m.ready()
	}
}

// sentBack deals with a model that fails its probation.
func (m *models) sentBack(f fault) {
	if f.model == m.active {
		err := m.rollback(f.reason)
		m.rt.Conditions().Set(event.CodeModelStore, m.place(placeBack), err)
		if err != nil && m.role == event.RoleLife { // the model stays; giveBack took it
			m.inUse.Store(&use{m.active, m.rings.Load(), probation{}})
		}
	}
	close(f.done)
}

// tick looks for what no message announces.
func (m *models) tick() {
	if m.access.due(m.now()) {
		m.openStore()
	}
	if m.loading.due(m.now()) {
		if m.activate(); m.active != nil {
			m.ready()
		}
	}
	if m.registry != nil {
		m.rt.Conditions().Set(event.CodeModelStore, m.place(placeKey), m.registry.untrusted())
	}
	if again := m.parsed.again; !again.IsZero() && !m.now().Before(again) {
		m.parsed = parsed{}
		m.follow()
	}
}

// use hands a model over to the scorer; nil: there is none.
func (m *models) use(model *activeModel, probation probation) {
	m.active = model
	m.rings.Store(m.ringsOf(model))
	m.inUse.Store(&use{model, m.rings.Load(), probation}) // before anybody hears of it
	if m.registry != nil {
		m.registry.lookAtCandidate()
	}
	m.follow()
	var ref *event.ModelRef
	if model != nil {
		ref = &model.ref
		m.rt.Log.Info("model in use", "role", m.role, "version", ref.Version, "sha256", ref.SHA256, "features", model.features, "threshold", model.threshold)
		if model.unexplained != nil {
			m.rt.Log.Warn("predictions have no reasons", "role", m.role, "error", model.unexplained)
		}
	}
	if m.role == event.RoleLife {
		m.rt.SetLifeModel(ref)
	} else {
		m.rt.SetModel(ref)
		m.rt.Conditions().Set(event.CodeConfiguration, placeWatch, model.unwatched(m.config))
	}
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

// giveBack does that without waiting: the scorer, which calls it, does without the model meanwhile. It reports false while another
// one is on its way back.
func (m *models) giveBack(model *activeModel, reason string) bool {
	select {
	case m.faults <- fault{model, reason, make(chan struct{})}:
		return true
	default:
		return false
	}
}

// rollback makes the model before active again. Without one the active model stays.
func (m *models) rollback(reason string) error {
	if _, err := m.registry.rollback(reason); err != nil {
		m.rt.Log.Error("rollback failed", "role", m.role, "error", err)
		return err
	}
	m.sayWhichScores(nil)
	return nil
}

// ready says in the health messages that rows are scored.
func (m *models) ready() {
	if m.role != event.RoleLife && m.active != nil { // else the state says so
		m.rt.SetState(event.StateOK, "")
	}
}

// close waits for what is under way and closes the store.
func (m *models) close() {
	if m.parsing {
		<-m.loaded
	}
	if m.registry != nil {
		m.registry.close()
	}
}
