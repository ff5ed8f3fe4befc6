package forwarder

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/spool"
	"edgepdm/test/must"
)

// batches are what a sink got.
type batches struct {
	mu   sync.Mutex
	got  []int
	more chan struct{}
}

func (b *batches) sendBatch(_ context.Context, messages []message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, len(messages))
	b.more <- struct{}{}
	return nil
}

// An object of telemetry leaves when it is full, and when its first row has waited long enough, though it is not.
func TestObjectsAreFilled(t *testing.T) {
	withRuntime(t, func(rt *component.Runtime) {
		for _, c := range []struct {
			every time.Duration
			bytes int
			rows  int
		}{{time.Hour, 5000, 10}, {time.Millisecond, 1 << 30, 1}} {
			queue, err := spool.Open(t.TempDir(), spool.Options{})
			must.OK(t, err)
			to := &batches{more: make(chan struct{}, 100)}
			s := &stream{
				name: streamTelemetry, rt: rt, queue: queue, options: spool.Options{Now: time.Now}, parallel: 1, uplink: newUplink(rt),
				archive: &archive{records: 1, every: c.every, bytes: c.bytes, to: to},
			}
			ctx, stop := context.WithCancel(t.Context())
			var draining sync.WaitGroup
			draining.Go(func() { s.drainObjects(ctx) })
			m := ipc.TopicMessage{Topic: event.TelemetryTopic("a"), Payload: []byte(`{"text":"` + strings.Repeat("x", 500) + `"}`)}
			for range c.rows {
				_, err := s.put(ctx, m, "a", time.Now())
				must.OK(t, err)
			}
			<-to.more
			stop()
			draining.Wait()
			sum := 0
			for _, n := range to.got {
				sum += n
			}
			if left := queue.Depth(); sum == 0 || sum+int(left) != c.rows || c.every == time.Hour && (len(to.got) != 1 || sum < 9) {
				t.Errorf("%v: objects of %v messages, %d are left", c.every, to.got, left)
			}
			must.OK(t, queue.Close())
		}
	})
}
