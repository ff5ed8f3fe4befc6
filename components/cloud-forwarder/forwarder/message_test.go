package forwarder

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
)

func TestMarkReplayed(t *testing.T) {
	for in, want := range map[string]string{
		`{"v":1,"id":"x"}`:                 `{"replayed":true,"v":1,"id":"x"}`,
		`{"replayed":true,"v":1,"id":"x"}`: `{"replayed":true,"v":1,"id":"x"}`,
		`{}`:                               `{"replayed":true}`,
		`[1]`:                              `[1]`,
		``:                                 ``,
	} {
		if got := string(markReplayed([]byte(in))); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}

func raised() event.Alert {
	return event.Alert{
		V: 1, ID: "press-1-e-1", Thing: "press-1", Line: "line-7", Fault: event.FaultMachine, State: event.AlarmUnacknowledged,
		Severity: event.SeverityHigh, Since: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), TS: time.Date(2026, 11, 23, 10, 0, 1, 0, time.UTC),
		Probability: 0.971, Text: "Fault found on line 7, press 1. Immediate attention required.", Model: &event.ModelRef{Version: "m1"},
	}
}

// punctual is the alertStatus of an alert that is delivered at once.
func punctual(event.Alert) alertStatus { return alertStatus{} }

// The e-mail tells a person what, where, since when and what to do; programs get the alert itself.
func TestSNSMessage(t *testing.T) {
	payload, err := json.Marshal(raised())
	if err != nil {
		t.Fatal(err)
	}
	subject, text, err := snsMessage(message{payload: payload}, punctual)
	if err != nil {
		t.Fatal(err)
	}
	if subject != "[HIGH] machine-fault: press-1 on line-7" {
		t.Errorf("subject %q", subject)
	}
	var parts map[string]string
	if err := json.Unmarshal([]byte(text), &parts); err != nil {
		t.Fatal(err)
	}
	if parts["lambda"] != string(payload) || parts["email"] != parts["default"] {
		t.Errorf("parts %v", parts)
	}
	for _, want := range []string{
		"Fault found on line 7, press 1. Immediate attention required.", "machine-fault", "press-1", "line-7",
		"2026-11-23 10:00:00 UTC", "97.1 %", "What to do:", "Inspect the machine",
	} {
		if !strings.Contains(parts["email"], want) {
			t.Errorf("e-mail lacks %q:\n%s", want, parts["email"])
		}
	}
	if _, _, err := snsMessage(message{payload: []byte("x")}, punctual); err == nil {
		t.Error("a malformed alert became a message")
	}
}

func TestSubjectFitsSNS(t *testing.T) {
	a := raised()
	a.Thing, a.Line = strings.Repeat("x", 128), strings.Repeat("y", 128)
	if s := subject(a, alertStatus{}); len(s) != maxSubject {
		t.Errorf("%d characters", len(s))
	}
	a.Line = "Strasse\nß"
	if s := subject(a, alertStatus{}); strings.ContainsAny(s, "\nß") {
		t.Errorf("subject %q", s)
	}
	a.Thing, a.Line, a.Simulated = "press-1", "Line 7", true
	if s := subject(a, alertStatus{}); s != "[SIMULATED] [HIGH] machine-fault: press-1 on Line 7" {
		t.Errorf("subject %q", s)
	}
}

func TestConfigNamesTheField(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"alertTopicArn:":    func(c *Config) { c.AlertTopicARN = "alerts" },
		"topicPrefix:":      func(c *Config) { c.TopicPrefix = "a/b/c" },
		"topicPrefix: it":   func(c *Config) { c.TopicPrefix = strings.Repeat("x", 65) },
		"predictionSink:":   func(c *Config) { c.PredictionSink = "s3" },
		"sample:":           func(c *Config) { c.Sample = -1 },
		"maxLabelChanges:":  func(c *Config) { c.MaxLabelChanges = 1001 },
		"groupCommit:":      func(c *Config) { c.GroupCommit = time.Minute },
		"maxSpoolMB:":       func(c *Config) { c.MaxSpoolMB = 1 },
		"retryMax:":         func(c *Config) { c.RetryMax = 0 },
		"timeout:":          func(c *Config) { c.Timeout = 0 },
		"endpoints.iotData": func(c *Config) { c.Endpoints.IoTData = "host" },
		"endpoints.sns":     func(c *Config) { c.Endpoints.SNS = "ftp://host" },
	} {
		c := Default()
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A message is kept as it came, and an alert without a text still has one for a phone.
func TestMessageIsKeptAsItCame(t *testing.T) {
	const payload = `{"v":1,"id":"x","text":"<&> \u003c é"}`
	record, err := encode(envelope{"t", json.RawMessage(payload)})
	if err != nil || !strings.Contains(string(record), payload) {
		t.Errorf("%s, %v", record, err)
	}
	a := raised()
	a.Text = ""
	data, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	_, text, err := snsMessage(message{payload: data, replayed: true}, punctual)
	var parts map[string]string
	if err := errors.Join(err, json.Unmarshal([]byte(text), &parts)); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(parts["sms"], subject(a, alertStatus{})) || !strings.HasPrefix(parts["lambda"], `{"replayed":true,`) {
		t.Errorf("%v", parts)
	}
}
