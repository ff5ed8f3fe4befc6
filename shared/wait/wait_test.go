package wait

import (
	"context"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	largest := func(n int64) int64 { return n - 1 }
	b := Backoff{Min: 100 * time.Millisecond, Max: 10 * time.Second, Rand: largest}
	for attempt, want := range map[int]time.Duration{1: 200 * time.Millisecond, 3: 800 * time.Millisecond, 7: 10 * time.Second, 1000: 10 * time.Second} {
		if got := b.Delay(attempt); got != want {
			t.Errorf("attempt %d: %v, want %v", attempt, got, want)
		}
	}
	b.Rand = func(int64) int64 { return 0 }
	if got := b.Delay(9); got != 1 {
		t.Errorf("least delay %v", got)
	}
}

func TestForEndsWithItsContext(t *testing.T) {
	if !For(t.Context(), time.Nanosecond) {
		t.Error("it did not wait for the whole time")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if For(ended, time.Hour) {
		t.Error("it waited for the whole time")
	}
}
