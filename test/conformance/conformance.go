// Package conformance runs cases of Greengrass IPC against a nucleus of any kind and tells what it expected and what it saw.
//
// The cases are harmless on a core in production. They publish below edgepdm-conformance/ only, write one key of the
// caller's own configuration (edgepdmConformance) and named shadows that they delete again, and name components and
// deployments that do not exist, unless Options says which component they may restart. What would harm a real nucleus is
// asked of the project's own core only: a PING that has no header but the three that begin with ':' aborts the process of
// a classic nucleus.
//
// No operation deletes a key of the configuration, so that edgepdmConformance stays, always with the same few keys: it
// goes with the component, or with a deployment that resets /edgepdmConformance.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"edgepdm/shared/ipc"
)

// Options say which nucleus, and what the cases may do to it.
type Options struct {
	Connection ipc.Options

	// CLI says that the connection is greengrass-cli's, which a deployment takes the right to use local topics.
	CLI bool
	// Embedded says that the nucleus is the project's own, test/localcore, which no case can harm.
	Embedded bool

	// ID makes the names of topics and of the shadow the run's own: letters and digits.
	ID string
	// Thing is the thing whose shadows the caller may use; without it those cases are skipped.
	Thing string
	// Restart is the component that the cases may restart; without it none is.
	Restart string
	// Patience is how long a case waits for an answer or event; 5 s by default.
	Patience time.Duration
}

// Verdict is what a case came to.
type Verdict int

// The verdicts.
const (
	Pass Verdict = iota
	Fail
	Skip // the caller is not authorised, or the nucleus lacks what the case needs
)

func (v Verdict) String() string {
	return [...]string{"pass", "FAIL", "skip"}[v]
}

// Result is one line of the table.
type Result struct {
	Operation string // of the Smithy model, or Connect or Protocol
	Case      string
	Expected  string // alternatives are separated by " | "
	Seen      string // with the reason when the case was skipped
	Verdict   Verdict
}

// testCase is one question to the nucleus. Its run returns what was seen in a word or two; errors are put into words by
// describe.
type testCase struct {
	operation, name string
	classic, lite   string // expected of the two kinds of nucleus, with alternatives separated by " | "; "": not asked
	run             func(ctx context.Context, s *session) (string, error)
}

// Run asks the nucleus every case that is of its kind and hands each result to report at once. The error is that of the
// connection, without which no case can run.
func Run(ctx context.Context, o Options, report func(Result)) (ipc.NucleusKind, error) {
	if o.Patience <= 0 {
		o.Patience = 5 * time.Second
	}
	for _, r := range o.ID {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return 0, fmt.Errorf("id %q is not of letters and digits", o.ID)
		}
	}
	client, err := ipc.Dial(ctx, o.Connection)
	if err != nil {
		return 0, err
	}
	runtime, err := client.Nucleus(ctx)
	if closeErr := client.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return 0, err
	}
	lost, err := lostRights(ctx, o)
	if err != nil {
		return runtime, err
	}
	clock := new(clock)
	for _, c := range slices.Concat(connectCases(), protocolCases(), topicCases(), configurationCases(), iotCoreCases(), shadowCases(),
		managementCases()) {
		expected := c.classic
		if runtime == ipc.Lite {
			expected = c.lite
		}
		if expected == "" {
			continue
		}
		if err := ctx.Err(); err != nil {
			return runtime, err
		}
		if lost && (c.operation == publishToTopic || c.operation == subscribeToTopic) {
			report(Result{c.operation, c.name, expected, "a deployment took this from the CLI; restart aws.greengrass.Cli", Skip})
			continue
		}
		report(c.judge(ctx, o, runtime, clock, expected))
	}
	return runtime, nil
}

// lostRights tells whether the caller is a CLI that may not use local topics any more.
func lostRights(ctx context.Context, o Options) (bool, error) {
	if !o.CLI {
		return false, nil
	}
	client, err := ipc.Dial(ctx, o.Connection)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Patience)
	defer cancel()
	s := &session{options: o}
	err = client.Publish(ctx, s.topic("rights"), nil)
	_, unauthorized := errors.AsType[*ipc.UnauthorizedError](err)
	return unauthorized, client.Close() // what else is wrong, the cases tell
}

