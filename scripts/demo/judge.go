package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"edgepdm/shared/event"
)

// judgedFrom is how long a run that the user ended must have lasted to be judged by its rows.
const judgedFrom = 10 * time.Second

// asked is how many rows the flags ask for in the time that the run took.
func (d *demo) asked() uint64 {
	return uint64(float64(d.options.things) * d.options.rate * d.ran.Seconds())
}

// judge returns what is wrong with a run: rows that were not published, not scored and not counted, messages that did not
// arrive, alarms that do not say why, and machines of which nothing says when. ended means that the user ended the run.
func (d *demo) judge(r report, ended bool) error {
	var errs []error
	whole := !ended || d.ran >= judgedFrom
	if few := r.Published == 0 || r.Published < r.Asked/2; few && whole {
		errs = append(errs, fmt.Errorf("%d of about %d rows were published, %d machines at %v rows a second for %v: %s",
			r.Published, r.Asked, d.options.things, d.options.rate, d.ran.Round(time.Second), d.whyFew()))
	}
	if n := len(d.observer.things); n < d.options.things && whole && r.Published > 0 {
		errs = append(errs, fmt.Errorf("%d of %d machines published nothing that was scored", d.options.things-n, d.options.things))
	}
	if a := d.observer.balance(); !a.settled() {
		errs = append(errs, fmt.Errorf("%d rows were neither scored nor counted: %d published, %d scored, %d invalid, %d missed",
			a.unscored-a.missed, a.published, a.predictions, a.invalid, a.missed))
	}
	if r.Lost > 0 {
		errs = append(errs, fmt.Errorf("%d predictions and alerts did not arrive in the cloud", r.Lost))
	}
	if whole && r.Explained.Predictions == 0 && d.observer.faulty > 0 {
		errs = append(errs, fmt.Errorf("none of %d faulty rows says what points to a fault", d.observer.faulty))
	}
	if whole && r.Explained.Alerts == 0 && r.Explained.Of > 0 {
		errs = append(errs, fmt.Errorf("none of %d alarms of machines says what points to a fault", r.Explained.Of))
	}
	if whole && r.Life.Rows == 0 && d.tellsLife() {
		errs = append(errs, fmt.Errorf("no row has a remaining life: %s", d.whyNoLife()))
	}
	// What is published while the forwarder is dead is lost, as local publish/subscribe has no queue: -kill accepts that.
	if r.Unaccepted > 0 && !d.options.kill {
		errs = append(errs, fmt.Errorf("%d of %d predictions never reached the forwarder's spool", r.Unaccepted, r.Predictions))
	}
	errs = append(errs, d.judgeDrift(!ended)...)
	return errors.Join(errs...)
}

// tellsLife reports whether there is a model of remaining life: for simulated machines that wear, not for rows that are replayed.
func (d *demo) tellsLife() bool { return d.options.input == "" && !d.options.drift }

// whyNoLife says why no remaining life was told, as far as its components tell.
func (d *demo) whyNoLife() string {
	if d.observer.life.model == "" {
		return "the model of it did not take over; see " + d.options.root + "/logs"
	}
	return "its model took over, and told none; see " + d.options.root + "/logs"
}

// whyFew says why the plant published little, as far as its components tell.
func (d *demo) whyFew() string {
	var reasons []string
	for _, name := range []string{event.SensorSimulator, event.InferenceEngine} {
		h, known := d.observer.health(name)
		switch {
		case !known:
			reasons = append(reasons, name+" never said how it is")
		case h.State != event.StateOK:
			reasons = append(reasons, fmt.Sprintf("%s is %s (%s)", name, h.State, h.Detail))
		}
		if n := h.Counters["input.unreadable"]; n > 0 {
			reasons = append(reasons, fmt.Sprintf("%d rows of the input could not be read", n))
		}
	}
	if len(reasons) == 0 {
		return "this machine is too slow or too busy for it; ask for fewer machines (-things) or rows (-rate)"
	}
	return strings.Join(reasons, "; ") + fmt.Sprintf("; see %s/logs", d.options.root)
}
