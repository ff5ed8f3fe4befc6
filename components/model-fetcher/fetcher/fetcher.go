// Package fetcher is the component that brings models from S3, or from a folder, into the inbox of the inference engine. It never touches the
// active model: the engine verifies a delivery once more, and decides. Its promises are M2 to M4, M8, M10 to M12 of the
// suite: what is not signed by a trusted key, too old, too large, or not what its manifest says, does not reach the inbox;
// a download that is interrupted resumes; what is bad is not tried again until it changes; offline nothing stops.
//
// In S3, <prefix>/manifest.dsse.json is the signed manifest of the current model, whose version names the archive,
// <prefix>/<version>/model.tar.gz. A folder, such as a component's with a model as its artifacts, has both side by side.
package fetcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/components/model-fetcher/record"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
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

	envThingName = "AWS_IOT_THING_NAME"
)

var (
	errLong  = errors.New("the look took too long and was stopped: the next look resumes its download")
	errEnded = errors.New("the nucleus ended the subscription")
)

// Fetcher fetches models. One Run is under way at a time; what outlives a change of the configuration is kept between them.
type Fetcher struct {
	Getenv func(string) string
	Now    func() time.Time // time.Now in production

	// Rand is uniform in [0, 1), rand.Float64 in production: it spreads the looks of many cores. Without it a process looks at once,
	// and tries again by Retry.
	Rand func() float64
	// Retry is the time between two tries while something does not work; the zero value for production's.
	Retry wait.Backoff
	// LookLimit and Patience are how long a look, and the wait of a command for its answer, may take; the zero values for
	// production's.
	LookLimit, Patience time.Duration
	// Open opens the files of downloads; nil for os.OpenFile.
	Open func(name string, flag int, perm os.FileMode) (download.File, error)

	news        *modelevents.Outbox // events that the forwarder does not have
	fault, life memory
	owed        []owed // commands over IPC that are not answered, of the Run before
}

// Run looks for models until ctx ends. It is the component's Run. Neither a cloud that is away nor a disk that is full ends
// it: it says what does not work, and tries again. The models of each role are looked for by themselves.
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
	if f.news == nil {
		f.news = modelevents.Open(filepath.Join(rt.WorkDir, newsFile), f.Now)
	}
	stopNews, err := modelevents.Start(ctx, rt, f.news)
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", event.TopicAckModel, err)
	}
	defer stopNews()
	d := &desk{Fetcher: f, rt: rt, requests: request.NewServer(event.ModelFetcher, rt.WorkDir, f.Now, rt.Log), commands: commands,
		answers: rt.Publication(event.ReplyTopic(event.TopicModelFetch))}
	kept := map[event.Role]*memory{event.RoleFault: &f.fault, event.RoleLife: &f.life}
	roles := []event.Role{event.RoleFault}
	if config.of(event.RoleLife).source() != "" {
		roles = append(roles, event.RoleLife)
	}
	states, work := &states{rt: rt}, make([]*run, len(roles))
	core := f.Getenv(envThingName)
	for i, role := range roles {
		r := &run{Fetcher: f, rt: rt, role: role, config: config.of(role)}
		if folder := r.config.Directory; folder != "" && !filepath.IsAbs(folder) {
			r.config.Directory = filepath.Join(rt.WorkDir, folder)
		}
		r.asked = newAsked(i, r.named)
		r.looker = &looker{
			Fetcher: f, memory: kept[role], rt: rt, role: role, config: r.config, core: core, keys: keys, policy: r.config.policy(dir, core), inboxDir: dir,
			inbox: inbox.Inbox{Dir: dir}, progress: r.asked.progress, say: func(text string) { states.say(i, event.StateOK, r.named(text)) },
			own: func(id string) bool {
				return len(roles) == 1 || strings.HasPrefix(id, lifeID) == (role == event.RoleLife)
			},
		}
		r.state = func(s event.State, text string) { states.say(i, s, r.named(text)) }
		defer func() { r.looker.access.Close() }()
		d.asked = append(d.asked, r.asked)
		work[i] = r
	}
	d.resume()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { d.take(ctx); return nil })
	group.Go(func() error { return d.listen(ctx) })
	for _, r := range work {
		group.Go(func() error { r.run(ctx); return nil })
	}
	return group.Wait()
}

// lifeID begins the id of a delivery of a life model, so that the looks of the two roles leave each other's alone.
const lifeID = "life-"

// states puts together what the looks of all roles say of the component's state.
type states struct {
	rt *component.Runtime

	mu    sync.Mutex
	texts [2]string
}

func (s *states) say(i int, state event.State, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts[i] = text
	s.rt.SetState(state, joined(s.texts[:]...))
}

// joined puts texts together, without those that are empty.
func joined(texts ...string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(texts), func(t string) bool { return t == "" }), "; ")
}

