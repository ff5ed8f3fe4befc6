package fetcher

import (
	"math/rand/v2"
	"testing"
	"time"

	"edgepdm/shared/wait"
)

// Who knows nothing looks at once, and tries again soon; a download that is under way goes on soon.
func TestWhenACoreLooks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	s := &Schedule{Poll: 15 * time.Minute, Retry: wait.Backoff{Min: time.Second, Max: 5 * time.Minute}, Rand: r.Float64}
	within := func(what string, d, low, high time.Duration) {
		t.Helper()
		if d < low || d > high {
			t.Errorf("%s: %v, want %v to %v", what, d, low, high)
		}
	}
	for range 100 {
		within("the first look of all", s.First(false), 0, 0)
		within("the first look of a process", s.First(true), 0, s.Poll)
		within("a usual look", s.Next(), 12*time.Minute, 18*time.Minute)
		within("after a failure of who knows nothing", s.again(false, headway{}), 1, 2*time.Second)
		within("after a second one", s.again(false, headway{}), 1, 4*time.Second)
		within("after a failure", s.Failed(), 12*time.Minute, 18*time.Minute)
		within("during a download", s.again(true, headway{bytes: true}), 1, 2*time.Second)
	}
}
