package event

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

const (
	// FilterModel covers the events of models.
	FilterModel = "pdm/v1/model/+"
	// TopicAckModel is where the forwarder acknowledges those that it has on disk.
	TopicAckModel = "pdm/v1/ack/model"
)

// Role says what a model is for. There is one active model of each role.
type Role string

// The roles.
const (
	RoleFault Role = "fault" // it gives the probability of a fault; an empty Role means the same
	RoleLife  Role = "life"  // it gives the remaining life
)

// ModelStep is what happened to a model.
type ModelStep string

// The steps of the fetcher.
const (
	ModelAvailable   ModelStep = "available"   // a model that is acceptable so far was found
	ModelDownloading ModelStep = "downloading" // its download begins, or goes on after a restart of the process
	ModelDelivered   ModelStep = "delivered"   // it is in the inbox, for the engine to take
	ModelRefused     ModelStep = "refused"     // it is not acceptable: Detail begins with the reason
)

// The steps of the engine, which owns the active model.
const (
	ModelActivated  ModelStep = "activated"   // it scores from now on
	ModelRejected   ModelStep = "rejected"    // it was delivered, or was the candidate, and is not used: Detail says why
	ModelRolledBack ModelStep = "rolled-back" // it was active, and the one before it scores again: Detail says why
)

// ModelEvent reports what happened to a model (promise M12).
type ModelEvent struct {
	Replayed bool      `json:"replayed,omitempty"` // it may have arrived before; the first member, as in all messages that are repeated
	V        int       `json:"v"`
	ID       string    `json:"id"` // unique for ever; a repeated event has the same
	Event    ModelStep `json:"event"`
	Role     Role      `json:"role,omitempty"`    // empty: RoleFault
	Name     string    `json:"name,omitempty"`    // of the model; missing while nothing vouches for it
	Version  string    `json:"version,omitempty"` // likewise
	SHA256   string    `json:"sha256,omitempty"`  // of the model file, of the archive before it is unpacked
	Detail   string    `json:"detail,omitempty"`
	TS       time.Time `json:"ts"`
}

// NewModelEvent makes the event of a step of a model. It keeps its id however often it is published.
func NewModelEvent(step ModelStep, model ModelEvent, at time.Time) ModelEvent {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand
	model.V, model.ID, model.Event, model.TS = Version, "model-"+hex.EncodeToString(id[:]), step, at.UTC()
	model.Detail = Cut(model.Detail, MaxDetail)
	return model
}

// ModelTopic is where events of that step are published.
func ModelTopic(step ModelStep) string { return "pdm/v1/model/" + string(step) }

// DecodeModelEvent reads a message of a model topic. An event without an id gets one of what it says. The error is an *InvalidError.
func DecodeModelEvent(payload []byte) (ModelEvent, error) {
	var e ModelEvent
	if err := decode(payload, &e); err != nil {
		return e, err
	}
	if err := checkVersion(e.V); err != nil {
		return e, err
	}
	if checkID(e.ID) != nil {
		sum := sha256.Sum256(payload)
		e.ID = "model-" + hex.EncodeToString(sum[:8])
	}
	return e, checkClock(e.TS)
}
