// Package event defines the messages that the components exchange: their types, validation, topics, and how large
// they may be on each transport. Messages are JSON objects sent as binaryMessage; receivers ignore unknown members.
package event

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Version is the member "v" of every message.
const Version = 1

// Local topics and subscription filters, verb first so that one filter covers all things.
const (
	TopicTelemetryBatch  = "pdm/v1/telemetry-batch"
	TopicPredictionBatch = "pdm/v1/prediction-batch"

	FilterTelemetry   = "pdm/v1/telemetry/#" // deeper topics, too: a thing named press/1 is to be refused, not ignored
	FilterPrediction  = "pdm/v1/prediction/+"
	FilterHealth      = "pdm/v1/health/+"
	FilterShadow      = "$aws/things/+/shadow/update/accepted"
	prefixTelemetry   = "pdm/v1/telemetry/"
	prefixPrediction  = "pdm/v1/prediction/"
	prefixHealth      = "pdm/v1/health/"
	shadowTopicPrefix = "$aws/things/"
	shadowTopicSuffix = "/shadow/update/accepted"
)

// TelemetryTopic is where a thing's sensor rows are published.
func TelemetryTopic(thing string) string { return prefixTelemetry + thing }

// PredictionTopic is where the predictions for a thing are published.
func PredictionTopic(thing string) string { return prefixPrediction + thing }

// HealthTopic is where a component reports its health.
func HealthTopic(component string) string { return prefixHealth + component }

// TelemetryThing returns the thing that a telemetry topic names, "" for another topic.
func TelemetryThing(topic string) string {
	thing, ok := strings.CutPrefix(topic, prefixTelemetry)
	if !ok {
		return ""
	}
	return thing
}

// ShadowThing returns the thing whose shadow update a topic reports, "" for another topic.
func ShadowThing(topic string) string {
	rest, ok := strings.CutPrefix(topic, shadowTopicPrefix)
	if !ok {
		return ""
	}
	thing, ok := strings.CutSuffix(rest, shadowTopicSuffix)
	if !ok {
		return ""
	}
	return thing
}

// MaxID is the longest id of a message, in bytes.
const MaxID = 256

func checkID(id string) error {
	if id == "" || len(id) > MaxID {
		return &InvalidError{ReasonName, fmt.Sprintf("id has %d bytes, must have 1 to %d", len(id), MaxID)}
	}
	return nil
}

// checkThing checks the thing that a message is about, and its line, which may be missing.
func checkThing(thing, line string) error {
	if err := CheckName(thing); err != nil {
		return &InvalidError{ReasonName, "thing: " + err.Error()}
	}
	if line == "" {
		return nil
	}
	if err := CheckLine(line); err != nil {
		return &InvalidError{ReasonName, err.Error()}
	}
	return nil
}

// maxName is the longest name of an AWS IoT thing, in bytes.
const maxName = 128

// CheckName says whether s can name a thing: 1 to 128 of the characters that AWS IoT allows in thing
// names, a-z A-Z 0-9 : _ and -.
func CheckName(s string) error {
	if s == "" || len(s) > maxName {
		return fmt.Errorf("name has %d characters, must have 1 to %d", len(s), maxName)
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == ':', c == '_', c == '-':
		default:
			return fmt.Errorf("name %q has the character %q; allowed are a-z A-Z 0-9 : _ -", s, c)
		}
	}
	return nil
}

// maxLine is the longest name of a line, in characters.
const maxLine = 128

// CheckLine says whether s can name a line, which only people read: 1 to 128 printable characters, spaces among them.
func CheckLine(s string) error {
	if n := utf8.RuneCountInString(s); n == 0 || n > maxLine {
		return fmt.Errorf("line has %d characters, must have 1 to %d", n, maxLine)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("line %q has characters that cannot be printed", s)
	}
	return nil
}
