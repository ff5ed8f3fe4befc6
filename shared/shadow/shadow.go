// Package shadow writes the device shadows of many things, each with its latest state, at no more than the rate that
// the Greengrass shadow manager allows. Where the nucleus has no shadows it says so instead.
package shadow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/ipc"
	"edgepdm/shared/wait"
)

// Unsupported is the problem that a Writer reports where the nucleus has no shadows.
const Unsupported = "the runtime has no device shadows, which take a classic nucleus with aws.greengrass.ShadowManager"

// Names of the counters in the health messages.
const (
	CounterWritten    = "shadow.written"    // states that the shadow manager accepted
	CounterSuperseded = "shadow.superseded" // states that a newer one replaced before they were written
	CounterRefused    = "shadow.refused"    // states that the shadow manager did not accept
	CounterFailed     = "shadow.failed"     // requests that failed for another reason, which are tried again
	CounterThrottled  = "shadow.throttled"  // requests beyond its rate, which are tried again
)

// By default the shadow manager takes 20 requests a second of a thing and 200 of all things, from all components together
// (its configuration rateLimits). A Writer takes less than half, so that two components can write.
const (
	thingInterval = 125 * time.Millisecond   // between two updates of a thing
	interval      = 12500 * time.Microsecond // between any two
)

// What fails without being refused is tried again after a while of at most so long, which grows with each failure.
const (
	retryMin = time.Second
	retryMax = time.Minute
)

// throttled is the text of the ServiceError that refuses a request beyond the rate.
const throttled = "Too Many Requests"

// Writer writes one shadow of each of many things. All methods may be called from several goroutines.
type Writer struct {
	supported func(context.Context) bool
	update    func(ctx context.Context, thing string, document []byte) error
	counter   func(name string) *atomic.Uint64
	onProblem func(problem string)
	log       *slog.Logger

	wake     chan struct{} // something waits
	backoff  wait.Backoff
	failures map[string]int // in a row, by thing; Run's

	mu      sync.Mutex // guards what follows
	ended   bool       // the nucleus has no shadows
	waiting map[string][]byte
	order   []string             // of the things that wait, by arrival
	due     map[string]time.Time // from when a thing's shadow may be written
}

// NewWriter makes a Writer of the shadows with the given name; "" is the classic shadow. It calls onProblem from Run's
// goroutine when a shadow cannot be written, with the reason, and with "" when one can be again.
func NewWriter(rt *component.Runtime, name string, onProblem func(problem string)) *Writer {
	client := rt.IPC()
	w := newWriter()
	w.counter, w.onProblem, w.log = rt.Counter, onProblem, rt.Log
	w.supported = func(ctx context.Context) bool {
		kind, err := client.Nucleus(ctx)
		return err != nil || kind != ipc.Lite
	}
	w.update = func(ctx context.Context, thing string, document []byte) error {
		_, err := client.UpdateThingShadow(ctx, ipc.UpdateThingShadowRequest{ThingName: thing, ShadowName: name, Payload: document})
		return err
	}
	return w
}

func newWriter() *Writer {
	return &Writer{
		wake: make(chan struct{}, 1), backoff: wait.Backoff{Min: retryMin, Max: retryMax}, failures: make(map[string]int),
		waiting: make(map[string][]byte), due: make(map[string]time.Time),
	}
}

// Put queues a document, such as {"state":{"reported":{…}}}, for a thing's shadow. It takes the place of one that still
// waits for its turn. It reports false where the nucleus is known to have no shadows: the document goes nowhere.
func (w *Writer) Put(thing string, document []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return false
	}
	if w.queue(thing, document) {
		w.counter(CounterSuperseded).Add(1)
	}
	select {
	case w.wake <- struct{}{}:
	default: // Run is awake already
	}
	return true
}

