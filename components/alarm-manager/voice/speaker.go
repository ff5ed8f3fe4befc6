package voice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"edgepdm/shared/event"
)

// Announcement is what is to be spoken.
type Announcement struct {
	Key      string         // names it, such as the id of its alarm; a later one with the same key takes its place
	Severity event.Severity // a higher one goes first, and interrupts; one that is new interrupts a repeat of its severity
	Text     string
	Again    string        // what is said in place of Text once that was heard; "" = Text
	Ends     string        // the key of the announcement whose end it is: where that was not said yet, neither is said
	Language string        // as espeak-ng and Polly name them, such as en-US; "" = en
	Class    string        // of alarms, such as machine-fault: there may be a phrase of it
	Repeat   time.Duration // from the end of one to the beginning of the next, until it is silenced; 0 = it is spoken once
	Tries    int           // of one that is spoken once, until it is given up; 0 = 3
}

// Options are what a Speaker needs.
type Options struct {
	Sources []Source // asked in this order
	Sinks   []Sink   // all of them play
	Gain    float64  // of the volume: 1 leaves it
	// Quiet reports whether nothing of a severity may be spoken now. nil: everything may at any time.
	Quiet func(now time.Time, s event.Severity) bool
	// Report is told how it went with a source or a sink, by its name; err is nil when it works.
	Report func(name string, err error)
	// Spoken is told of each announcement that was heard from at least one sink, and what is wrong with the others.
	Spoken func(a Announcement, others error)
	// Dropped is told of each announcement that is given up: the queue is full, or there is no sound of it.
	Dropped func(a Announcement, reason error)
}

const (
	// MaxWaiting bounds the queue.
	MaxWaiting = 200

	sourceTimeout = 10 * time.Second
	sinkSlack     = 5 * time.Second        // that a sink may take beyond a clip's length
	hungSlack     = 500 * time.Millisecond // that one may take which took too long the last time
	retryAfter    = 10 * time.Second
	maxTries      = 3
	quietCheck    = 30 * time.Second
)

// Why an announcement is given up.
var (
	errFull   = errors.New("too many announcements wait")
	errNoSink = errors.New("nothing that plays it is configured")
)

// Speaker is the queue of announcements. Its methods may be called by several goroutines; none of them waits for a sound.
type Speaker struct {
	o    Options
	wake chan struct{}
	hung []bool // sinks that took too long the last time; Run's

	mu      sync.Mutex
	waiting map[string]*entry
	seq     uint64
	current *entry // that is being spoken; it stays in waiting
	stop    context.CancelFunc
}

// entry is an announcement in the queue.
type entry struct {
	Announcement
	due   time.Time
	seq   uint64 // order among equals
	tries int    // that failed
	heard bool   // once, at least
}

// New returns a Speaker that speaks while Run runs.
func New(o Options) *Speaker {
	return &Speaker{o: o, wake: make(chan struct{}, 1), hung: make([]bool, len(o.Sinks)), waiting: make(map[string]*entry)}
}

// Say puts an announcement into the queue. One that has the same text, language and severity as before keeps its place and the
// time of its next repeat.
func (s *Speaker) Say(a Announcement) {
	if tooMany := s.add(a); tooMany != nil {
		s.o.Dropped(tooMany.Announcement, errFull)
	}
}

// add does it, and returns what has no place in the queue any more.
func (s *Speaker) add(a Announcement) (tooMany *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if begun := s.waiting[a.Ends]; begun != nil && !begun.heard && begun != s.current {
		s.remove(begun)
		return nil
	}
	if old := s.waiting[a.Key]; old != nil {
		if old.Text == a.Text && old.Language == a.Language && old.Severity == a.Severity {
			old.Announcement = a
			return nil
		}
		s.remove(old)
	}
	s.seq++
	e := &entry{Announcement: a, due: time.Now(), seq: s.seq}
	s.waiting[a.Key] = e
	if len(s.waiting) > MaxWaiting {
		tooMany = s.last()
		s.remove(tooMany)
	}
	if c := s.current; c != nil && !s.quiet(e) {
		if more := cmp.Compare(e.Severity.Rank(), c.Severity.Rank()); more < 0 || more == 0 && c.heard {
			s.stop()
		}
	}
	s.signal()
	return tooMany
}

// Silence ends an announcement, at once if it is being spoken. A key that is not known is none's.
func (s *Speaker) Silence(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.waiting[key]; e != nil {
		s.remove(e)
	}
}

// Waiting returns how many announcements are in the queue, those that repeat included.
func (s *Speaker) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting)
}

// remove takes an entry out of the queue, and stops it. s is locked.
func (s *Speaker) remove(e *entry) {
	delete(s.waiting, e.Key)
	if s.current == e {
		s.stop()
	}
}

// last is the entry that is given up when there are too many: of the lowest severity the one that would be spoken last. What is
// being spoken is none. s is locked.
func (s *Speaker) last() (last *entry) {
	for _, e := range s.waiting {
		if e != s.current && (last == nil || cmp.Or(cmp.Compare(last.Severity.Rank(), e.Severity.Rank()), last.compare(e)) < 0) {
			last = e
		}
	}
	return last
}

