package event

import (
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// FilterReply covers the outcomes of commands.
	FilterReply = "pdm/v1/reply/+/+"

	prefixCommand = "pdm/v1/command/"
	prefixReply   = "pdm/v1/reply/"

	maxReplyText = 1000 // bytes
)

// ReplyTopic is where the outcome of a command is published: pdm/v1/reply/<role>/<what> for pdm/v1/command/<role>/<what>.
func ReplyTopic(command string) string {
	return prefixReply + strings.TrimPrefix(command, prefixCommand)
}

// Reply is the outcome of a command.
type Reply struct {
	V    int       `json:"v"`
	ID   string    `json:"id,omitempty"` // the command's, if it had one
	OK   bool      `json:"ok"`
	Text string    `json:"text"` // what was done, or why not
	TS   time.Time `json:"ts"`
}

// EncodeReply returns the reply to the command with the id: with text, or with why it failed. An id that no command may have
// is left out.
func EncodeReply(id, text string, err error, now time.Time) ([]byte, error) {
	if err != nil {
		text = err.Error()
	}
	if CheckCommandID(id) != nil {
		id = ""
	}
	return Encode(Reply{V: Version, ID: id, OK: err == nil, Text: Cut(text, maxReplyText), TS: now.UTC()})
}

// CheckCommandID says whether a command may have the id: at most 128 bytes of UTF-8, or none.
func CheckCommandID(id string) error {
	if len(id) > maxName || !utf8.ValidString(id) {
		return &InvalidError{ReasonName, "id of the command is longer than 128 bytes, or no UTF-8"}
	}
	return nil
}
