package alarms

import (
	"errors"
	"fmt"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/request"
)

// test is a test alarm that somebody on the device waits for.
type test struct {
	request *request.Request
	text    string // says which it is
}

// maxTests bounds the test alarms that are waited for; of further ones only the raising is answered.
const maxTests = 100

// testCommand obeys a message of event.TopicTestAlarm, and replies.
func (r *run) testCommand(payload []byte, now time.Time) error {
	c, err := event.DecodeTestAlarm(payload)
	text := ""
	if err == nil {
		_, text = r.testAlarm(c, now)
	}
	r.reply(c.ID, text, err, now)
	return err
}

// testAlarm raises a test alarm. The outcome says which, and whether it would survive a restart.
func (r *run) testAlarm(c event.TestAlarm, now time.Time) (id, outcome string) {
	if c.Thing == "" {
		c.Thing = r.core
	}
	r.rt.Log.Info("test alarm", "thing", c.Thing, "by", c.By)
	a := event.Alert{Thing: c.Thing, Line: c.Line, Fault: event.FaultTest, Severity: event.SeverityLow, Since: now}
	if c.Text != "" {
		a.Text = text(a, now) + " " + c.Text // it says first that it is a test
	}
	a = r.enter(a, event.AlarmUnacknowledged, now)
	outcome = fmt.Sprintf("test alarm %s of %s is raised", a.ID, c.Thing)
	if err := r.save(); err != nil {
		return a.ID, fmt.Sprintf("%s, in memory only (%v)", outcome, err)
	}
	return a.ID, outcome + " and on disk"
}

// commands obeys what was asked for on the device.
func (r *run) commands(now time.Time) {
	for _, q := range r.requests.Take() {
		if q.Command != event.CommandTestAlarm {
			q.Unknown()
			continue
		}
		var c event.TestAlarm
		if err := errors.Join(q.Arguments(&c), c.Check()); err != nil {
			q.Answer("", err)
			continue
		}
		c.By = q.By
		id, text := r.testAlarm(c, now)
		if len(r.tests) >= maxTests {
			q.Answer(text, nil)
			continue
		}
		q.Progress(text + "; it waits for the cloud forwarder")
		r.tests[id] = test{q, text}
	}
}

// arrived answers who waits for the alert that the forwarder has now.
func (r *run) arrived(id string) {
	if t, ok := r.tests[id]; ok {
		delete(r.tests, id)
		t.request.Answer(t.text+"; the cloud forwarder has it", nil)
	}
}

// reply publishes the outcome of a command.
func (r *run) reply(id, text string, err error, now time.Time) {
	payload, err := event.EncodeReply(id, text, err, now)
	if err == nil {
		err = r.replies.Send(event.ReplyTopic(event.TopicTestAlarm), payload)
	}
	if err != nil {
		r.rt.Log.Warn("the reply to a command is not published", "error", err)
	}
}
