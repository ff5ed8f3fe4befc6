package modelstore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"

	"edgepdm/shared/archive"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/disk"
)

// Seed makes the model that ships with the component the active one if the store is empty, or if the active one shipped
// with another release of the component; otherwise it changes nothing. If the active one is the same model with another
// manifest, or none, only the manifest is replaced. It returns the active model. The model is trusted, as the component
// itself is; it is still parsed, and tested if manifestPath, which may be empty, names its manifest (signed or not), and by
// usable, which may be nil: what it refuses does not become active.
func (s *Store) Seed(modelPath, manifestPath string, usable func(envelope.Manifest, *gbdt.Model) error) (Installed, error) {
	s.work.Lock()
	defer s.work.Unlock()
	if current, ok := s.Current(); ok && current.Origin != OriginShipped {
		return current, nil
	}
	i, err := s.seed(modelPath, manifestPath, usable)
	if err != nil {
		return Installed{}, fmt.Errorf("seed model store with %s: %w", modelPath, err)
	}
	return i, nil
}

func (s *Store) seed(modelPath, manifestPath string, usable func(envelope.Manifest, *gbdt.Model) error) (Installed, error) {
	f, size, err := disk.OpenRegular(modelPath)
	if err != nil {
		return Installed{}, err
	}
	defer func() { _ = f.Close() }()
	if size > envelope.MaxModel {
		return Installed{}, fmt.Errorf("%w: %d bytes, at most %d", archive.ErrLimit, size, envelope.MaxModel)
	}
	content := sha256.New()
	if _, err := io.Copy(content, io.LimitReader(f, size)); err != nil {
		return Installed{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return Installed{}, err
	}
	sum, name := hex.EncodeToString(content.Sum(nil)), filepath.Base(modelPath)
	var manifest *envelope.Manifest
	if manifestPath != "" {
		m, err := ShippedManifest(manifestPath, name, sum)
		if err != nil {
			return Installed{}, err
		}
		manifest = &m
	}
	_, barred := s.barred(sum)
	if barred || s.current != nil && s.current.Source == sum && (manifest == nil || s.current.Manifest.Content() == manifest.Content()) {
		if s.current == nil {
			return Installed{}, fmt.Errorf("%w and no other model is there", ErrQuarantined)
		}
		return *s.current, nil
	}
	if err := s.stage(); err != nil {
		return Installed{}, err
	}
	defer func() { _ = s.disk.Remove(s.path(stagingDir)) }()
	if !envelope.PlainName(name, envelope.MaxFileLength) || envelope.ReservedFile(name) {
		return Installed{}, fmt.Errorf("%w: %.64q is not a plain file name", envelope.ErrModel, name)
	}
	if _, err := s.disk.Create(filepath.Join(s.path(stagingDir), name), f); err != nil {
		return Installed{}, err
	}
	file := envelope.ModelFile{File: name, SHA256: sum, Size: size}
	model, err := s.readBack(s.path(stagingDir), file)
	if err != nil {
		return Installed{}, err
	}
	m, err := envelope.Describe(model, file)
	if err != nil {
		return Installed{}, err
	}
	i := Installed{Origin: OriginShipped, Source: sum, Manifest: m}
	i.ID = idOf(i)
	if manifest != nil {
		i.Manifest = *manifest
		i.ID += "-" + manifest.Content()[:envelope.ShortHash]
	}
	if err := envelope.CheckModel(i.Manifest, model); err != nil {
		return Installed{}, err
	}
	if usable != nil {
		if err := usable(i.Manifest, model); err != nil {
			return Installed{}, err
		}
	}
	if err := s.keep(&i); err != nil {
		return Installed{}, err
	}
	return i, s.activate(i.ID)
}

// ShippedManifest reads the manifest of a model that ships with the component; sum is the SHA-256 of the model's file.
func ShippedManifest(path, model, sum string) (envelope.Manifest, error) {
	m, err := readShipped(path)
	if err != nil {
		return m, fmt.Errorf("read %s: %w", path, err)
	}
	if m.Model.SHA256 != sum {
		return m, fmt.Errorf("%w: its SHA-256 is %s, %s says %s", envelope.ErrModel, sum, path, m.Model.SHA256)
	}
	m.Model.File = filepath.Base(model)
	return m, nil
}

// readShipped reads a manifest of the component's own: plain JSON, or an envelope whose signature is not needed.
func readShipped(path string) (envelope.Manifest, error) {
	data, err := disk.ReadBounded(path, envelope.MaxEnvelope)
	if err != nil {
		return envelope.Manifest{}, err
	}
	if payload, err := envelope.Payload(data); err == nil {
		data = payload
	}
	return envelope.DecodeManifest(data)
}
