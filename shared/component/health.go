package component

import (
	"context"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/memory"
)

// SetState says how the component is as long as no condition is set; the next health message, sent at once, carries it.
func (rt *Runtime) SetState(state event.State, detail string) {
	rt.mu.Lock()
	changed := rt.state != state || rt.detail != detail
	rt.state, rt.detail = state, detail
	rt.mu.Unlock()
	if changed {
		rt.ReportHealth()
	}
}

// setConfigProblem reports that the configuration is refused, "" that it no longer is. It stands above the work's state.
func (rt *Runtime) setConfigProblem(problem string) {
	rt.mu.Lock()
	changed := rt.configProblem != problem
	rt.configProblem = problem
	rt.mu.Unlock()
	if changed {
		rt.ReportHealth()
	}
}

// SetModel names the model in use in the health messages.
func (rt *Runtime) SetModel(model *event.ModelRef) {
	rt.mu.Lock()
	rt.model = model
	rt.mu.Unlock()
	rt.ReportHealth()
}

// SetLifeModel names the life model in use in the health messages; nil: there is none.
func (rt *Runtime) SetLifeModel(model *event.ModelRef) {
	rt.mu.Lock()
	rt.lifeModel = model
	rt.mu.Unlock()
	rt.ReportHealth()
}

// SetUplink reports whether the cloud can be reached, in the health messages.
func (rt *Runtime) SetUplink(uplink event.Uplink) {
	rt.mu.Lock()
	changed := rt.uplink != uplink
	rt.uplink = uplink
	rt.mu.Unlock()
	if changed {
		rt.ReportHealth()
	}
}

// ReportHealth sends a health message now instead of at the next interval.
func (rt *Runtime) ReportHealth() {
	select {
	case rt.wakeHealth <- struct{}{}:
	default: // one is due already
	}
}

// startHealth sends health messages until the returned function is called, and a last one then.
func (rt *Runtime) startHealth(ctx context.Context, loopback *loopback) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the work may still have something to count
	done := make(chan struct{})
	go func() {
		defer close(done)
		failed := false
		for {
			err := rt.publishHealth()
			loopback.sent(err)
			if (err != nil) != failed {
				failed = err != nil
				if failed {
					rt.Log.Warn("health messages are not sent", "error", err)
				}
			}
			rt.mu.Lock()
			timer := time.NewTimer(rt.healthInterval)
			rt.mu.Unlock()
			select {
			case <-timer.C:
			case <-rt.wakeHealth:
			case <-ctx.Done():
				timer.Stop()
				_ = rt.publishHealth() // the counters' last word; the connection may be gone
				return
			}
			timer.Stop()
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

const healthTimeout = 2 * time.Second

func (rt *Runtime) publishHealth() error {
	payload, err := encodeHealth(rt.Health())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	return rt.IPC().Publish(ctx, event.HealthTopic(rt.name), payload)
}

// encodeHealth leaves out the newest conditions as long as the message is too large for a local one: quotes and the like take
// several bytes each in JSON.
func encodeHealth(h event.Health) ([]byte, error) {
	for {
		payload, err := event.Encode(h)
		if err == nil || len(h.Conditions) == 0 {
			return payload, err
		}
		h.Conditions = h.Conditions[:len(h.Conditions)-1]
	}
}

// Health is what the next health message says.
func (rt *Runtime) Health() event.Health {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	h := event.Health{
		V: event.Version, Component: rt.name, Version: rt.version, Run: rt.run, TS: rt.now().UTC(),
		IntervalMS: rt.healthInterval.Milliseconds(),
		State:      rt.state, Detail: rt.detail, Model: rt.model, LifeModel: rt.lifeModel, Uplink: rt.uplink, Counters: make(map[string]uint64, len(rt.counters)),
		MemoryKB: memory.Resident() / 1024, Started: rt.started, Latency: rt.latencies.report(),
	}
	conditions, awaited := rt.conditions.report()
	switch {
	case len(conditions) > 0:
		h.Conditions = foremost(conditions)
		if h.State == event.StateOK || h.State == event.StateStarting {
			h.State, h.Detail = event.StateDegraded, detail(conditions)
		}
	case awaited && h.State == event.StateOK:
		h.State, h.Detail = event.StateStarting, ""
	}
	if rt.configProblem != "" {
		h.State, h.Detail = event.StateBadConfig, rt.configProblem
	}
	h.Detail = event.Cut(h.Detail, event.MaxDetail)
	for name, c := range rt.counters {
		h.Counters[name] = c.Load()
	}
	return h
}
