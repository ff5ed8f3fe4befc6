package forwarder_test

import (
	"context"
	"slices"
	"strings"
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

// Drift reaches the cloud and is acknowledged; of a candidate's figures one message an hour does, and each decision.
func TestDriftAndComparisonsAreForwarded(t *testing.T) {
	r := newRig(t)
	r.start()
	now := time.Now()
	d := event.Drift{V: 1, ID: "drift-1", Line: "line 1", State: event.DriftFound, Since: now.Add(-time.Hour), TS: now}
	r.publish(event.DriftTopic(d.Line), d)
	r.acks.await(t, "acknowledgement", has("drift-1"))
	compared := func(id string, after time.Duration, decision event.Decision) {
		r.publish(event.TopicComparison, event.Comparison{V: 1, ID: id, TS: now.Add(after), Candidate: event.ModelRef{Version: "2.0.0"}, Decision: decision})
	}
	compared("comparison-1", 0, event.DecisionOpen)
	compared("comparison-2", time.Minute, event.DecisionOpen)
	compared("comparison-3", time.Hour, event.DecisionOpen)
	compared("comparison-4", time.Hour+time.Second, event.DecisionPromote)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []string
	if err := r.cloud.Wait(ctx, func(j localcloud.Journal) bool {
		got = nil
		for _, e := range j {
			if strings.HasSuffix(e.Name, "/comparison") || strings.Contains(e.Name, "/drift/") {
				got = append(got, e.Name+" "+strings.Join(e.IDs, " "))
			}
		}
		return len(got) == 4
	}); err != nil {
		t.Fatalf("%v: %q", err, got)
	}
	slices.Sort(got)
	want := []string{
		"edgepdm/core-1/pdm/v1/comparison comparison-1", "edgepdm/core-1/pdm/v1/comparison comparison-3", "edgepdm/core-1/pdm/v1/comparison comparison-4",
		"edgepdm/core-1/pdm/v1/drift/line-1 drift-1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
