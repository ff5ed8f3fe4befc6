package engine

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"edgepdm/components/inference-engine/candidate"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
)

// verdict says what becomes of a candidate.
type verdict struct {
	trial   *trial
	promote bool
	why     string // empty: the rule's figures say so
}

// parsed is a candidate that was loaded, or not.
type parsed struct {
	id    string // of the model in the store
	model *activeModel
	err   error
	again time.Time // to try again; zero: not
}

// hold has a candidate compared that the store holds since now, and announces it, unless it cannot be compared: then that was announced.
func (m *models) hold(held modelstore.Installed, model *activeModel) {
	m.parsed = parsed{id: held.ID, model: model}
	m.follow()
	if !m.registry.isCandidate(held) {
		return
	}
	current, _ := m.registry.store.Current()
	m.registry.announce(event.ModelShadowing, held, "is scored beside "+describe(current)+" until it is promoted or rejected")
}

// follow has the store's candidate scored beside the model in use from the next row on, whatever changed. Only the model that is active
// is one to compare with, not one that stands in for it.
func (m *models) follow() {
	if m.role == event.RoleLife {
		return
	}
	held, ok := m.candidate()
	t := m.trial.Load()
	if t != nil && !t.ended && (!ok || t.held.ID != held.ID || t.active != m.active) {
		m.conclude(t, event.DecisionReplaced)
	}
	switch {
	case !ok:
		m.setTrial(nil)
	case t != nil && t.held.ID == held.ID && t.active == m.active:
	case t != nil && t.held.ID == held.ID:
		m.compare(held, t.model)
	case m.parsed.id == held.ID && m.parsed.model != nil:
		m.compare(held, m.parsed.model)
	case !m.parsing:
		m.setTrial(nil)
		m.parsing = true
		go func() { // waited for by close
			defer component.AllProcessors()()
			model, err := newActiveModel(held, m.config)
			m.loaded <- parsed{id: held.ID, model: model, err: err}
		}()
	}
}

// candidate returns the one that can be compared now.
func (m *models) candidate() (held modelstore.Installed, ok bool) {
	if m.registry == nil || m.active == nil {
		return held, false
	}
	current, _ := m.registry.store.Current()
	if held, ok = m.registry.store.Candidate(); current.Ref() != m.active.ref {
		return held, false
	}
	return held, ok
}

// parsedCandidate takes a candidate that was loaded. One that cannot be, for a reason that may pass, is tried again.
func (m *models) parsedCandidate(p parsed) {
	m.parsing = false
	held, ok := m.candidate()
	if !ok || held.ID != p.id {
		m.follow()
		return
	}
	m.rt.Conditions().Set(event.CodeModelStore, placeCandidate, p.err)
	if m.parsed = p; p.err == nil {
		m.follow()
		return
	}
	m.rt.Log.Error("the candidate cannot be loaded", "candidate", describe(held), "error", p.err)
	if errors.Is(p.err, modelstore.ErrDamaged) { // the disk's fault, and not the model's
		m.registry.letGo(held, p.err.Error()+": model-fetcher look -again brings it again")
		m.rt.Conditions().Set(event.CodeModelStore, placeCandidate, nil)
		m.follow()
		return
	}
	m.parsed.again = m.now().Add(retryAfter)
}

// compare begins to compare a candidate with the model in use. It is rejected where that cannot be.
func (m *models) compare(held modelstore.Installed, model *activeModel) {
	t, err := newTrial(held, m.active, model, m.config)
	if err != nil {
		m.refuse(held, err.Error(), nil)
		return
	}
	t.rings = m.ringsOfCandidate(t)
	m.parsed = parsed{}
	m.setTrial(t)
}

func (m *models) setTrial(t *trial) {
	if m.trial.Swap(t) == t {
		return
	}
	select {
	case m.another <- struct{}{}:
	default: // it is told already
	}
}

// decided does what the rule says.
func (m *models) decided(v verdict) {
	if v.trial != m.trial.Load() {
		return
	}
	var err error
	if v.promote {
		err = m.promote(v.trial, "promoted: "+figures(v.trial))
	} else {
		why := v.why
		if latest := v.trial.latest.Load(); why == "" && latest != nil {
			why = candidate.Failed(*latest)
		}
		m.refuse(v.trial.held, why+" ("+figures(v.trial)+")", v.trial)
	}
	m.rt.Conditions().Set(event.CodeModelStore, placeCandidate, err)
}

