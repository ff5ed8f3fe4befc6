package localcore

import (
	"slices"
	"strings"
	"sync"
)

// pubsub is the local publish/subscribe broker. It keeps no messages.
type pubsub struct {
	mu   sync.Mutex
	subs []*subscription // in order of subscription
}

type subscription struct {
	component string
	filter    []string
	others    bool // only messages of other components
	stream    *stream
}

// newSubscription applies the default of receiveMode: a filter with a wildcard does not get the component's own messages.
func newSubscription(component, filter, mode string, s *stream) *subscription {
	sub := &subscription{component: component, filter: levels(filter), stream: s}
	switch mode {
	case "RECEIVE_ALL_MESSAGES":
	case "RECEIVE_MESSAGES_FROM_OTHERS":
		sub.others = true
	default:
		sub.others = isWildcard(sub.filter)
	}
	return sub
}

func (p *pubsub) add(sub *subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subs = append(p.subs, sub)
}

func (p *pubsub) remove(sub *subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subs = slices.DeleteFunc(p.subs, func(s *subscription) bool { return s == sub })
}

// publish queues the event for every matching subscription. Under the lock every subscriber sees one order.
func (p *pubsub) publish(component, topic string, event []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := levels(topic)
	for _, s := range p.subs {
		if !(s.others && s.component == component) && matchesFilter(s.filter, at) {
			s.stream.event("SubscriptionResponseMessage", event)
		}
	}
}

// levels splits as Java's String.split does, which drops empty levels at the end: for a classic nucleus a/b/ is a/b.
func levels(topic string) []string {
	return strings.Split(strings.TrimRight(topic, "/"), "/")
}

func isWildcard(filter []string) bool {
	return slices.Contains(filter, "+") || filter[len(filter)-1] == "#"
}

// matchesFilter matches as a classic nucleus's SubscriptionTrie does, which is not quite MQTT: `a/#` does not match `a`,
// wildcards match topics that begin with $, and a # before the last level is one level.
func matchesFilter(filter, topic []string) bool {
	for i, level := range topic {
		switch {
		case i >= len(filter):
			return false
		case filter[i] == "#" && i == len(filter)-1:
			return true
		case filter[i] != level && filter[i] != "+" && filter[i] != "#":
			return false
		}
	}
	return len(filter) == len(topic)
}
