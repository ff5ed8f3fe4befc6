package shadow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edgepdm/shared/ipc"
)

// rig is a Writer in a bubble with a clock of its own, and what it wrote.
type rig struct {
	*Writer
	counters map[string]*atomic.Uint64
	written  []string    // thing=document
	at       []time.Time // of each
	problems []string
	answer   func(thing, document string) error // nil accepts everything
}

// start runs a Writer until the bubble's test ends.
func start(t *testing.T, r *rig) {
	r.counters = make(map[string]*atomic.Uint64)
	for _, name := range []string{CounterWritten, CounterSuperseded, CounterRefused, CounterFailed, CounterThrottled} {
		r.counters[name] = new(atomic.Uint64)
	}
	w := newWriter()
	w.supported = func(context.Context) bool { return true }
	w.update = func(_ context.Context, thing string, document []byte) error {
		r.written, r.at = append(r.written, thing+"="+string(document)), append(r.at, time.Now())
		if r.answer == nil {
			return nil
		}
		return r.answer(thing, string(document))
	}
	w.counter = func(name string) *atomic.Uint64 { return r.counters[name] }
	w.onProblem = func(p string) { r.problems = append(r.problems, p) }
	w.log = slog.New(slog.DiscardHandler)
	r.Writer = w
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func (r *rig) count(name string) uint64 { return r.counters[name].Load() }

// put queues and lets the Writer do what it can at once.
func (r *rig) put(t *testing.T, thing, document string) {
	t.Helper()
	if !r.Put(thing, []byte(document)) {
		t.Fatalf("%s was not taken", document)
	}
	synctest.Wait()
}

func TestTheLatestStateWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(rig)
		start(t, r)
		for i := range 5 {
			r.put(t, "a", fmt.Sprint(i))
		}
		r.put(t, "b", "x")
		time.Sleep(time.Second)
		synctest.Wait()
		if want := []string{"a=0", "b=x", "a=4"}; !reflect.DeepEqual(r.written, want) {
			t.Errorf("wrote %v, want %v", r.written, want)
		}
		if r.count(CounterWritten) != 3 || r.count(CounterSuperseded) != 3 || len(r.problems) != 0 {
			t.Errorf("%d written, %d superseded, problems %v", r.count(CounterWritten), r.count(CounterSuperseded), r.problems)
		}
	})
}

// However much is put, no second has more than 9 updates of a thing or 81 of all, and every thing has its turn.
func TestTheRateIsKept(t *testing.T) {
	for things, least := range map[int]int{1: 8, 50: 80} {
		synctest.Test(t, func(t *testing.T) {
			r := new(rig)
			start(t, r)
			for i := range 3000 { // each millisecond, of all things
				for thing := range things {
					r.Put(fmt.Sprint("thing-", thing), []byte(fmt.Sprint(i)))
				}
				time.Sleep(time.Millisecond)
			}
			synctest.Wait()
			seen := make(map[string]int)
			for first, begin := range r.at {
				inAll, ofThing := 0, 0
				thing, _, _ := strings.Cut(r.written[first], "=")
				seen[thing]++
				for i := first; i < len(r.at) && r.at[i].Sub(begin) < time.Second; i++ {
					inAll++
					if strings.HasPrefix(r.written[i], thing+"=") {
						ofThing++
					}
				}
				if inAll > 81 || ofThing > 9 {
					t.Fatalf("%d updates in a second, %d of %s", inAll, ofThing, thing)
				}
			}
			if len(seen) != things || len(r.at) < 3*least-1 {
				t.Errorf("%d updates of %d things, want %d of %d", len(r.at), len(seen), 3*least, things)
			}
			for thing, n := range seen {
				if n < len(r.at)/things-1 {
					t.Errorf("%d updates of %s, of %d", n, thing, len(r.at))
				}
			}
		})
	}
}

func operationError(message string) error {
	return &ipc.ServiceError{OperationError: ipc.OperationError{Operation: "UpdateThingShadow", Code: "ServiceError", Message: message}}
}

