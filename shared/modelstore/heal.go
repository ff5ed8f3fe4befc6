package modelstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/disk"
)

// copySuffix ends the name of the second copy of a state file.
const copySuffix = ".copy"

// readCopied reads a state file, or its second copy when the first one is damaged.
func (s *Store) readCopied(name string, limit int64, into any) error {
	err := readJSON(s.path(name), limit, into)
	if !errors.Is(err, ErrDamaged) {
		return err
	}
	copied := readJSON(s.path(name+copySuffix), limit, into)
	if copied != nil { // what is wrong with the first one counts
		return err
	}
	s.options.Log.Error("model store: a file is damaged, its copy is used", "file", name, "error", err)
	return nil
}

// writeCopied writes a state file, which decides, and then its second copy.
func (s *Store) writeCopied(name string, v any) error {
	if err := s.writeJSON(s.path(name), v); err != nil {
		return err
	}
	if err := s.writeJSON(s.path(name+copySuffix), v); err != nil {
		s.options.Log.Warn("model store: second copy is not written", "file", name, "error", err)
	}
	return nil
}

// mend makes both copies of the state files whole and alike: the first one counts, unless it is damaged.
func (s *Store) mend() error {
	for _, file := range []struct {
		name string
		into any
	}{{currentFile, new(pointers)}, {quarantineFile, new(quarantined)}} {
		from, to := s.path(file.name), s.path(file.name+copySuffix)
		err := readJSON(from, maxQuarantine, file.into)
		if errors.Is(err, ErrDamaged) {
			from, to = to, from
			err = readJSON(from, maxQuarantine, file.into)
		}
		if err != nil {
			continue // there is none, or both are lost
		}
		data, err := disk.ReadBounded(from, maxQuarantine)
		if err != nil {
			return err
		}
		if other, err := disk.ReadBounded(to, maxQuarantine); err == nil && bytes.Equal(other, data) {
			continue
		}
		if err := s.disk.Replace(to, data); err != nil {
			return err
		}
	}
	return nil
}

// heal makes the record of a signed model from the envelope that lies beside it, if a trusted key still vouches for it.
func (s *Store) heal(id, dir string, damage error) (Installed, error) {
	path := filepath.Join(dir, envelope.EnvelopeFile)
	info, err := os.Lstat(path)
	if err != nil {
		return Installed{}, damage
	}
	sealed, err := disk.ReadBounded(path, envelope.MaxEnvelope)
	if err != nil {
		return Installed{}, damage
	}
	signed, err := envelope.VerifySigned(sealed, s.options.Keys)
	if err != nil {
		return Installed{}, errors.Join(damage, err)
	}
	i := Installed{
		Origin: OriginSigned, Source: envelope.HashOf(sealed), Key: signed.Key, Accepted: info.ModTime().UTC(), Manifest: signed.Manifest, healed: true,
	}
	i.ID = idOf(i)
	if i.ID != id {
		return Installed{}, fmt.Errorf("%w; the envelope is that of %s", damage, i.ID)
	}
	s.options.Log.Error("model store: a record is damaged, it is made again from the signed envelope", "id", id, "error", damage)
	return i, nil
}

// keepRecords writes the records that heal made, and those that say wrongly whether their model is a candidate.
func (s *Store) keepRecords() error {
	for _, i := range []*Installed{s.current, s.previous, s.candidate} {
		if i == nil || !i.healed && i.held == (i == s.candidate) {
			continue
		}
		if err := s.writeRecord(*i, i == s.candidate); err != nil {
			return err
		}
		s.mu.Lock()
		i.healed, i.held = false, i == s.candidate
		s.mu.Unlock()
	}
	return nil
}

func (s *Store) writeRecord(i Installed, held bool) error {
	return s.writeJSON(filepath.Join(i.dir, envelope.RecordFile), record{Format: storeFormat, Held: held, Installed: i})
}
