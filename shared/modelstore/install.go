package modelstore

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
)

const (
	shortHash     = 12 // hexadecimal digits of a SHA-256 that name something
	unsignedModel = "unsigned"
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
		if t.model.Manifest, err = describe(model, file); err != nil {
			return err
		}
		t.model.Manifest.Archive.SHA256 = t.model.Source
	}
	if err := checkModel(t.model.Manifest, model); err != nil {
		return err
	}
	if t.envelope != nil {
		if err := s.disk.writeSynced(filepath.Join(staging, EnvelopeFile), t.envelope); err != nil {
			return err
		}
	}
	t.model.ID = idOf(t.model)
	return s.keep(&t.model)
}

// unpack writes the model file into a folder.
func (t *taking) unpack(dir string) (ModelFile, error) {
	limits := DefaultLimits()
	limits.Keep = keepModel
	want := t.model.Manifest.Model
	if t.envelope != nil {
		limits.Keep = func(name string) bool { return name == want.File }
		if want.SHA256 == t.model.Manifest.Archive.SHA256 { // the archive is the model
			limits.Keep = func(string) bool { return false }
		}
	}
	// The archive was hashed before; it may have been written to since. What is unpacked counts only if it is still the same.
	read := sha256.New()
	files, err := unpack(t.store.disk, io.TeeReader(t.archive, read), dir, limits)
	if _, reading := io.Copy(read, io.LimitReader(t.archive, MaxArchive)); reading != nil {
		return ModelFile{}, fmt.Errorf("read archive: %w", reading)
	}
	if sum := hex.EncodeToString(read.Sum(nil)); sum != t.sum {
		return ModelFile{}, refuse(ErrDelivery, "the archive was changed while it was read: its SHA-256 was %s, now it is %s", t.sum, sum)
	}
	if err != nil {
		return ModelFile{}, err
	}
	if t.envelope != nil && want.SHA256 == t.model.Manifest.Archive.SHA256 {
		file, err := t.wholeArchive(dir, want.File)
		if err == nil && file != want {
			err = refuse(ErrModel, "it has %d bytes, the manifest says %d", file.Size, want.Size)
		}
		return file, err
	}
	if t.envelope == nil {
		file, err := chooseModel(files)
		if errors.Is(err, errFolds) {
			for _, fold := range files {
				if err := t.store.disk.remove(filepath.Join(dir, fold.File)); err != nil {
					return ModelFile{}, err
				}
			}
			return t.wholeArchive(dir, ArchiveFile)
		}
		if err == nil && !plainName(file.File, maxFileLength) {
			err = refuse(ErrArchive, "odd name %.64q", file.File)
		}
		return file, err
	}
	if len(files) == 0 {
		return ModelFile{}, refuse(ErrArchive, "it has no %s, which the manifest says is the model", want.File)
	}
	if files[0] != want {
		return ModelFile{}, refuse(ErrModel, "it has %d bytes and the SHA-256 %s, the manifest says %d and %s", files[0].Size, files[0].SHA256, want.Size, want.SHA256)
	}
	return files[0], nil
}

// wholeArchive writes the archive itself as the model file: the models of a k-fold training are one model.
func (t *taking) wholeArchive(dir, name string) (ModelFile, error) {
	if _, err := t.archive.Seek(0, io.SeekStart); err != nil {
		return ModelFile{}, fmt.Errorf("read archive: %w", err)
	}
	sum := sha256.New()
	size, err := t.store.disk.create(filepath.Join(dir, name), io.TeeReader(t.archive, sum))
	if err != nil {
		return ModelFile{}, err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != t.sum {
		return ModelFile{}, refuse(ErrDelivery, "the archive was changed while it was read: its SHA-256 was %s, now it is %s", t.sum, got)
	}
	return ModelFile{File: name, SHA256: t.sum, Size: size}, nil
}

// readBack parses the model from the file that the engine will read.
func (s *Store) readBack(dir string, file ModelFile) (*gbdt.Model, error) {
	if limit := gbdt.DefaultLimits().FileSize; file.Size > limit {
		return nil, refuse(ErrModel, "it has %d bytes, at most %d", file.Size, limit)
	}
	path := filepath.Join(dir, file.File)
	if err := admit(path, s.options.Memory); err != nil {
		return nil, err
	}
	data, err := gbdt.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if hashOf(data) != file.SHA256 {
		return nil, fmt.Errorf("read model back: the disk gives other bytes than were written")
	}
	model, err := gbdt.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	return model, nil
}

// describe makes the manifest of a model that has none.
func describe(model *gbdt.Model, file ModelFile) (Manifest, error) {
	m := Manifest{
		Format: ManifestFormat, Name: model.Attributes[attrName], Version: file.SHA256[:shortHash], Model: file,
		Objective: model.Objective, Features: model.FeatureNames, Trainer: trainerOf(model),
	}
	if !plainName(m.Name, maxNameLength) {
		m.Name = unsignedModel
	}
	if model.NumFeature > MaxFeatures || !plainText(m.Objective) {
		return m, refuse(ErrModel, "it has %d features (at most %d) and the objective %.40q", model.NumFeature, MaxFeatures, m.Objective)
	}
	var err error
	if m.Threshold, err = thresholdOf(model); err != nil {
		return m, err
	}
	if len(m.Features) > 0 {
		m.Schema = event.SchemaOf(m.Features)
		if err := m.validateFeatures(); err != nil {
			return m, refuse(ErrModel, "%v", err)
		}
	}
	return m, nil
}

func idOf(i Installed) string {
	if i.Origin == OriginSigned {
		return i.Manifest.Version + "-" + i.Source[:shortHash]
	}
	return string(i.Origin) + "-" + i.Source[:shortHash]
}

// stage makes an empty staging folder.
func (s *Store) stage() error {
	if err := s.disk.remove(s.path(stagingDir)); err != nil {
		return err
	}
	return s.disk.mkdir(s.path(stagingDir))
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
		if s.previous != nil && s.previous.ID == model.ID { // it was no use
			s.setModels(s.current, nil)
		}
		if err := s.disk.remove(target); err != nil {
			return err
		}
	} else if !missing(err) {
		return err
	}
	model.Accepted = s.options.Now().UTC()
	if err := s.disk.sync(filepath.Join(staging, model.Manifest.Model.File)); err != nil {
		return err
	}
	data, err := durable.Marshal(record{Format: storeFormat, Installed: *model})
	if err != nil {
		return err
	}
	if err := s.disk.writeSynced(filepath.Join(staging, recordFile), data); err != nil {
		return err
	}
	if err := s.disk.syncDir(staging); err != nil {
		return err
	}
	if err := s.disk.mkdir(versions); err != nil {
		return err
	}
	if err := s.disk.rename(staging, target); err != nil {
		return err
	}
	if err := s.disk.syncDir(versions); err != nil {
		return err
	}
	model.dir, model.memory = target, s.options.Memory
	return nil
}
