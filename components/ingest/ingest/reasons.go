package ingest

import (
	"sync"
	"time"

	"edgepdm/shared/component"
)

// logEvery is how often a reason is logged; all values that are not used are counted.
const logEvery = 10 * time.Second

// reasons counts and logs what is not used, by reason. It is for several goroutines.
type reasons struct {
	rt *component.Runtime

	mu     sync.Mutex
	logged map[string]time.Time
}

func newReasons(rt *component.Runtime) *reasons {
	return &reasons{rt: rt, logged: make(map[string]time.Time)}
}

func (r *reasons) count(reason string, n int) {
	total := r.rt.Counter(counterUnused + reason).Add(uint64(n)) //nolint:gosec // not negative
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.logged[reason]) >= logEvery {
		r.logged[reason] = now
		r.rt.Log.Warn("values are not used", "reason", reason, "total", total)
	}
}
