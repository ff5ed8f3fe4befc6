package engine

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/modelevents"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/modelstore/inbox"
)

const (
	maxDamaged = 3           // tests of a delivery that is not whole
	retryAfter = time.Minute // a delivery whose test failed for lack of the disk or the like
)

// registry takes deliveries from the inbox, tests them in a goroutine of their own, activates them in the store, and goes back
// to the model before.
type registry struct {
	rt     *component.Runtime
	role   event.Role
	place  func(name string) string // of conditions
	config Config
	now    func() time.Time
	store  *modelstore.Store
	news   *modelevents.Outbox
	inbox  *inbox.Inbox // nil: no model is taken
	use    func(*activeModel, probation)
	last   *event.ModelEvent    // the last that was published
	held   modelstore.Installed // the candidate; none if it has no ID

	trust struct { // the last answer of untrusted, and for which model
		id      string
		problem error
	}
	testing bool
	tested  chan testResult
	retry   map[string]time.Time // deliveries to be tested again, not before
	damaged map[string]int       // how often a delivery was not whole
}

// testResult is the outcome of a test.
type testResult struct {
	delivery  inbox.Delivery
	candidate modelstore.Candidate
	model     *activeModel
	err       error
	held      bool // it is the candidate now
}

func newRegistry(m *models, store *modelstore.Store) *registry {
	held, _ := store.Candidate()
	return &registry{
		held: held, rt: m.rt, role: m.role, place: m.place, config: m.config, now: m.now, store: store, news: m.news, use: m.use, tested: make(chan testResult, 1),
		retry: make(map[string]time.Time), damaged: make(map[string]int),
	}
}

// watch chooses whether models are taken from the inbox.
func (g *registry) watch(keys []ed25519.PublicKey) {
	if len(keys) == 0 && !g.config.AllowUnsigned {
		g.rt.Log.Info("the inbox is not used: publicKeys is empty and allowUnsigned is false", "role", g.role)
		return
	}
	dir := g.config.Inbox
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(g.rt.WorkDir, dir)
	}
	switch err := inbox.Check(dir); {
	case err == nil || g.role == event.RoleLife: // the other role tells
	case errors.Is(err, fs.ErrNotExist):
		g.rt.Log.Info("there is no inbox yet: deploy com.edgepdm.ModelFetcher to get new models", "inbox", dir)
	default:
		g.rt.Log.Error("the inbox cannot be used", "inbox", dir, "error", err)
	}
	g.inbox = &inbox.Inbox{Dir: dir}
}

// errNoModel is no fault where the role is life.
var errNoModel = errors.New("no model loaded: neither the shipped nor a delivered model is usable")

// current returns the active model, ready to score. A model on disk that is damaged gives way to the one before it.
func (g *registry) current() (*activeModel, error) {
	installed, ok := g.store.Current()
	if !ok {
		return nil, errNoModel
	}
	model, err := newActiveModel(installed, g.config)
	if !errors.Is(err, modelstore.ErrDamaged) {
		return model, err // what else is wrong, such as iterations, is the configuration
	}
	if _, before := g.store.Previous(); !before && g.role == event.RoleLife {
		return nil, err // nothing is gained by going back to none
	}
	before, problem := g.rollback(fmt.Sprintf("cannot be loaded: %v", err))
	if problem != nil {
		return nil, fmt.Errorf("%w; %w", err, problem)
	}
	return before, nil
}

// untrusted says that no key of the configuration vouches for the active model any more; nil: one does.
func (g *registry) untrusted() error {
	current, ok := g.store.Current()
	if !ok || current.ID == g.trust.id {
		return g.trust.problem
	}
	g.trust.id, g.trust.problem = current.ID, nil
	if !g.store.Trusted(current) {
		g.trust.problem = fmt.Errorf("%s is signed by key %s, which is not in publicKeys any more: publish a model, of any version, that a trusted key signs",
			describe(current), current.Key)
	}
	return g.trust.problem
}

// look starts the test of a delivery, if one waits and none is being tested.
func (g *registry) look() {
	if g.inbox == nil || g.testing {
		return
	}
	ready, err := g.inbox.Ready()
	if err != nil {
		return // there is no inbox yet, or a fault that the next look may not meet
	}
	now := g.now()
	for _, d := range ready {
		if now.Before(g.retry[d.ID]) || (d.Role() == event.RoleLife) != (g.role == event.RoleLife) { // the store verifies what it claims
			continue
		}
		g.testing = true
		go func() { g.tested <- g.test(d) }() // waited for by close
		break
	}
}

// test verifies a delivery, and scores its golden rows.
func (g *registry) test(d inbox.Delivery) testResult {
	defer component.AllProcessors()()
	r := testResult{delivery: d}
	if r.candidate, r.err = g.store.Take(d); r.err == nil {
		r.model, r.err = newActiveModel(r.candidate.Installed, g.config)
	}
	return r
}

