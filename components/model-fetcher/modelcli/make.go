package modelcli

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"edgepdm/shared/cli"
	"edgepdm/shared/durable"
	"edgepdm/shared/modelstore/envelope"
)

// keygen is the sub-command that makes a key pair.
func keygen(_ context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("model-fetcher keygen -out DIR", s)
	out := fs.String("out", "", "make "+privateFile+" (keep it secret) and "+publicFile+" in `DIR`; required")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if err := need("out", *out); err != nil {
		return err
	}
	if err := makeDir("out", *out); err != nil {
		return err
	}
	key, err := envelope.GenerateKey(nil)
	if err != nil {
		return err
	}
	public := key.Public().(ed25519.PublicKey)
	text, err := envelope.MarshalPublicKey(public)
	if err != nil {
		return err
	}
	private := filepath.Join(*out, privateFile)
	if err := envelope.SavePrivateKey(private, key); err != nil { // does not replace one that is there
		return err
	}
	if err := durable.WriteFileAtomic(filepath.Join(*out, publicFile), text, 0o644); err != nil {
		return err
	}
	printf(s.Out, "key %s\nprivate: %s - keep it off the devices, and out of version control\npublic:  %s, or in one line\n"+
		"for publicKeys of com.edgepdm.ModelFetcher and of com.edgepdm.InferenceEngine:\n%s\n",
		envelope.KeyID(public), private, filepath.Join(*out, publicFile), base64.StdEncoding.EncodeToString(public))
	return nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sign is the sub-command that signs a packed model.
func sign(_ context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("model-fetcher sign -key FILE -dir DIR", s)
	keyPath := fs.String("key", "", "private key `FILE`, "+privateFile+" of keygen; required")
	dir := fs.String("dir", "", "sign the model that pack wrote into `DIR`; required")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if err := need("key", *keyPath, "dir", *dir); err != nil {
		return err
	}
	key, err := envelope.LoadPrivateKey(*keyPath)
	if err != nil {
		return fmt.Errorf("-key: %w", err)
	}
	m, err := SignFolder(*dir, key)
	if err != nil {
		return err
	}
	out := filepath.Join(*dir, envelope.EnvelopeFile)
	printf(s.Out, "%s %s (%s) is signed by key %s: %s\n", m.Name, m.Version, about(m), envelope.KeyID(key.Public().(ed25519.PublicKey)), out)
	return nil
}

// SignFolder signs the model that Pack wrote into a folder, and returns its manifest.
func SignFolder(dir string, key ed25519.PrivateKey) (envelope.Manifest, error) {
	m, err := readManifest(filepath.Join(dir, manifestFile))
	if err != nil {
		return m, fromFolder(err, "pack")
	}
	if err := checkArchive(dir, m); err != nil {
		return m, fromFolder(err, "pack")
	}
	sealed, err := envelope.Sign(m, key)
	if err != nil {
		return m, err
	}
	return m, durable.WriteFileAtomic(filepath.Join(dir, envelope.EnvelopeFile), sealed, 0o644)
}
