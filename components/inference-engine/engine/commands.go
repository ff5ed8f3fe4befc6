package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/request"
)

// goingBack is a command to roll back.
type goingBack struct {
	*request.Request
	event.Rollback
	models *models
}

// commands obeys what was asked for on the device. A rollback waits for the end of a test, which may change what is active.
func (k *keeper) commands() {
	for _, q := range k.desk.Take() {
		switch q.Command {
		case event.CommandStatus:
			text := k.fault.status()
			if err := k.fault.unexplained(); err != nil && k.fault.active != nil {
				text += "\nno reasons: " + err.Error()
			}
			q.Answer(text+"\n"+k.life.status(), nil)
		case event.CommandRollback:
			k.wantsBack(q)
		case event.CommandExplain:
			k.asks.add(q, k.fault.unexplained(), k.now())
		default:
			q.Unknown()
		}
	}
	k.back = slices.DeleteFunc(k.back, func(b goingBack) bool {
		if b.models.testing() || b.models.opening() {
			return false
		}
		b.Answer(b.models.goBack(b))
		return true
	})
}

// opening reports whether the store of the life models was not opened yet: rows, and commands, come first.
func (m *models) opening() bool {
	return m.role == event.RoleLife && m.registry == nil && m.access.problem == nil
}

// wantsBack takes a command to roll back.
func (k *keeper) wantsBack(q *request.Request) {
	b := goingBack{Request: q, models: k.fault}
	if err := q.Arguments(&b.Rollback); err != nil {
		q.Answer("", err)
		return
	}
	switch b.Role {
	case event.RoleFault, "":
	case event.RoleLife:
		b.models = k.life
	default:
		q.Answer("", fmt.Errorf("rollback failed: role: %.32q is neither %s nor %s", b.Role, event.RoleFault, event.RoleLife))
		return
	}
	k.back = append(k.back, b)
	if b.models.testing() {
		q.Progress("a delivered model is being tested; the rollback follows")
	}
}

// goBack goes back to the model before, and says to which.
func (m *models) goBack(b goingBack) (string, error) {
	if b.Reason == "" {
		b.Reason = "was sent back by " + b.By
	}
	switch {
	case m.access.problem != nil:
		return "", fmt.Errorf("rollback failed: %w; the store will be tried again", m.access.problem)
	case m.registry == nil:
		return "", fmt.Errorf("rollback failed: the model in use is the file %s, which the configuration names", m.config.Model)
	}
	bad, ok := m.registry.store.Current()
	switch _, before := m.registry.store.Previous(); {
	case m.role == event.RoleLife && !ok:
		return "", errors.New("rollback failed: there is no life model")
	case m.role != event.RoleLife && !before:
		return "", fmt.Errorf("rollback failed: there is no model before %s, which stays active", describe(bad))
	}
	if err := m.rollback(b.Reason); err != nil {
		return "", err
	}
	m.ready()
	good, ok := m.registry.store.Current()
	if !ok {
		return fmt.Sprintf("rolled back from %s; no life model is active now", describe(bad)), nil
	}
	return fmt.Sprintf("rolled back from %s to %s, which is active now", describe(bad), describe(good)), nil
}

// status says which model is active, which one a rollback activates, and what happened last.
func (m *models) status() string {
	what := "active model"
	if m.role == event.RoleLife {
		what = "active life model"
	}
	if m.opening() {
		return what + ": not loaded yet"
	}
	if m.active == nil {
		return what + ": none\n" + m.last()
	}
	switch {
	case m.access.problem != nil:
		return fmt.Sprintf("%s: %s, sha256 %s stands in\n%v", what, m.active.ref.Version, m.active.ref.SHA256, m.access.problem)
	case m.registry == nil:
		return fmt.Sprintf("%s: %s, sha256 %s, of the file %s", what, m.active.ref.Version, m.active.ref.SHA256, m.config.Model)
	}
	before := "none"
	if previous, ok := m.registry.store.Previous(); ok {
		before = describe(previous)
	}
	current, _ := m.registry.store.Current()
	return fmt.Sprintf("%s: %s, %s, accepted at %s\n  sha256 %s\nmodel before: %s\n%s", what, describe(current), current.Origin,
		current.Accepted.Local().Format(time.DateTime), m.active.ref.SHA256, before, m.last())
}

// unexplained says why rows have no reasons; nil: they have.
func (m *models) unexplained() error {
	if m.active == nil {
		return errNoModel
	}
	return m.active.unexplained
}

// last says what happened to models last: in this work, else what the store remembers.
func (m *models) last() string {
	const none = "last outcome: none"
	if m.registry == nil {
		return none
	}
	if e := m.registry.last; e != nil {
		return outcome(e.Name, e.Version, string(e.Event), e.Detail, e.TS)
	}
	current, ok := m.registry.store.Current()
	refused := m.registry.store.Quarantined()
	if len(refused) == 0 || ok && current.Accepted.After(refused[len(refused)-1].Since) {
		if !ok || current.Origin == modelstore.OriginShipped {
			return none
		}
		return outcome(current.Manifest.Name, current.Manifest.Version, string(event.ModelActivated), "", current.Accepted)
	}
	e := refused[len(refused)-1]
	step := event.ModelRejected
	if e.Reason == modelstore.ReasonRolledBack {
		step = event.ModelRolledBack
	}
	return outcome(e.Name, e.Version, string(step), e.Detail, e.Since)
}

func outcome(name, version, step, detail string, at time.Time) string {
	text := fmt.Sprintf("last outcome: %s %s at %s", naming(name, version), step, at.Local().Format(time.DateTime))
	if detail != "" {
		text += ": " + detail
	}
	return text
}

func describe(i modelstore.Installed) string { return naming(i.Manifest.Name, i.Ref().Version) }

func naming(name, version string) string {
	if text := strings.TrimSpace(name + " " + version); text != "" {
		return text
	}
	return "a model without a valid manifest"
}
