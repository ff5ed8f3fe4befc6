package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/modelstore/envelope"
)

// A file that cannot be read is tried again: a local deployment on a classic nucleus makes the artifacts of a running
// component unreadable.
const (
	quietTries = 4 // before it is said
	soonAgain  = time.Second
	laterAgain = 15 * time.Second
)

// Places of conditions.
const (
	placeShipped  = "shipped model"
	placeStore    = "store of models"
	placeActive   = "active model"
	placeDelivery = "delivered model"
	placeBack     = "roll-back"
	placeKey      = "key of the active model"
)

// loading is the way to a model.
type loading struct {
	failed int       // attempts, one after the other
	again  time.Time // zero: there is nothing to try again
}

// due reports whether it is to be tried again.
func (l *loading) due(now time.Time) bool { return !l.again.IsZero() && !now.Before(l.again) }

// retry plans another attempt after a problem that may pass, and reports whether it is not worth a word yet. nil ends it.
func (l *loading) retry(problem error, now time.Time) (quiet bool) {
	if !ofFile(problem) {
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

// activate makes the model active that the configuration names, or that of the store; where that cannot be used, another
// one stands in for it. Without a usable one the engine waits.
func (r *run) activate() {
	seeding := r.seed()
	model, err := r.load()
	if model != nil && (r.model == nil || r.model.ref != model.ref) {
		r.use(model)
	}
	problem := seeding
	if problem == nil && (model == nil || r.store.problem == nil) { // a closed store is tried again by itself
		problem = err
	}
	quiet := r.loading.retry(problem, r.now())
	if model != nil {
		r.sayWhichScores(err)
		if !quiet || seeding == nil {
			r.rt.Conditions().Set(event.CodeModelStore, placeShipped, seeding)
		}
		return
	}
	if quiet {
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
	usable := func(m envelope.Manifest, model *gbdt.Model) error {
		_, err := readyToScore(modelstore.Installed{Manifest: m}, model, r.config)
		return err
	}
	if _, err := r.models.store.Seed(r.shipped, "", usable); err != nil {
		return err
	}
	*r.seeded = true
	return nil
}

// load returns the model that is to score. One that only stands in for it comes with what is wrong.
func (r *run) load() (*activeModel, error) {
	if r.config.Model != "" {
		return r.loadFile(r.config.Model)
	}
	if r.models == nil {
		return r.standIn(modelstore.LastActive(r.store.dir, r.store.options), r.store.problem)
	}
	model, err := r.models.current()
	if err == nil || !mayPass(err) && !errors.Is(err, modelstore.ErrDamaged) {
		return model, err
	}
	var before []modelstore.Installed
	if previous, ok := r.models.store.Previous(); ok {
		before = append(before, previous)
	}
	return r.standIn(before, err)
}

// mayPass reports whether a model could not be loaded for a reason that is neither its own nor the configuration's.
func mayPass(err error) bool {
	return ofFile(err) || errors.Is(err, modelstore.ErrMemory)
}

// ofFile reports whether an error is that of a file.
func ofFile(err error) bool {
	_, is := errors.AsType[*fs.PathError](err)
	return is
}

// standIn returns the first of the models that can be used, or the shipped one. It comes with cause and its own name, for
// rows are never scored by another model unsaid.
func (r *run) standIn(models []modelstore.Installed, cause error) (*activeModel, error) {
	problems := cause
	for _, installed := range models {
		if r.model != nil && r.model.ref == installed.Ref() { // it stands in already
			return r.model, standsIn(describe(installed), cause)
		}
		model, err := newActiveModel(installed, r.config)
		if err == nil {
			return model, standsIn(describe(installed), cause)
		}
		problems = errors.Join(problems, err)
	}
	model, err := r.loadFile(r.shipped)
	if err != nil {
		return nil, errors.Join(problems, err)
	}
	return model, standsIn("the shipped model "+model.ref.Version, cause)
}

func standsIn(name string, cause error) error {
	return fmt.Errorf("%s scores for the time being: %w", name, cause)
}

// loadFile loads a model file that is in no store.
func (r *run) loadFile(path string) (*activeModel, error) {
	config := r.config
	config.Model = path
	model, err := loadModel(path, config)
	if err == nil {
		r.kept.model, r.kept.config = model, config
		return model, nil
	}
	if mayPass(err) && r.kept.fits(config) {
		r.rt.Log.Info("the model's file cannot be read now: the model that was read before stays", "error", err)
		return r.kept.model.with(config), nil
	}
	return nil, err
}

// kept is the model of a file that is in no store, as it was read by this process.
type kept struct {
	model  *activeModel // nil: none was
	config Config
}

// fits reports whether it is what a configuration asks for.
func (k *kept) fits(c Config) bool {
	return k.model != nil && k.config.Model == c.Model && k.config.Engine == c.Engine && k.config.Iterations == c.Iterations
}
