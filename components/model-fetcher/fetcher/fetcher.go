// Package fetcher is the component that brings models from S3 into the inbox of the inference engine. It never touches the
// active model: the engine verifies a delivery once more, and decides. Its promises are M2 to M4, M8, M10 to M12 of the
// suite: what is not signed by a trusted key, too old, too large, or not what its manifest says, does not reach the inbox;
// a download that is interrupted resumes; what is bad is not tried again until it changes; offline nothing stops.
//
// In S3, <prefix>/manifest.dsse.json is the signed manifest of the current model, whose version names the archive,
// <prefix>/<version>/model.tar.gz.
package fetcher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/components/model-fetcher/record"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/modelevents"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/request"
	"edgepdm/shared/wait"
	"golang.org/x/sync/errgroup"
)

// Names of counters in the health messages. Refusals are counted as model.refused.<reason>.
const (
	CounterLooks     = "look"               // at what is published
	CounterFailed    = "look.failed"        // and will be made again
	CounterDelivered = "model.delivered"    // put into the inbox
	CounterRefused   = "model.refused"      // in all
	CounterBytes     = "download.bytes"     // of archives, as they came
	CounterResumed   = "download.resumed"   // went on where an earlier process, or an earlier look, ended
	CounterRestarted = "download.restarted" // started over: the object had changed, or the service ignored Range
	CounterDiskFull  = "disk.full"
	CounterInvalid   = "message.invalid"
	CounterLost      = "event.lost" // made room for newer ones while no forwarder took them
)

const (
	lookLimit    = time.Hour        // of a look as a whole: the next one resumes its download
	answerWithin = 30 * time.Second // a command is answered, however long a look takes

	retryMin  = time.Second
	retryMax  = 5 * time.Minute
	noteEvery = 10 * time.Second // during a download
	newsFile  = "model-events.json"
)

var (
	errLong  = errors.New("the look took too long and was stopped: the next look resumes its download")
	errEnded = errors.New("the nucleus ended the subscription")
)

// Fetcher fetches models. One Run is under way at a time; what outlives a change of the configuration is kept between them.
type Fetcher struct {
	Getenv func(string) string
	Now    func() time.Time // time.Now in production

	// Retry is the time between two tries while something does not work; the zero value for production's.
	Retry wait.Backoff
	// LookLimit and Patience are how long a look, and the wait of a command for its answer, may take; the zero values for
	// production's.
	LookLimit, Patience time.Duration
	// Open opens the files of downloads; nil for os.OpenFile.
	Open func(name string, flag int, perm os.FileMode) (download.File, error)

	memory  memory
	again   bool    // a command asks for what was dealt with before; until a look has obeyed
	replies []reply // to the commands over IPC that the next look answers
}

// Run looks for models until ctx ends. It is the component's Run. Neither a cloud that is away nor a disk that is full ends
// it: it says what does not work, and tries again.
func (f *Fetcher) Run(ctx context.Context, rt *component.Runtime, config Config) error {
	keys, err := config.keys()
	if err != nil {
		return err
	}
	dir := config.Inbox
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(rt.WorkDir, dir)
	}
	commands, err := rt.Subscribe(ctx, event.TopicModelFetch)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", event.TopicModelFetch, err)
	}
	if f.memory.news == nil {
		f.memory.news = modelevents.Open(filepath.Join(rt.WorkDir, newsFile), f.Now)
	}
	stopNews, err := modelevents.Start(ctx, rt, f.memory.news)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", event.TopicAckModel, err)
	}
	defer stopNews()
	asked := newAsked(request.NewServer(event.ModelFetcher, rt.WorkDir, f.Now, rt.Log), f.Now)
	looker := &looker{
		Fetcher: f, memory: &f.memory, rt: rt, config: config, keys: keys, policy: config.policy(dir), inboxDir: dir,
		inbox: inbox.Inbox{Dir: dir}, progress: asked.progress,
	}
	defer func() { looker.access.Close() }()
	r := &run{
		Fetcher: f, rt: rt, config: config, looker: looker, commands: commands, asked: asked, answers: rt.Publication(event.ReplyTopic(event.TopicModelFetch)),
	}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { asked.take(ctx); return nil })
	work.Go(func() error { return r.run(ctx) })
	return work.Wait()
}

// reply is owed to a command over IPC.
type reply struct {
	id    string
	since time.Time
}

// run is one Run of the fetcher: it decides when to look, and obeys and answers commands. Its goroutine waits for that of
// each look.
type run struct {
	*Fetcher
	rt        *component.Runtime
	config    Config
	looker    *looker // run uses it between two looks only
	commands  *ipc.Subscription[ipc.TopicMessage]
	asked     *asked                 // on the device
	strange   time.Time              // when a command was logged that is not understood
	commanded time.Time              // when one was that is
	answers   *component.Publication // replies to commands over IPC
}

