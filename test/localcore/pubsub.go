package localcore

import (
	"slices"
	"sync"
)

// pubsub is the local publish/subscribe broker. It keeps no messages.
type pubsub struct {
	dialect *dialect

	mu   sync.Mutex
	subs []*subscription // in order of subscription
}

type subscription struct {
	component string
	filter    []string
	others    bool // only messages of other components
	stream    *stream
}

func (p *pubsub) subscribe(component, filter, mode string, s *stream) {
	levels := p.dialect.levels(filter)
	sub := &subscription{component: component, filter: levels, others: p.dialect.othersOnly(mode, levels), stream: s}
	p.mu.Lock()
	p.subs = append(p.subs, sub)
	p.mu.Unlock()
	s.onClose(func() { p.remove(sub) })
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
	at := p.dialect.levels(topic)
	for _, s := range p.subs {
		if !(s.others && s.component == component) && p.dialect.matches(s.filter, at) {
			s.stream.event("SubscriptionResponseMessage", event)
		}
	}
}

func (p *pubsub) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.subs)
}

// forget ends all subscriptions without telling anyone.
func (p *pubsub) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subs = nil
}

// silence ends the subscriptions that match without telling anyone.
func (p *pubsub) silence(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.dialect.levels(topic)
	p.subs = slices.DeleteFunc(p.subs, func(s *subscription) bool { return p.dialect.matches(s.filter, at) })
}
