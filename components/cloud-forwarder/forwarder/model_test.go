package forwarder_test

import (
	"context"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/test/localcloud"
)

// M12: what happens to models reaches the cloud, through a cut uplink, also where the event has no id of its own.
func TestModelEventsAreForwarded(t *testing.T) {
	r := newRig(t)
	r.start()
	r.cloud.SetUplink(false)
	r.publish(event.ModelTopic(event.ModelActivated), event.ModelEvent{V: 1, ID: "model-1", Event: event.ModelActivated, Version: "1.1.0", TS: time.Now()})
	r.publish(event.ModelTopic("available"), map[string]any{"v": 1, "event": "available", "version": "1.2.0", "ts": time.Now()})
	r.awaitCounter("stream.alerts-iot.accepted", 2)
	r.acks.await(t, "acknowledgement", has("model-1"))
	// The acknowledgement was lost: it is given again, and the event is not kept twice.
	r.publish(event.ModelTopic(event.ModelActivated), event.ModelEvent{Replayed: true, V: 1, ID: "model-1", Event: event.ModelActivated, Version: "1.1.0", TS: time.Now()})
	r.acks.await(t, "two acknowledgements", times("model-1", 2))
	r.awaitCounter("stream.alerts-iot.accepted", 2)
	r.cloud.SetUplink(true)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.cloud.Wait(ctx, func(j localcloud.Journal) bool {
		topics := make(map[string]bool)
		for _, e := range j {
			topics[e.Name] = true
		}
		return topics["edgepdm/core-1/pdm/v1/model/activated"] && topics["edgepdm/core-1/pdm/v1/model/available"]
	}); err != nil {
		t.Errorf("%v: %+v", err, r.cloud.Journal())
	}
}
