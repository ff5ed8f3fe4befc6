package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/modelstore/envelope"
)

// The store of models is tried again when it cannot be opened: after a second, and then ever less often.
const (
	openAgain  = time.Second
	maxRetries = 6 // doublings of openAgain
)

// access is the way to the store of models.
type access struct {
	open    func(dir string, options modelstore.Options) (*modelstore.Store, error)
	dir     string
	options modelstore.Options

	problem error // why it is closed; nil where it is open, or not wanted
	failed  int
	again   time.Time
}

// due reports whether it is to be tried again.
func (a *access) due(now time.Time) bool { return a.problem != nil && !now.Before(a.again) }

// code says what kind of trouble keeps it closed.
func (a *access) code() event.Code {
	_, ofFile := errors.AsType[*fs.PathError](a.problem)
	var number syscall.Errno
	switch {
	case errors.Is(a.problem, envelope.ErrFormat), errors.Is(a.problem, modelstore.ErrDamaged):
		return event.CodeStateOnDisk
	case ofFile, errors.As(a.problem, &number):
		return event.CodeDisk
	}
	return event.CodeModelStore
}

// openStore opens the store of models, or plans to try again. When it is open, or closed for another reason than before,
// activate is due.
func (r *run) openStore() {
	a := &r.store
	before := a.problem
	keys, err := r.config.keys()
	if err == nil {
		a.dir = filepath.Join(r.rt.WorkDir, storeDir)
		a.options = modelstore.Options{
			Keys: keys, AllowUnsigned: r.config.AllowUnsigned, AllowDowngrade: r.config.AllowDowngrade, Release: r.rt.Version(), Now: r.now, Log: r.rt.Log,
		}
		var store *modelstore.Store
		if store, err = a.open(a.dir, a.options); err == nil {
			a.problem, a.failed = nil, 0
			r.models = newModels(r.rt, r.config, r.now, store, r.news)
			r.models.watch(keys)
			r.loading = loading{again: r.now()}
			return
		}
	}
	a.again = r.now().Add(openAgain << min(a.failed, maxRetries))
	a.failed++
	a.problem = fmt.Errorf("the models cannot be reached: %w", err)
	if before == nil || before.Error() != a.problem.Error() {
		r.loading = loading{again: r.now()}
	}
}

// sayWhichScores tells, in the health messages, why the model in use is not the one that was active; nil: it is.
func (r *run) sayWhichScores(problem error) {
	conditions := r.rt.Conditions()
	ofStore := make(map[event.Code]error)
	switch {
	case r.store.problem != nil:
		ofStore[r.store.code()] = problem
		problem = nil
	case r.models != nil && r.models.store.Lost() != "":
		ofStore[event.CodeStateOnDisk] = fmt.Errorf("%s: %s scores until another one is delivered", r.models.store.Lost(), r.model.ref.Version)
	}
	for _, code := range []event.Code{event.CodeModelStore, event.CodeStateOnDisk, event.CodeDisk} {
		conditions.Set(code, placeStore, ofStore[code])
	}
	conditions.Set(event.CodeModelStore, placeActive, problem)
}
