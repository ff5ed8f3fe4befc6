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
	"edgepdm/shared/modelnews"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/modelstore/inbox"
)

const (
	storeDir   = "models"
	lookEvery  = time.Second // into the inbox
	maxDamaged = 3           // tests of a delivery that is not whole
	retryAfter = time.Minute // a delivery whose test failed for lack of the disk or the like
)

// models owns the active model: it takes deliveries from the inbox, tests them beside the work, makes them active between
// two rows, watches them for a while and goes back to the one before if need be.
type models struct {
	rt     *component.Runtime
	config Config
	now    func() time.Time
	store  *modelstore.Store
	news   *modelnews.Outbox
	inbox  *inbox.Inbox      // nil: no model is taken
	last   *event.ModelEvent // the last that was published

	trust struct { // the last answer of untrusted, and for which model
		id      string
		problem error
	}
	testing   bool
	tested    chan testResult
	retry     map[string]time.Time // deliveries to be tested again, not before
	damaged   map[string]int       // how often a delivery was not whole
	probation probation
}

// testResult is what a test, made beside the work, says.
type testResult struct {
	delivery  inbox.Delivery
	candidate modelstore.Candidate
	model     *activeModel
	err       error
}

func newModels(rt *component.Runtime, config Config, now func() time.Time, store *modelstore.Store, news *modelnews.Outbox) *models {
	return &models{
		rt: rt, config: config, now: now, store: store, news: news, tested: make(chan testResult, 1), retry: make(map[string]time.Time), damaged: make(map[string]int),
	}
}

// watch chooses whether models are taken from the inbox.
func (m *models) watch(keys []ed25519.PublicKey) {
	if len(keys) == 0 && !m.config.AllowUnsigned {
		m.rt.Log.Info("no model is taken from the inbox: publicKeys is empty, and allowUnsigned is false")
		return
	}
	dir := m.config.Inbox
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(m.rt.WorkDir, dir)
	}
	switch err := inbox.Check(dir); {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		m.rt.Log.Info("there is no inbox yet: deploy com.edgepdm.ModelFetcher to get new models", "inbox", dir)
	default:
		m.rt.Log.Error("the inbox cannot be used", "inbox", dir, "error", err)
	}
	m.inbox = &inbox.Inbox{Dir: dir}
}

// current returns the active model, ready to score. A model on disk that is damaged gives way to the one before it.
func (m *models) current() (*activeModel, error) {
	installed, ok := m.store.Current()
	if !ok {
		return nil, errors.New("there is no model: neither a shipped nor a delivered one is usable")
	}
	model, err := newActiveModel(installed, m.config)
	if !errors.Is(err, modelstore.ErrDamaged) {
		return model, err // what else is wrong, such as iterations, is the configuration
	}
	before, problem := m.rollback(fmt.Sprintf("cannot be loaded: %v", err))
	if problem != nil {
		return nil, fmt.Errorf("%w; %w", err, problem)
	}
	return before, nil
}

// untrusted says that no key of the configuration vouches for the active model any more; nil: one does.
func (m *models) untrusted() error {
	current, ok := m.store.Current()
	if !ok || current.ID == m.trust.id {
		return m.trust.problem
	}
	m.trust.id, m.trust.problem = current.ID, nil
	if !m.store.Trusted(current) {
		m.trust.problem = fmt.Errorf("%s is signed by key %s, which is not in publicKeys any more: publish a model, of any version, that a trusted key signs",
			describe(current), current.Key)
	}
	return m.trust.problem
}

// look starts the test of a delivery, if one waits and none is being tested.
func (m *models) look() {
	if m.inbox == nil || m.testing {
		return
	}
	ready, err := m.inbox.Ready()
	if err != nil {
		return // there is no inbox yet, or a fault that the next look may not meet
	}
	now := m.now()
	for _, d := range ready {
		if now.Before(m.retry[d.ID]) {
			continue
		}
		m.testing = true
		go func() { m.tested <- m.test(d) }() // waited for by close
		break
	}
}

// test verifies a delivery, and scores its golden rows, beside the work.
func (m *models) test(d inbox.Delivery) testResult {
	r := testResult{delivery: d}
	if r.candidate, r.err = m.store.Take(d); r.err == nil {
		r.model, r.err = newActiveModel(r.candidate.Installed, m.config)
	}
	return r
}

