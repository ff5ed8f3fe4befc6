package modelstore

import (
	"errors"
	"fmt"

	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
)

// Hold keeps a candidate beside the active model, over restarts, until Promote, Reject or Drop, in place of an older one, of
// which nothing is said. It ends the attempt. After an error, Candidate tells which of the two is held.
func (s *Store) Hold(c Candidate) error {
	s.work.Lock()
	defer s.work.Unlock()
	err := s.hold(c.ID)
	if err := s.endAttempt(c.Source); err != nil { // the process is alive, whatever came of it
		s.options.Log.Warn("model store: end the attempt", "error", err)
	}
	if err != nil {
		return fmt.Errorf("hold candidate %s: %w", c.ID, err)
	}
	return nil
}

func (s *Store) hold(id string) error {
	next, err := s.load(id)
	if err != nil {
		return err
	}
	m := s.models()
	switch {
	case m.current == nil:
		return errors.New("there is no active model beside which it could be held")
	case m.current.ID == id:
		return ErrActive
	case m.candidate != nil && m.candidate.ID == id:
		return nil
	}
	// First its record, so that it does not become active should currentFile be lost.
	if err := s.writeRecord(next, true); err != nil {
		return err
	}
	next.held, m.candidate = true, &next
	if err := s.point(m); err != nil {
		return err
	}
	s.tidyVersions()
	return nil
}

// Promote makes the candidate the active model, as Activate does, with one rename. The error wraps ErrNoCandidate if there is
// none. After an error, Current tells which model is active.
func (s *Store) Promote() error {
	s.work.Lock()
	defer s.work.Unlock()
	if s.candidate == nil {
		return fmt.Errorf("promote: %w", ErrNoCandidate)
	}
	if err := s.activate(s.candidate.ID); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = ""
	return nil
}

// Reject puts the candidate into quarantine, for good: a corrected model needs a higher version. The error wraps
// ErrNoCandidate if there is none. After another error it is gone all the same, but the disk may not know: it may be held
// again when the store is opened.
func (s *Store) Reject(reason string) error {
	s.work.Lock()
	defer s.work.Unlock()
	bad := s.candidate
	if bad == nil {
		return fmt.Errorf("reject: %w", ErrNoCandidate)
	}
	// First the quarantine: a process that is stopped behind it drops the candidate when it opens the store.
	noting := s.note(Entry{
		Source: bad.Source, Content: bad.content(), Name: bad.Manifest.Name, Version: bad.Manifest.Version, Reason: ReasonRejected, Detail: reason, Final: true,
	})
	if err := errors.Join(noting, s.letGo()); err != nil {
		return fmt.Errorf("reject candidate %s: %w", bad.ID, err)
	}
	return nil
}

// letGo holds no candidate any more, whatever the disk says.
func (s *Store) letGo() error {
	m := s.models()
	m.candidate = nil
	err := s.point(m)
	s.setModels(m)
	s.tidyVersions()
	return err
}

// tidyVersions removes models that are no longer needed.
func (s *Store) tidyVersions() {
	if err := s.prune(); err != nil { // done again when the store is opened
		s.options.Log.Warn("model store: remove old models", "error", err)
	}
}

// supersedes says whether a candidate is of no use any more beside a model that becomes active. The model that ships with the
// component is there to be replaced.
func supersedes(next, candidate Installed) bool {
	if next.ID == candidate.ID {
		return true
	}
	if next.Origin == OriginShipped {
		return false
	}
	return next.Origin != OriginSigned || candidate.Origin != OriginSigned || next.Manifest.Name != candidate.Manifest.Name ||
		envelope.Compare(candidate.Manifest.Version, next.Manifest.Version) <= 0
}

// admissible says whether a candidate would still be taken: it is none any more once its key, or unsigned models, are not trusted.
// An active model stays in that case, as there may be no other.
func (s *Store) admissible(candidate Installed) bool {
	if candidate.Origin == OriginUnsigned {
		return s.options.AllowUnsigned
	}
	return s.Trusted(candidate)
}

// intact says whether the model file is still the one that was accepted.
func (i Installed) intact() bool {
	data, err := gbdt.ReadFile(i.ModelPath())
	return err == nil && envelope.HashOf(data) == i.Manifest.Model.SHA256
}