// run is the looks for models of one role in one Run of the fetcher: it decides when to look. Its goroutine waits for that of
// each look.
type run struct {
	*Fetcher
	rt     *component.Runtime
	role   event.Role
	config Config  // of the role
	looker *looker // run uses it between two looks only
	asked  *asked
	state  func(event.State, string)
}

// named says of a text, or of a place of conditions, that it is of the role life.
func (r *run) named(text string) string {
	if r.role != event.RoleLife || text == "" {
		return text
	}
	return "life: " + text
}

// run looks, waits, and looks again, until ctx ends.
func (r *run) run(ctx context.Context) {
	s := &Schedule{Poll: r.config.Poll, Retry: r.Retry, Rand: r.Rand}
	if s.Retry.Max == 0 {
		s.Retry.Min, s.Retry.Max = retryMin, min(retryMax, r.config.Poll)
	}
	if first := s.First(r.remembers()); first > 0 {
		r.tell(nil)
		r.wait(ctx, first)
	}
	for ctx.Err() == nil {
		r.looker.headway, r.looker.detail = headway{}, ""
		again := r.asked.begin() || r.looker.again
		r.looker.again = false
		r.rt.Counter(CounterLooks).Add(1)
		err := r.lookWithin(ctx, again)
		if ctx.Err() != nil {
			r.looker.again = again || r.asked.wanted() // the next Run obeys
			return
		}
		r.tell(err)
		r.asked.end(r.found(err))
		wait := s.Next()
		if err != nil {
			r.looker.again = again
			r.rt.Counter(CounterFailed).Add(1)
			wait = s.again(!again && r.looker.record != nil && r.looker.record.Outcome != "", r.looker.headway)
		}
		r.wait(ctx, wait)
	}
}

// remembers reports whether this process has begun just now, and the one before has dealt with what is published.
func (r *run) remembers() bool {
	if r.looker.record != nil || r.config.source() == "" {
		return false
	}
	err := r.looker.load()
	return err == nil && r.looker.record.Outcome != "" // a look tells the error
}

// lookWithin looks, for a limited time. Commands that wait too long for it are told how far it is.
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
	for {
		select {
		case err := <-done:
			if err != nil && errors.Is(context.Cause(ctx), errLong) {
				return fmt.Errorf("%w: %w", context.Cause(ctx), err)
			}
			return err
		case <-ticker.C:
			r.asked.late(r.Now().Add(-patience))
		}
	}
}

// wait waits for a time, for a command, or for ctx to end.
func (r *run) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-r.asked.wake:
	}
}

// tell reports how the last look went.
func (r *run) tell(err error) {
	r.rt.Conditions().Set(event.CodeStateOnDisk, newsFile, r.news.Problem())
	var frozen, damaged error
	if r.looker.record != nil {
		damaged = r.looker.record.Damage.Told(r.Now())
	}
	r.rt.Conditions().Set(event.CodeStateOnDisk, record.FileOf(r.role), damaged)
	if r.looker.record != nil && r.config.source() != "" && !r.config.AllowDowngrade {
		frozen = r.looker.record.Frozen(r.Now())
	}
	r.rt.Conditions().Set(event.CodeModelStore, r.named(placeManifest), frozen)
	if err != nil {
		r.looker.access.Denied(err)
		err = errors.New(explain(r.config, err))
	}
	r.condition(event.CodeModelStore, err)
	if err != nil {
		r.state(event.StateOK, "")
		return
	}
	var refused error
	switch last := r.looker.record.Last; {
	case r.config.source() == "":
		r.state(event.StateNotConfigured, "bucket: not configured, nor is directory: no model is fetched")
	case r.looker.record.Outcome == record.OutcomeRefused && last != nil:
		refused = errors.New("the published model is refused: " + last.Detail)
		r.state(event.StateOK, "")
	case r.looker.record.Outcome == record.OutcomeElsewhere && last != nil:
		r.state(event.StateOK, fmt.Sprintf("%s %s is %s", last.Name, last.Version, last.Detail))
	default:
		r.state(event.StateOK, r.looker.detail)
	}
	r.condition(event.CodeModelRefused, refused)
}

// condition says what is wrong where the models come from.
func (r *run) condition(code event.Code, err error) {
	from, other := placeBucket, placeDirectory
	if r.config.Directory != "" {
		from, other = other, from
	}
	r.rt.Conditions().Set(code, r.named(from), err)
	r.rt.Conditions().Set(code, r.named(other), nil) // of the configuration before
}

// Places where a condition says what is wrong: with what is published, with its age, and with the nucleus's root
// certificates.
const (
	placeBucket    = "bucket"
	placeDirectory = "directory"
	placeManifest  = "manifest"
	placeRootCAs   = "root certificates"
)
