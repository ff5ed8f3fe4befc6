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

// order is a command that changes which model is active.
type order struct {
	do         string // event.CommandRollback, event.CommandPromote or event.CommandReject
	reason, by string
	models     *models
	answer     func(text string, err error)
}

// commands obeys what was asked for on the device. What changes the active model waits for the end of a test, which may do that too.
func (k *keeper) commands() {
	for _, q := range k.desk.Take() {
		switch q.Command {
		case event.CommandStatus:
			q.Answer(k.status(), nil)
		case event.CommandRollback:
			var arguments event.Rollback
			k.wants(q, q.Arguments(&arguments), arguments.Role, arguments.Reason)
		case event.CommandPromote, event.CommandReject:
			var arguments event.Decide
			k.wants(q, q.Arguments(&arguments), event.RoleFault, arguments.Reason)
		case event.CommandExplain:
			k.asks.add(q, k.fault.unexplained(), k.now())
		default:
			q.Unknown()
		}
	}
	k.obey()
}

// obey does what waits, and can be done now.
func (k *keeper) obey() {
	k.waiting = slices.DeleteFunc(k.waiting, func(o order) bool {
		if o.models.testing() || o.models.opening() {
			return false
		}
		if o.do == event.CommandRollback {
			o.answer(o.models.goBack(o))
		} else {
			o.answer(o.models.decideNow(o.do, o.reason, o.by))
		}
		return true
	})
}

// opening reports whether the store of the life models was not opened yet: rows, and commands, come first.
func (m *models) opening() bool {
	return m.role == event.RoleLife && m.registry == nil && m.access.problem == nil
}

// wants takes a command given on the device.
func (k *keeper) wants(q *request.Request, problem error, role event.Role, reason string) {
	if problem != nil {
		q.Answer("", problem)
		return
	}
	o := order{do: q.Command, reason: reason, by: q.By, answer: q.Answer}
	if err := k.add(o, role); err != nil {
		q.Answer("", err)
	} else if k.ofRole(role).testing() {
		q.Progress("a delivered model is being tested; the " + q.Command + " follows")
	}
}

// add lets a command wait for its turn.
func (k *keeper) add(o order, role event.Role) error {
	if o.models = k.ofRole(role); o.models == nil {
		return fmt.Errorf("%s failed: role: %.32q is neither %s nor %s", o.do, role, event.RoleFault, event.RoleLife)
	}
	k.waiting = append(k.waiting, o)
	return nil
}

// ofRole returns the models of a role; nil: there is no such role.
func (k *keeper) ofRole(role event.Role) *models {
	switch role {
	case event.RoleFault, "":
		return k.fault
	case event.RoleLife:
		return k.life
	}
	return nil
}

// status says which models are active, what is known of the candidate, and what happened last.
func (k *keeper) status() string {
	text := k.fault.status() + k.fault.candidateStatus()
	if err := k.fault.unexplained(); err != nil && k.fault.active != nil {
		text += "\nno reasons: " + err.Error()
	}
	return text + "\n" + k.life.status() + k.drifts.status()
}

// goBack goes back to the model before, and says to which.
func (m *models) goBack(o order) (string, error) {
	if o.reason == "" {
		o.reason = "was sent back by " + o.by
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
	if err := m.rollback(o.reason); err != nil {
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
