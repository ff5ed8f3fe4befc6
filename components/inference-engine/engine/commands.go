package engine

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/request"
)

// commands obeys what was asked for on the device. A rollback waits for the end of a test, which may change what is active.
func (m *models) commands() {
	for _, q := range m.desk.Take() {
		switch q.Command {
		case event.CommandStatus:
			q.Answer(m.status(), nil)
		case event.CommandRollback:
			m.back = append(m.back, q)
			if m.registry != nil && m.registry.testing {
				q.Progress("a delivered model is being tested; the rollback follows")
			}
		default:
			q.Unknown()
		}
	}
	if m.registry != nil && m.registry.testing {
		return
	}
	for _, q := range m.back {
		q.Answer(m.goBack(q))
	}
	m.back = nil
}

// goBack goes back to the model before, and says to which.
func (m *models) goBack(q *request.Request) (string, error) {
	var arguments event.Rollback
	if err := q.Arguments(&arguments); err != nil {
		return "", err
	}
	if arguments.Reason == "" {
		arguments.Reason = "was sent back by " + q.By
	}
	switch {
	case m.access.problem != nil:
		return "", fmt.Errorf("rollback failed: %w; the store will be tried again", m.access.problem)
	case m.registry == nil:
		return "", fmt.Errorf("rollback failed: the model in use is the file %s, which the configuration names", m.config.Model)
	}
	bad, _ := m.registry.store.Current()
	if _, ok := m.registry.store.Previous(); !ok {
		return "", fmt.Errorf("rollback failed: there is no model before %s, which stays active", describe(bad))
	}
	if err := m.rollback(arguments.Reason); err != nil {
		return "", err
	}
	m.ready()
	good, _ := m.registry.store.Current()
	return fmt.Sprintf("rolled back from %s to %s, which is active now", describe(bad), describe(good)), nil
}

// status says which model is active, which one a rollback activates, and what happened last.
func (m *models) status() string {
	if m.active == nil {
		return "active model: none\n" + m.last()
	}
	switch {
	case m.access.problem != nil:
		return fmt.Sprintf("active model: %s, sha256 %s stands in\n%v", m.active.ref.Version, m.active.ref.SHA256, m.access.problem)
	case m.registry == nil:
		return fmt.Sprintf("active model: %s, sha256 %s, of the file %s", m.active.ref.Version, m.active.ref.SHA256, m.config.Model)
	}
	before := "none"
	if previous, ok := m.registry.store.Previous(); ok {
		before = describe(previous)
	}
	current, _ := m.registry.store.Current()
	return fmt.Sprintf("active model: %s, %s, accepted at %s\n  sha256 %s\nmodel before: %s\n%s", describe(current), current.Origin,
		current.Accepted.Local().Format(time.DateTime), m.active.ref.SHA256, before, m.last())
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

// refuseCommands answers those that wait when the work ends.
func (m *models) refuseCommands() {
	for _, q := range m.back {
		q.Answer("", errors.New("rollback failed: the engine stops, or has a new configuration"))
	}
}
