package simulator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

// errAwaited and errNotAwaited say what is known of the component that is waited for.
var (
	errAwaited    = errors.New("waits until it works")
	errNotAwaited = errors.New("does not say that it works; rows are published all the same, and may be lost")
)

// consumer is the component that uses the rows.
type consumer struct {
	rt     *component.Runtime
	name   string
	health *ipc.Subscription[ipc.TopicMessage]
}

// awaitConsumer waits until the named component says that it works, at most for limit: what a plant publishes before anybody
// listens is lost. If it has not said so by then, its word is listened for until the function that is returned is called.
func awaitConsumer(ctx context.Context, rt *component.Runtime, name string, limit time.Duration) (stop func(), err error) {
	stop = func() {}
	if name == "" {
		return stop, nil
	}
	c := &consumer{rt: rt, name: name}
	rt.Conditions().Set(event.CodeWaitsForOthers, name, errAwaited)
	if c.health, err = rt.Subscribe(ctx, event.HealthTopic(name)); err != nil {
		return stop, fmt.Errorf("listen for the health of %s: %w", name, err)
	}
	rt.Log.Info("waiting until it is healthy", "component", name, "at_most", limit)
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := c.listen(within); err != nil || ctx.Err() != nil {
		return stop, err
	}
	if within.Err() == nil {
		return stop, nil
	}
	rt.Conditions().Set(event.CodeWaitsForOthers, name, errNotAwaited)
	listening, end := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { _ = c.listen(listening) }) // without a connection the run ends for another reason
	return func() {
		end()
		work.Wait()
	}, nil
}

// listen waits until the component works, or ctx ends.
func (c *consumer) listen(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case m, open := <-c.health.Events():
			if !open {
				return fmt.Errorf("listen for the health of %s: %w", c.name, c.health.Err())
			}
			if h, err := event.DecodeHealth(m.Payload); err == nil && works(h) {
				c.rt.Conditions().Set(event.CodeWaitsForOthers, c.name, nil)
				return nil
			}
		}
	}
}

// works reports whether a component uses what it is sent: an engine with a model does, also when something else is wrong, such
// as a new configuration, in whose place the last good one is in force.
func works(h event.Health) bool {
	return h.State == event.StateOK || h.Model != nil && (h.State == event.StateDegraded || h.State == event.StateBadConfig)
}
