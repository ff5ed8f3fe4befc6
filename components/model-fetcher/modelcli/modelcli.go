// Package modelcli has the sub-commands with which a person makes, signs and publishes models, and looks at a device's
// models and commands it: keygen, golden, pack, sign, publish, status, look, promote, reject and
// rollback.
package modelcli

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"edgepdm/shared/cli"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
)

// Files of a model's folder, besides inbox.ArchiveFile and envelope.EnvelopeFile.
const (
	manifestFile = "manifest.json" // not signed yet
	privateFile  = "model-key.pem"
	publicFile   = "model-key.pub.pem"
)

// Commands returns the sub-commands.
func Commands() []cli.Command {
	return []cli.Command{
		{Name: "keygen", Summary: "make a key pair that signs models", Run: keygen},
		{Name: "golden", Summary: "make the golden rows of a model with XGBoost itself", Run: golden},
		{Name: "pack", Summary: "pack a trained model, with its manifest", Run: Pack},
		{Name: "sign", Summary: "sign a packed model", Run: sign},
		{Name: "publish", Summary: "upload a signed model to S3, for all devices", Run: publish},
		{Name: "status", Summary: "show what this device fetched, and which model is active", Run: status},
		{Name: "look", Summary: "make this device look for a model now", Run: look},
		{Name: "promote", Summary: "make this device's candidate the active model now", Run: promote},
		{Name: "reject", Summary: "make this device do without its candidate, for good", Run: reject},
		{Name: "rollback", Summary: "make this device go back to the model before", Run: rollback},
	}
}

// need refuses a command line without a flag that is required.
func need(flags ...string) error {
	for i := 0; i+1 < len(flags); i += 2 {
		if flags[i+1] == "" {
			return cli.Usagef("-%s: required", flags[i])
		}
	}
	return nil
}

// parseAge reads a duration of time.ParseDuration, or a number of days such as 90d.
func parseAge(text string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	return time.ParseDuration(text)
}

// makeDir makes the folder that a flag names.
func makeDir(flag, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a published folder is for others to read
		return fmt.Errorf("-%s: %w", flag, err)
	}
	return nil
}

// readManifest reads a manifest that is not signed yet.
func readManifest(path string) (envelope.Manifest, error) {
	data, err := readLimited(path, envelope.MaxManifest)
	if err != nil {
		return envelope.Manifest{}, err
	}
	var m envelope.Manifest
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields() // a name that is misspelt would be left out, unseen
	if err := decoder.Decode(&m); err != nil {
		return m, fmt.Errorf("read %s: %w", path, err)
	}
	if err := m.Validate(); err != nil {
		return m, fmt.Errorf("read %s: %w", path, err)
	}
	return m, nil
}

// peek reads the manifest in an envelope without a look at the signatures.
func peek(sealed []byte) (envelope.Manifest, error) {
	var m envelope.Manifest
	payload, err := envelope.Payload(sealed)
	if err != nil {
		return m, fmt.Errorf("read envelope: %w", err)
	}
	if err := json.Unmarshal(payload, &m); err != nil {
		return m, fmt.Errorf("read the manifest in the envelope: %w", err)
	}
	return m, nil
}

func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("read %s: more than %d bytes", path, limit)
	}
	return data, nil
}

// checkArchive makes sure that the folder's archive is the one that the manifest names.
func checkArchive(dir string, m envelope.Manifest) error {
	path := filepath.Join(dir, inbox.ArchiveFile)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != m.Archive.Size || got != m.Archive.SHA256 {
		return fmt.Errorf("%s has %d bytes and sha256 %s, but the manifest says %d and %s: pack and sign again", path, n, got, m.Archive.Size, m.Archive.SHA256)
	}
	return nil
}

// fromFolder explains the error of a file of a model's folder that is missing.
func fromFolder(err error, command string) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("-dir: %w: %s first", err, command)
	}
	return err
}

// printf writes to the terminal, where an error of writing helps nobody.
func printf(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
