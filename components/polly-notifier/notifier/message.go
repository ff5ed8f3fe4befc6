package notifier

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"edgepdm/shared/event"
)

// errMalformed marks input that no retry makes better: it is logged and dropped.
var errMalformed = errors.New("malformed")

// decodeEvent takes the records out of an SNS event. They stay undecoded, so that a bad one does not spoil the others.
func decodeEvent(raw []byte) ([]json.RawMessage, error) {
	var e struct {
		Records []json.RawMessage `json:"Records"`
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, fmt.Errorf("%w: not an SNS event: %w", errMalformed, err)
	}
	if len(e.Records) == 0 {
		return nil, fmt.Errorf("%w: not an SNS event: it has no Records", errMalformed)
	}
	return e.Records, nil
}

// alert is what is said of which machine. A plain text has neither id nor thing.
type alert struct {
	messageID string // of SNS, for the log
	id        string
	thing     string // valid, or empty
	core      string // the same
	facts     alarmFacts
	own       string            // the alert's own text, clean
	texts     map[string]string // in other languages
	sign      string            // what is said first, such as Alert!
	text      string            // clean, not empty, and not longer than Polly takes
	replayed  bool              // it may have arrived before
	badThing  error             // why the thing that the message names is not used
	cut       bool              // the text was too long
}

// decodeRecord reads an SNS record. Only what is used is decoded: a strange time stamp must not silence an alert. With
// an error it returns what the log can tell of the record.
func decodeRecord(raw []byte, first Voice) (alert, error) {
	var r struct {
		EventSource string `json:"EventSource"`
		SNS         *struct {
			MessageID string `json:"MessageId"`
			Message   string `json:"Message"`
		} `json:"Sns"`
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return alert{}, fmt.Errorf("%w: not an SNS record: %w", errMalformed, err)
	}
	if r.SNS == nil || (r.EventSource != "" && r.EventSource != "aws:sns") {
		return alert{}, fmt.Errorf("%w: not an SNS record: its EventSource is %.64q", errMalformed, r.EventSource)
	}
	a, err := decodeMessage(r.SNS.Message, first)
	a.messageID = r.SNS.MessageID
	return a, err
}

// decodeMessage reads the body of an SNS message: the alert as JSON, or the sentence to speak. A message that was
// published with MessageStructure "json" arrives unwrapped from SNS; an emulator may leave it wrapped.
func decodeMessage(body string, first Voice) (alert, error) {
	a, wrapped, err := decodeBody(body)
	if err == nil && wrapped != nil {
		a, wrapped, err = decodeBody(*wrapped)
		if err == nil && wrapped != nil {
			err = fmt.Errorf("%w: a wrapped message is wrapped again", errMalformed)
		}
	}
	if err != nil {
		return alert{text: clean(body)}, err
	}
	a, ok := a.by(first, true)
	if !ok {
		return alert{text: clean(body)}, fmt.Errorf("%w: there is no text to speak", errMalformed)
	}
	return a, nil
}

// by returns what a voice says of the alert, if it is to say anything: it has a text in its language, or is the first one.
func (a alert) by(v Voice, first bool) (alert, bool) {
	text := ""
	for _, language := range slices.Sorted(maps.Keys(a.texts)) {
		t := a.texts[language]
		if v.Language != "" && (strings.EqualFold(language, v.Language) || text == "" && v.base() == (Voice{Language: language}).base()) {
			text = clean(t)
		}
	}
	if text == "" && first {
		text = a.own
	}
	if text == "" && !(first && a.facts.Over) {
		return a, false
	}
	a.sign, a.text = a.facts.speech(wordsOf(v), text, a.thing)
	a.text, a.cut = cut(clean(a.text), maxBilled-len(a.sign)-len(" "))
	return a, a.text != ""
}

// decodeBody reads one level of a message. Of a wrapped one it returns the part that is for functions.
func decodeBody(body string) (a alert, wrapped *string, err error) {
	if !strings.HasPrefix(strings.TrimSpace(body), "{") {
		text, err := decodeSentence(body)
		return alert{own: clean(text)}, nil, err
	}
	var m struct {
		V       int     `json:"v"`
		ID      string  `json:"id"`
		Thing   string  `json:"thing"`
		Text    string  `json:"text"`
		Lambda  *string `json:"lambda"`
		Default *string `json:"default"`
	}
	if err := event.Unmarshal([]byte(body), &m); err != nil {
		return alert{}, nil, fmt.Errorf("%w: not the JSON of an alert: %w", errMalformed, err)
	}
	if m.V == 0 && m.Lambda != nil {
		return alert{}, m.Lambda, nil
	}
	if m.V == 0 && m.Default != nil {
		return alert{}, m.Default, nil
	}
	if m.V != event.Version {
		return alert{}, nil, fmt.Errorf("%w: not an alert of this version: v is %d, must be %d", errMalformed, m.V, event.Version)
	}
	a = alert{id: printable(m.ID, event.MaxID), thing: m.Thing, own: clean(m.Text)}
	_ = event.Unmarshal([]byte(body), &a.facts) // what is strange of it is not said: it must not silence an alert
	var more struct {
		Texts map[string]string `json:"texts"`
	}
	_ = event.Unmarshal([]byte(body), &more) // the same
	a.texts, a.replayed = more.Texts, a.facts.Replayed
	if event.CheckName(a.facts.Core) == nil { // it becomes a part of a topic
		a.core = a.facts.Core
	}
	if m.Thing != "" {
		if err := event.CheckName(m.Thing); err != nil { // it would become a topic: say the alert, but do not announce it
			a.thing, a.badThing = "", fmt.Errorf("thing: %w", err)
		}
	}
	return a, nil, nil
}

// decodeSentence returns what a message that is no JSON object says: itself, or the string that it is as JSON. Null, a number
// or a list was meant for programs.
func decodeSentence(body string) (string, error) {
	var value any
	if err := json.Unmarshal([]byte(body), &value); err != nil {
		return body, nil //nolint:nilerr // what is no JSON is the sentence itself
	}
	if text, ok := value.(string); ok {
		return text, nil
	}
	return "", fmt.Errorf("%w: JSON without a text: %.64s", errMalformed, body)
}

// printable keeps the printable ASCII of s, at most limit bytes: what an HTTP header carries.
func printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s[:min(len(s), limit)])
}
