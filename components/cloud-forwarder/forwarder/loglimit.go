package forwarder

import (
	"sync"
	"time"
)

// logEvery is the least time between two log lines that many messages may cause.
const logEvery = 10 * time.Second

// logLimiter bounds the log lines of one kind.
type logLimiter struct {
	mu      sync.Mutex
	last    time.Time
	skipped int
}

// allow reports whether it is time for a line, and how many were left out since the previous one.
func (o *logLimiter) allow(at time.Time) (skipped int, log bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.last.IsZero() && at.Sub(o.last).Abs() < logEvery {
		o.skipped++
		return 0, false
	}
	skipped, o.skipped, o.last = o.skipped, 0, at
	return skipped, true
}
