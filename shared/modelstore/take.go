package modelstore

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"

	"edgepdm/shared/archive"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/modelstore/internal/disk"
)

// Take verifies a delivery, tests the model and puts it into the store, beside the active one (promises M2, M3, M5, M6).
//
// The attempt goes on until Activate, or Drop: a process that ends before counts against the model.
//
// An error that is a *RefusedError is a judgement: it is in the quarantine now, and the delivery can be removed from the
// inbox. Any other error is transient, such as a full disk: the delivery should stay and be taken again later.
func (s *Store) Take(d inbox.Delivery) (Candidate, error) {
	s.work.Lock()
	defer s.work.Unlock()
	if err := s.keepQuarantine(); err != nil {
		s.options.Log.Warn("model store: write quarantine", "error", err)
	}
	t := taking{store: s, delivery: d}
	defer t.close()
	err := t.take()
	if err == nil {
		return Candidate{t.model}, nil
	}
	refused := judge(err, t.model.Source, t.model.Manifest)
	var noting error
	if refused != nil && refused.Source != "" && !errors.Is(err, ErrQuarantined) && !errors.Is(err, ErrActive) {
		noting = s.note(Entry{
			Source: refused.Source, Content: t.content, Name: refused.Name, Version: refused.Version, Reason: refused.Reason, Detail: err.Error(),
			Final: refused.Final,
		})
		if noting != nil { // it is refused all the same
			s.options.Log.Error("model store: write quarantine", "error", noting)
		}
	}
	if t.began && (noting == nil || !errors.Is(err, ErrCrashed)) { // deaths count until the quarantine tells of them
		if err := s.endAttempt(t.model.Source); err != nil {
			s.options.Log.Warn("model store: end the attempt", "error", err)
		}
	}
	if refused != nil {
		return Candidate{}, refused
	}
	return Candidate{}, fmt.Errorf("take model %s: %w", d.ID, err)
}

// taking is one run of Take.
type taking struct {
	store    *Store
	delivery inbox.Delivery

	envelope []byte
	archive  *os.File
	model    Installed // as far as it is known
	sum      string    // SHA-256 of the archive
	began    bool      // the attempt is recorded
	content  string    // Signed.Content, once the signature is verified
}

func (t *taking) close() {
	if t.archive != nil {
		_ = t.archive.Close()
	}
}

func (t *taking) take() error {
	s := t.store
	if err := t.identify(); err != nil {
		return err
	}
	if e, ok := s.barred(t.model.Source); ok {
		return t.barredBy(e)
	}
	if current, ok := s.Current(); ok && current.Source == t.model.Source {
		t.model = current
		return ErrActive
	}
	if held, ok := s.Candidate(); ok && held.Source == t.model.Source && held.intact() {
		t.model = held
		return ErrHeld
	}
	if t.envelope != nil {
		if err := t.checkEnvelope(); err != nil {
			return err
		}
	} else if !s.options.AllowUnsigned {
		return fmt.Errorf("%w: it has no %s, and the configuration does not allow that", ErrUnsigned, envelope.EnvelopeFile)
	}
	err := t.install()
	// What is left in staging is also removed when the store is opened.
	if cleaning := s.disk.Remove(s.path(stagingDir)); err == nil {
		err = cleaning
	}
	return err
}

// barredBy makes the error for a source that is in quarantine.
func (t *taking) barredBy(e Entry) error {
	t.model.Manifest.Name, t.model.Manifest.Version = e.Name, e.Version
	barred := &barredError{Entry: e, kind: envelope.ErrModel}
	for _, v := range verdicts() {
		if v.reason == e.Reason {
			barred.kind = v.kind
		}
	}
	return barred
}

// barredError wraps ErrQuarantined and what the model was put into quarantine for, which Detail tells.
type barredError struct {
	Entry
	kind error
}

func (e *barredError) Error() string {
	return fmt.Sprintf("%v since %s: %s", ErrQuarantined, e.Since.Format("2006-01-02 15:04"), e.Detail)
}

func (e *barredError) Unwrap() []error { return []error{ErrQuarantined, e.kind} }

// identify reads the envelope, or hashes the archive where there is none: that is the source.
func (t *taking) identify() error {
	f, _, err := disk.OpenRegular(t.delivery.Path(envelope.EnvelopeFile))
	if disk.Missing(err) {
		t.model.Origin = OriginUnsigned
		t.model.Manifest.Name = envelope.UnsignedModel
		sum, err := t.openArchive()
		if err == nil {
			t.model.Source = sum
		}
		return err
	}
	if err != nil {
		return malformed(err)
	}
	defer func() { _ = f.Close() }()
	// One that is too long is not read to its end, and refused by its length.
	if t.envelope, err = io.ReadAll(io.LimitReader(f, envelope.MaxEnvelope+1)); err != nil {
		return err
	}
	t.model.Origin, t.model.Source = OriginSigned, envelope.HashOf(t.envelope)
	return nil
}

