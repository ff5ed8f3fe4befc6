package modelstore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"edgepdm/shared/archive"
	"edgepdm/shared/durable"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/modelstore/internal/disk"
)

// install unpacks and tests the model in staging and moves it to versions.
func (t *taking) install() error {
	s := t.store
	staging := s.path(stagingDir)
	if declared := t.model.Manifest.Model.Size; t.envelope != nil { // before it is unpacked
		if err := s.options.Memory(gbdt.FootprintOf(declared)); err != nil {
			return fmt.Errorf("%w: %w", ErrMemory, err)
		}
	}
	if err := s.stage(); err != nil {
		return err
	}
	file, err := t.unpack(staging)
	if err != nil {
		return err
	}
	err = s.begin(t.model.Source)
	if t.began = err == nil || errors.Is(err, ErrCrashed); err != nil {
		return err
	}
	model, err := s.readBack(staging, file)
	if err != nil {
		return err
	}
	if t.envelope == nil {
		if t.model.Manifest, err = envelope.Describe(model, file); err != nil {
			return err
		}
		t.model.Manifest.Archive.SHA256 = t.model.Source
		if err := s.checkRole(t.model.Manifest); err != nil {
			return err
		}
	}
	if err := envelope.CheckModel(t.model.Manifest, model); err != nil {
		return err
	}
	if t.envelope != nil {
		if err := s.disk.WriteSynced(filepath.Join(staging, envelope.EnvelopeFile), t.envelope); err != nil {
			return err
		}
	}
	t.model.ID = idOf(t.model)
	return s.keep(&t.model)
}

// unpack writes the model file into a folder.
func (t *taking) unpack(dir string) (envelope.ModelFile, error) {
	keep := keepModel
	want := t.model.Manifest.Model
	if t.envelope != nil {
		keep = func(name string) bool { return name == want.File }
		if want.SHA256 == t.model.Manifest.Archive.SHA256 { // the archive is the model
			keep = func(string) bool { return false }
		}
	}
	// The archive was hashed before; it may have been written to since. What is unpacked counts only if it is still the same.
	read := sha256.New()
	files, err := unpack(t.store.disk, io.TeeReader(t.archive, read), dir, archiveLimits(), keep)
	if _, reading := io.Copy(read, io.LimitReader(t.archive, envelope.MaxArchive)); reading != nil {
		return envelope.ModelFile{}, fmt.Errorf("read archive: %w", reading)
	}
	if sum := hex.EncodeToString(read.Sum(nil)); sum != t.sum {
		return envelope.ModelFile{}, fmt.Errorf("%w: the archive was changed while it was read: its SHA-256 was %s, now it is %s", ErrDelivery, t.sum, sum)
	}
	if err != nil {
		return envelope.ModelFile{}, err
	}
	if t.envelope != nil && want.SHA256 == t.model.Manifest.Archive.SHA256 {
		file, err := t.wholeArchive(dir, want.File)
		if err == nil && file != want {
			err = fmt.Errorf("%w: it has %d bytes, the manifest says %d", envelope.ErrModel, file.Size, want.Size)
		}
		return file, err
	}
	if t.envelope == nil {
		file, err := chooseModel(files)
		if errors.Is(err, errFolds) {
			for _, fold := range files {
				if err := t.store.disk.Remove(filepath.Join(dir, fold.File)); err != nil {
					return envelope.ModelFile{}, err
				}
			}
			return t.wholeArchive(dir, inbox.ArchiveFile)
		}
		if err == nil && !envelope.PlainName(file.File, envelope.MaxFileLength) {
			err = fmt.Errorf("%w: odd name %.64q", archive.ErrInvalid, file.File)
		}
		return file, err
	}
	if len(files) == 0 {
		return envelope.ModelFile{}, fmt.Errorf("%w: it has no %s, which the manifest says is the model", archive.ErrInvalid, want.File)
	}
	if files[0] != want {
		return envelope.ModelFile{}, fmt.Errorf("%w: it has %d bytes and the SHA-256 %s, the manifest says %d and %s", envelope.ErrModel, files[0].Size, files[0].SHA256, want.Size, want.SHA256)
	}
	return files[0], nil
}

