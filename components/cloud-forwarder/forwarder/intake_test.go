package forwarder

import (
	"context"
	"testing"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/spool"
)

// F3: an alert whose receiver stops before the disk has answered is not acknowledged, and has the mark when it comes again.
func TestAlertWithoutTheDisksAnswer(t *testing.T) {
	withRuntime(t, func(rt *component.Runtime) {
		ctx, stop := context.WithCancel(t.Context())
		slow := spool.Options{GroupCommit: time.Hour, After: func(time.Duration) <-chan time.Time {
			stop() // the alert waits for the disk
			return nil
		}}
		queue, err := spool.Open(t.TempDir(), slow)
		if err != nil {
			t.Fatal(err)
		}
		seenAlerts, err := openDedup(t.TempDir(), 10)
		if err != nil {
			t.Fatal(err)
		}
		s := &stream{name: streamAlertsIoT, rt: rt, queue: queue, options: spool.Options{Now: time.Now}}
		a := &alertIntake{rt: rt, now: time.Now, dedup: seenAlerts, iot: lanes{s, s}}
		m := ipc.TopicMessage{Topic: event.AlertTopic("press-1"), Payload: []byte(`{"id":"a-1"}`)}
		if a.store(ctx, m, seen{ID: "a-1"}, time.Now(), []*stream{s}) {
			t.Error("it counts as being on disk")
		}
		if earlier, err := seenAlerts.note(seen{ID: "a-1"}, time.Now()); err != nil || !earlier || seenAlerts.has("a-1", s.name) {
			t.Errorf("earlier %v, %v", earlier, err)
		}
		if err := queue.Close(); err != nil { // now it is
			t.Fatal(err)
		}
	})
}
