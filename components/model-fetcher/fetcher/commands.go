package fetcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"edgepdm/components/model-fetcher/record"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/request"
)

const (
	takeEvery  = time.Second
	maxReplies = 100 // commands over IPC that one look answers
)

// asked are the commands of this device that are not answered yet. They are taken beside the looks, which may take long.
type asked struct {
	requests *request.Server
	clock    func() time.Time
	wake     chan struct{} // a look is wanted

	mu    sync.Mutex
	next  []waiting // to be answered by the next look
	now   []waiting // by the look that is under way
	again bool      // one of next is for what was dealt with before
	busy  bool      // a look is under way
	step  string    // how far it is
}

// waiting is a command that waits for its answer.
type waiting struct {
	*request.Request
	since time.Time
}

func newAsked(requests *request.Server, clock func() time.Time) *asked {
	return &asked{requests: requests, clock: clock, wake: make(chan struct{}, 1)}
}

// take takes commands until ctx ends.
func (a *asked) take(ctx context.Context) {
	ticker := time.NewTicker(takeEvery)
	defer ticker.Stop()
	for {
		for _, q := range a.requests.Take() {
			a.add(q)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (a *asked) add(q *request.Request) {
	var c event.ModelFetch
	switch err := q.Arguments(&c); {
	case q.Command != event.CommandLook:
		q.Unknown()
		return
	case err != nil:
		q.Answer("", err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy {
		q.Progress("a look is under way; the next one follows at once")
	}
	a.next = append(a.next, waiting{q, a.clock()})
	a.again = a.again || c.Again
	a.wanted()
}

// wanted says that another look is wanted.
func (a *asked) wanted() {
	select {
	case a.wake <- struct{}{}:
	default: // is wanted already
	}
}

// late answers the commands that came before a time, and returns the answer: how far the look is that they wait for.
func (a *asked) late(before time.Time) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := "a look is under way"
	if a.step != "" {
		text += ": " + a.step
	}
	answer := func(q waiting) bool {
		if q.since.After(before) {
			return false
		}
		q.Answer(text, nil)
		return true
	}
	a.now, a.next = slices.DeleteFunc(a.now, answer), slices.DeleteFunc(a.next, answer)
	return text
}

// begin begins a look, which answers what was asked so far. again says whether that is for what was dealt with before.
func (a *asked) begin() (again bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	again = a.again
	a.now, a.next, a.again, a.busy = append(a.now, a.next...), nil, false, true
	a.step = ""
	return again
}

// progress says how far the look is.
func (a *asked) progress(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.step = text
	for _, q := range append(a.now[:len(a.now):len(a.now)], a.next...) {
		q.Progress(text)
	}
}

// end answers what the look was for.
func (a *asked) end(text string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, q := range a.now {
		q.Answer(text, err)
	}
	a.now, a.busy = nil, false
}

// logEvery is the least time between two log lines that many commands may cause.
const logEvery = 10 * time.Second

// command reads a command over IPC. It reports whether that is understood; if not, it is answered at once.
func (r *run) command(m ipc.TopicMessage) bool {
	c, err := event.DecodeModelFetch(m.Payload)
	if err != nil {
		total := r.rt.Counter(CounterInvalid).Add(1)
		if now := r.Now(); now.Sub(r.strange).Abs() >= logEvery {
			r.strange = now
			r.rt.Log.Warn("the command is not valid", "topic", m.Topic, "error", err, "total", total)
		}
		r.reply(c.ID, "", err)
		return false
	}
	if now := r.Now(); now.Sub(r.commanded).Abs() >= logEvery {
		r.commanded = now
		r.rt.Log.Info("looking for a model by command", "by", c.By, "again", c.Again)
	}
	r.again = r.again || c.Again // also if the configuration changes now, and the next Run looks
	if len(r.replies) < maxReplies {
		r.replies = append(r.replies, reply{c.ID, r.Now()})
	}
	return true
}

// answer answers those who wanted a look, before it began, with what it found; err says why it did not get through.
func (r *run) answer(err error, begun time.Time) {
	text, err := r.found(err)
	r.asked.end(text, err)
	r.replies = slices.DeleteFunc(r.replies, func(q reply) bool {
		if q.since.After(begun) {
			return false
		}
		r.reply(q.id, text, err)
		return true
	})
}

// found says what a look found.
func (r *run) found(err error) (string, error) {
	if err != nil {
		return "", fmt.Errorf("no model can be fetched; it will be tried again: %s", explain(r.config, err))
	}
	if r.config.Bucket == "" {
		return "", errors.New("no model is fetched: bucket is not configured")
	}
	last := r.looker.record.Last
	if r.looker.detail != "" || last == nil {
		return "nothing is to be fetched: " + r.looker.detail, nil
	}
	model := strings.TrimSpace(last.Name + " " + last.Version)
	if model == "" {
		model = "one without a valid manifest"
	}
	text := fmt.Sprintf("the published model is %s: %s at %s", model, last.Event, last.TS.Local().Format(time.DateTime))
	if r.looker.record.Outcome == record.OutcomeRefused {
		return "", fmt.Errorf("%s: %s", text, last.Detail)
	}
	return text, nil
}

// reply publishes the outcome of a command over IPC.
func (r *run) reply(id, text string, err error) {
	payload, err := event.EncodeReply(id, text, err, r.Now())
	if err == nil {
		err = r.answers.Send(event.ReplyTopic(event.TopicModelFetch), payload)
	}
	if err != nil {
		r.rt.Log.Warn("the reply to a command could not be published", "error", err)
	}
}
