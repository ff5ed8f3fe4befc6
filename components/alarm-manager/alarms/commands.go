package alarms

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"edgepdm/shared/alarm"
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
		_, text, err = r.testAlarm(c, now)
	}
	r.reply(c.ID, text, err, now)
	return err
}

// testAlarm raises a test alarm. The outcome says which, and whether it would survive a restart.
func (r *run) testAlarm(c event.TestAlarm, now time.Time) (id, outcome string, err error) {
	if c.Thing == "" {
		c.Thing = r.core
	}
	r.rt.Log.Info("test alarm", "thing", c.Thing, "by", c.By)
	changes, err := r.list.system.Command(alarm.Command{
		Do: alarm.Test, Alarms: []alarm.Key{{Thing: c.Thing, Fault: event.FaultTest}}, Line: c.Line, By: event.Cut(c.By, maxBy),
		Text: event.Cut(c.Text, maxOrderText),
	}, now)
	alerts := r.process(changes, now)
	i := slices.IndexFunc(alerts, func(a event.Alert) bool { return a.Fault == event.FaultTest })
	switch {
	case err != nil:
		return "", "", err
	case i < 0:
		return "", fmt.Sprintf("test alarm of %s is raised; by the rules, neither cloud nor SNS is told", c.Thing), nil
	}
	id = alerts[i].ID
	outcome = fmt.Sprintf("test alarm %s of %s is raised", id, c.Thing)
	if err := r.save(); err != nil {
		return id, fmt.Sprintf("%s, in memory only (%v)", outcome, err), nil
	}
	return id, outcome + " and on disk", nil
}

// commands obeys what was asked for on the device.
func (r *run) commands(now time.Time) {
	for _, q := range r.requests.Take() {
		switch q.Command {
		case event.CommandTestAlarm:
			r.testRequest(q, now)
		case event.CommandAlarm:
			r.orderRequest(q, now)
		case event.CommandSpeak:
			r.speakTest(q)
		default:
			q.Unknown()
		}
	}
}

// testRequest obeys a test alarm that is asked for on the device.
func (r *run) testRequest(q *request.Request, now time.Time) {
	var c event.TestAlarm
	if err := errors.Join(q.Arguments(&c), c.Check()); err != nil {
		q.Answer("", err)
		return
	}
	c.By = q.By
	id, text, err := r.testAlarm(c, now)
	if err != nil || id == "" || len(r.tests) >= maxTests {
		q.Answer(text, err)
		return
	}
	q.Progress(text + "; it waits for the cloud forwarder")
	r.tests[id] = test{q, text}
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
