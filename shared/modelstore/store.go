package modelstore

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/memory"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/disk"
)

// Options of a Store.
type Options struct {
	Role           event.Role             // of the models that are taken; empty: event.RoleFault
	Keys           []ed25519.PublicKey    // whose signatures are trusted
	AllowUnsigned  bool                   // accept a model.tar.gz without a manifest
	AllowDowngrade bool                   // accept lower, equal and expired versions, and a model of another name
	Memory         func(need int64) error // says whether so many bytes can be taken; default: memory.Admit
	Boot           string                 // names the running of the machine; default: Linux's boot id
	Release        string                 // of this program: what another release could not use is tried again
	Now            func() time.Time       // default: time.Now
	Log            *slog.Logger           // default: none
}

// Store keeps the active model, the one before it, and a candidate beside it. It belongs to one process, and may be used by several goroutines.
type Store struct {
	dir     string
	options Options
	disk    disk.Disk
	lock    io.Closer

	work sync.Mutex // held while something is changed

	mu         sync.Mutex // guards what follows
	current    *Installed
	previous   *Installed
	candidate  *Installed // scores beside current
	quarantine []Entry
	unwritten  bool   // the quarantine on disk is an older one
	lost       string // what was lost of which model is active, for a person; "" = nothing

	trying   sync.Mutex // guards attemptFile and what follows
	tried    string     // the source of the trial under way
	stopping bool
}

// pointers is the content of currentFile: one file, so that one rename changes them all.
type pointers struct {
	Format    int    `json:"format"`
	Current   string `json:"current"`
	Previous  string `json:"previous,omitempty"`
	Candidate string `json:"candidate,omitempty"`
}

// OpenStore opens the store in the folder dir, or makes one. It repairs what a process that was stopped left behind:
// an unfinished installation is dropped, an unfinished rollback is completed. The error wraps durable.ErrLocked, or ErrFormat
// for the store of a newer release, which is left as it is. Damage is no error: what cannot be used is reported to
// Options.Log and done without.
func OpenStore(dir string, options Options) (*Store, error) {
	return openStore(disk.Disk{}, dir, options)
}

func newStore(d disk.Disk, dir string, options Options) *Store {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Memory == nil {
		options.Memory = memory.Admit
	}
	if options.Boot == "" {
		options.Boot = bootID()
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	return &Store{dir: dir, options: options, disk: d}
}

func openStore(d disk.Disk, dir string, options Options) (_ *Store, err error) {
	s := newStore(d, dir, options)
	if err := d.Mkdir(dir); err != nil {
		return nil, fmt.Errorf("open model store: %w", err)
	}
	if s.lock, err = durable.Lock(dir); err != nil {
		return nil, fmt.Errorf("open model store: %w", err)
	}
	defer func() {
		if err != nil {
			_ = s.lock.Close()
		}
	}()
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open model store: %w", err)
	}
	return s, nil
}

// open reads everything before it changes anything, so that a store of a newer release stays as it is.
func (s *Store) open() error {
	newStore := false
	err := readJSON(s.path(formatFile), maxStateFile, new(numbered))
	switch {
	case disk.Missing(err):
		newStore = true
	case errors.Is(err, ErrDamaged):
		s.options.Log.Error("model store: the format file is damaged, taken for format 1", "error", err)
		newStore = true
	case err != nil:
		return err
	}
	p, err := s.readPointers()
	if err != nil {
		return err
	}
	if err := s.readQuarantine(); err != nil {
		return err
	}
	if err := readJSON(s.path(attemptFile), maxStateFile, new(numbered)); errors.Is(err, envelope.ErrFormat) {
		return err
	}
	if s.current, err = s.loadOrNone(p.Current); err != nil {
		return err
	}
	if s.previous, err = s.loadOrNone(p.Previous); err != nil {
		return err
	}
	if s.candidate, err = s.loadOrNone(p.Candidate); err != nil {
		return err
	}
	if newStore {
		if err := s.disk.Mkdir(s.path(versionsDir)); err != nil {
			return err
		}
		if err := s.writeJSON(s.path(formatFile), numbered{storeFormat}); err != nil {
			return err
		}
		if err := s.disk.SyncDir(filepath.Dir(s.dir)); err != nil { // the folder's own name
			s.options.Log.Warn("model store: sync the folder above it", "error", err)
		}
	}
	if err := s.repair(p); err != nil { // done again next time; what is in memory is right
		s.options.Log.Warn("model store: repair", "error", err)
	}
	return nil
}

