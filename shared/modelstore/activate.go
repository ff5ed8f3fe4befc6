package modelstore

import (
	"fmt"

	"edgepdm/shared/event"
)

// Activate makes a candidate the active model, with one rename; the one before it is kept as the previous one (promises
// M6, M7). After an error, Current tells which of the two is active. A candidate that is held makes room, without a word
// against it, unless its version is higher still.
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

// Drop ends the attempt to use a candidate, which is not activated. The one that is held is let go, without a word against it.
func (s *Store) Drop(c Candidate) error {
	s.work.Lock()
	defer s.work.Unlock()
	err := s.endAttempt(c.Source)
	if s.candidate == nil || s.candidate.ID != c.ID {
		return err
	}
	if err := s.letGo(); err != nil {
		return fmt.Errorf("drop candidate %s: %w", c.ID, err)
	}
	return err
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
	beside := s.candidate
	if beside != nil && supersedes(next, *beside) {
		beside = nil
	}
	pointing := s.point(models{&next, before, beside})
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

// point makes the models what the store and its currentFile say.
func (s *Store) point(m models) error {
	writing := s.writeCopied(currentFile, pointersTo(m))
	if writing != nil {
		// The rename may have been made, and only its sync not. What counts is what the next process would read.
		var p pointers
		if err := readJSON(s.path(currentFile), maxStateFile, &p); err != nil || p != pointersTo(m) {
			return writing
		}
	}
	s.setModels(m)
	if err := s.keepRecords(); err != nil { // done again when the store is opened
		s.options.Log.Warn("model store: write a model's record", "error", err)
	}
	return writing
}

func (s *Store) setModels(m models) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.previous, s.candidate = m.current, m.previous, m.candidate
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
	beside := s.candidate
	if good == nil || beside != nil && beside.ID == good.ID {
		beside = nil
	}
	if err := s.point(models{good, nil, beside}); err != nil {
		return now, fmt.Errorf("roll back to model %q: %w", now.ID, err)
	}
	if err := s.prune(); err != nil { // done again when the store is opened
		s.options.Log.Warn("model store: remove old models", "error", err)
	}
	return now, nil
}

// dispensable says whether the store's role can do without a model: no model of it ships with the engine.
func (s *Store) dispensable() bool { return s.options.Role == event.RoleLife }
