package nucleus

import (
	"slices"
	"sync"
)

// PubSub is the local publish/subscribe broker. It keeps no messages.
type PubSub struct {
	dialect Dialect

	mu   sync.Mutex
	subs []*subscription // in order of subscription
}

type subscription struct {
	component string
	filter    string
	others    bool // only messages of other components
	stream    *Stream
}

// Subscribe ends with the stream. With others the subscriber does not get its own component's messages.
func (p *PubSub) Subscribe(component, filter string, others bool, s *Stream) {
	sub := &subscription{component, filter, others, s}
	p.mu.Lock()
	p.subs = append(p.subs, sub)
	p.mu.Unlock()
	s.OnClose(func() { p.drop(func(s *subscription) bool { return s == sub }) })
}

func (p *PubSub) drop(gone func(*subscription) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subs = slices.DeleteFunc(p.subs, gone)
}

// Publish queues the event for every matching subscription. Under the lock every subscriber sees one order.
func (p *PubSub) Publish(component, topic string, event []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.subs {
		if !(s.others && s.component == component) && p.dialect.Matches(s.filter, topic) {
			s.stream.Event("SubscriptionResponseMessage", event)
		}
	}
}

// Count returns how many subscriptions there are.
func (p *PubSub) Count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.subs)
}

// Forget ends all subscriptions without telling anyone.
func (p *PubSub) Forget() { p.drop(func(*subscription) bool { return true }) }

// Silence ends the subscriptions that match without telling anyone.
func (p *PubSub) Silence(topic string) {
	p.drop(func(s *subscription) bool { return p.dialect.Matches(s.filter, topic) })
}
