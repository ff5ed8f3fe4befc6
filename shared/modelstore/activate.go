package modelstore

import (
	"fmt"

	"edgepdm/shared/event"
)

// Activate makes a candidate the active model, with one rename; the one before it is kept as the previous one (promises
// M6, M7). After an error, Current tells which of the two is active.
func (s *Store) Activate(c Candidate) error {
	s.work.Lock()
	defer s.work.Unlock()
	err := s.activate(c.ID)
	if err := s.endAttempt(c.Source); err != nil { // the process is alive, whatever came of it
		s.options.Log.Warn("model store: end the attempt", "error", err)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = ""
	return nil
}

// Drop ends the attempt to use a candidate, which is not activated.
func (s *Store) Drop(c Candidate) error {
	s.work.Lock()
	defer s.work.Unlock()
	return s.endAttempt(c.Source)
}

func (s *Store) activate(id string) error {
	next, err := s.load(id)
	if err != nil {
		return fmt.Errorf("activate model: %w", err)
	}
	if s.current != nil && s.current.ID == id {
		return nil
	}
	before := s.current
	if before != nil && s.rolledBack(*before) { // the pointer could not be moved then
		before = s.previous
	}
	if before != nil && before.Source == next.Source { // the same model with another manifest is nothing to go back to
		before = s.previous
	}
	pointing := s.point(&next, before)
	if pointing != nil {
		pointing = fmt.Errorf("activate model %s: %w", id, pointing)
		if s.current == nil || s.current.ID != id {
			return pointing
		}
	}
	if err := s.pardon(next); err != nil { // done again when the store is opened
		s.options.Log.Error("model store: write quarantine", "error", err)
	}
	if err := s.prune(); err != nil { // done again when the store is opened
		s.options.Log.Warn("model store: remove old models", "error", err)
	}
	return pointing
}

// point makes current and previous what the store and its currentFile say.
func (s *Store) point(current, previous *Installed) error {
	writing := s.writeCopied(currentFile, pointersTo(current, previous))
	if writing != nil {
		// The rename may have been made, and only its sync not. What counts is what the next process would read.
		var p pointers
		if err := readJSON(s.path(currentFile), maxStateFile, &p); err != nil || p != pointersTo(current, previous) {
			return writing
		}
	}
	s.setModels(current, previous)
	return writing
}

func (s *Store) setModels(current, previous *Installed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.previous = current, previous
}

// Rollback makes the previous model the active one again and puts the active one into quarantine (promise M7). There is no
// previous one afterwards. The error wraps ErrNoPrevious if there is none now: then nothing is changed, unless the store's role
// can do without a model: then there is no active one afterwards.
func (s *Store) Rollback(reason string) (Installed, error) {
	s.work.Lock()
	defer s.work.Unlock()
	bad, good := s.current, s.previous
	if bad == nil || good == nil && !s.dispensable() {
		return Installed{}, fmt.Errorf("roll back: %w", ErrNoPrevious)
	}
	if good != nil {
		if _, err := s.load(good.ID); err != nil {
			return Installed{}, fmt.Errorf("roll back: %w: %w", ErrNoPrevious, err)
		}
	}
	// First the quarantine: a process that is stopped behind it completes the rollback when it opens the store.
	err := s.note(Entry{
		Source: bad.Source, Content: bad.content(), Name: bad.Manifest.Name, Version: bad.Manifest.Version, Reason: ReasonRolledBack, Detail: reason, Final: true,
	})
	if err != nil { // a full disk must not keep a bad model active
		s.options.Log.Error("model store: write quarantine", "error", err)
	}
	now, _ := optional(good)
	if err := s.point(good, nil); err != nil {
		return now, fmt.Errorf("roll back to model %q: %w", now.ID, err)
	}
	if err := s.prune(); err != nil { // done again when the store is opened
		s.options.Log.Warn("model store: remove old models", "error", err)
	}
	return now, nil
}

// dispensable says whether the store's role can do without a model: no model of it ships with the engine.
func (s *Store) dispensable() bool { return s.options.Role == event.RoleLife }
