package forwarder

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
)

// A heartbeat is bounded, whoever speaks on the health topics.
func TestHeartbeatIsBounded(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	h := &heart{now: func() time.Time { return now }, heard: make(map[string]event.Health)}
	for i := range 3 * maxHeard {
		health := event.Health{V: 1, Component: fmt.Sprintf("com.example.C%02d", i), TS: now.Add(time.Duration(i) * time.Second), State: event.StateOK, Counters: make(map[string]uint64)}
		for n := range 100 {
			health.Counters[strings.Repeat("x", 30)+fmt.Sprint(n)] = 1 << 40
		}
		payload, err := event.Encode(health)
		if err != nil {
			t.Fatal(err)
		}
		h.hear(payload)
	}
	h.hear([]byte("{"))
	h.hear([]byte(`{"v":1}`))
	if len(h.heard) != maxHeard || h.heard["com.example.C40"].Component == "" {
		t.Errorf("%d are heard", len(h.heard))
	}
	payload, err := h.message(event.Health{V: 1, Component: event.CloudForwarder})
	if err != nil || len(payload) > maxHeartbeat || event.IoTCoreHTTPS.Check(payload) != nil || strings.Contains(string(payload), "counters") {
		t.Errorf("%d bytes, %v", len(payload), err)
	}
}
