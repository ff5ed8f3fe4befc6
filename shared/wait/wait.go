// Package wait is about time: back-off between attempts, and contexts that outlive a stop.
package wait

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is exponential back-off with full jitter: attempt n waits a random time between 0 and Min·2ⁿ, at most Max.
// Source: "Exponential Backoff And Jitter", AWS Architecture Blog.
type Backoff struct {
	Min, Max time.Duration
	Rand     func(n int64) int64 // uniform in [0, n); nil for math/rand
}

// Delay returns how long attempt n, from 1, waits.
func (b Backoff) Delay(attempt int) time.Duration {
	ceiling := b.Max
	if attempt < 32 {
		if d := b.Min << attempt; d > 0 && d < ceiling {
			ceiling = d
		}
	}
	if ceiling <= 0 {
		return 0
	}
	random := b.Rand
	if random == nil {
		random = rand.Int64N
	}
	return time.Duration(random(int64(ceiling)) + 1)
}

// Wait waits before attempt n+1, or until ctx ends.
func (b Backoff) Wait(ctx context.Context, attempt int) { For(ctx, b.Delay(attempt)) }

// For waits, and reports whether it did so for the whole time: ctx may end before.
func For(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Outlive returns a context that ends a while after ctx does, or with release: for what must still be finished at a stop.
func Outlive(ctx context.Context, by time.Duration) (longer context.Context, release context.CancelFunc) {
	longer, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(by)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-longer.Done():
		}
		end()
	})
	return longer, func() {
		stop()
		end()
	}
}
