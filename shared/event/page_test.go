package event_test

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/test/must"
)

// docs/messages.md has every topic and counter of the contract, no other topic, and examples that are taken.
func TestMessagesPage(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "messages.md"))
	must.OK(t, err)
	page := string(data)
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([$p][^`]+/[^`]*)` \\|").FindAllStringSubmatch(page, -1) {
		documented = append(documented, m[1])
	}
	declared := append(literals(t, `"((?:pdm/v1/|\$aws/)[^"]*)"`), literals(t, `prefixCommand \+ "([^"]+)"`)...)
	if len(documented) < 10 || len(declared) < len(documented) {
		t.Fatalf("documented are %q, declared are %q", documented, declared)
	}
	fixed := func(topic string) string { return topic[:strings.IndexAny(topic+"<", "+#<")] }
	for _, topic := range declared {
		if !slices.ContainsFunc(documented, func(d string) bool { return strings.Contains(fixed(d), fixed(topic)) }) {
			t.Errorf("the page lacks the topic %q", topic)
		}
	}
	for _, topic := range documented {
		if !slices.ContainsFunc(declared, func(d string) bool { return strings.Contains(fixed(topic), fixed(d)) }) {
			t.Errorf("shared/event has no topic %q", topic)
		}
	}
	for _, counter := range literals(t, `Counter\w+ *= "([^"]+)"`) {
		if !regexp.MustCompile("(?m)^\\| `[^`]*" + regexp.QuoteMeta(counter)).MatchString(page) {
			t.Errorf("the page lacks the counter %q", counter)
		}
	}

	type message struct {
		of     any // its type, whose members the example may have
		decode func([]byte) error
	}
	taken := func([]byte) error { return nil } // by no component
	messages := map[string]message{
		"Telemetry":       {new(event.Telemetry), func(b []byte) error { _, err := event.DecodeTelemetry(b); return err }},
		"Prediction":      {new(event.Prediction), func(b []byte) error { _, err := event.DecodePrediction(b); return err }},
		"Alert":           {new(event.Alert), func(b []byte) error { _, err := event.DecodeAlert(b); return err }},
		"Announcement":    {new(event.Announcement), func(b []byte) error { _, err := event.DecodeAnnouncement(b); return err }},
		"Heartbeat":       {new(event.Heartbeat), taken},
		"Model event":     {new(event.ModelEvent), func(b []byte) error { _, err := event.DecodeModelEvent(b); return err }},
		"Comparison":      {new(event.Comparison), func(b []byte) error { _, err := event.DecodeComparison(b); return err }},
		"Drift":           {new(event.Drift), func(b []byte) error { _, err := event.DecodeDrift(b); return err }},
		"Model command":   {new(event.ModelCommand), func(b []byte) error { _, err := event.DecodeModelCommand(b); return err }},
		"Label":           {new(event.Label), func(b []byte) error { _, err := event.DecodeLabel(b); return err }},
		"Acknowledgement": {new(event.Ack), func(b []byte) error { _, err := event.DecodeAck(b); return err }},
		"Health":          {new(event.Health), func(b []byte) error { _, err := event.DecodeHealth(b); return err }},
		"Test alarm":      {new(event.TestAlarm), func(b []byte) error { _, err := event.DecodeTestAlarm(b); return err }},
		"Model fetch":     {new(event.ModelFetch), func(b []byte) error { _, err := event.DecodeModelFetch(b); return err }},
		"Dropped":         {new(event.Dropped), taken},
	}
	examples := regexp.MustCompile("(?s)```json\n(.*?)```")
	for _, section := range strings.Split(page, "\n## ")[1:] {
		title, body, _ := strings.Cut(section, "\n")
		m, ok := messages[title]
		found := examples.FindAllStringSubmatch(body, -1)
		if ok != (len(found) > 0) {
			t.Errorf("%s has %d examples", title, len(found))
			continue
		}
		delete(messages, title)
		for _, example := range found {
			if err := errors.Join(m.decode([]byte(example[1])), strict(example[1], m.of)); err != nil {
				t.Errorf("the example of %s: %v", title, err)
			}
		}
	}
	if len(messages) > 0 {
		t.Errorf("the page lacks %v", slices.Sorted(maps.Keys(messages)))
	}
}

// strict refuses members that the type does not have.
func strict(text string, into any) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// literals are what the pattern finds in the package's source.
func literals(t *testing.T, pattern string) (found []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	must.OK(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		must.OK(t, err)
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(source), -1) {
			found = append(found, m[1])
		}
	}
	return found
}
