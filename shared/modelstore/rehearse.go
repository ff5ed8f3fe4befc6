package modelstore

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
)

// Rehearse does with an archive and its manifest what a device does with a delivery, in a store of its own that is gone
// afterwards: what is refused here is refused there. The memory, the clock and the active model are a device's own.
func Rehearse(archive string, m envelope.Manifest) (err error) {
	dir, err := os.MkdirTemp("", "edgepdm-model-")
	if err != nil {
		return fmt.Errorf("try the model: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	key, err := envelope.GenerateKey(nil)
	if err != nil {
		return err
	}
	sealed, err := envelope.Sign(m, key)
	if err != nil {
		return err
	}
	d := inbox.Delivery{ID: "rehearsal", Dir: filepath.Join(dir, "delivery")}
	if err := os.Mkdir(d.Dir, 0o700); err != nil {
		return fmt.Errorf("try the model: %w", err)
	}
	if err := os.WriteFile(d.Path(envelope.EnvelopeFile), sealed, 0o600); err != nil {
		return fmt.Errorf("try the model: %w", err)
	}
	if err := copyFile(d.Path(inbox.ArchiveFile), archive); err != nil {
		return fmt.Errorf("try the model: %w", err)
	}
	store, err := OpenStore(filepath.Join(dir, "store"), Options{
		Role: m.Role,
		Keys: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}, Memory: func(int64) error { return nil }, Now: func() time.Time { return m.Created },
	})
	if err != nil {
		return fmt.Errorf("try the model: %w", err)
	}
	_, err = store.Take(d)
	return errors.Join(err, store.Close())
}

func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
