package fetcher

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/durable"
	"edgepdm/shared/modelstore"
)

// RecordFile is the file in the component's work directory that says what was fetched.
const RecordFile = "fetcher.json"

const (
	recordFormat = 1
	maxRecord    = 1 << 20
	maxModels    = 256 // names whose version is remembered
)

// ErrNewerFormat says that a newer version of the component wrote the record. It is left alone.
var ErrNewerFormat = errors.New("written by a newer version")

// Outcome is how the fetcher dealt with what is published.
type Outcome string

// The outcomes.
const (
	OutcomeDelivered Outcome = "delivered"
	OutcomeRefused   Outcome = "refused"
)

// Record is what the fetcher knows of the models that it has dealt with; it outlives the process.
type Record struct {
	Format    int               `json:"format"`
	Policy    string            `json:"policy,omitempty"`    // fingerprint of the configuration that decided
	ETag      string            `json:"etag,omitempty"`      // of what was published when the fetcher decided last
	Unsigned  bool              `json:"unsigned,omitempty"`  // that was an archive without a manifest
	Outcome   Outcome           `json:"outcome,omitempty"`   // the decision
	Last      *Event            `json:"last,omitempty"`      // the decision's event
	Envelope  string            `json:"envelope,omitempty"`  // hash of the envelope that was delivered last
	Content   string            `json:"content,omitempty"`   // modelstore.Signed.Content of its manifest
	Created   time.Time         `json:"created,omitzero"`    // of its manifest
	Expires   time.Time         `json:"expires,omitzero"`    // of its manifest
	Signers   map[string]string `json:"signers,omitempty"`   // id of the key that signed the version in Delivered, by the model's name
	Inbox     string            `json:"inbox,omitempty"`     // to which it was
	Delivered map[string]string `json:"delivered,omitempty"` // version that was delivered last, by the model's name
	Expired   time.Time         `json:"expired,omitzero"`    // expiry of the manifest that was refused for it
	Damage    *Damage           `json:"damage,omitempty"`    // of the record before this one
	Announce  []Event           `json:"announce,omitempty"`  // of a version before 0.2: events that no nucleus has taken
}

// Damage says that a record was damaged, for a while.
type Damage struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// damageTold is how long it is told. The process that found the damage compares monotonic readings, so that a clock that is
// set meanwhile does not matter.
const damageTold = 24 * time.Hour

// damaged says what was wrong with the record that stood in this one's place.
func (r Record) damaged(now time.Time) error {
	if r.Damage == nil || now.Sub(r.Damage.At).Abs() > damageTold {
		return nil
	}
	return errors.New(r.Damage.Text)
}

// ReadRecord reads the record in the component's work directory; without one it is empty. The error wraps
// durable.ErrDamaged if it is not what was written.
func ReadRecord(dir string) (Record, error) {
	r := Record{Format: recordFormat}
	path := filepath.Join(dir, RecordFile)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, nil
	case err != nil:
		return Record{}, fmt.Errorf("look at %s: %w", RecordFile, err)
	case info.Size() > maxRecord:
		return Record{}, fmt.Errorf("read %s: %w: %d bytes", RecordFile, durable.ErrDamaged, info.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Record{}, fmt.Errorf("read %s: %w", RecordFile, err)
	}
	body, sealed, err := durable.Open(data)
	if err != nil {
		return Record{}, fmt.Errorf("read %s: %w", RecordFile, err)
	}
	var header struct {
		Format int `json:"format"`
	}
	// A newer version seals what it writes, or has members that this one does not know: otherwise the number is damaged.
	headErr, err := json.Unmarshal(body, &header), durable.Unmarshal(data, &r)
	if headErr == nil && header.Format > recordFormat && (sealed || err != nil) {
		return Record{}, fmt.Errorf("read %s: format %d: %w", RecordFile, header.Format, ErrNewerFormat)
	}
	if err == nil && r.Format != recordFormat {
		err = fmt.Errorf("format %d", r.Format)
	}
	if err != nil {
		return Record{}, fmt.Errorf("read %s: %w: %w", RecordFile, durable.ErrDamaged, err)
	}
	return r, nil
}

