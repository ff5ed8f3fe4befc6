package voice_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edgepdm/components/alarm-manager/voice"
	"edgepdm/shared/event"
)

// words is a source whose clip of a text is as many tenths of a second long as the text has characters.
type words struct{}

func (words) Name() string { return "words" }

func (words) Clip(_ context.Context, a voice.Announcement) (voice.Clip, error) {
	if strings.HasPrefix(a.Text, "unknown") {
		return voice.Clip{}, voice.ErrNoClip
	}
	return voice.Clip{Rate: 8000, Samples: make([]int16, 800*len(a.Text))}, nil
}

// room is a sink that takes as long as a clip lasts, and knows what was heard and when.
type room struct {
	name  string
	err   error // of every clip
	hangs bool

	mu     sync.Mutex
	begun  time.Time
	log    []string
	active int
}

func (r *room) Name() string { return r.name }

func (r *room) Play(ctx context.Context, clip voice.Clip) error {
	r.mu.Lock()
	if r.active++; r.active > 1 {
		r.log = append(r.log, "two at once")
	}
	r.mu.Unlock()
	defer func() { r.mu.Lock(); r.active--; r.mu.Unlock() }()
	if r.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	start := time.Now()
	select {
	case <-time.After(clip.Duration()):
	case <-ctx.Done():
		r.note(start, "cut")
		return ctx.Err()
	}
	if r.err == nil {
		r.note(start, clip.Duration().String())
	}
	return r.err
}

func (r *room) note(start time.Time, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, start.Sub(r.begun).String()+" "+what)
}

// floor is a speaker that runs, and what became of its announcements.
type floor struct {
	*voice.Speaker
	mu       sync.Mutex
	spoken   []string
	dropped  []string
	reported map[string]error
}

func newFloor(t *testing.T, quiet func(time.Time, event.Severity) bool, sinks ...voice.Sink) *floor {
	t.Helper()
	f := &floor{reported: make(map[string]error)}
	f.Speaker = voice.New(voice.Options{
		Sources: []voice.Source{words{}}, Sinks: sinks, Gain: 1, Quiet: quiet,
		Report: func(name string, err error) { f.mu.Lock(); defer f.mu.Unlock(); f.reported[name] = err },
		Spoken: func(a voice.Announcement, _ error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.spoken = append(f.spoken, a.Key)
		},
		Dropped: func(a voice.Announcement, reason error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.dropped = append(f.dropped, a.Key+": "+reason.Error())
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { f.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

func (f *floor) expect(t *testing.T, spoken ...string) {
	t.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.spoken, spoken) {
		t.Errorf("spoken were %q, want %q", f.spoken, spoken)
	}
}

func say(key string, severity event.Severity, repeat time.Duration) voice.Announcement {
	return voice.Announcement{Key: key, Severity: severity, Text: "ten chars.", Repeat: repeat} // a second
}

// Alarms that nobody acknowledges are repeated without a pause, if there are many of them. What is new is heard all the same.
func TestRepeatsDoNotKeepALowerOneFromBeingHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFloor(t, nil, &room{name: "room", begun: time.Now()})
		for _, key := range []string{"a", "b", "c"} {
			f.Say(say(key, event.SeverityHigh, time.Second))
		}
		time.Sleep(4500 * time.Millisecond)
		f.Say(say("medium", event.SeverityMedium, time.Second))
		f.Say(say("low", event.SeverityLow, 0))
		time.Sleep(6 * time.Second)
		f.expect(t, "a", "b", "c", "a", "b", "medium", "low", "c", "a", "b")
	})
}

// A new alarm does not wait for the end of what people have heard before.
func TestNewInterruptsARepeatOfTheSameSeverity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &room{name: "room", begun: time.Now()}
		f := newFloor(t, nil, r)
		f.Say(say("old", event.SeverityHigh, 10*time.Second))
		time.Sleep(11400 * time.Millisecond) // in the middle of its repeat
		f.Say(say("medium", event.SeverityMedium, 0))
		time.Sleep(100 * time.Millisecond)
		f.Say(say("new", event.SeverityHigh, 0))
		time.Sleep(100 * time.Millisecond)
		f.Say(say("newer", event.SeverityHigh, 0)) // what was not heard is not interrupted by its like
		time.Sleep(5 * time.Second)
		f.expect(t, "old", "new", "newer", "medium", "old")
		if want := []string{"0s 1s", "11s cut", "11.5s 1s", "12.5s 1s", "13.5s 1s", "14.5s 1s"}; !slices.Equal(r.log, want) {
			t.Errorf("heard %q, want %q", r.log, want)
		}
	})
}

func TestHigherSeverityGoesFirstAndInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &room{name: "room", begun: time.Now()}
		f := newFloor(t, nil, r)
		f.Say(say("low", event.SeverityLow, 0))
		f.Say(say("medium", event.SeverityMedium, 0))
		f.Say(say("low 2", event.SeverityLow, 0))
		synctest.Wait()
		time.Sleep(400 * time.Millisecond)
		f.Say(say("high", event.SeverityHigh, 0)) // whatever is spoken is cut
		time.Sleep(10 * time.Second)
		f.expect(t, "high", "medium", "low", "low 2")
		if got := r.log[len(r.log)-4:]; !slices.Equal(got, []string{"400ms 1s", "1.4s 1s", "2.4s 1s", "3.4s 1s"}) {
			t.Errorf("heard %q", r.log)
		}
		if slices.Contains(r.log, "two at once") {
			t.Errorf("two announcements at once: %q", r.log)
		}
	})
}

func TestRepeatsUntilSilenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &room{name: "room", begun: time.Now()}
		f := newFloor(t, nil, r)
		f.Say(say("a", event.SeverityHigh, time.Minute))
		time.Sleep(150 * time.Second)
		f.Say(say("a", event.SeverityHigh, time.Minute)) // said again, it keeps its time
		f.expect(t, "a", "a", "a")
		f.Silence("a")
		f.Silence("never said")
		time.Sleep(10 * time.Minute)
		f.expect(t, "a", "a", "a")
		if want := []string{"0s 1s", "1m1s 1s", "2m2s 1s"}; !slices.Equal(r.log, want) {
			t.Errorf("heard %q, want %q", r.log, want)
		}
	})
}

// An alarm that is acknowledged while it is spoken is quiet at once.
func TestSilencedWhileItIsSpoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &room{name: "room", begun: time.Now()}
		f := newFloor(t, nil, r)
		f.Say(say("a", event.SeverityHigh, time.Minute))
		synctest.Wait()
		time.Sleep(300 * time.Millisecond)
		f.Silence("a")
		time.Sleep(10 * time.Minute)
		f.expect(t)
		if want := []string{"0s cut"}; !slices.Equal(r.log, want) || f.Waiting() != 0 {
			t.Errorf("heard %q, want %q; %d wait", r.log, want, f.Waiting())
		}
	})
}

func TestAnotherTextTakesThePlaceOfTheOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &room{name: "room", begun: time.Now()}
		f := newFloor(t, nil, r)
		f.Say(say("a", event.SeverityHigh, time.Minute))
		synctest.Wait()
		time.Sleep(300 * time.Millisecond)
		f.Say(voice.Announcement{Key: "a", Severity: event.SeverityMedium, Text: "over."})
		time.Sleep(10 * time.Minute)
		f.expect(t, "a")
		if want := []string{"0s cut", "300ms 500ms"}; !slices.Equal(r.log, want) {
			t.Errorf("heard %q, want %q", r.log, want)
		}
	})
}

// In quiet hours what is quiet waits, and is spoken when they end.
func TestQuietHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		quiet := func(now time.Time, s event.Severity) bool {
			return s != event.SeverityHigh && now.Sub(begun) < time.Hour
		}
		r := &room{name: "room", begun: begun}
		f := newFloor(t, quiet, r)
		f.Say(say("medium", event.SeverityMedium, 0))
		f.Say(say("high", event.SeverityHigh, 0))
		time.Sleep(59 * time.Minute)
		f.expect(t, "high")
		time.Sleep(2 * time.Minute)
		f.expect(t, "high", "medium")
	})
}

// A sink that fails or hangs takes nothing from the others, and is told.
func TestSinksThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := &room{name: "good", begun: time.Now()}
		f := newFloor(t, nil, good, &room{name: "broken", err: errors.New("no sound card")}, &room{name: "hanging", hangs: true})
		f.Say(say("a", event.SeverityHigh, 0))
		f.Say(say("b", event.SeverityHigh, 0))
		time.Sleep(time.Minute)
		f.expect(t, "a", "b")
		if f.reported["good"] != nil || f.reported["broken"] == nil || !errors.Is(f.reported["hanging"], context.DeadlineExceeded) {
			t.Errorf("reported was %v", f.reported)
		}
	})
}

