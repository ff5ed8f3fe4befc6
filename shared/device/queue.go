package device

import "sync"

// message is what waits to be published.
type message struct {
	topic   string
	payload []byte
}

// queue keeps messages in order. When it is full the oldest one goes, and is counted.
type queue struct {
	limit int
	ready chan struct{} // has something when messages may wait

	mu      sync.Mutex
	waiting []message
	taken   int // neither acknowledged nor put back
	dropped uint64
}

func newQueue(limit int) *queue { return &queue{limit: limit, ready: make(chan struct{}, 1)} }

// add takes a message. It reports false if another one was dropped for it.
func (q *queue) add(m message) bool {
	q.mu.Lock()
	full := len(q.waiting) == q.limit
	if full {
		q.waiting[0] = message{}
		q.waiting = q.waiting[1:]
		q.dropped++
	}
	q.waiting = append(q.waiting, m)
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return !full
}

// take removes the oldest messages, at most n. Each is to be acknowledged or put back.
func (q *queue) take(n int) []message {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.waiting))
	taken := append([]message(nil), q.waiting[:n]...)
	clear(q.waiting[:n])
	q.waiting = q.waiting[n:]
	q.taken += n
	return taken
}

// acknowledge ends the oldest message that was taken.
func (q *queue) acknowledge() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken--
}

// putBack returns messages that were taken to the front. What there is no room for goes, the oldest first.
func (q *queue) putBack(taken []message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken -= len(taken)
	if over := len(taken) + len(q.waiting) - q.limit; over > 0 {
		over = min(over, len(taken))
		q.dropped += uint64(over)
		taken = taken[over:]
	}
	q.waiting = append(append(make([]message, 0, len(taken)+len(q.waiting)), taken...), q.waiting...)
}

// length returns how many messages wait, and how many are taken.
func (q *queue) length() (waiting, taken int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting), q.taken
}

func (q *queue) lost() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}