// checkEnvelope verifies the manifest, applies the version rule, and finds the archive that it names.
func (t *taking) checkEnvelope() error {
	o := t.store.options
	v, err := envelope.VerifySigned(t.envelope, o.Keys)
	t.content = v.Content // also of one that breaks a rule
	if e, ok := t.store.barredManifest(v.Content, v.Manifest); ok {
		return t.barredBy(e)
	}
	if err != nil {
		return err
	}
	m := v.Manifest
	t.model.Manifest, t.model.Key = m, v.Key
	if err := t.store.checkRole(m); err != nil {
		return err
	}
	if !o.AllowDowngrade {
		if err := t.checkVersion(m); err != nil {
			return err
		}
		if now := o.Now(); !now.Before(m.Expires) {
			return fmt.Errorf("%w: on %s, it is %s now", ErrExpired, m.Expires.UTC().Format("2006-01-02 15:04"), now.UTC().Format("2006-01-02 15:04"))
		}
	}
	sum, err := t.openArchive()
	if err != nil {
		return err
	}
	if sum != m.Archive.SHA256 {
		return fmt.Errorf("%w: its SHA-256 is %s, the manifest says %s", ErrDelivery, sum, m.Archive.SHA256)
	}
	return nil
}

// checkRole refuses a model of another role than the store's.
func (s *Store) checkRole(m envelope.Manifest) error {
	want := cmp.Or(s.options.Role, event.RoleFault)
	if got := cmp.Or(m.Role, event.RoleFault); got != want {
		return fmt.Errorf("%w: role: it is %.32s, this store has models of the role %s", ErrRole, got, want)
	}
	return nil
}

// malformed refuses a delivery that Commit did not make, and that no later try can find whole. Other failures are the disk's.
func malformed(err error) error {
	if disk.Missing(err) || errors.Is(err, disk.ErrNotRegular) {
		return fmt.Errorf("%w: %w", ErrDelivery, err)
	}
	return err
}

// checkVersion keeps an old or another model that the key once signed from being put in place of the active one
// (promise M3). A model that came without a manifest has no version that could be compared, the one that ships with the
// component is there to be replaced, and one whose key is no longer trusted may have been made by whoever took the key: their
// versions bound nothing.
func (t *taking) checkVersion(m envelope.Manifest) error {
	current, ok := t.store.Current()
	if !ok || current.Origin != OriginSigned || !t.store.Trusted(current) {
		return nil
	}
	if current.Manifest.Name != m.Name {
		return fmt.Errorf("%w: the active model is %s, this one is %s: set allowDowngrade to change over", ErrVersion, current.Manifest.Name, m.Name)
	}
	if sameUse(m, current.Manifest) { // signed once more
		return ErrActive
	}
	if envelope.Compare(m.Version, current.Manifest.Version) <= 0 {
		return fmt.Errorf("%w: %s is not above %s, which is active", ErrVersion, m.Version, current.Manifest.Version)
	}
	return t.checkHeld(m)
}

// checkHeld compares a model with the candidate that is held. One that is to take over at once may be lower, as a correction
// of the active one is, and may be the candidate itself: that is a signed decision, too.
func (t *taking) checkHeld(m envelope.Manifest) error {
	held, ok := t.store.Candidate()
	if !ok || held.Origin != OriginSigned || held.Manifest.Name != m.Name || !t.store.Trusted(held) || !held.intact() {
		return nil
	}
	order := envelope.Compare(m.Version, held.Manifest.Version)
	switch {
	case sameUse(m, held.Manifest):
		if held.Manifest.Shadow() && !m.Shadow() {
			return nil
		}
		return ErrHeld
	case order == 0:
		return fmt.Errorf("%w: %s is the candidate already, and another model", ErrVersion, m.Version)
	case order < 0 && m.Shadow():
		return fmt.Errorf("%w: %s is not above %s, the candidate", ErrVersion, m.Version, held.Manifest.Version)
	}
	return nil
}

// sameUse says whether two manifests are of one version of one model, which is used in one way.
func sameUse(a, b envelope.Manifest) bool {
	return a.Name == b.Name && a.Version == b.Version && a.Model == b.Model && a.Objective == b.Objective && a.Schema == b.Schema &&
		a.Threshold == b.Threshold && reflect.DeepEqual(a.Inputs, b.Inputs) && reflect.DeepEqual(a.Life, b.Life)
}

// openArchive opens the archive and returns its SHA-256.
func (t *taking) openArchive() (string, error) {
	f, size, err := disk.OpenRegular(t.delivery.Path(inbox.ArchiveFile))
	if err != nil {
		return "", malformed(err)
	}
	t.archive = f
	limit, kind := int64(envelope.MaxArchive), archive.ErrInvalid
	if t.envelope != nil {
		limit, kind = t.model.Manifest.Archive.Size, ErrDelivery
		if size != limit {
			return "", fmt.Errorf("%w: it has %d bytes, the manifest says %d", kind, size, limit)
		}
	}
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(f, limit))
	if err != nil {
		return "", fmt.Errorf("read archive: %w", err)
	}
	source := hex.EncodeToString(sum.Sum(nil))
	if size > limit {
		t.model.Source = source // of its beginning, as there has to be one
		return "", fmt.Errorf("%w: it has %d bytes, at most %d", kind, size, limit)
	}
	if n != size {
		return "", fmt.Errorf("read archive: it has %d bytes, %d were read", size, n)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("read archive: %w", err)
	}
	t.sum = source
	return source, nil
}
