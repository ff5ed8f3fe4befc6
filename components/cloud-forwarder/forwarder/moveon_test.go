package forwarder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/spool"
	"edgepdm/test/coretest"
)

// newLane makes a fast lane with label changes, and the predictions behind it.
func newLane(t *testing.T, rt *component.Runtime, changes int, predictions spool.Options) *fastLane {
	t.Helper()
	open := func(o spool.Options) *spool.Queue {
		q, err := spool.Open(t.TempDir(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = q.Close() })
		return q
	}
	s := &stream{
		name: streamChanges, rt: rt, queue: open(spool.Options{}), uplink: newUplink(rt),
		behind: &stream{name: streamPredictions, queue: open(predictions)},
	}
	for i := range changes {
		payload := fmt.Appendf(nil, `{"topic":"t","message":{"id":"%d","text":"%s"}}`, i, strings.Repeat("x", 1000))
		if err := s.queue.Append(t.Context(), spool.Record{ID: fmt.Sprint(i), Payload: payload}); err != nil {
			t.Fatal(err)
		}
	}
	return &fastLane{stream: s}
}

// withRuntime runs a test with the runtime of a component.
func withRuntime(t *testing.T, test func(rt *component.Runtime)) {
	t.Helper()
	core := coretest.Start(t)
	env := coretest.Environment(t, core, event.CloudForwarder, "cloud-forwarder", slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	if err := component.Run(ctx, component.Spec[Config]{Name: event.CloudForwarder, Default: Default, Run: func(_ context.Context, rt *component.Runtime, _ Config) error {
		defer stop()
		test(rt)
		return nil
	}}, env); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Of records that move, those that the disk took leave the lane, and no other: none is in both streams without a mark.
func TestMoveThatFailsInTheMiddle(t *testing.T) {
	withRuntime(t, func(rt *component.Runtime) {
		l := newLane(t, rt, 30, spool.Options{MaxBytes: 16 << 10, WhenFull: spool.Reject})
		moved, err := l.moveOn(t.Context(), 30)
		if !errors.Is(err, spool.ErrFull) || moved == 0 || moved == 30 || l.behind.queue.Depth() != moved || l.queue.Depth() != 30-moved {
			t.Errorf("%d moved, %v; %d in front, %d behind", moved, err, l.queue.Depth(), l.behind.queue.Depth())
		}
		records, err := l.queue.Peek(1, 1<<20)
		if err != nil || len(records) != 1 || records[0].ID != fmt.Sprint(moved) || !records[0].Replayed {
			t.Errorf("%+v, %v", records, err)
		}
	})
}

// What an earlier process may have copied to the predictions without a mark is sent from the lane only when the predictions are
// empty; what the sink refuses is not.
func TestWhatTheLaneMaySend(t *testing.T) {
	l := newLane(t, nil, 2, spool.Options{})
	if err := l.behind.queue.Append(t.Context(), spool.Record{ID: "0"}); err != nil {
		t.Fatal(err)
	}
	if l.excess() != 0 || !l.maySend() {
		t.Error("a new change is held up")
	}
	l.left = 2
	if l.excess() != 2 || l.maySend() {
		t.Error("a change of an earlier process may be sent before its copy")
	}
	if err := l.behind.queue.Ack(1); err != nil {
		t.Fatal(err)
	}
	if !l.maySend() {
		t.Error("a change of an earlier process is held up")
	}
	l.left, l.refused = 0, true
	if l.excess() != 1 || l.maySend() {
		t.Error("a refused change does not move")
	}
}