// promote makes the candidate the active model.
func (m *models) promote(t *trial, detail string) error {
	t.ended = true
	if err := m.registry.promote(t, detail); err != nil {
		t.ended = false
		m.rt.Log.Error("the candidate could not be promoted; it will be tried again", "error", err)
		return err
	}
	m.conclude(t, event.DecisionPromote)
	m.sayWhichScores(nil)
	m.rt.Conditions().Set(event.CodeModelStore, m.place(placeBack), nil)
	m.ready()
	return nil
}

// refuse rejects the candidate; t is its comparison, nil without one.
func (m *models) refuse(held modelstore.Installed, why string, t *trial) {
	m.registry.refuse(held, why)
	if t != nil {
		m.conclude(t, event.DecisionReject)
	}
	m.follow()
}

// conclude publishes the last figures of a candidate.
func (m *models) conclude(t *trial, decision event.Decision) {
	t.ended = true
	latest := t.latest.Load()
	if latest == nil {
		return
	}
	last := *latest
	last.Decision, last.TS = decision, m.now().UTC()
	last.ID = "comparison-" + t.held.ID + "-" + string(decision)
	sendComparison(m.rt, m.comparisons, last)
}

// figures says what is known of a candidate.
func figures(t *trial) string {
	if latest := t.latest.Load(); latest != nil {
		return candidate.Figures(*latest)
	}
	return "no rows yet"
}

// decideNow promotes or rejects the candidate because somebody says so.
func (m *models) decideNow(do, reason, by string) (string, error) {
	failed := func(err error) error { return fmt.Errorf("%s failed: %w", do, err) }
	switch {
	case m.access.problem != nil:
		return "", failed(fmt.Errorf("%w; the store will be tried again", m.access.problem))
	case m.registry == nil:
		return "", failed(fmt.Errorf("the model in use is the file %s, which the configuration names", m.config.Model))
	}
	held, ok := m.registry.store.Candidate()
	if !ok {
		return "", failed(errors.New("there is no candidate"))
	}
	t := m.trial.Load()
	detail := "by " + by
	if reason != "" {
		detail += ": " + reason
	}
	if do == event.CommandReject {
		known := ""
		if t != nil {
			known = " (" + figures(t) + ")"
		}
		m.refuse(held, "rejected "+detail+known, t)
		return fmt.Sprintf("rejected the candidate %s; %s stays active%s", describe(held), m.active.ref.Version, state(t)), nil
	}
	if t == nil {
		return "", failed(fmt.Errorf("the candidate %s is not loaded", describe(held)))
	}
	before := m.active.ref.Version
	if err := m.promote(t, "promoted "+detail+" ("+figures(t)+")"); err != nil {
		return "", failed(err)
	}
	return fmt.Sprintf("promoted %s, which is active now, in place of %s%s", describe(held), before, state(t)), nil
}

// state says how far the rule is; "" if nothing is known.
func state(t *trial) string {
	if t == nil {
		return ""
	}
	latest := t.latest.Load()
	if latest == nil {
		return ""
	}
	var text strings.Builder
	for _, r := range latest.Rules {
		mark := "not yet"
		if r.OK {
			mark = "holds"
		}
		fmt.Fprintf(&text, "\n  %-11s %s (%s): %s", r.Rule, r.Have, r.Need, mark)
	}
	return text.String()
}

// candidateStatus says what is known of the candidate; "" if there is none.
func (m *models) candidateStatus() string {
	if m.registry == nil {
		return ""
	}
	held, ok := m.registry.store.Candidate()
	if !ok {
		return ""
	}
	text := fmt.Sprintf("\ncandidate: %s, accepted at %s", describe(held), held.Accepted.Local().Format(time.DateTime))
	t := m.trial.Load()
	if t == nil {
		return text + ": not scored at the moment"
	}
	return text + "\n  " + figures(t) + state(t)
}