// compare orders by what is to be spoken first: what was not heard yet, so that repeats of a high severity do not keep a new one of a
// lower from being heard; then by severity; of equals the one that has been due for longer, likewise.
func (e *entry) compare(other *entry) int {
	if e.heard != other.heard {
		if other.heard {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(e.Severity.Rank(), other.Severity.Rank()), e.due.Compare(other.due), cmp.Compare(e.seq, other.seq))
}

func (s *Speaker) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Speaker) quiet(e *entry) bool { return s.o.Quiet != nil && s.o.Quiet(time.Now(), e.Severity) }

// Run speaks until ctx is done.
func (s *Speaker) Run(ctx context.Context) {
	for ctx.Err() == nil {
		e, play, wait := s.next(ctx)
		if e != nil {
			s.speak(ctx, play, e)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// next returns the announcement that is to be spoken now, with a context that ends when it is interrupted or silenced; or how
// long there is none.
func (s *Speaker) next(ctx context.Context) (first *entry, play context.Context, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	wait = time.Hour
	for _, e := range s.waiting {
		switch left := e.due.Sub(now); {
		case left > 0:
			wait = min(wait, left)
		case s.quiet(e):
			wait = min(wait, quietCheck)
		case first == nil || e.compare(first) < 0:
			first = e
		}
	}
	if first != nil {
		s.current = first
		play, s.stop = context.WithCancel(ctx)
	}
	return first, play, wait
}

// speak makes an announcement heard, and decides when it is due again.
func (s *Speaker) speak(ctx, play context.Context, e *entry) {
	s.mu.Lock()
	said := e.Announcement
	s.mu.Unlock()
	clip, problem := s.clip(play, &said, e.heard)
	heard := false
	if problem == nil {
		heard, problem = s.play(play, clip.Louder(s.o.Gain))
	}
	interrupted := play.Err() != nil
	s.mu.Lock()
	s.stop()
	s.current = nil
	known := s.waiting[e.Key] == e
	tries := e.tries + 1
	dropped := known && !interrupted && !heard && e.Repeat == 0 && tries >= cmp.Or(e.Tries, maxTries)
	switch {
	case !known || interrupted: // silenced or replaced; or it is spoken from its start, soon
	case heard && e.Repeat == 0 || dropped:
		delete(s.waiting, e.Key)
	case heard:
		e.due, e.tries, e.heard = time.Now().Add(e.Repeat), 0, true
	default:
		e.due, e.tries = time.Now().Add(retryAfter), tries
	}
	s.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if heard && !interrupted {
		s.o.Spoken(said, problem)
	}
	if dropped {
		s.o.Dropped(said, problem)
	}
}

// clip returns the sound of an announcement, whose text becomes what is said: where there is no sound of its repeat, all of it.
func (s *Speaker) clip(play context.Context, a *Announcement, again bool) (Clip, error) {
	if again && a.Again != "" {
		short := *a
		short.Text = a.Again
		if clip, err := s.ask(play, short); err == nil {
			*a = short
			return clip, nil
		}
	}
	return s.ask(play, *a)
}

// ask asks the sources in their order.
func (s *Speaker) ask(play context.Context, a Announcement) (Clip, error) {
	ctx, cancel := context.WithTimeout(play, sourceTimeout)
	defer cancel()
	err := errors.New("no source of sound is configured")
	for _, source := range s.o.Sources {
		clip, failed := source.Clip(ctx, a)
		switch {
		case failed == nil:
			s.o.Report(source.Name(), nil)
			return clip, nil
		case errors.Is(failed, ErrNoClip):
			err = failed
		case play.Err() != nil: // it is interrupted, which is nobody's failure
			return Clip{}, play.Err()
		default:
			err = fmt.Errorf("%s: %w", source.Name(), failed)
			s.o.Report(source.Name(), failed)
		}
	}
	return Clip{}, err
}

// play has all sinks play at the same time. It reports whether one of them did, and what is wrong with the others.
func (s *Speaker) play(ctx context.Context, clip Clip) (heard bool, problem error) {
	failures := make([]error, len(s.o.Sinks))
	var playing sync.WaitGroup
	for i, sink := range s.o.Sinks {
		playing.Go(func() {
			slack := sinkSlack
			if s.hung[i] { // the others do not wait for it each time
				slack = hungSlack
			}
			bounded, cancel := context.WithTimeout(ctx, clip.Duration()+slack)
			defer cancel()
			failures[i] = sink.Play(bounded, clip)
			s.hung[i] = bounded.Err() != nil && (ctx.Err() == nil || s.hung[i])
		})
	}
	playing.Wait()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	problem = errNoSink
	for i, sink := range s.o.Sinks {
		s.o.Report(sink.Name(), failures[i])
		if failures[i] != nil {
			failures[i] = fmt.Errorf("%s: %w", sink.Name(), failures[i])
		}
		problem = errors.Join(failures...)
	}
	return slices.ContainsFunc(failures, func(err error) bool { return err == nil }), problem
}
