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
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/request"
)

const (
	takeEvery  = time.Second
	maxReplies = 100 // commands over IPC that wait for a reply
)

// desk takes commands, and hands them to the looks of all roles. They are taken beside the looks, which may take long.
type desk struct {
	*Fetcher
	rt       *component.Runtime
	requests *request.Server
	commands *ipc.Subscription[ipc.TopicMessage]
	answers  *component.Publication // replies to commands over IPC
	asked    []*asked               // of each role

	strange   time.Time // when a command was logged that is not understood
	commanded time.Time // when one was that is
	replying  sync.Mutex
}

// owed is a command over IPC that is not answered.
type owed struct {
	id    string
	again bool
}

// take takes commands of this device until ctx ends.
func (d *desk) take(ctx context.Context) {
	ticker := time.NewTicker(takeEvery)
	defer ticker.Stop()
	for {
		for _, q := range d.requests.Take() {
			d.request(q)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (d *desk) request(q *request.Request) {
	var c event.ModelFetch
	switch err := q.Arguments(&c); {
	case q.Command != event.CommandLook:
		q.Unknown()
	case err != nil:
		q.Answer("", err)
	default:
		d.hand(c.Again, q.Progress, q.Answer)
	}
}

// listen takes commands over IPC until ctx or the subscription ends.
func (d *desk) listen(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case m, open := <-d.commands.Events():
			if !open {
				return errors.Join(errEnded, d.commands.Err())
			}
			d.command(m)
		}
	}
}

// logEvery is the least time between two log lines that many commands may cause.
const logEvery = 10 * time.Second

// command takes a command over IPC. One that is not understood is answered at once.
func (d *desk) command(m ipc.TopicMessage) {
	c, err := event.DecodeModelFetch(m.Payload)
	if err != nil {
		total := d.rt.Counter(CounterInvalid).Add(1)
		if now := d.Now(); now.Sub(d.strange).Abs() >= logEvery {
			d.strange = now
			d.rt.Log.Warn("the command is not valid", "topic", m.Topic, "error", err, "total", total)
		}
		d.reply(c.ID, "", err)
		return
	}
	if now := d.Now(); now.Sub(d.commanded).Abs() >= logEvery {
		d.commanded = now
		d.rt.Log.Info("looking for a model by command", "by", c.By, "again", c.Again)
	}
	d.owe(owed{c.ID, c.Again})
}

// owe hands a command over IPC on. Of too many, the last ones get no reply; the look is made all the same.
func (d *desk) owe(o owed) {
	d.replying.Lock()
	full := len(d.owed) >= maxReplies
	if !full {
		d.owed = append(d.owed, o)
	}
	d.replying.Unlock()
	d.hand(o.again, func(string) {}, func(text string, err error) {
		if full {
			return
		}
		d.replying.Lock()
		defer d.replying.Unlock()
		if i := slices.Index(d.owed, o); i >= 0 {
			d.owed = slices.Delete(d.owed, i, i+1)
		}
		d.reply(o.id, text, err)
	})
}

// resume hands on the commands that the Run before did not answer.
func (d *desk) resume() {
	left := d.owed
	d.owed = nil
	for _, o := range left {
		d.owe(o)
	}
}

// hand hands a command to the looks of all roles.
func (d *desk) hand(again bool, progress func(string), answer func(string, error)) {
	w := &wish{since: d.Now(), left: len(d.asked), progress: progress, answer: answer}
	for _, a := range d.asked {
		a.add(w, again)
	}
}

// reply publishes the outcome of a command over IPC.
func (d *desk) reply(id, text string, err error) {
	payload, err := event.EncodeReply(id, text, err, d.Now())
	if err == nil {
		err = d.answers.Send(event.ReplyTopic(event.TopicModelFetch), payload)
	}
	if err != nil {
		d.rt.Log.Warn("the reply to a command could not be published", "error", err)
	}
}

// wish is a command to look. It is answered when a look of each role has answered.
type wish struct {
	since    time.Time
	progress func(text string)
	answer   func(text string, err error)

	mu     sync.Mutex
	left   int       // roles that have not answered
	texts  [2]string // of each role
	failed bool
}

func (w *wish) tell(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.progress(text)
}

// end takes the answer of one role.
func (w *wish) end(role int, text string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		text, w.failed = err.Error(), true
	}
	w.texts[role] = text
	if w.left--; w.left > 0 {
		return
	}
	if text = joined(w.texts[:]...); w.failed {
		w.answer("", errors.New(text))
		return
	}
	w.answer(text, nil)
}

// asked are the commands that the looks of one role have not answered yet.
type asked struct {
	role  int // its place in answers
	named func(text string) string
	wake  chan struct{} // a look is wanted

	mu    sync.Mutex
	next  []*wish // to be answered by the next look
	now   []*wish // by the look that is under way
	again bool    // one of next is for what was dealt with before
	busy  bool    // a look is under way
	step  string  // how far it is
}

func newAsked(role int, named func(string) string) *asked {
	return &asked{role: role, named: named, wake: make(chan struct{}, 1)}
}

func (a *asked) add(w *wish, again bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.busy {
		w.tell(a.named("a look is under way; the next one follows at once"))
	}
	a.next = append(a.next, w)
	a.again = a.again || again
	select {
	case a.wake <- struct{}{}:
	default: // is wanted already
	}
}

// late answers the commands that came before a time: how far the look is that they wait for.
func (a *asked) late(before time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := "a look is under way"
	if a.step != "" {
		text += ": " + a.step
	}
	answer := func(w *wish) bool {
		if w.since.After(before) {
			return false
		}
		w.end(a.role, a.named(text), nil)
		return true
	}
	a.now, a.next = slices.DeleteFunc(a.now, answer), slices.DeleteFunc(a.next, answer)
}

// begin begins a look, which answers what was asked so far. again says whether that is for what was dealt with before.
func (a *asked) begin() (again bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.wake: // for what this look answers
	default:
	}
	again = a.again
	a.now, a.next, a.again, a.busy = append(a.now, a.next...), nil, false, true
	a.step = ""
	return again
}

// wanted reports whether a look is wanted for what was dealt with before.
func (a *asked) wanted() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.again
}

// progress says how far the look is.
func (a *asked) progress(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.step = text
	for _, w := range append(a.now[:len(a.now):len(a.now)], a.next...) {
		w.tell(a.named(text))
	}
}

// end answers what the look was for.
func (a *asked) end(text string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		err = errors.New(a.named(err.Error()))
	}
	for _, w := range a.now {
		w.end(a.role, a.named(text), err)
	}
	a.now, a.busy = nil, false
}

// found says what a look found.
func (r *run) found(err error) (string, error) {
	if err != nil {
		return "", fmt.Errorf("no model can be fetched; it will be tried again: %s", explain(r.config, err))
	}
	if r.config.source() == "" {
		return "", errors.New("no model is fetched: bucket is not configured, nor is directory")
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
	switch r.looker.record.Outcome {
	case record.OutcomeElsewhere:
		return fmt.Sprintf("nothing is to be fetched: the published model, %s, is %s", model, last.Detail), nil
	case record.OutcomeRefused:
		return "", fmt.Errorf("%s: %s", text, last.Detail)
	case record.OutcomeDelivered:
	}
	return text, nil
}