// The sinks that work wait for one that hangs once, and not each time.
func TestASinkThatHangsAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := &room{name: "good", begun: time.Now()}
		f := newFloor(t, nil, &room{name: "hanging", hangs: true}, good)
		for _, key := range []string{"a", "b", "c"} {
			f.Say(say(key, event.SeverityHigh, 0))
		}
		time.Sleep(time.Minute)
		f.expect(t, "a", "b", "c")
		if want := []string{"0s 1s", "6s 1s", "7.5s 1s"}; !slices.Equal(good.log, want) {
			t.Errorf("heard %q, want %q", good.log, want)
		}
	})
}

// However many alarms repeat, a new one of the same severity is heard before any of them is heard again.
func TestRepeatsDoNotStarveNewAnnouncements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFloor(t, nil, &room{name: "room", begun: time.Now()})
		for i := range 20 { // it takes 20 s to say them all
			f.Say(say(fmt.Sprintf("old %02d", i), event.SeverityHigh, 5*time.Second))
		}
		time.Sleep(70*time.Second + time.Millisecond)
		f.Say(say("new", event.SeverityHigh, 5*time.Second))
		time.Sleep(25 * time.Second)
		f.mu.Lock()
		defer f.mu.Unlock()
		times := make(map[string]int)
		for _, key := range f.spoken {
			times[key]++
		}
		if times["new"] == 0 || times["old 00"] > times["old 19"]+1 {
			t.Errorf("spoken were %v", times)
		}
	})
}

// An announcement that cannot be heard is tried again. One that is spoken once is given up, one that repeats is not.
func TestNothingIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := &room{name: "broken", err: errors.New("no sound card"), begun: time.Now()}
		f := newFloor(t, nil, broken)
		f.Say(say("once", event.SeverityHigh, 0))
		f.Say(say("again", event.SeverityHigh, time.Minute))
		f.Say(voice.Announcement{Key: "no clip", Text: "unknown"})
		time.Sleep(5 * time.Minute)
		f.expect(t)
		if want := []string{"no clip: no clip of this text", "once: broken: no sound card"}; !slices.Equal(slices.Sorted(slices.Values(f.dropped)), want) || f.Waiting() != 1 {
			t.Errorf("dropped %q, %d wait", f.dropped, f.Waiting())
		}
		broken.mu.Lock()
		broken.err = nil
		broken.mu.Unlock()
		time.Sleep(time.Minute)
		f.expect(t, "again")
	})
}

// The queue is bounded: the youngest of the lowest severity goes.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFloor(t, func(time.Time, event.Severity) bool { return true }, &room{name: "room"})
		for range voice.MaxWaiting {
			f.Say(say(time.Now().String(), event.SeverityMedium, 0))
			time.Sleep(time.Second)
		}
		f.Say(say("low", event.SeverityLow, 0))
		f.Say(say("high", event.SeverityHigh, 0))
		if f.Waiting() != voice.MaxWaiting || len(f.dropped) != 2 || f.dropped[0] != "low: too many announcements wait" {
			t.Errorf("%d wait, dropped %q", f.Waiting(), f.dropped)
		}
	})
}

// What was heard once is repeated in few words, and whole where there is no sound of them.
func TestRepeatIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for again, want := range map[string][]string{"short": {"0s 1s", "11s 500ms"}, "unknown": {"0s 1s", "11s 1s"}, "": {"0s 1s", "11s 1s"}} {
			r := &room{begun: time.Now()}
			f := newFloor(t, nil, r)
			a := say("a", event.SeverityHigh, 10*time.Second)
			a.Again = again
			f.Say(a)
			time.Sleep(15 * time.Second)
			f.Silence("a")
			synctest.Wait()
			if !slices.Equal(r.log, want) {
				t.Errorf("%q: heard %q, want %q", again, r.log, want)
			}
		}
	})
}

// What is over before it was said is not said, nor that it is over. What was heard, or begun, has its end.
func TestOverBeforeItWasSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFloor(t, nil, &room{begun: time.Now()})
		end := func(key string) voice.Announcement {
			a := say(key+" over", event.SeverityMedium, 0)
			a.Ends = key
			return a
		}
		f.Say(say("first", event.SeverityHigh, 0))
		f.Say(say("waits", event.SeverityMedium, 0))
		synctest.Wait()
		f.Say(end("waits"))
		f.Say(end("first"))
		time.Sleep(5 * time.Second)
		f.expect(t, "first", "first over")
		f.Say(say("waits", event.SeverityMedium, 0)) // it comes again
		time.Sleep(5 * time.Second)
		f.Say(end("waits"))
		time.Sleep(5 * time.Second)
		f.expect(t, "first", "first over", "waits", "waits over")
	})
}