// openRecord reads the record. One that is damaged is set aside: to fetch the published model once more does no harm, as the
// engine judges it by what is active.
func openRecord(dir string, now time.Time) (Record, error) {
	r, err := ReadRecord(dir)
	if !errors.Is(err, durable.ErrDamaged) {
		return r, err
	}
	path := filepath.Join(dir, RecordFile)
	aside := path + ".damaged-" + component.RandomID()
	if err := os.Rename(path, aside); err != nil {
		return Record{}, fmt.Errorf("set %s aside: %w", RecordFile, err)
	}
	text := fmt.Sprintf("%s was damaged, and is set aside as %s: what is published is fetched once more (%v)", RecordFile, filepath.Base(aside), err)
	return Record{Format: recordFormat, Damage: &Damage{now, shorten(text)}}, nil
}

func (r Record) write(dir string) error {
	data, err := durable.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode %s: %w", RecordFile, err)
	}
	if err := component.WriteFileAtomic(filepath.Join(dir, RecordFile), data, 0o600); err != nil {
		return fmt.Errorf("keep %s: %w", RecordFile, err)
	}
	return nil
}

// settled returns the ETag of what was decided already, signed or not, under the policy; "" = nothing was. What was refused
// as expired is decided again when the clock says that it is not: it was ahead.
func (r Record) settled(policy string, unsigned bool, now time.Time) string {
	if r.Outcome == "" || r.Policy != policy || r.Unsigned != unsigned || now.Before(r.Expired) {
		return ""
	}
	return r.ETag
}

// settle writes down a decision about an offer: a refusal, or a delivery if that is nil.
func (r *Record) settle(policy string, o offer, refused *refusal, e Event) {
	r.Policy, r.ETag, r.Unsigned, r.Outcome, r.Last, r.Expired = policy, o.etag, o.unsigned, OutcomeDelivered, &e, time.Time{}
	if refused != nil {
		if r.Outcome = OutcomeRefused; refused.reason == modelstore.ReasonExpired {
			r.Expired = o.expires
		}
		return
	}
	if e.Name == "" {
		return
	}
	if r.Delivered == nil {
		r.Delivered = make(map[string]string)
	}
	for name := range r.Delivered {
		if len(r.Delivered) < maxModels || name == e.Name {
			break
		}
		delete(r.Delivered, name)
	}
	r.Delivered[e.Name] = e.Version
	delete(r.Signers, e.Name)
	for name := range r.Signers {
		if r.Delivered[name] == "" {
			delete(r.Signers, name)
		}
	}
}

// deliver writes down which offer was delivered.
func (r *Record) deliver(o offer, inbox string) {
	r.Envelope, r.Content, r.Created, r.Expires, r.Inbox = o.id, o.content, o.created, o.expires, inbox
	if o.key == "" {
		return
	}
	if r.Signers == nil {
		r.Signers = make(map[string]string)
	}
	r.Signers[o.event.Name] = o.key
}

// bound returns the version below which none of that name is taken, "" if there is none: that which a key signed that is
// trusted no more bounds nothing.
func (r Record) bound(name string, trusted []ed25519.PublicKey) string {
	signer := r.Signers[name]
	if signer != "" && !slices.ContainsFunc(trusted, func(key ed25519.PublicKey) bool { return modelstore.KeyID(key) == signer }) {
		return ""
	}
	return r.Delivered[name]
}

// frozen says that no newer manifest came while that of the delivered model expired: whoever stands between may hold the
// newer ones back (promise M4).
func (r Record) frozen(now time.Time) error {
	if r.Expires.IsZero() || now.Before(r.Expires) {
		return nil
	}
	return fmt.Errorf("no newer manifest since %s, and that one expired on %s: publish one, or see who withholds it",
		r.Created.UTC().Format(time.DateTime), r.Expires.UTC().Format(time.DateTime))
}

// has tells whether what an offer says was delivered to that inbox before, in whatever envelope. What expired since is
// delivered again: the engine may have refused it for that.
func (r Record) has(o offer, inbox string, now time.Time) bool {
	if r.Inbox != inbox || r.Delivered[o.event.Name] != o.event.Version {
		return false
	}
	return r.Envelope == o.id || r.Content != "" && r.Content == o.content && now.Before(r.Expires)
}

// forget forgets the last decision, for what it was about is gone. What was delivered is remembered.
func (r *Record) forget() {
	r.ETag, r.Outcome, r.Last = "", "", nil
}