// settle ends a delivery whose test is over: the new model is returned if it is active now. The delivery stays in the inbox
// only if it is to be tested again.
func (m *models) settle(r testResult) (*activeModel, bool) {
	m.testing = false
	var refused *modelstore.RefusedError
	switch {
	case r.err == nil:
		if r.err = m.store.Activate(r.candidate); r.err != nil && m.isActive(r.candidate.Installed) {
			m.rt.Log.Warn("which model is active may not survive a loss of power", "error", r.err)
			r.err = nil
		}
	case errors.Is(r.err, modelstore.ErrActive): // delivered again: nothing is to be done
		m.rt.Log.Debug("a delivered model is active already", "delivery", r.delivery.ID)
		m.remove(r.delivery)
		m.rt.Conditions().Set(event.CodeModelStore, placeDelivery, nil)
		return nil, false
	case errors.As(r.err, &refused) && refused.Reason == modelstore.ReasonDelivery && m.damaged[r.delivery.ID] < maxDamaged:
		// Its files do not fit together, as while they are replaced: that is no word on the model.
		m.damaged[r.delivery.ID]++
		m.rt.Log.Warn("a delivery is not whole; it will be tested again", "delivery", r.delivery.ID, "error", r.err)
		m.retry[r.delivery.ID] = m.now().Add(lookEvery << m.damaged[r.delivery.ID])
		return nil, false
	case errors.As(r.err, &refused), r.candidate.ID != "" && !ofFile(r.err): // or it does not fit the configuration
		m.rt.Counter(CounterModelsRejected).Add(1)
		m.rt.Log.Error("a delivered model is refused", "delivery", r.delivery.ID, "error", r.err)
		e := event.ModelEvent{Name: r.candidate.Manifest.Name, Version: r.candidate.Manifest.Version, Detail: r.err.Error()}
		if refused != nil {
			e.Name, e.Version = refused.Name, refused.Version
		}
		m.publish(event.ModelRejected, e)
		m.drop(r)
		m.remove(r.delivery)
		m.rt.Conditions().Set(event.CodeModelStore, placeDelivery, nil)
		return nil, false
	}
	m.rt.Conditions().Set(event.CodeModelStore, placeDelivery, r.err)
	if r.err != nil {
		m.rt.Log.Error("a delivered model cannot be tested now; it will be tried again", "delivery", r.delivery.ID, "error", r.err)
		m.drop(r)
		m.retry[r.delivery.ID] = m.now().Add(retryAfter)
		return nil, false
	}
	m.remove(r.delivery)
	m.announce(event.ModelActivated, r.candidate.Installed, "")
	m.rt.Counter(CounterModelsActivated).Add(1)
	m.probation = newProbation(m.config, m.now())
	return r.model, true
}

// drop ends an attempt that comes to nothing, though not by the end of the process.
func (m *models) drop(r testResult) {
	if r.candidate.ID == "" { // it has ended
		return
	}
	if err := m.store.Drop(r.candidate); err != nil {
		m.rt.Log.Warn("an attempt is not ended", "delivery", r.delivery.ID, "error", err)
	}
}

func (m *models) remove(d inbox.Delivery) {
	delete(m.retry, d.ID)
	delete(m.damaged, d.ID)
	if err := m.inbox.Remove(d.ID); err != nil {
		m.rt.Log.Warn("a delivery stays in the inbox", "delivery", d.ID, "error", err)
	}
}

// rollback makes the model before the active one active again: it is loaded first, then pointed to, and then that is told.
// After an error the active one stays.
func (m *models) rollback(reason string) (*activeModel, error) {
	m.probation = probation{} // one judgement is enough, whatever comes of it
	bad, _ := m.store.Current()
	good, ok := m.store.Previous()
	if !ok {
		return nil, fmt.Errorf("roll back, as the model %s: %w", reason, modelstore.ErrNoPrevious)
	}
	model, err := newActiveModel(good, m.config)
	if err != nil {
		return nil, fmt.Errorf("roll back, as the model %s: the model before, %s, cannot be used: %w", reason, describe(good), err)
	}
	if _, err := m.store.Rollback(reason); err != nil {
		if !m.isActive(good) {
			return nil, fmt.Errorf("roll back, as the model %s: %w", reason, err)
		}
		m.rt.Log.Warn("which model is active may not survive a loss of power", "error", err)
	}
	m.rt.Counter(CounterModelsRolledBack).Add(1)
	m.announce(event.ModelRolledBack, bad, reason)
	return model, nil
}

// isActive reports whether the store points to a model.
func (m *models) isActive(i modelstore.Installed) bool {
	current, ok := m.store.Current()
	return ok && current.ID == i.ID
}

func (m *models) announce(step event.ModelStep, installed modelstore.Installed, detail string) {
	ref := installed.Ref()
	m.rt.Log.Info("model "+string(step), "name", installed.Manifest.Name, "version", ref.Version, "sha256", ref.SHA256, "detail", detail)
	m.publish(step, event.ModelEvent{Name: installed.Manifest.Name, Version: ref.Version, SHA256: ref.SHA256, Detail: detail})
}

func (m *models) publish(step event.ModelStep, model event.ModelEvent) {
	e := event.NewModelEvent(step, model, m.now())
	m.last = &e
	dropped, err := m.news.Add(e)
	m.rt.Counter(CounterModelEventsLost).Add(uint64(dropped))
	if err != nil {
		m.rt.Log.Warn("model event is not on disk; it is published all the same", "event", e.Event, "error", err)
	}
}

// close waits for a test under way and closes the store.
func (m *models) close() {
	if m.testing {
		if err := m.store.Stop(); err != nil { // should this process be killed before the test is over
			m.rt.Log.Warn("an attempt is not ended", "error", err)
		}
		m.drop(<-m.tested)
	}
	if err := m.store.Close(); err != nil {
		m.rt.Log.Warn("the store of models was not closed cleanly", "error", err)
	}
}

// probation watches a new model for a while (promise M7): a score that is no number, or scores that are too slow, send it
// back.
type probation struct {
	until time.Time // zero: there is none
	slow  time.Duration
	rows  int
	late  int
}

const (
	probationRows = 20  // rows before slowness is judged
	lateShare     = 0.1 // of the rows may be slower than maxScore
)

func newProbation(c Config, now time.Time) probation {
	return probation{until: now.Add(c.Probation), slow: c.MaxScore}
}

// row judges a row that was scored, or not, and says what is wrong with the model, "" if nothing is.
func (p *probation) row(err error, took time.Duration, now time.Time) string {
	if p.until.IsZero() {
		return ""
	}
	if now.After(p.until) {
		*p = probation{}
		return ""
	}
	p.rows++
	if took > p.slow {
		p.late++
	}
	switch {
	case err != nil:
		return err.Error()
	case p.rows >= probationRows && float64(p.late) > lateShare*float64(p.rows):
		return fmt.Sprintf("took more than %v for %d of %d rows", p.slow, p.late, p.rows)
	}
	return ""
}