// run looks, waits, and looks again, until ctx ends or the nucleus ends the subscription.
func (r *run) run(ctx context.Context) error {
	backoff := r.Retry
	if backoff.Max == 0 {
		backoff.Min, backoff.Max = retryMin, min(retryMax, r.config.Poll)
	}
	for failures := 0; ; {
		r.looker.headway, r.looker.detail = headway{}, ""
		again, begun := r.asked.begin() || r.again, r.Now()
		r.again = false
		r.rt.Counter(CounterLooks).Add(1)
		err := r.lookWithin(ctx, again)
		if ctx.Err() != nil || errors.Is(err, errEnded) {
			r.again = r.again || again // the next Run obeys
			if ctx.Err() != nil {
				return nil //nolint:nilerr // a stop ends the look
			}
			return err
		}
		r.tell(err)
		r.answer(err, begun)
		wait := r.jitter(r.config.Poll)
		if err != nil {
			r.again = r.again || again
			r.rt.Counter(CounterFailed).Add(1)
			failures = r.looker.headway.failures(failures)
			wait = backoff.Delay(failures)
		} else {
			failures = 0
		}
		if err := r.wait(ctx, wait); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// lookWithin looks, for a limited time, and obeys commands meanwhile: those that wait too long for the look are told how far
// it is.
func (r *run) lookWithin(ctx context.Context, again bool) error {
	limit, patience := r.LookLimit, r.Patience
	if limit == 0 {
		limit, patience = lookLimit, answerWithin
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: %v", errLong, limit))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.looker.look(ctx, again) }()
	ticker := time.NewTicker(min(patience, time.Second))
	defer ticker.Stop()
	commands := r.commands.Events()
	for {
		select {
		case err := <-done:
			if err != nil && errors.Is(context.Cause(ctx), errLong) {
				return fmt.Errorf("%w: %w", context.Cause(ctx), err)
			}
			return err
		case m, open := <-commands:
			if !open {
				cancel()
				return errors.Join(r.ended(), <-done)
			}
			if r.command(m) {
				r.asked.wanted()
			}
		case <-ticker.C:
			r.answerLate(patience)
		}
	}
}

// answerLate answers the commands that wait for longer than patience.
func (r *run) answerLate(patience time.Duration) {
	before := r.Now().Add(-patience)
	text := r.asked.late(before)
	r.replies = slices.DeleteFunc(r.replies, func(q reply) bool {
		if q.since.After(before) {
			return false
		}
		r.reply(q.id, text, nil)
		return true
	})
}

// jitter spreads the looks of many sites by a fifth of d to either side.
func (r *run) jitter(d time.Duration) time.Duration {
	return time.Duration((0.8 + 0.4*rand.Float64()) * float64(d))
}

// wait waits for a time, for a command, or for ctx to end. Commands that came meanwhile are obeyed together.
func (r *run) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for asked := false; ; {
		select { // first what is there already
		case m, open := <-r.commands.Events():
			if !open {
				return r.ended()
			}
			asked = r.command(m) || asked
			continue
		case <-r.asked.wake:
			asked = true
			continue
		default:
		}
		if asked {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			return nil
		case m, open := <-r.commands.Events():
			if !open {
				return r.ended()
			}
			asked = r.command(m)
		case <-r.asked.wake:
			asked = true
		}
	}
}

// ended says why there are no commands any more.
func (r *run) ended() error {
	if err := r.commands.Err(); err != nil {
		return fmt.Errorf("receive commands: %w: %w", errEnded, err)
	}
	return errEnded
}

// tell reports how the last look went.
func (r *run) tell(err error) {
	r.rt.Conditions().Set(event.CodeStateOnDisk, newsFile, r.looker.news.Problem())
	var frozen, damaged error
	if r.looker.record != nil {
		damaged = r.looker.record.Damage.Told(r.Now())
	}
	r.rt.Conditions().Set(event.CodeStateOnDisk, record.File, damaged)
	if r.looker.record != nil && r.config.Bucket != "" && !r.config.AllowDowngrade {
		frozen = r.looker.record.Frozen(r.Now())
	}
	r.rt.Conditions().Set(event.CodeModelStore, placeManifest, frozen)
	if err != nil {
		r.looker.access.Denied(err)
		r.rt.Conditions().Set(event.CodeModelStore, placeBucket, errors.New(explain(r.config, err)))
		r.rt.SetState(event.StateOK, "")
		return
	}
	r.rt.Conditions().Set(event.CodeModelStore, placeBucket, nil)
	var refused error
	switch last := r.looker.record.Last; {
	case r.config.Bucket == "":
		r.rt.SetState(event.StateNotConfigured, "bucket: not configured: no model is fetched")
	case r.looker.record.Outcome == record.OutcomeRefused && last != nil:
		refused = errors.New("the published model is refused: " + last.Detail)
		r.rt.SetState(event.StateOK, "")
	default:
		r.rt.SetState(event.StateOK, r.looker.detail)
	}
	r.rt.Conditions().Set(event.CodeModelRefused, placeBucket, refused)
}

// Places where a condition says what is wrong: with what is published, with its age, and with the nucleus's root
// certificates.
const (
	placeBucket   = "bucket"
	placeManifest = "manifest"
	placeRootCAs  = "root certificates"
)
