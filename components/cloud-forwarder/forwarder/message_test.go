package forwarder

import (
	"encoding/json"
	"errors"
	"maps"
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
	n, err := newNotice(message{payload: payload}, "", "", punctual)
	if err != nil {
		t.Fatal(err)
	}
	if n.subject != "[HIGH] machine-fault: press-1 on line-7" {
		t.Errorf("subject %q", n.subject)
	}
	var parts map[string]string
	if err := json.Unmarshal([]byte(n.text), &parts); err != nil {
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
	if _, err := newNotice(message{payload: []byte("x")}, "", "", punctual); err == nil {
		t.Error("a malformed alert became a message")
	}
}

// Each fault that the suite finds has advice of its own, in all languages.
func TestWhatToDo(t *testing.T) {
	for language, w := range allPhrases {
		for _, f := range []event.Fault{
			event.FaultMachine, event.FaultSilence, event.FaultLine, event.FaultNoData, event.FaultQuality, event.FaultEngineDown, event.FaultUplinkDown,
			event.FaultTest, event.FaultSummary,
		} {
			if whatToDo(f, w) == whatToDo("limit-oil-temp", w) || language != "en" && whatToDo(f, w) == whatToDo(f, allPhrases["en"]) {
				t.Errorf("%s: %s has the advice of any fault, or in English", language, f)
			}
		}
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
		"alertTopicArn:":          func(c *Config) { c.AlertTopicARN = "alerts" },
		"escalationTopicArns[1]:": func(c *Config) { c.AlertTopicARN, c.EscalationTopicARNs = someTopic, []string{someTopic, "x"} },
		"escalationTopicArns: has": func(c *Config) {
			c.AlertTopicARN, c.EscalationTopicARNs = someTopic, []string{someTopic, someTopic, someTopic}
		},
		"escalationTopicArns: is set": func(c *Config) { c.EscalationTopicARNs = []string{someTopic} },
		"heartbeat:":                  func(c *Config) { c.Heartbeat = time.Millisecond },
		"topicPrefix:":                func(c *Config) { c.TopicPrefix = "a/b/c" },
		"topicPrefix: it":             func(c *Config) { c.TopicPrefix = strings.Repeat("x", 65) },
		"predictionSink:":             func(c *Config) { c.PredictionSink = "s3" },
		"sample:":                     func(c *Config) { c.Sample = -1 },
		"maxLabelChanges:":            func(c *Config) { c.MaxLabelChanges = 1001 },
		"groupCommit:":                func(c *Config) { c.GroupCommit = time.Minute },
		"maxSpoolMB:":                 func(c *Config) { c.MaxSpoolMB = 1 },
		"telemetrySample:":            func(c *Config) { c.TelemetrySample = time.Millisecond },
		"maxTelemetryMB:":             func(c *Config) { c.MaxTelemetryMB = 15 },
		"retryMax:":                   func(c *Config) { c.RetryMax = 0 },
		"timeout:":                    func(c *Config) { c.Timeout = 0 },
		"endpoints.iotData":           func(c *Config) { c.Endpoints.IoTData = "host" },
		"endpoints.sns":               func(c *Config) { c.Endpoints.SNS = "ftp://host" },
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
	n, err := newNotice(message{payload: data, replayed: true}, "", "", punctual)
	var parts map[string]string
	if err := errors.Join(err, json.Unmarshal([]byte(n.text), &parts)); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(parts["sms"], subject(a, alertStatus{})) || !strings.HasPrefix(parts["lambda"], `{"replayed":true,`) {
		t.Errorf("%v", parts)
	}
}

const someTopic = "arn:aws:sns:us-east-1:123456789012:alerts"

// The e-mail says why, and how to acknowledge; subscriptions can filter by attributes.
func TestNotice(t *testing.T) {
	a := raised()
	a.Reasons, a.Step, a.Chattering = []string{"oil temperature rises", "vibration"}, 2, true
	notice := func(a event.Alert) notice {
		payload, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		n, err := newNotice(message{payload: payload}, "core-1", "edgepdm/core-1", punctual)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := notice(a)
	if n.subject != "[HIGH, NOT ACKNOWLEDGED, STEP 2] machine-fault: press-1 on line-7" || n.step != 2 {
		t.Errorf("subject %q", n.subject)
	}
	var parts map[string]string
	if err := json.Unmarshal([]byte(n.text), &parts); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Site:        core-1\n", "Why:         oil temperature rises\n             vibration\n", "Escalated:   step 2: nobody has acknowledged it\n", "comes and goes",
		"Acknowledge: alarm-manager ack -thing press-1 -fault machine-fault -outcome confirmed",
		`{"v":1,"do":"acknowledge","thing":"press-1","fault":"machine-fault","outcome":"confirmed","by":"YOUR NAME"} on the IoT topic edgepdm/core-1/pdm/v1/command/operator/alarm`,
	} {
		if !strings.Contains(parts["email"], want) {
			t.Errorf("e-mail lacks %q:\n%s", want, parts["email"])
		}
	}
	if !strings.HasPrefix(parts["lambda"], `{"core":"core-1","v":1,`) {
		t.Errorf("programs get %s", parts["lambda"])
	}
	got := make(map[string]string)
	for name, v := range n.attributes {
		got[name] = *v.DataType + " " + *v.StringValue
	}
	want := map[string]string{
		"thing": "String press-1", "line": "String line-7", "fault": "String machine-fault", "priority": "String high",
		"state": "String UNACKNOWLEDGED", "core": "String core-1", "step": "Number 2",
	}
	if !maps.Equal(got, want) {
		t.Errorf("attributes %v, want %v", got, want)
	}
	for name, change := range map[string]func(*event.Alert){
		"the end":   func(a *event.Alert) { a.State = event.AlarmNormal },
		"a test":    func(a *event.Alert) { a.Fault = event.FaultTest },
		"a summary": func(a *event.Alert) { a.Fault, a.Count = event.FaultSummary, 12 },
		"no word":   func(a *event.Alert) { a.Fault = "x; reboot\x00" },
	} {
		a := raised()
		change(&a)
		n := notice(a)
		if strings.Contains(n.text, "Acknowledge:") || strings.Contains(*n.attributes["fault"].StringValue, "\x00") {
			t.Errorf("%s: %s", name, n.text)
		}
		if a.Count > 0 && n.subject != "[HIGH] 12 more alarms: press-1 on line-7" {
			t.Errorf("%s: %s", name, n.subject)
		}
	}
	a = raised()
	a.Line, a.Fault, a.Severity, a.State = "", "", "", "" // SNS takes no empty attribute
	if n := notice(a); len(n.attributes) != 2 {
		t.Errorf("attributes %v", n.attributes)
	}
}

// The e-mail says when maintenance is likely, as a length and as dates, unless the alarm is over.
func TestNoticeSaysWhen(t *testing.T) {
	ts := time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		life event.Life
		want string
	}{
		"hours":  {event.Life{Low: 12, Median: 20, High: 31, Unit: "hours"}, "in 12 to 31 hours.\n             From 2026-11-28 22:00 UTC to 2026-11-29 17:00 UTC, if it runs on. By its calibration, 90 % of such estimates hold.\n"},
		"cycles": {event.Life{Low: 12, Median: 20, High: 31, Unit: "cycles"}, "in 12 to 31 cycles.\n             As of 2026-11-28 10:00 UTC. By"},
		"beyond": {event.Life{Low: 12, Median: 20, High: 31, Unit: "days", Beyond: true}, "in more than 12 days.\n             As of"},
		"long":   {event.Life{Low: 12, Median: 20, High: 1e9, Unit: "weeks"}, "in 12 to 1e+09 weeks.\n             As of"},
	} {
		a := raised()
		a.TS, c.life.Coverage = ts, 0.9
		a.Life = &c.life
		if text := emailText(a, alertStatus{}, false, "", ""); !strings.Contains(text, "When:        Likely to need maintenance "+c.want) {
			t.Errorf("%s:\n%s", name, text)
		}
		if text := emailText(a, alertStatus{over: true}, false, "", ""); strings.Contains(text, "When:") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
	rarely := raised()
	rarely.Life = &event.Life{Low: 12, Median: 20, High: 31, Unit: "hours", Coverage: 0.997}
	if text := emailText(rarely, alertStatus{}, false, "", ""); !strings.Contains(text, "99.7 % of such") {
		t.Errorf("%s", text)
	}
	if text := emailText(raised(), alertStatus{}, false, "", ""); strings.Contains(text, "When:") || strings.Contains(text, "Why:") {
		t.Errorf("%s", text)
	}
}
