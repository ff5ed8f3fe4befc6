package envelope

import (
	"errors"
	"fmt"
)

// What callers branch on; the errors returned wrap one of these and say more.
var (
	// ErrSignature says that an envelope is malformed, or that a signature which names a trusted key is wrong.
	ErrSignature = errors.New("bad signature")
	// ErrUntrusted says that no signature is by a trusted key.
	ErrUntrusted = errors.New("not signed by a trusted key")
	// ErrManifest says that a manifest breaks a rule. The message names the field.
	ErrManifest = errors.New("invalid manifest")
	// ErrFormat says that something was written by a newer release, in a format that this one does not know.
	ErrFormat = errors.New("format is newer than this release")
	// ErrKey says that a key cannot be read, or must not be used as it lies on disk.
	ErrKey = errors.New("unusable key")
	// ErrModel says that the model file cannot be scored with, or is not what the manifest describes.
	ErrModel = errors.New("bad model")
	// ErrGolden says that the model does not give a golden row the margin that the training XGBoost gave.
	ErrGolden = errors.New("golden row mismatch")
)

func refuse(kind error, format string, args ...any) error {
	return fmt.Errorf("%w: %s", kind, fmt.Sprintf(format, args...))
}
