package fetcher_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/components/model-fetcher/record"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
	"edgepdm/test/must"
)

// A model that was refused as expired, by a clock that was ahead, is delivered once the clock is right.
func TestAClockThatWasAheadRefusesNothingForGood(t *testing.T) {
	r := newRig(t)
	var ahead atomic.Int64
	ahead.Store(int64(10 * 365 * 24 * time.Hour))
	made := r.make
	r.make = func() *fetcher.Fetcher {
		f := made()
		f.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		return f
	}
	archive := noise(t, 1, 1000)
	envelope := r.publish(manifest("1.0.0", archive), archive, r.key)
	r.start()
	r.next(event.ModelRefused)
	r.state(event.StateDegraded, string(modelstore.ReasonExpired))
	r.quiet(fetchNow)
	r.stop()
	ahead.Store(0)
	r.start()
	r.delivered()
	r.take(envelope, archive)
	r.state(event.StateOK, "")
	r.quiet(fetchNow)
}

// A record that cannot be written is told until it is, though the model is delivered and does not change.
func TestARecordThatCannotBeWritten(t *testing.T) {
	r := newRig(t)
	r.start()
	r.state(event.StateOK, "no model is published")
	blocker := filepath.Join(r.env.WorkDir, record.File)
	must.OK(t, os.MkdirAll(filepath.Join(blocker, "full"), 0o700))
	archive := noise(t, 1, 1000)
	envelope := r.publish(manifest("1.0.0", archive), archive, r.key)
	r.command(fetchNow)
	r.delivered()
	r.take(envelope, archive)
	failed := func(h event.Health) bool {
		return h.State == event.StateDegraded && strings.Contains(h.Detail, record.File)
	}
	before := r.await("a failure", failed).Counters[fetcher.CounterLooks]
	r.await("further tries", func(h event.Health) bool {
		if h.State == event.StateOK && h.Counters[fetcher.CounterLooks] > before {
			t.Fatalf("the record is not on disk, and the state is %+v", h)
		}
		return failed(h) && h.Counters[fetcher.CounterLooks] > before+2
	})
	must.OK(t, os.RemoveAll(blocker))
	r.state(event.StateOK, "")
	if got := r.record(); got.Outcome != record.OutcomeDelivered {
		t.Errorf("on disk is %+v", got)
	}
}
