package forwarder_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"edgepdm/shared/event"
)

// BenchmarkDrain measures how fast a backlog of predictions drains over iot-data, one request at a time to keep their
// order, and 16 in no order: on loopback, and over a way that takes 50 ms.
func BenchmarkDrain(b *testing.B) {
	for name, c := range map[string]struct {
		n     int
		delay time.Duration

		parallel int
	}{
		"loopback": {5000, 0, 1}, "50ms": {100, 50 * time.Millisecond, 1},
		"loopback, 16 in parallel": {5000, 0, 16}, "50ms, 16 in parallel": {1600, 50 * time.Millisecond, 16},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				r := newRigAlone(b)
				r.configure(map[string]any{"parallel": c.parallel})
				if c.delay > 0 {
					r.hook(func(string, []byte) error { <-time.After(c.delay); return nil })
				}
				ids := r.backlog(c.n)
				b.StartTimer()
				r.begin()
				r.iot.await(b, "predictions", has(ids...))
				b.StopTimer()
				r.stop()
				b.StartTimer()
			}
			b.ReportMetric(float64(c.n*b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkDrainAsObjects measures the same over a way that takes 50 ms, where the backlog leaves as objects.
func BenchmarkDrainAsObjects(b *testing.B) {
	const n = 50_000
	for b.Loop() {
		b.StopTimer()
		r := newRigAlone(b)
		r.archive(nil).on(func(w http.ResponseWriter, _ *http.Request, pass func(http.ResponseWriter)) {
			<-time.After(50 * time.Millisecond)
			pass(w)
		})
		ids := r.backlog(n)
		b.StartTimer()
		r.begin()
		r.await("all sent", drained)
		b.StopTimer()
		r.stop()
		if got := r.checkAccount(ids); got != n {
			b.Errorf("%d of %d messages left as objects", got, n)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkAccept measures how fast messages get onto the disk and are acknowledged, one client that waits for nothing.
func BenchmarkAccept(b *testing.B) {
	for _, kind := range []string{"alerts", "predictions"} {
		b.Run(kind, func(b *testing.B) {
			const n = 500
			r := newRigAlone(b)
			r.cloud.SetUplink(false)
			r.start()
			round := 0
			for b.Loop() {
				var ids []string
				for i := range n {
					id := fmt.Sprintf("%d-%d", round, i)
					ids = append(ids, id)
					topic, payload := event.AlertTopic("press-1"), encode(b, alert(id))
					if kind == "predictions" {
						p := prediction("press-1", uint64(round*n+i+1))
						p.ID = id
						topic, payload = event.PredictionTopic("press-1"), encode(b, p)
					}
					if _, err := r.client.StartPublish(b.Context(), topic, payload); err != nil {
						b.Fatal(err)
					}
				}
				r.acks.await(b, "acknowledgements", has(ids...))
				round++
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
