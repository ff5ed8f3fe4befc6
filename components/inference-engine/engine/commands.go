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

// commands obeys what was asked for on the device. A roll-back waits for the end of a test, which may change what is active.
func (r *run) commands() {
	for _, q := range r.desk.Take() {
		switch q.Command {
		case event.CommandStatus:
			q.Answer(r.status(), nil)
		case event.CommandRollback:
			r.back = append(r.back, q)
			if r.models != nil && r.models.testing {
				q.Progress("a delivered model is being tested; the roll-back waits for the end of that")
			}
		default:
			q.Unknown()
		}
	}
	if r.models != nil && r.models.testing {
		return
	}
	for _, q := range r.back {
		q.Answer(r.goBack(q))
	}
	r.back = nil
}

// goBack goes back to the model before, and says to which.
func (r *run) goBack(q *request.Request) (string, error) {
	var arguments event.Rollback
	if err := q.Arguments(&arguments); err != nil {
		return "", err
	}
	if arguments.Reason == "" {
		arguments.Reason = "was sent back by " + q.By
	}
	switch {
	case r.store.problem != nil:
		return "", fmt.Errorf("no roll-back: %w; it is tried again", r.store.problem)
	case r.models == nil:
		return "", fmt.Errorf("no roll-back: the model in use is the file %s, which the configuration names", r.config.Model)
	}
	bad, _ := r.models.store.Current()
	if _, ok := r.models.store.Previous(); !ok {
		return "", fmt.Errorf("no roll-back: there is no model before %s, which stays active", describe(bad))
	}
	if err := r.rollback(arguments.Reason); err != nil {
		return "", err
	}
	r.ready()
	good, _ := r.models.store.Current()
	return fmt.Sprintf("rolled back from %s to %s, which is active now", describe(bad), describe(good)), nil
}

// status says which model is active, to which one a roll-back goes, and what happened last.
func (r *run) status() string {
	if r.model == nil {
		return "active model: none\n" + r.last()
	}
	switch {
	case r.store.problem != nil:
		return fmt.Sprintf("active model: %s, sha256 %s stands in\n%v", r.model.ref.Version, r.model.ref.SHA256, r.store.problem)
	case r.models == nil:
		return fmt.Sprintf("active model: %s, sha256 %s, of the file %s", r.model.ref.Version, r.model.ref.SHA256, r.config.Model)
	}
	before := "none"
	if previous, ok := r.models.store.Previous(); ok {
		before = describe(previous)
	}
	current, _ := r.models.store.Current()
	return fmt.Sprintf("active model: %s, %s, accepted at %s\n  sha256 %s\nmodel before: %s\n%s", describe(current), current.Origin,
		current.Accepted.Local().Format(time.DateTime), r.model.ref.SHA256, before, r.last())
}

// last says what happened to models last: in this work, else what the store remembers.
func (r *run) last() string {
	const none = "last outcome: none"
	if r.models == nil {
		return none
	}
	if e := r.models.last; e != nil {
		return outcome(e.Name, e.Version, string(e.Event), e.Detail, e.TS)
	}
	current, ok := r.models.store.Current()
	refused := r.models.store.Quarantined()
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
func (r *run) refuseCommands() {
	for _, q := range r.back {
		q.Answer("", errors.New("no roll-back: the engine stops, or has a new configuration"))
	}
}
