package forwarder

import (
	"sync"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
)

// uplink is the state of the connection to the cloud: down while a sender finds it down. Such a sender keeps trying, so its word
// is never old; a sender with nothing to send says nothing.
type uplink struct {
	rt *component.Runtime

	mu   sync.Mutex
	down map[sender]bool
	last bool          // what was said last, by any of them
	next chan struct{} // closed when the cloud is reached next
}

// sender is a stream, or one part of those that send in parallel.
type sender struct {
	stream string
	part   int
}

func newUplink(rt *component.Runtime) *uplink {
	return &uplink{rt: rt, down: make(map[sender]bool), next: make(chan struct{})}
}

// works reports whether the cloud was reached last, and no sender finds it down.
func (u *uplink) works() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last && len(u.down) == 0
}

// reached returns a channel that is closed when the cloud is reached next, by any sender.
func (u *uplink) reached() <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.next
}

func (u *uplink) set(by sender, up bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last = up
	if up {
		delete(u.down, by)
		close(u.next)
		u.next = make(chan struct{})
	} else {
		u.down[by] = true
	}
	u.say()
}

// forget takes back the word of a sender that stopped trying. That alone does not show that the uplink works: unless another
// sender has said so, it counts as down until the next message.
func (u *uplink) forget(by sender) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.down, by)
	if u.last {
		u.say()
	}
}

// say tells the state. mu is held.
func (u *uplink) say() {
	state := event.UplinkUp
	if len(u.down) > 0 {
		state = event.UplinkDown
	}
	u.rt.SetUplink(state)
}
