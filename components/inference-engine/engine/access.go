package engine

import (
	"errors"
	"fmt"
	"io/fs"
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

// storeDir is where the models of a role are.
func storeDir(role event.Role) string {
	if role == event.RoleLife {
		return "models-life"
	}
	return "models"
}

// openStore opens the store of models, or plans to try again. When it is open, or closed for another reason than before,
// activate is due.
func (m *models) openStore() {
	a := &m.access
	before := a.problem
	keys, err := m.config.keys()
	if err == nil {
		a.options = modelstore.Options{
			Role: m.role, Keys: keys, AllowUnsigned: m.config.AllowUnsigned, AllowDowngrade: m.config.AllowDowngrade, Release: m.rt.Version(), Now: m.now, Log: m.rt.Log,
		}
		var store *modelstore.Store
		if store, err = a.open(a.dir, a.options); err == nil {
			a.problem, a.failed = nil, 0
			m.registry = newRegistry(m, store)
			m.registry.watch(keys)
			m.loading = loading{again: m.now()}
			return
		}
	}
	a.again = m.now().Add(openAgain << min(a.failed, maxRetries))
	a.failed++
	a.problem = fmt.Errorf("the model store cannot be opened: %w", err)
	if before == nil || before.Error() != a.problem.Error() {
		m.loading = loading{again: m.now()}
	}
}

// sayWhichScores tells, in the health messages, why the model in use is not the one that was active; nil: it is.
func (m *models) sayWhichScores(problem error) {
	conditions := m.rt.Conditions()
	ofStore := make(map[event.Code]error)
	switch {
	case m.access.problem != nil:
		ofStore[m.access.code()] = problem
		problem = nil
	case m.registry != nil && m.registry.store.Lost() != "":
		which := "no life model"
		if m.active != nil {
			which = m.active.ref.Version
		}
		ofStore[event.CodeStateOnDisk] = fmt.Errorf("%s: %s scores until another one is delivered", m.registry.store.Lost(), which)
	}
	for _, code := range []event.Code{event.CodeModelStore, event.CodeStateOnDisk, event.CodeDisk} {
		conditions.Set(code, m.place(placeStore), ofStore[code])
	}
	conditions.Set(event.CodeModelStore, m.place(placeActive), problem)
}
