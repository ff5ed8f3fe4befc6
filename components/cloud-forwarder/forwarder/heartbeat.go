package forwarder

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

const (
	maxHeard      = 20       // components whose health is told
	maxHeartbeat  = 32 << 10 // bytes with the components' counters
	heartbeatTime = 10 * time.Second
)

// Names of the counters of heartbeats in the health messages.
const (
	counterBeats  = "heartbeat.sent"
	counterMissed = "heartbeat.failed" // they are not repeated: the next one says more
)

// heart tells the cloud now and then that this site lives, and how its components are, so that a dead site does not look quiet.
type heart struct {
	rt       *component.Runtime
	now      func() time.Time
	core     string
	interval time.Duration // 0: never
	health   *ipc.Subscription[ipc.TopicMessage]

	heard map[string]event.Health // by component
}

// beat listens to the components, and tells of them once there is a sink, until ctx ends.
func (h *heart) beat(ctx context.Context, sinks <-chan sink) error {
	if h.interval == 0 {
		return nil
	}
	ticker := time.NewTicker(h.interval)
	defer ticker.Stop()
	var to sink
	for {
		select {
		case to = <-sinks:
		case m, open := <-h.health.Events():
			if !open {
				return fmt.Errorf("receive health: %w", h.health.Err())
			}
			h.hear(m.Payload)
		case <-ticker.C:
			if to != nil {
				h.tell(ctx, to)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// hear keeps what a component says. Others than the suite's may speak on the topic: of too many, the one that was silent the
// longest gives way.
func (h *heart) hear(payload []byte) {
	health, err := event.DecodeHealth(payload)
	if err != nil || health.Component == "" {
		return
	}
	h.heard[health.Component] = health
	if len(h.heard) > maxHeard {
		oldest := health
		for _, other := range h.heard {
			if other.TS.Before(oldest.TS) {
				oldest = other
			}
		}
		delete(h.heard, oldest.Component)
	}
}

func (h *heart) tell(ctx context.Context, to sink) {
	ctx, cancel := context.WithTimeout(ctx, heartbeatTime)
	defer cancel()
	payload, err := h.message(h.rt.Health())
	if err == nil {
		err = to.send(ctx, message{topic: event.TopicHeartbeat, payload: payload})
	}
	if err != nil {
		h.rt.Counter(counterMissed).Add(1)
		h.rt.Log.Debug("the heartbeat is not sent", "error", err)
		return
	}
	h.rt.Counter(counterBeats).Add(1)
}

// message says how the components are, this one among them, which does not hear itself everywhere.
func (h *heart) message(own event.Health) ([]byte, error) {
	h.heard[own.Component] = own
	beat := event.Heartbeat{
		V: event.Version, Core: h.core, TS: h.now().UTC(), IntervalMS: h.interval.Milliseconds(), Components: slices.Collect(maps.Values(h.heard)),
	}
	slices.SortFunc(beat.Components, func(a, b event.Health) int { return strings.Compare(a.Component, b.Component) })
	payload, err := json.Marshal(beat)
	if err == nil && len(payload) > maxHeartbeat {
		for i := range beat.Components {
			beat.Components[i].Counters = nil
		}
		payload, err = json.Marshal(beat)
	}
	if err != nil {
		return nil, fmt.Errorf("encode heartbeat: %w", err)
	}
	return payload, nil
}
