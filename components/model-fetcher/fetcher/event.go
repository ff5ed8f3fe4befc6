package fetcher

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"edgepdm/shared/event"
)

// Event reports what happened to a model, on event.ModelTopic(Event.Event). Its SHA256 is the archive's.
type Event = event.ModelEvent

// The fetcher's steps.
const (
	StepAvailable   event.ModelStep = "available"   // a model that is acceptable so far was found
	StepDownloading event.ModelStep = "downloading" // its download begins, or goes on after a restart of the process
	StepDelivered   event.ModelStep = "delivered"   // it is in the inbox, for the engine to take
	StepRefused     event.ModelStep = "refused"     // it is not acceptable: Detail begins with the reason
)

// TopicFetch is where an operator asks to look for a model now.
const TopicFetch = "pdm/v1/command/operator/model-fetch"

// maxDetail is the longest text in an event or in the state, in bytes: these are local messages.
const maxDetail = 600

// shorten cuts a text where it is too long for a local message.
func shorten(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxDetail)], "")
}

// Command asks to look for a model now.
type Command struct {
	V     int    `json:"v"`
	Again bool   `json:"again,omitempty"` // even if what is published was delivered or refused before
	By    string `json:"by,omitempty"`    // who asks for it, as claimed
	ID    string `json:"id,omitempty"`    // is repeated in the reply
}

// decodeCommand reads a message of TopicFetch.
func decodeCommand(payload []byte) (Command, error) {
	var c Command
	if err := event.Local.Check(payload); err != nil {
		return c, err
	}
	if err := event.Unmarshal(payload, &c); err != nil {
		return c, fmt.Errorf("not a command such as {\"v\":1}: %w", err)
	}
	if c.V != event.Version {
		return c, fmt.Errorf("v is %d, known is %d", c.V, event.Version)
	}
	return c, event.CheckCommandID(c.ID)
}

// stamp makes an event of a step. It keeps its id however often it is published.
func stamp(e Event, step event.ModelStep, at time.Time) Event {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand
	e.V, e.ID, e.Event, e.TS, e.Detail = event.Version, "model-"+hex.EncodeToString(id[:]), step, at.UTC(), shorten(e.Detail)
	return e
}
