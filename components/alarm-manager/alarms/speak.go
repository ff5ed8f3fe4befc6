package alarms

import (
	"errors"

	"edgepdm/shared/event"
	"edgepdm/shared/request"
)

// tester is an Announcer that says what came of a text.
type tester interface {
	Test(text, language string, done func(outcome string, err error))
}

// speakTest speaks what somebody on the device asked for.
func (r *run) speakTest(q *request.Request) {
	var c event.Speak
	if err := errors.Join(q.Arguments(&c), c.Check()); err != nil {
		q.Answer("", err)
		return
	}
	speaker, ok := r.announcer.(tester)
	if !ok {
		q.Answer("", errors.New("nothing is spoken here: voice.enabled is false in the configuration of the alarm manager"))
		return
	}
	q.Progress("it is being spoken")
	speaker.Test(c.Text, c.Language, q.Answer)
}
