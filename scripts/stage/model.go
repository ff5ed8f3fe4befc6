package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
)

// Names of the components that bring a model of a role.
const (
	modelComponent     = "com.edgepdm.Model"
	lifeModelComponent = "com.edgepdm.LifeModel"
)

// readModel is the component of the model that pack and sign left in a folder, and the version of its manifest. The signature is
// for the devices to check.
func readModel(dir string) (p *source, version string, err error) {
	sealed, err := os.ReadFile(filepath.Join(dir, envelope.EnvelopeFile))
	if err != nil {
		return nil, "", fmt.Errorf("read the model: %w: pack and sign it first", err)
	}
	payload, err := envelope.Payload(sealed)
	if err != nil {
		return nil, "", fmt.Errorf("read the model's manifest: %w", err)
	}
	m, err := envelope.DecodeManifest(payload)
	if err != nil {
		return nil, "", fmt.Errorf("read the model's manifest: %w", err)
	}
	if err := checkArchive(filepath.Join(dir, inbox.ArchiveFile), m.Archive); err != nil {
		return nil, "", err
	}
	text, err := os.ReadFile(filepath.Join("recipes", "model-component.yaml"))
	if err != nil {
		return nil, "", fmt.Errorf("read recipe: %w: run this in the root of the repository", err)
	}
	p = &source{from: dir, name: modelComponent, files: []string{envelope.EnvelopeFile, inbox.ArchiveFile}}
	if m.ForLife() {
		p.name = lifeModelComponent
	}
	p.text = []byte(strings.Replace(string(text), "ComponentName: "+modelComponent+"\n", "ComponentName: "+p.name+"\n", 1))
	return p, m.Version, nil
}

// checkArchive makes sure that the archive is the one that the manifest names.
func checkArchive(path string, want envelope.Archive) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the model: %w", err)
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("read the model: %w", err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want.SHA256 {
		return fmt.Errorf("%s has the SHA-256 %s, its manifest says %s: pack and sign again", path, got, want.SHA256)
	}
	return nil
}
