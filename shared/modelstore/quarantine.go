package modelstore

import (
	"errors"
	"slices"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/disk"
)

const (
	maxEntries    = 256
	maxDetail     = 300
	maxQuarantine = 1 << 20
)

// Entry is a model that was refused, rolled back or rejected.
type Entry struct {
	Source  string    `json:"source"`            // SHA-256 of the envelope, of the archive if unsigned, of the model file if shipped
	Content string    `json:"content,omitempty"` // Signed.Content; missing for what is not signed
	Name    string    `json:"name,omitempty"`
	Version string    `json:"version,omitempty"`
	Reason  Reason    `json:"reason"`
	Detail  string    `json:"detail"`
	Final   bool      `json:"final"` // not tried again until its manifest changes
	Release string    `json:"release,omitempty"`
	Since   time.Time `json:"since"`
}

// quarantined is the content of quarantineFile.
type quarantined struct {
	Format  int     `json:"format"`
	Entries []Entry `json:"entries"` // oldest first
}

// Quarantined returns the models that were refused, rolled back or rejected, oldest first, at most 256.
func (s *Store) Quarantined() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.quarantine)
}

func (s *Store) readQuarantine() error {
	var q quarantined
	err := s.readCopied(quarantineFile, maxQuarantine, &q)
	switch {
	case disk.Missing(err):
		return nil
	case errors.Is(err, ErrDamaged):
		s.options.Log.Error("model store: the quarantine is lost", "error", err)
		return nil
	case err != nil:
		return err
	}
	s.quarantine = q.Entries
	return nil
}

// entry returns what is known against a source.
func (s *Store) entry(source string) (Entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.quarantine {
		if e.Source == source {
			return e, true
		}
	}
	return Entry{}, false
}

// barred says whether a source is not to be tried. A model that another release of this program could not use is tried
// again, as this one may know more; one that did not prove itself is not.
func (s *Store) barred(source string) (Entry, bool) {
	e, ok := s.entry(source)
	return e, ok && s.bars(e)
}

func (s *Store) bars(e Entry) bool {
	return e.Final && (e.Reason.unproven() || e.Release == s.options.Release)
}

// barredManifest says whether a signed manifest is not to be tried, in whatever envelope it comes: one that says the same
// as a refused one, or any of a version that was rolled back or rejected: a corrected model needs a higher one.
func (s *Store) barredManifest(content string, m envelope.Manifest) (Entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.quarantine {
		same := e.Content != "" && e.Content == content
		if e.Reason.unproven() {
			same = same || m.Name != "" && e.Name == m.Name && e.Version == m.Version
		}
		if same && s.bars(e) {
			return e, true
		}
	}
	return Entry{}, false
}

// rank orders entries by what they are worth when the quarantine is full: what bars nothing, such as bad signatures, which
// anyone can make; what was found; what did not prove itself, which no other test would find again.
func (e Entry) rank() int {
	switch {
	case !e.Final:
		return 0
	case !e.Reason.unproven():
		return 1
	}
	return 2
}

// rolledBack says whether a model was rolled back.
func (s *Store) rolledBack(i Installed) bool {
	e, ok := s.entry(i.Source)
	return ok && e.Reason == ReasonRolledBack
}

// dropped says whether a model was rolled back, or rejected.
func (s *Store) dropped(i Installed) bool {
	e, ok := s.entry(i.Source)
	return ok && e.Reason.unproven()
}

// note puts an entry into the quarantine. When it is full, the oldest entry of the lowest rank makes room, unless the new
// one ranks lower still: then it is not kept.
func (s *Store) note(e Entry) error {
	e.Release, e.Since = s.options.Release, s.options.Now().UTC()
	if len(e.Detail) > maxDetail {
		e.Detail = event.Cut(e.Detail, maxDetail) + "…"
	}
	s.mu.Lock()
	at := slices.IndexFunc(s.quarantine, func(old Entry) bool { return old.Source == e.Source })
	if at >= 0 && s.quarantine[at].Reason == e.Reason && s.quarantine[at].Release == e.Release {
		s.mu.Unlock()
		return s.keepQuarantine() // it is known: no write, however often it comes
	}
	next := slices.Clone(s.quarantine)
	if at >= 0 {
		next = slices.Delete(next, at, at+1)
	}
	next = append(next, e)
	for len(next) > maxEntries {
		out := 0
		for i := range next {
			if next[i].rank() < next[out].rank() {
				out = i
			}
		}
		next = slices.Delete(next, out, out+1)
	}
	s.setQuarantine(next)
	s.mu.Unlock()
	return s.keepQuarantine()
}

func (s *Store) setQuarantine(entries []Entry) {
	s.unwritten = s.unwritten || !slices.Equal(entries, s.quarantine)
	s.quarantine = entries
}

// pardon takes a model, and what said the same, out of the quarantine.
func (s *Store) pardon(i Installed) error {
	content := i.content()
	s.mu.Lock()
	s.setQuarantine(slices.DeleteFunc(slices.Clone(s.quarantine), func(e Entry) bool {
		return e.Source == i.Source || content != "" && e.Content == content
	}))
	s.mu.Unlock()
	return s.keepQuarantine()
}

// keepQuarantine writes the quarantine if the disk has an older one.
func (s *Store) keepQuarantine() error {
	s.mu.Lock()
	q, unwritten := quarantined{Format: storeFormat, Entries: s.quarantine}, s.unwritten
	s.mu.Unlock()
	if !unwritten {
		return nil
	}
	if err := s.writeCopied(quarantineFile, q); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unwritten = false
	return nil
}