// settle ends a delivery whose test is over, and reports whether its model is active now. The delivery stays in the inbox only
// if it is to be tested again.
func (g *registry) settle(r *testResult) bool {
	g.testing = false
	var refused *modelstore.RefusedError
	switch {
	case r.err == nil && g.provesItself(r.candidate):
		before, replaced := g.store.Candidate()
		if r.err = g.store.Hold(r.candidate); r.err == nil || g.isCandidate(r.candidate.Installed) {
			r.held = true
			g.hold(r, before, replaced)
			return false
		}
	case r.err == nil:
		if r.err = g.store.Activate(r.candidate); r.err != nil && g.isActive(r.candidate.Installed) {
			g.rt.Log.Warn("the choice of the active model may not survive a power loss", "error", r.err)
			r.err = nil
		}
	case errors.Is(r.err, modelstore.ErrActive): // delivered again: nothing is to be done
		g.rt.Log.Debug("a delivered model is active already", "delivery", r.delivery.ID)
		g.remove(r.delivery)
		g.rt.Conditions().Set(event.CodeModelStore, g.place(placeDelivery), nil)
		return false
	case errors.As(r.err, &refused) && refused.Reason == modelstore.ReasonDelivery && g.damaged[r.delivery.ID] < maxDamaged:
		// Its files do not fit together, as while they are replaced: that is no word on the model.
		g.damaged[r.delivery.ID]++
		g.rt.Log.Warn("the delivery is incomplete: it will be tested again", "delivery", r.delivery.ID, "error", r.err)
		g.retry[r.delivery.ID] = g.now().Add(lookEvery << g.damaged[r.delivery.ID])
		return false
	case errors.As(r.err, &refused), r.candidate.ID != "" && !ofFile(r.err): // or it does not fit the configuration
		g.rt.Counter(CounterModelsRejected).Add(1)
		g.rt.Log.Error("a delivered model is refused", "role", g.role, "delivery", r.delivery.ID, "error", r.err)
		e := event.ModelEvent{Name: r.candidate.Manifest.Name, Version: r.candidate.Manifest.Version, Detail: r.err.Error()}
		if refused != nil {
			e.Name, e.Version = refused.Name, refused.Version
		}
		g.publish(event.ModelRejected, e)
		g.drop(*r)
		g.remove(r.delivery)
		g.rt.Conditions().Set(event.CodeModelStore, g.place(placeDelivery), nil)
		return false
	}
	g.rt.Conditions().Set(event.CodeModelStore, g.place(placeDelivery), r.err)
	if r.err != nil {
		g.rt.Log.Error("a delivered model cannot be tested now; it will be tried again", "role", g.role, "delivery", r.delivery.ID, "error", r.err)
		g.drop(*r)
		g.retry[r.delivery.ID] = g.now().Add(retryAfter)
		return false
	}
	g.remove(r.delivery)
	g.rt.Counter(CounterModelsActivated).Add(1)
	g.use(r.model, newProbation(g.config, g.now())) // before it is announced: the next row is scored with it
	g.announce(event.ModelActivated, r.candidate.Installed, "")
	return true
}

// provesItself reports whether a model is compared with the active one before it takes over.
func (g *registry) provesItself(c modelstore.Candidate) bool {
	if _, ok := g.store.Current(); !ok || g.role == event.RoleLife {
		return false
	}
	mode := g.config.Candidate.Mode
	return mode == CandidateShadow || mode == CandidateManifest && c.Manifest.Shadow()
}

// hold ends the delivery of a candidate, which the store has.
func (g *registry) hold(r *testResult, before modelstore.Installed, replaced bool) {
	if r.err != nil {
		g.rt.Log.Warn("the candidate may not survive a power loss", "error", r.err)
		r.err = nil
	}
	g.rt.Conditions().Set(event.CodeModelStore, g.place(placeDelivery), nil)
	g.remove(r.delivery)
	if replaced {
		g.replaced(before, describe(r.candidate.Installed))
	}
	g.held = r.candidate.Installed
}

// replaced announces that a candidate is none any more.
func (g *registry) replaced(candidate modelstore.Installed, by string) {
	g.announce(event.ModelRejected, candidate, "replaced by "+by)
}

// lookAtCandidate announces that the candidate is none any more, where another model took its place. It is called when the active
// model changed.
func (g *registry) lookAtCandidate() {
	held, _ := g.store.Candidate()
	if before := g.held; before.ID != "" && held.ID != before.ID && !g.isActive(before) {
		current, _ := g.store.Current()
		g.replaced(before, describe(current))
	}
	g.held = held
}

