package e2e

import (
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
)

// A limit of a sensor that the engine watches is an alert that the forwarder takes, as any other.
func TestALimitIsAnAlert(t *testing.T) {
	p := startPlant(t, localcore.Classic)
	alerts, err := p.Client.Subscribe(t.Context(), event.FilterAlert, ipc.ReceiveFromOthers)
	must.OK(t, err)
	acks, err := p.Client.Subscribe(t.Context(), event.TopicAckAlert, ipc.ReceiveFromOthers)
	must.OK(t, err)
	configuration := p.Configuration()
	configuration["com.edgepdm.InferenceEngine"]["watch"] = []any{"motor_speed"}
	configuration["com.edgepdm.AlarmManager"]["limits"] = []any{map[string]any{"sensor": "motor_speed", "above": -1e6, "for": "1s"}}
	p.Deploy(configuration)
	timeout := time.After(2 * time.Minute)
	told, taken := make(map[string]bool), make(map[string]bool) // ids of the limit's alerts, and of those that the forwarder has
	for {
		for id := range told {
			if taken[id] {
				return
			}
		}
		select {
		case m := <-alerts.Events():
			a, err := event.DecodeAlert(m.Payload)
			must.OK(t, err)
			if a.Fault == "limit-motor_speed" && a.State == event.AlarmUnacknowledged && strings.Contains(a.Text, "(limit -1000000).") {
				told[a.ID] = true
			}
		case m := <-acks.Events():
			ack, err := event.DecodeAck(m.Payload)
			must.OK(t, err)
			for _, id := range ack.IDs {
				taken[id] = true
			}
		case <-timeout:
			t.Fatalf("no limit's alert was taken; there were %d", len(told))
		}
	}
}
