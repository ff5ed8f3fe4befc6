// Package record is what the fetcher knows of the models that it has dealt with: the component writes it, the commands read it.
package record

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/modelstore/envelope"
)

// File is the file in the component's work directory that says what was fetched of the role fault.
const File = "fetcher.json"

// FileOf is that of a role.
func FileOf(role event.Role) string {
	if role == event.RoleLife {
		return "fetcher-life.json"
	}
	return File
}

const (
	format    = 1
	maxModels = 256 // names whose version is remembered
)

// Outcome is how the fetcher dealt with what is published.
type Outcome string

// The outcomes.
const (
	OutcomeDelivered Outcome = "delivered"
	OutcomeRefused   Outcome = "refused"
	OutcomeElsewhere Outcome = "elsewhere" // it is for other cores
)

// Record is what the fetcher knows of the models that it has dealt with; it outlives the process.
type Record struct {
	Format    int                `json:"format"`
	Policy    string             `json:"policy,omitempty"`    // fingerprint of the configuration that decided
	ETag      string             `json:"etag,omitempty"`      // of what was published when the fetcher decided last
	Unsigned  bool               `json:"unsigned,omitempty"`  // that was an archive without a manifest
	Outcome   Outcome            `json:"outcome,omitempty"`   // the decision
	Last      *event.ModelEvent  `json:"last,omitempty"`      // the decision's event
	Envelope  string             `json:"envelope,omitempty"`  // hash of the envelope that was delivered last
	Content   string             `json:"content,omitempty"`   // envelope.Signed.Content of its manifest
	Created   time.Time          `json:"created,omitzero"`    // of its manifest
	Expires   time.Time          `json:"expires,omitzero"`    // of its manifest
	Signers   map[string]string  `json:"signers,omitempty"`   // id of the key that signed the version in Delivered, by the model's name
	Inbox     string             `json:"inbox,omitempty"`     // to which it was
	Delivered map[string]string  `json:"delivered,omitempty"` // version that was delivered last, by the model's name
	Expired   time.Time          `json:"expired,omitzero"`    // expiry of the manifest that was refused for it
	Elsewhere time.Time          `json:"elsewhere,omitzero"`  // expiry of the manifest whose model is for other cores
	Damage    *durable.Damage    `json:"damage,omitempty"`    // of the record before this one
	Announce  []event.ModelEvent `json:"announce,omitempty"`  // of a version before 0.2: events that no nucleus has taken
}

// Offer is a model that is published.
type Offer struct {
	ID       string // of its delivery: for a signed one the hash of its envelope
	ETag     string // of what was looked at: the envelope, or the archive if unsigned
	Unsigned bool
	Content  string           // envelope.Signed.Content
	Key      string           // id of the key that signed it
	Created  time.Time        // of the manifest
	Expires  time.Time        // of the manifest
	Event    event.ModelEvent // says which model it is
}

func stateIn(dir string, role event.Role) durable.State[Record] {
	return durable.State[Record]{Path: filepath.Join(dir, FileOf(role)), Format: format}
}

// Read reads the record of a role in the component's work directory; without one it is empty. The error wraps
// durable.ErrDamaged if it is not what was written, and durable.ErrNewerFormat if a newer version wrote it.
func Read(dir string, role event.Role) (Record, error) {
	r, err := stateIn(dir, role).Load()
	if errors.Is(err, fs.ErrNotExist) {
		return Record{Format: format}, nil
	}
	return r, err
}

// Open reads the record. One that is damaged is set aside: to fetch the published model once more does no harm, as the
// engine judges it by what is active.
func Open(dir string, role event.Role, now time.Time) (Record, error) {
	r, damage, err := stateIn(dir, role).Open()
	if r.Format = format; damage != nil {
		r.Damage = durable.NewDamage(now, fmt.Sprintf("the published model is fetched again: %v", damage))
	}
	return r, err
}

// Write keeps the record of a role in the component's work directory.
func (r Record) Write(dir string, role event.Role) error { return stateIn(dir, role).Save(r) }

// Settled returns the ETag of what was decided already, signed or not, under the policy; "" = nothing was. What was refused
// as expired is decided again when the clock says that it is not: it was ahead.
func (r Record) Settled(policy string, unsigned bool, now time.Time) string {
	if r.Outcome == "" || r.Policy != policy || r.Unsigned != unsigned || now.Before(r.Expired) {
		return ""
	}
	return r.ETag
}

// Settle writes down a decision about an offer: a refusal for a reason, or a delivery if that is "".
func (r *Record) Settle(policy string, o Offer, refused modelstore.Reason, e event.ModelEvent) {
	r.Policy, r.ETag, r.Unsigned, r.Outcome, r.Last, r.Expired = policy, o.ETag, o.Unsigned, OutcomeDelivered, &e, time.Time{}
	if refused != "" {
		if r.Outcome = OutcomeRefused; refused == modelstore.ReasonExpired {
			r.Expired = o.Expires
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

// Leave writes down that what is published is for other cores.
func (r *Record) Leave(policy string, o Offer, e event.ModelEvent) {
	r.Policy, r.ETag, r.Unsigned, r.Outcome, r.Last, r.Expired, r.Elsewhere = policy, o.ETag, false, OutcomeElsewhere, &e, time.Time{}, o.Expires
}

// Deliver writes down which offer was delivered.
func (r *Record) Deliver(o Offer, inbox string) {
	r.Envelope, r.Content, r.Created, r.Expires, r.Inbox = o.ID, o.Content, o.Created, o.Expires, inbox
	if o.Key == "" {
		return
	}
	if r.Signers == nil {
		r.Signers = make(map[string]string)
	}
	r.Signers[o.Event.Name] = o.Key
}

// Bound returns the version below which none of that name is taken, "" if there is none: a version signed by a key
// that is no longer trusted is no bound.
func (r Record) Bound(name string, trusted []ed25519.PublicKey) string {
	signer := r.Signers[name]
	if signer != "" && !slices.ContainsFunc(trusted, func(key ed25519.PublicKey) bool { return envelope.KeyID(key) == signer }) {
		return ""
	}
	return r.Delivered[name]
}

// Frozen says that no newer manifest came while that of the delivered model expired: whoever stands between may hold the
// newer ones back (promise M4).
func (r Record) Frozen(now time.Time) error {
	if r.Expires.IsZero() || now.Before(r.Expires) || now.Before(r.Elsewhere) {
		return nil
	}
	return fmt.Errorf("no newer manifest since %s, and that one expired on %s: publish a new one, or find out what blocks it",
		r.Created.UTC().Format(time.DateTime), r.Expires.UTC().Format(time.DateTime))
}

// Has tells whether what an offer says was delivered to that inbox before, in whatever envelope. What expired since is
// delivered again: the engine may have refused it for that.
func (r Record) Has(o Offer, inbox string, now time.Time) bool {
	if r.Inbox != inbox || r.Delivered[o.Event.Name] != o.Event.Version {
		return false
	}
	return r.Envelope == o.ID || r.Content != "" && r.Content == o.Content && now.Before(r.Expires)
}

// Forget forgets the last decision, for what it was about is gone. What was delivered is remembered.
func (r *Record) Forget() {
	r.ETag, r.Outcome, r.Last = "", "", nil
}
