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

// retry plans another attempt after a problem that may pass, and reports whether it is too early to report it. nil ends it.
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
func (m *models) activate() {
	seeding := m.seed()
	model, err := m.load()
	if m.role == event.RoleLife && errors.Is(err, errNoModel) { // that is no fault
		err = nil
	}
	if model != nil && (m.active == nil || m.active.ref != model.ref) {
		m.use(model, probation{})
	}
	problem := seeding
	if problem == nil && (model == nil || m.access.problem == nil) { // a closed store is tried again by itself
		problem = err
	}
	quiet := m.loading.retry(problem, m.now())
	if model != nil {
		m.sayWhichScores(err)
		if !quiet || seeding == nil {
			m.rt.Conditions().Set(event.CodeModelStore, m.place(placeShipped), seeding)
		}
		return
	}
	if quiet {
		return
	}
	if m.role == event.RoleLife {
		m.sayWhichScores(err)
		return
	}
	if seeding != nil {
		err = fmt.Errorf("%w: %w", err, seeding)
	}
	if m.loading.failed <= quietTries {
		m.rt.Log.Error("no model loaded: telemetry is not scored", "error", err)
	}
	m.rt.SetModel(nil)
	m.rt.SetState(event.StateNoModel, err.Error())
}

// seed puts the model that ships with the component into the store, once in a process: its file does not change.
func (m *models) seed() error {
	if m.registry == nil || m.role == event.RoleLife || *m.seeded {
		return nil
	}
	usable := func(manifest envelope.Manifest, model *gbdt.Model) error {
		_, err := readyToScore(modelstore.Installed{Manifest: manifest}, model, m.config)
		return err
	}
	if _, err := m.registry.store.Seed(m.shipped, beside(m.shipped), usable); err != nil {
		_, _ = m.registry.store.Seed(m.shipped, "", usable) // it scores without a manifest, too; the first error tells more
		return err
	}
	*m.seeded = true
	return nil
}

// load returns the model that is to score. One that only stands in for it comes with what is wrong.
func (m *models) load() (*activeModel, error) {
	if m.config.Model != "" && m.role != event.RoleLife {
		return m.loadFile(m.config.Model)
	}
	if m.registry == nil {
		return m.standIn(modelstore.LastActive(m.access.dir, m.access.options), m.access.problem)
	}
	model, err := m.registry.current()
	if err == nil || !mayPass(err) && !errors.Is(err, modelstore.ErrDamaged) {
		return model, err
	}
	var before []modelstore.Installed
	if previous, ok := m.registry.store.Previous(); ok {
		before = append(before, previous)
	}
	return m.standIn(before, err)
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

// standIn returns the first of the models that can be used, or the shipped one. The error names it and the
// cause, so that everybody knows which model scores.
func (m *models) standIn(models []modelstore.Installed, cause error) (*activeModel, error) {
	problems := cause
	for _, installed := range models {
		if m.active != nil && m.active.ref == installed.Ref() { // it stands in already
			return m.active, standsIn(describe(installed), cause)
		}
		model, err := newActiveModel(installed, m.config)
		if err == nil {
			return model, standsIn(describe(installed), cause)
		}
		problems = errors.Join(problems, err)
	}
	if m.role == event.RoleLife {
		return nil, problems
	}
	model, err := m.loadFile(m.shipped)
	if err != nil {
		return nil, errors.Join(problems, err)
	}
	return model, standsIn("the shipped model "+model.ref.Version, cause)
}

func standsIn(name string, cause error) error {
	return fmt.Errorf("%s scores for the time being: %w", name, cause)
}

// loadFile loads a model file that is in no store.
func (m *models) loadFile(path string) (*activeModel, error) {
	config := m.config
	config.Model = path
	model, err := loadModel(path, config)
	if err == nil {
		m.kept.model, m.kept.config = model, config
		return model, nil
	}
	if mayPass(err) && m.kept.fits(config) {
		m.rt.Log.Info("the model file cannot be read: the model that was read earlier stays in use", "error", err)
		return m.kept.model.with(config), nil
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
