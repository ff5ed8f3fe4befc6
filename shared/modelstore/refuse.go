package modelstore

import (
	"errors"
	"fmt"

	"edgepdm/shared/archive"
	"edgepdm/shared/modelstore/envelope"
)

// Further errors, of the Store.
var (
	// ErrUnsigned says that a delivery has no signed manifest and the configuration asks for one.
	ErrUnsigned = errors.New("not signed")
	// ErrExpired says that the manifest had expired when it arrived.
	ErrExpired = errors.New("manifest has expired")
	// ErrActive says that the delivery is what is active already. It is not put into the quarantine.
	ErrActive = errors.New("already active")
	// ErrHeld says that the delivery is the candidate that is held already. It is not put into the quarantine.
	ErrHeld = fmt.Errorf("%w beside another model, as the candidate", ErrActive)
	// ErrVersion says that the version is not above the active one's, or that the model is another one.
	ErrVersion = errors.New("version is not acceptable")
	// ErrRole says that the model is of another role than the store's.
	ErrRole = errors.New("model of another role")
	// ErrDelivery says that the delivered archive is missing or not the one that the manifest names.
	ErrDelivery = errors.New("not the archive that was signed")
	// ErrMemory says that the model needs more memory to load than the process may take.
	ErrMemory = errors.New("too large for the memory limit")
	// ErrCrashed says that the process ended again and again while it tried this model.
	ErrCrashed = errors.New("trying it ended the process")
	// ErrQuarantined says that this manifest (or unsigned archive) was found bad before and is not tried again.
	ErrQuarantined = errors.New("quarantined")
	// ErrRolledBack is why a model that was active is in quarantine.
	ErrRolledBack = errors.New("rolled back")
	// ErrRejected is why a candidate is in quarantine.
	ErrRejected = errors.New("rejected")
	// ErrNoCandidate says that there is no candidate to promote or to reject.
	ErrNoCandidate = errors.New("no candidate")
	// ErrNoPrevious says that there is no model to roll back to.
	ErrNoPrevious = errors.New("no previous model")
	// ErrDamaged says that a file of the store is not as it was written.
	ErrDamaged = errors.New("damaged file")
)

// Reason is why a model was refused, in a word: for events and the quarantine.
type Reason string

// The reasons.
const (
	ReasonSignature  Reason = "signature"   // ErrSignature
	ReasonUntrusted  Reason = "untrusted"   // ErrUntrusted
	ReasonFormat     Reason = "format"      // ErrFormat
	ReasonUnsigned   Reason = "unsigned"    // ErrUnsigned
	ReasonExpired    Reason = "expired"     // ErrExpired
	ReasonActive     Reason = "active"      // ErrActive
	ReasonVersion    Reason = "version"     // ErrVersion
	ReasonRole       Reason = "role"        // ErrRole
	ReasonDelivery   Reason = "delivery"    // ErrDelivery
	ReasonManifest   Reason = "manifest"    // ErrManifest
	ReasonArchive    Reason = "archive"     // archive.ErrInvalid
	ReasonModel      Reason = "model"       // ErrModel
	ReasonGolden     Reason = "golden"      // ErrGolden
	ReasonMemory     Reason = "memory"      // ErrMemory
	ReasonCrashed    Reason = "crashed"     // ErrCrashed
	ReasonRolledBack Reason = "rolled-back" // ErrRolledBack
	ReasonRejected   Reason = "rejected"    // ErrRejected
)

// unproven says that a model was found wanting at work, not by a test: this bars its version for good.
func (r Reason) unproven() bool { return r == ReasonRolledBack || r == ReasonRejected }

// verdict is what follows from a kind of error.
type verdict struct {
	kind   error
	reason Reason
	// final: it follows from the manifest alone, so that it is not tried again until the manifest changes (promise M8).
	// What follows from this device's keys, clock, configuration or active model, or from a bad copy of the archive, is
	// recorded and judged again each time: it costs little, and the cause may be gone.
	final bool
}

// verdicts in the order in which an error is matched with them.
func verdicts() []verdict {
	return []verdict{
		{envelope.ErrSignature, ReasonSignature, false},
		{envelope.ErrUntrusted, ReasonUntrusted, false},
		{envelope.ErrFormat, ReasonFormat, false},
		{ErrUnsigned, ReasonUnsigned, false},
		{ErrExpired, ReasonExpired, false},
		{ErrActive, ReasonActive, false},
		{ErrVersion, ReasonVersion, false},
		{ErrRole, ReasonRole, false},
		{ErrDelivery, ReasonDelivery, false},
		{ErrMemory, ReasonMemory, false},
		{envelope.ErrManifest, ReasonManifest, true},
		{archive.ErrInvalid, ReasonArchive, true},
		{envelope.ErrModel, ReasonModel, true},
		{envelope.ErrGolden, ReasonGolden, true},
		{ErrCrashed, ReasonCrashed, true},
		{ErrRolledBack, ReasonRolledBack, true},
		{ErrRejected, ReasonRejected, true},
	}
}

// RefusedError says that a model was judged and refused. Any other error of Store.Take is transient.
type RefusedError struct {
	Reason  Reason
	Source  string // SHA-256 of the envelope, of the archive if there is none; empty if there is neither
	Name    string // of the model; empty while it is not verified
	Version string
	Final   bool // not tried again until its manifest changes; otherwise it may pass at another time or configuration
	Err     error
}

func (e *RefusedError) Error() string {
	if e.Version == "" {
		return fmt.Sprintf("model refused: %v", e.Err)
	}
	return fmt.Sprintf("model %s %s refused: %v", e.Name, e.Version, e.Err)
}

func (e *RefusedError) Unwrap() error { return e.Err }

// judge returns the RefusedError for an error, nil if it is none of the model's fault.
func judge(err error, source string, m envelope.Manifest) *RefusedError {
	for _, v := range verdicts() {
		if errors.Is(err, v.kind) {
			return &RefusedError{Reason: v.reason, Source: source, Name: m.Name, Version: m.Version, Final: v.final, Err: err}
		}
	}
	return nil
}