// readPointers reads which models are active, previous and candidate. Where that is lost, the highest version in the store is
// taken for the active one, as all of them were verified; but not a candidate, which has to prove itself.
func (s *Store) readPointers() (pointers, error) {
	var p pointers
	err := s.readCopied(currentFile, maxStateFile, &p)
	if err == nil || disk.Missing(err) {
		return p, nil
	}
	if !errors.Is(err, ErrDamaged) {
		return p, err
	}
	s.options.Log.Error("model store: lost which model is active, taking the highest version", "error", err)
	s.lost = "it was lost which model was active"
	entries, err := os.ReadDir(s.path(versionsDir))
	if err != nil && !disk.Missing(err) {
		return p, err
	}
	p = pointers{} // differs from what is right by its format, so that it is written again
	var best *Installed
	for _, e := range entries {
		i, err := s.loadOrNone(e.Name())
		if err != nil {
			return p, err
		}
		if i != nil && i.held {
			p.Candidate = i.ID
			continue
		}
		if i != nil && (best == nil || cmp.Or(envelope.Compare(i.Manifest.Version, best.Manifest.Version), i.Accepted.Compare(best.Accepted)) > 0) {
			best, p.Current = i, i.ID
		}
	}
	return p, nil
}

// loadOrNone returns the model with an id, nil if there is none that can be used.
func (s *Store) loadOrNone(id string) (*Installed, error) {
	if id == "" {
		return nil, nil
	}
	i, err := s.load(id)
	switch {
	case err == nil:
		return &i, nil
	case disk.Missing(err), errors.Is(err, ErrDamaged):
		s.options.Log.Error("model store: an installed model cannot be used", "id", id, "error", err)
		return nil, nil
	}
	return nil, err
}

// repair completes or drops what a stopped process did not finish. p is what currentFile says.
func (s *Store) repair(p pointers) error {
	if s.current == nil && p.Current != "" {
		s.lost = fmt.Sprintf("the active model, %s, was damaged and is lost", p.Current)
	}
	if s.current == nil && s.previous != nil {
		s.options.Log.Error("model store: the active model is lost, the previous one takes its place", "model", s.previous.ID)
		s.current, s.previous = s.previous, nil
	}
	if s.current != nil && (s.previous != nil || s.dispensable()) && s.rolledBack(*s.current) {
		to, _ := optional(s.previous)
		s.options.Log.Warn("model store: completing a rollback that was interrupted", "from", s.current.ID, "to", to.ID)
		s.current, s.previous = s.previous, nil
	}
	if held := s.candidate; held != nil {
		if !s.admissible(*held) {
			s.options.Log.Warn("model store: nothing vouches for the candidate any more, it is dropped", "candidate", held.ID)
			s.candidate = nil
		}
		if s.dropped(*held) || s.current != nil && s.current.ID == held.ID {
			s.candidate = nil
		}
	}
	if now := pointersTo(s.models()); now != p && now.Current+p.Current != "" {
		if err := s.writeCopied(currentFile, now); err != nil {
			return err
		}
	}
	if err := errors.Join(s.keepRecords(), s.mend()); err != nil {
		return err
	}
	leftovers := []string{stagingDir, formatFile + disk.TempSuffix, currentFile + disk.TempSuffix, quarantineFile + disk.TempSuffix, attemptFile + disk.TempSuffix,
		currentFile + copySuffix + disk.TempSuffix, quarantineFile + copySuffix + disk.TempSuffix}
	for _, name := range leftovers {
		if err := s.disk.Remove(s.path(name)); err != nil {
			return err
		}
	}
	over := func(source string) bool { // only not ended
		_, barred := s.barred(source)
		return barred || s.current != nil && s.current.Source == source || s.candidate != nil && s.candidate.Source == source
	}
	if err := s.end(over); err != nil {
		return err
	}
	if s.current != nil && !s.rolledBack(*s.current) {
		if err := s.pardon(*s.current); err != nil {
			return err
		}
	}
	return s.prune()
}

// models are those that a store keeps; each may be nil.
type models struct{ current, previous, candidate *Installed }

func (s *Store) models() models { return models{s.current, s.previous, s.candidate} }

func pointersTo(m models) pointers {
	id := func(i *Installed) string {
		if i == nil {
			return ""
		}
		return i.ID
	}
	return pointers{Format: storeFormat, Current: id(m.current), Previous: id(m.previous), Candidate: id(m.candidate)}
}

// prune removes the models that are neither active nor previous nor candidate.
func (s *Store) prune() error {
	entries, err := os.ReadDir(s.path(versionsDir))
	if err != nil && !disk.Missing(err) {
		return err
	}
	keep := pointersTo(s.models())
	for _, e := range entries {
		if e.Name() == keep.Current || e.Name() == keep.Previous || e.Name() == keep.Candidate {
			continue
		}
		if err := s.disk.Remove(filepath.Join(s.path(versionsDir), e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// Close lets another process open the store.
func (s *Store) Close() error {
	s.work.Lock()
	defer s.work.Unlock()
	return errors.Join(s.keepQuarantine(), s.lock.Close())
}

// Current returns the active model.
func (s *Store) Current() (Installed, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return optional(s.current)
}

// Previous returns the model that a rollback would make active.
func (s *Store) Previous() (Installed, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return optional(s.previous)
}

// Candidate returns the model that is held beside the active one.
func (s *Store) Candidate() (Installed, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return optional(s.candidate)
}

// Lost says why the active model is another one than before the store was opened; "" where it is not. What was lost is
// made good by the next model that is activated.
func (s *Store) Lost() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

func optional(i *Installed) (Installed, bool) {
	if i == nil {
		return Installed{}, false
	}
	return *i, true
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }
