package notifier

import "sync"

// maxSpoken is how many ids are remembered.
const maxSpoken = 1000

// spokenIDs remembers the ids of alerts that were spoken by this execution environment. Another one does not know them: then
// the announcement carries the mark of a repeat.
type spokenIDs struct {
	mu   sync.Mutex
	ids  map[string]bool
	ring [maxSpoken]string
	next int
}

func (s *spokenIDs) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[id]
}

func (s *spokenIDs) add(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == "" || s.ids[id] {
		return
	}
	if s.ids == nil {
		s.ids = make(map[string]bool)
	}
	delete(s.ids, s.ring[s.next])
	s.ids[id], s.ring[s.next] = true, id
	s.next = (s.next + 1) % maxSpoken
}
