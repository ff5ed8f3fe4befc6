package event

import "time"

const (
	// FilterModel covers the events of models.
	FilterModel = "pdm/v1/model/+"
	// TopicAckModel is where the forwarder acknowledges those that it has on disk.
	TopicAckModel = "pdm/v1/ack/model"
)

// ModelStep is what happened to a model.
type ModelStep string

// The steps of the engine, which owns the active model.
const (
	ModelActivated  ModelStep = "activated"   // it scores from now on
	ModelRejected   ModelStep = "rejected"    // it was delivered and is not used: Detail says why
	ModelRolledBack ModelStep = "rolled-back" // it was active, and the one before it scores again: Detail says why
)

// ModelEvent reports what happened to a model (promise M12).
type ModelEvent struct {
	Replayed bool      `json:"replayed,omitempty"` // it may have arrived before; the first member, as in all messages that are repeated
	V        int       `json:"v"`
	ID       string    `json:"id"` // unique for ever; a repeated event has the same
	Event    ModelStep `json:"event"`
	Name     string    `json:"name,omitempty"`    // of the model; missing while nothing vouches for it
	Version  string    `json:"version,omitempty"` // likewise
	SHA256   string    `json:"sha256,omitempty"`  // of the model file, of the archive before it is unpacked
	Detail   string    `json:"detail,omitempty"`
	TS       time.Time `json:"ts"`
}

// ModelTopic is where events of that step are published.
func ModelTopic(step ModelStep) string { return "pdm/v1/model/" + string(step) }

// DecodeModelEvent reads a message of a model topic. The error is an *InvalidError.
func DecodeModelEvent(payload []byte) (ModelEvent, error) {
	var e ModelEvent
	if err := decode(payload, &e); err != nil {
		return e, err
	}
	if err := checkVersion(e.V); err != nil {
		return e, err
	}
	return e, checkClock(e.TS)
}