// promote makes the candidate the active model.
func (g *registry) promote(t *trial, detail string) error {
	if err := g.store.Promote(); err != nil {
		if !g.isActive(t.held) {
			return err
		}
		g.rt.Log.Warn("the choice of the active model may not survive a power loss", "error", err)
	}
	g.held = modelstore.Installed{}
	g.rt.Counter(CounterModelsActivated).Add(1)
	g.use(t.model, newProbation(g.config, g.now()))
	g.announce(event.ModelActivated, t.held, detail)
	return nil
}

// refuse puts the candidate into quarantine.
func (g *registry) refuse(held modelstore.Installed, why string) {
	if err := g.store.Reject(why); err != nil { // it is gone all the same
		g.rt.Log.Warn("the rejection of the candidate may not survive a restart", "error", err)
	}
	g.held = modelstore.Installed{}
	g.rt.Counter(CounterModelsRejected).Add(1)
	g.announce(event.ModelRejected, held, why)
}

// letGo does without a candidate, and holds nothing against it: it may be delivered again.
func (g *registry) letGo(held modelstore.Installed, why string) {
	if err := g.store.Drop(modelstore.Candidate{Installed: held}); err != nil { // it is gone all the same
		g.rt.Log.Warn("the end of the candidate may not survive a restart", "error", err)
	}
	g.held = modelstore.Installed{}
	g.rt.Counter(CounterModelsRejected).Add(1)
	g.announce(event.ModelRejected, held, why)
}

// isCandidate reports whether the store holds a model as the candidate.
func (g *registry) isCandidate(i modelstore.Installed) bool {
	held, ok := g.store.Candidate()
	return ok && held.ID == i.ID
}

// drop ends an attempt that comes to nothing, though not by the end of the process.
func (g *registry) drop(r testResult) {
	if r.candidate.ID == "" { // it has ended
		return
	}
	if err := g.store.Drop(r.candidate); err != nil {
		g.rt.Log.Warn("the attempt could not be ended", "delivery", r.delivery.ID, "error", err)
	}
}

func (g *registry) remove(d inbox.Delivery) {
	delete(g.retry, d.ID)
	delete(g.damaged, d.ID)
	if err := g.inbox.Remove(d.ID); err != nil {
		g.rt.Log.Warn("the delivery could not be removed from the inbox", "delivery", d.ID, "error", err)
	}
}

// rollback makes the model before the active one active again: it loads that, points to it, and then announces that. After
// an error the active one stays. The first life model has none before it: then none is active.
func (g *registry) rollback(reason string) (*activeModel, error) {
	bad, _ := g.store.Current()
	good, ok := g.store.Previous()
	var model *activeModel
	if ok {
		var err error
		if model, err = newActiveModel(good, g.config); err != nil {
			return nil, fmt.Errorf("roll back because the model %s: the model before, %s, cannot be used: %w", reason, describe(good), err)
		}
	}
	if _, err := g.store.Rollback(reason); err != nil {
		if errors.Is(err, modelstore.ErrNoPrevious) || !g.isActive(good) {
			return nil, fmt.Errorf("roll back because the model %s: %w", reason, err)
		}
		g.rt.Log.Warn("the choice of the active model may not survive a power loss", "error", err)
	}
	g.rt.Counter(CounterModelsRolledBack).Add(1)
	g.use(model, probation{})
	g.announce(event.ModelRolledBack, bad, reason)
	return model, nil
}

// isActive reports whether the store points to a model.
func (g *registry) isActive(i modelstore.Installed) bool {
	current, _ := g.store.Current()
	return current.ID == i.ID
}

func (g *registry) announce(step event.ModelStep, installed modelstore.Installed, detail string) {
	ref := installed.Ref()
	g.rt.Log.Info("model "+string(step), "role", g.role, "name", installed.Manifest.Name, "version", ref.Version, "sha256", ref.SHA256, "detail", detail)
	g.publish(step, event.ModelEvent{Name: installed.Manifest.Name, Version: ref.Version, SHA256: ref.SHA256, Detail: detail})
}

func (g *registry) publish(step event.ModelStep, model event.ModelEvent) {
	if g.role == event.RoleLife { // an older receiver knows none
		model.Role = g.role
	}
	e := event.NewModelEvent(step, model, g.now())
	g.last = &e
	dropped, err := g.news.Add(e)
	g.rt.Counter(CounterModelEventsLost).Add(uint64(dropped))
	if err != nil {
		g.rt.Log.Warn("the model event could not be written to disk: it is published anyway", "event", e.Event, "error", err)
	}
}

// close waits for a test under way and closes the store.
func (g *registry) close() {
	if g.testing {
		if err := g.store.Stop(); err != nil { // in case this process is killed before the test is over
			g.rt.Log.Warn("the attempt could not be ended", "error", err)
		}
		g.drop(<-g.tested)
	}
	if err := g.store.Close(); err != nil {
		g.rt.Log.Warn("the model store was not closed cleanly", "error", err)
	}
}
