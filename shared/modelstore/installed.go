package modelstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"edgepdm/shared/archive"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/modelstore/internal/disk"
)

// storeFormat is the format version of a store and of each of its files.
const storeFormat = 1

// Files of a store; see the package comment.
const (
	formatFile     = "format"
	currentFile    = "current"
	quarantineFile = "quarantine.json"
	attemptFile    = "attempt.json"
	versionsDir    = "versions"
	stagingDir     = "staging"
)

const (
	maxStateFile  = 64 << 10
	maxRecordFile = 8 << 20 // a manifest, whose text may take more bytes as encoding/json writes it
)

// Origin says why a model is trusted.
type Origin string

// The origins.
const (
	OriginSigned   Origin = "signed"   // a signature by a trusted key
	OriginUnsigned Origin = "unsigned" // the configuration accepts unsigned models
	OriginShipped  Origin = "shipped"  // an artifact of the component itself
)

// Installed is a model in the store.
type Installed struct {
	ID       string    `json:"id"` // folder in versions
	Origin   Origin    `json:"origin"`
	Source   string    `json:"source"`        // SHA-256 of the envelope; of the archive if unsigned, of the model file if shipped
	Key      string    `json:"key,omitempty"` // id of the key that signed it
	Accepted time.Time `json:"accepted"`
	// Manifest is the signed one, or what the model file tells where there is none: then it has no golden rows, Version is
	// the beginning of the model's SHA-256, and Features may be empty.
	Manifest envelope.Manifest `json:"manifest"`

	dir    string
	memory func(need int64) error
	healed bool // its record was damaged, and is made from the envelope
	held   bool // record.Held
}

// Candidate is a model that passed every test and is not active yet. It is activated, held or dropped.
type Candidate struct{ Installed }

// ModelPath returns the model file.
func (i Installed) ModelPath() string { return filepath.Join(i.dir, i.Manifest.Model.File) }

// Ref names the model in messages.
func (i Installed) Ref() event.ModelRef {
	return event.ModelRef{Version: i.Manifest.Version, SHA256: i.Manifest.Model.SHA256}
}

// Trusted says whether a model is still trusted: one that was signed is while one of the keys vouches for it.
func (s *Store) Trusted(i Installed) bool {
	if i.Origin != OriginSigned {
		return true
	}
	for _, key := range s.options.Keys {
		if i.Key == envelope.KeyID(key) {
			return true
		}
	}
	sealed, err := disk.ReadBounded(filepath.Join(i.dir, envelope.EnvelopeFile), envelope.MaxEnvelope) // another key may have signed it, too
	if err != nil {
		return false
	}
	signed, err := envelope.VerifySigned(sealed, s.options.Keys)
	return err == nil && signed.Content == i.content()
}

// content is Signed.Content of a signed model, "" of another one.
func (i Installed) content() string {
	if i.Origin != OriginSigned {
		return ""
	}
	return i.Manifest.Content()
}

// Load reads and parses the model file, after checking that it is still the one that was accepted. The error wraps
// ErrDamaged if it is not, and ErrMemory if there is too little memory for it.
func (i Installed) Load() (*gbdt.Model, error) {
	if err := admit(i.ModelPath(), i.memory); err != nil {
		return nil, err
	}
	data, err := gbdt.ReadFile(i.ModelPath())
	if err != nil {
		return nil, err
	}
	if envelope.HashOf(data) != i.Manifest.Model.SHA256 {
		return nil, fmt.Errorf("%w: %s has changed since it was accepted", ErrDamaged, i.ModelPath())
	}
	return gbdt.Parse(data)
}

// admit says whether there is memory to load a model file. It is asked before the file is read, for a process that is ended
// while it parses cannot refuse.
func admit(path string, memory func(need int64) error) error {
	need, err := gbdt.Footprint(path)
	if err != nil {
		return err
	}
	if err := memory(need); err != nil {
		return fmt.Errorf("%w: %w", ErrMemory, err)
	}
	return nil
}

// record is the content of recordFile.
type record struct {
	Format int  `json:"format"`
	Held   bool `json:"held,omitempty"` // it is a candidate, and not to become active should currentFile be lost
	Installed
}

// numbered is what all state files have.
type numbered struct {
	Format int `json:"format"`
}

// readJSON reads a file of the store, whose member format says how to read the rest.
func readJSON(path string, limit int64, into any) error {
	data, err := disk.ReadBounded(path, limit)
	if errors.Is(err, archive.ErrLimit) || errors.Is(err, disk.ErrNotRegular) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return err
	}
	err = durable.Decode(data, storeFormat, into)
	if errors.Is(err, durable.ErrNewerFormat) {
		return fmt.Errorf("%s: %w: %w", path, envelope.ErrFormat, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
	}
	return nil
}

func (s *Store) writeJSON(path string, v any) error {
	data, err := durable.Marshal(v)
	if err != nil {
		return err
	}
	return s.disk.Replace(path, data)
}

// load reads what is in a folder of versions.
func (s *Store) load(id string) (Installed, error) {
	if !inbox.ValidID(id) {
		return Installed{}, fmt.Errorf("%w: %.64q is no model's folder", ErrDamaged, id)
	}
	dir := filepath.Join(s.dir, versionsDir, id)
	var r record
	err := readJSON(filepath.Join(dir, envelope.RecordFile), maxRecordFile, &r)
	if errors.Is(err, ErrDamaged) {
		r.Installed, err = s.heal(id, dir, err)
	}
	if err != nil {
		return Installed{}, err
	}
	file := r.Manifest.Model
	if r.ID != id || !envelope.ValidHash(r.Source) || !envelope.ValidHash(file.SHA256) || !envelope.PlainName(file.File, envelope.MaxFileLength) {
		return Installed{}, fmt.Errorf("%w: %s", ErrDamaged, filepath.Join(dir, envelope.RecordFile))
	}
	r.dir, r.memory, r.held = dir, s.options.Memory, r.Held
	// Its content is checked when it is loaded.
	if info, err := os.Lstat(r.ModelPath()); err != nil || !info.Mode().IsRegular() || info.Size() != file.Size {
		return Installed{}, fmt.Errorf("%w: %s", ErrDamaged, r.ModelPath())
	}
	return r.Installed, nil
}