// A request beyond the rate, which others use too, is tried again, unless a newer state has come.
func TestThrottledStatesAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refusals := 0
		r := &rig{}
		r.answer = func(_, document string) error {
			if refusals++; refusals > 2 {
				return nil
			}
			if refusals == 2 {
				r.Put("a", []byte("newer"))
			}
			return operationError(throttled)
		}
		start(t, r)
		r.put(t, "a", "old")
		time.Sleep(time.Second)
		synctest.Wait()
		if want := []string{"a=old", "a=old", "a=newer"}; !reflect.DeepEqual(r.written, want) || r.count(CounterThrottled) != 2 || r.count(CounterWritten) != 1 {
			t.Errorf("tried %v, want %v; counted %d", r.written, want, r.count(CounterThrottled))
		}
	})
}

// A failure that is no refusal is tried again, less and less often, until the newest state is written.
func TestFailuresAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		works := false
		r := &rig{}
		r.answer = func(thing, _ string) error {
			switch {
			case thing == "b" || works:
				return nil
			case len(r.written) == 1:
				return errors.New("timeout")
			}
			return operationError("internal error")
		}
		start(t, r)
		r.put(t, "a", "old")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := len(r.written); n < 10 || n > 60 || r.count(CounterFailed) != uint64(n) || len(r.problems) != 1 {
			t.Fatalf("%d requests, %d failed, problems %q", n, r.count(CounterFailed), r.problems)
		}
		r.put(t, "b", "x")
		if len(r.problems) != 2 || r.problems[1] != "" {
			t.Errorf("problems %q after a shadow was written", r.problems)
		}
		works = true
		r.put(t, "a", "new")
		time.Sleep(time.Minute)
		synctest.Wait()
		if last := r.written[len(r.written)-1]; last != "a=new" || r.count(CounterWritten) != 2 || r.count(CounterRefused) != 0 {
			t.Errorf("wrote %s last, %d accepted, %d refused", last, r.count(CounterWritten), r.count(CounterRefused))
		}
	})
}

// A refusal is a problem until a shadow is written.
func TestRefusalsAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{answer: func(thing, document string) error {
			if document == "bad" {
				return &ipc.UnauthorizedError{OperationError: ipc.OperationError{Operation: "UpdateThingShadow", Code: "UnauthorizedError", Message: "no " + thing}}
			}
			return nil
		}}
		start(t, r)
		for _, put := range [][2]string{{"a", "bad"}, {"b", "bad"}, {"b", "good"}, {"a", "good"}} {
			r.put(t, put[0], put[1])
			time.Sleep(time.Second)
		}
		synctest.Wait()
		want := []string{"the shadow of a cannot be written: UpdateThingShadow: UnauthorizedError: no a", ""}
		if !reflect.DeepEqual(r.problems, want) || r.count(CounterRefused) != 2 || r.count(CounterWritten) != 2 {
			t.Errorf("problems %q, want %q; %d refused", r.problems, want, r.count(CounterRefused))
		}
	})
}

func TestWithoutShadowsNothingIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{answer: func(string, string) error { return fmt.Errorf("update: %w", ipc.ErrNotSupported) }}
		start(t, r)
		r.put(t, "a", "x")
		if r.Put("a", []byte("y")) || !reflect.DeepEqual(r.problems, []string{Unsupported}) || r.count(CounterRefused) != 1 {
			t.Errorf("problems %q", r.problems)
		}
	})
}

// Nucleus lite is known before anything is put.
func TestLiteIsKnownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(rig)
		start(t, r) // only to have its fields
		lite := newWriter()
		lite.supported = func(context.Context) bool { return false }
		lite.onProblem, lite.log = r.onProblem, r.log
		lite.Run(t.Context())
		if lite.Put("a", nil) || !reflect.DeepEqual(r.problems, []string{Unsupported}) {
			t.Errorf("problems %q", r.problems)
		}
	})
}

// With the connection the Writer ends; the component starts another on the next one.
func TestALostConnectionIsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWriter()
		calls := 0
		w.supported = func(context.Context) bool { return true }
		w.update = func(context.Context, string, []byte) error {
			calls++
			return errors.Join(ipc.ErrConnectionLost)
		}
		w.Put("a", []byte("x"))
		w.Run(t.Context())
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
}