// wholeArchive writes the archive itself as the model file: the models of a k-fold training are one model.
func (t *taking) wholeArchive(dir, name string) (envelope.ModelFile, error) {
	if _, err := t.archive.Seek(0, io.SeekStart); err != nil {
		return envelope.ModelFile{}, fmt.Errorf("read archive: %w", err)
	}
	sum := sha256.New()
	size, err := t.store.disk.Create(filepath.Join(dir, name), io.TeeReader(t.archive, sum))
	if err != nil {
		return envelope.ModelFile{}, err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != t.sum {
		return envelope.ModelFile{}, fmt.Errorf("%w: the archive was changed while it was read: its SHA-256 was %s, now it is %s", ErrDelivery, t.sum, got)
	}
	return envelope.ModelFile{File: name, SHA256: t.sum, Size: size}, nil
}

// readBack parses the model from the file that the engine will read.
func (s *Store) readBack(dir string, file envelope.ModelFile) (*gbdt.Model, error) {
	if limit := gbdt.DefaultLimits().FileSize; file.Size > limit {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d", envelope.ErrModel, file.Size, limit)
	}
	path := filepath.Join(dir, file.File)
	if err := admit(path, s.options.Memory); err != nil {
		return nil, err
	}
	data, err := gbdt.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if envelope.HashOf(data) != file.SHA256 {
		return nil, fmt.Errorf("read model back: the disk gives other bytes than were written")
	}
	model, err := gbdt.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", envelope.ErrModel, err)
	}
	return model, nil
}

func idOf(i Installed) string {
	if i.Origin == OriginSigned {
		return i.Manifest.Version + "-" + i.Source[:envelope.ShortHash]
	}
	return string(i.Origin) + "-" + i.Source[:envelope.ShortHash]
}

// stage makes an empty staging folder.
func (s *Store) stage() error {
	if err := s.disk.Remove(s.path(stagingDir)); err != nil {
		return err
	}
	return s.disk.Mkdir(s.path(stagingDir))
}

// keep moves the model in staging to versions, for good. If the same model is there already, as the previous one or as a
// candidate that was not activated, that one is used.
func (s *Store) keep(model *Installed) error {
	staging, versions := s.path(stagingDir), s.path(versionsDir)
	target := filepath.Join(versions, model.ID)
	if _, err := os.Lstat(target); err == nil {
		if there, err := s.load(model.ID); err == nil && there.Source == model.Source {
			if _, err := there.Load(); err == nil {
				*model = there
				return nil
			}
		}
		m := s.models() // it was no use
		if m.previous != nil && m.previous.ID == model.ID {
			m.previous = nil
		}
		if m.candidate != nil && m.candidate.ID == model.ID {
			m.candidate = nil
		}
		s.setModels(m)
		if err := s.disk.Remove(target); err != nil {
			return err
		}
	} else if !disk.Missing(err) {
		return err
	}
	model.Accepted = s.options.Now().UTC()
	if err := s.disk.Sync(filepath.Join(staging, model.Manifest.Model.File)); err != nil {
		return err
	}
	data, err := durable.Marshal(record{Format: storeFormat, Installed: *model})
	if err != nil {
		return err
	}
	if err := s.disk.WriteSynced(filepath.Join(staging, envelope.RecordFile), data); err != nil {
		return err
	}
	if err := s.disk.SyncDir(staging); err != nil {
		return err
	}
	if err := s.disk.Mkdir(versions); err != nil {
		return err
	}
	if err := s.disk.Rename(staging, target); err != nil {
		return err
	}
	if err := s.disk.SyncDir(versions); err != nil {
		return err
	}
	model.dir, model.memory = target, s.options.Memory
	return nil
}