// queue reports whether the document took the place of another.
func (w *Writer) queue(thing string, document []byte) bool {
	_, waits := w.waiting[thing]
	if !waits {
		w.order = append(w.order, thing)
	}
	w.waiting[thing] = document
	return waits
}

// Run writes until ctx ends, the connection is lost, or it turns out that the nucleus has no shadows.
func (w *Writer) Run(ctx context.Context) {
	if !w.supported(ctx) {
		w.end()
		return
	}
	failing := false // a problem was reported
	for ctx.Err() == nil {
		thing, document, wait := w.next(time.Now())
		if document == nil {
			sleep(ctx, wait, w.wake)
			continue
		}
		err := w.update(ctx, thing, document)
		answer, ofNucleus := errors.AsType[*ipc.OperationError](err)
		switch {
		case ctx.Err() != nil, errors.Is(err, ipc.ErrConnectionLost), errors.Is(err, ipc.ErrClosed):
			return
		case errors.Is(err, ipc.ErrNotSupported):
			w.counter(CounterRefused).Add(1)
			w.end()
			return
		case ofNucleus && answer.Message == throttled:
			w.counter(CounterThrottled).Add(1)
			w.putBack(thing, document, 0)
		case err != nil:
			w.failed(thing, document, err)
			if !failing {
				failing = true
				w.log.Error("a device shadow cannot be written", "thing", thing, "error", err)
				w.onProblem(fmt.Sprintf("the shadow of %s cannot be written: %v", thing, err))
			}
		default:
			delete(w.failures, thing)
			w.counter(CounterWritten).Add(1)
			if failing {
				failing = false
				w.log.Info("device shadows can be written again", "thing", thing)
				w.onProblem("")
			}
		}
		sleep(ctx, interval, nil)
	}
}

// failed drops a document that the shadow manager refuses for what it is, and queues any other again.
func (w *Writer) failed(thing string, document []byte, err error) {
	if refused(err) {
		delete(w.failures, thing)
		w.counter(CounterRefused).Add(1)
		return
	}
	w.counter(CounterFailed).Add(1)
	w.failures[thing]++
	w.putBack(thing, document, w.backoff.Delay(w.failures[thing]))
}

// refused reports whether the same request would be answered with the same error.
func refused(err error) bool {
	_, unauthorized := errors.AsType[*ipc.UnauthorizedError](err)
	_, invalid := errors.AsType[*ipc.InvalidArgumentsError](err)
	_, conflict := errors.AsType[*ipc.ConflictError](err)
	return unauthorized || invalid || conflict
}

// end is the end of what cannot succeed.
func (w *Writer) end() {
	w.mu.Lock()
	w.ended, w.waiting, w.order = true, nil, nil
	w.mu.Unlock()
	w.log.Error(Unsupported)
	w.onProblem(Unsupported)
}

// next takes the document whose turn it is. Without one it tells how long to wait for it; 0 is until something is put.
func (w *Writer) next(now time.Time) (thing string, document []byte, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, thing := range w.order {
		rest := w.due[thing].Sub(now)
		if rest <= 0 {
			document := w.waiting[thing]
			delete(w.waiting, thing)
			w.order = slices.Delete(w.order, i, i+1)
			w.due[thing] = now.Add(thingInterval)
			return thing, document, 0
		}
		if wait == 0 || rest < wait {
			wait = rest
		}
	}
	return "", nil, wait
}

// putBack queues a document again, unless a newer one of its thing has come meanwhile. That has its turn after the given
// time, too.
func (w *Writer) putBack(thing string, document []byte, after time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if due := time.Now().Add(after); due.After(w.due[thing]) {
		w.due[thing] = due
	}
	if _, newer := w.waiting[thing]; !newer {
		w.queue(thing, document)
	}
}

// sleep waits for ctx, for wake, or for the given time, which 0 leaves out.
func sleep(ctx context.Context, wait time.Duration, wake <-chan struct{}) {
	var due <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
	case <-wake:
	case <-due:
	}
}
