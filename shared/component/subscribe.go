package component

import (
	"context"
	"errors"
	"sync"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

// subscription is one that outlives a change of configuration.
type subscription struct {
	sub        *ipc.Subscription[ipc.TopicMessage]
	generation int // of the configuration that asked for it last
}

// Subscribe subscribes to the local topics that match filter. When a Run that was entered again asks for the same filter
// it gets the same subscription, with what arrived meanwhile: a change of configuration loses no message. A filter that the
// new Run does not ask for is given up at the next change. Not for two goroutines with the same filter.
//
// Where the nucleus refuses it, the component is DEGRADED and goes on with a subscription that hears nothing. When the nucleus
// grants it later, Run is entered again. An error means that ctx or the connection has ended.
func (rt *Runtime) Subscribe(ctx context.Context, filter string) (*ipc.Subscription[ipc.TopicMessage], error) {
	rt.mu.Lock()
	client := rt.client
	if s := rt.subscriptions[filter]; s != nil && s.sub.Err() == nil {
		s.generation = rt.generation
		rt.mu.Unlock()
		return s.sub, nil
	}
	rt.mu.Unlock()
	sub, err := rt.subscribe(ctx, client, filter)
	if err == nil || ctx.Err() != nil || client.Err() != nil {
		return sub, err
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.refused[filter] = rt.generation
	return new(ipc.Subscription[ipc.TopicMessage]), nil
}

// subscribe makes a subscription and keeps it, or says that it is refused.
func (rt *Runtime) subscribe(ctx context.Context, client *ipc.Client, filter string) (*ipc.Subscription[ipc.TopicMessage], error) {
	sub, err := client.Subscribe(ctx, filter, ipc.ReceiveFromOthers)
	if ctx.Err() == nil && client.Err() == nil {
		rt.conditions.subscribed(filter, err, false)
	}
	if err != nil {
		return nil, err
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	delete(rt.refused, filter)
	rt.subscriptions[filter] = &subscription{sub, rt.generation}
	return sub, nil
}

// subscribed notes the nucleus's answer to a subscription.
func (c *Conditions) subscribed(filter string, err error, lasting bool) {
	_, unauthorized := errors.AsType[*ipc.UnauthorizedError](err)
	var refused, failed error
	if unauthorized {
		refused = err
	} else {
		failed = err
	}
	c.set(place{event.CodeNotAuthorized, event.PlaceSubscribe(filter)}, 0, refused, lasting)
	c.set(place{event.CodePubSubDeaf, event.PlaceSubscribe(filter)}, 0, failed, lasting)
}

// retrySubscriptions tries, now and then, to make what the nucleus has refused, until stop is called. It sends on granted
// when one was made.
func (rt *Runtime) retrySubscriptions(ctx context.Context, client *ipc.Client, every time.Duration) (granted <-chan struct{}, stop func()) {
	made := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			for _, filter := range rt.refusedFilters() {
				if _, err := rt.subscribe(ctx, client, filter); err == nil {
					select {
					case made <- struct{}{}:
					default: // is told already
					}
				}
			}
		}
	})
	return made, func() {
		cancel()
		work.Wait()
	}
}

func (rt *Runtime) refusedFilters() []string {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	filters := make([]string, 0, len(rt.refused))
	for filter, generation := range rt.refused {
		if generation == rt.generation {
			filters = append(filters, filter)
		}
	}
	return filters
}

// endGeneration closes the subscriptions that the last Run did not ask for.
func (rt *Runtime) endGeneration() {
	rt.mu.Lock()
	var unwanted []*ipc.Subscription[ipc.TopicMessage]
	for filter, s := range rt.subscriptions {
		if s.generation != rt.generation {
			unwanted = append(unwanted, s.sub)
			delete(rt.subscriptions, filter)
		}
	}
	rt.generation++
	clear(rt.refused)
	rt.mu.Unlock()
	for _, sub := range unwanted {
		_ = sub.Close()
	}
}
