package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"edgepdm/shared/event"
)

// A file that cannot be read is tried again: a local deployment on a classic nucleus makes the artifacts of a running
// component unreadable.
const (
	quietTries = 4 // before it is said
	soonAgain  = time.Second
	laterAgain = 15 * time.Second
)

const placeShipped = "shipped model"

// loading is the way to a model.
type loading struct {
	failed int       // attempts, one after the other
	again  time.Time // zero: there is nothing to try again
}

// due reports whether it is to be tried again.
func (l *loading) due(now time.Time) bool { return !l.again.IsZero() && !now.Before(l.again) }

// retry plans another attempt after a problem that may pass, and reports whether it is not worth a word yet. nil ends it.
func (l *loading) retry(problem error, now time.Time) (quiet bool) {
	if _, ofFile := errors.AsType[*fs.PathError](problem); !ofFile {
		*l = loading{}
		return false
	}
	if l.failed++; l.failed < quietTries {
		l.again = now.Add(soonAgain)
		return true
	}
	l.again = now.Add(laterAgain)
	return false
}

// activate makes the model active that the configuration names, or that of the store. Without a usable one the engine
// waits for another.
func (r *run) activate() {
	seeding := r.seed()
	model, err := r.load()
	if err == nil && (r.model == nil || r.model.ref != model.ref) {
		r.use(model)
	}
	problem := seeding
	if problem == nil {
		problem = err
	}
	if quiet := r.loading.retry(problem, r.now()); quiet {
		return
	}
	if err == nil {
		r.rt.Conditions().Set(event.CodeModelStore, placeShipped, seeding)
		return
	}
	if seeding != nil {
		err = fmt.Errorf("%w: %w", err, seeding)
	}
	if r.loading.failed <= quietTries {
		r.rt.Log.Error("no row is scored: there is no model", "error", err)
	}
	r.rt.SetModel(nil)
	r.rt.SetState(event.StateNoModel, err.Error())
}

// seed puts the model that ships with the component into the store, once in a process: its file does not change.
func (r *run) seed() error {
	if r.models == nil || *r.seeded {
		return nil
	}
	if _, err := r.models.store.Seed(r.shipped, ""); err != nil {
		return err
	}
	*r.seeded = true
	return nil
}

func (r *run) load() (*activeModel, error) {
	if r.models != nil {
		return r.models.current()
	}
	model, err := loadModel(r.config.Model, r.config)
	if err == nil {
		r.kept.model, r.kept.config = model, r.config
		return model, nil
	}
	if _, ofFile := errors.AsType[*fs.PathError](err); ofFile && r.kept.fits(r.config) {
		r.rt.Log.Info("the model's file cannot be read now: the model that was read before stays", "error", err)
		return r.kept.model.with(r.config), nil
	}
	return nil, err
}

// kept is the model that the configuration names, as it was read by this process.
type kept struct {
	model  *activeModel // nil: none was
	config Config
}

// fits reports whether it is what a configuration asks for.
func (k *kept) fits(c Config) bool {
	return k.model != nil && k.config.Model == c.Model && k.config.Engine == c.Engine && k.config.Iterations == c.Iterations
}