// judge runs a case on a connection of its own.
func (c testCase) judge(ctx context.Context, o Options, runtime ipc.NucleusKind, clock *clock, expected string) Result {
	r := Result{Operation: c.operation, Case: c.name, Expected: expected}
	ctx, cancel := context.WithTimeout(ctx, 4*o.Patience)
	defer cancel()
	client, err := ipc.Dial(ctx, o.Connection)
	if err == nil {
		s := &session{client: client, options: o, runtime: runtime, clock: clock}
		r.Seen, err = c.run(ctx, s)
		_ = client.Close() // the case is over
	}
	if err != nil {
		r.Seen = describe(err)
	}
	var skip *skipError
	switch {
	case errors.As(err, &skip):
		r.Verdict, r.Seen = Skip, skip.reason
	case slices.Contains(strings.Split(expected, " | "), r.Seen):
		r.Verdict = Pass
	case r.Seen == "UnauthorizedError":
		r.Verdict, r.Seen = Skip, "the caller is not authorised"
	case r.Seen == notSupported:
		r.Verdict, r.Seen = Skip, "no component on this nucleus serves it"
	default:
		r.Verdict = Fail
	}
	return r
}

// skipError ends a case that cannot be asked.
type skipError struct{ reason string }

func (e *skipError) Error() string { return "skipped: " + e.reason }

func skipf(format string, args ...any) error { return &skipError{fmt.Sprintf(format, args...)} }

// Words for what several cases see.
const (
	accepted     = "accepted"
	delivered    = "delivered"
	equal        = "equal"
	closed       = "closed"
	refused      = "refused"
	notSupported = "not supported"
	noAnswer     = "no answer"
)

// describe puts an error into a word or two: for an error of the model its shape.
func describe(err error) string {
	var operation *ipc.OperationError
	switch {
	case errors.Is(err, ipc.ErrNotSupported):
		return notSupported
	case errors.Is(err, ipc.ErrTooLarge):
		return "too large"
	case errors.Is(err, ipc.ErrRefused):
		return refused
	case errors.Is(err, ipc.ErrConnectionLost):
		return closed
	case errors.Is(err, errPatience), errors.Is(err, ipc.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return noAnswer
	case errors.As(err, &operation) && operation.Code != "":
		return operation.Code
	default:
		return err.Error()
	}
}

// errPatience ends a wait for an event that does not come.
var errPatience = errors.New("nothing came")

// session is what a case has.
type session struct {
	client  *ipc.Client
	options Options
	runtime ipc.NucleusKind
	clock   *clock
}

// clock gives each write of the configuration a time after that of the one before, as a nucleus demands, and each request
// about a shadow its turn.
type clock struct {
	last   time.Time
	shadow time.Time // of the next request
}

// turn waits: a thing may have 20 requests about its shadows a second.
func (c *clock) turn(ctx context.Context) error {
	err := until(ctx, c.shadow)
	c.shadow = time.Now().Add(time.Second / 16)
	return err
}

func (c *clock) now() time.Time {
	c.last = later(time.Now(), c.last.Add(time.Millisecond))
	return c.last
}

// second returns the next time without a fraction, once it has come: a value from the future would stand in the way of
// the next run.
func (c *clock) second(ctx context.Context) (time.Time, error) {
	c.last = c.now().Truncate(time.Second).Add(time.Second)
	return c.last, until(ctx, c.last)
}

// until waits for a time.
func until(ctx context.Context, t time.Time) error {
	wait := time.NewTimer(time.Until(t))
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// topic returns a topic, or a filter, below the prefix of the run.
func (s *session) topic(rest string) string {
	return "edgepdm-conformance/" + s.options.ID + "/" + rest
}

// next waits for an event.
func next[T any](ctx context.Context, s *session, events *ipc.Subscription[T]) (T, error) {
	patience := time.NewTimer(s.options.Patience)
	defer patience.Stop()
	select {
	case event, ok := <-events.Events():
		if !ok {
			return event, fmt.Errorf("subscription ended: %w", events.Err())
		}
		return event, nil
	case <-patience.C:
		var none T
		return none, errPatience
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
