package fetcher

import (
	"math/rand/v2"
	"time"

	"edgepdm/shared/wait"
)

// Schedule says when a core looks, so that ten thousand cores do not look at the same time: not after a power cut that ended all
// of them, nor after an outage of the cloud.
type Schedule struct {
	Poll  time.Duration
	Retry wait.Backoff   // of a core that has no model yet, or whose download is under way
	Rand  func() float64 // uniform in [0, 1); nil: a process looks at once, and failures are tried again by Retry

	failures int
}

// First is how long a process waits for its first look. One that has nothing from before looks at once: somebody waits for it.
func (s *Schedule) First(known bool) time.Duration {
	if !known || s.Rand == nil {
		return 0
	}
	return time.Duration(s.Rand() * float64(s.Poll))
}

// Next is the time until the next look after one that went well: give or take a fifth.
func (s *Schedule) Next() time.Duration {
	s.failures = 0
	random := s.Rand
	if random == nil {
		random = rand.Float64
	}
	return time.Duration((0.8 + 0.4*random()) * float64(s.Poll))
}

// Failed is the time until the next look of a core that knows what was published, after one that failed: as if it had not. Else cores
// would come faster while the cloud is away, and all together when it is back.
func (s *Schedule) Failed() time.Duration { return s.again(true, headway{}) }

// again is the time until the next look after one that failed. A core that knows nothing yet, or whose download is under way, tries sooner.
func (s *Schedule) again(known bool, got headway) time.Duration {
	if known && !got.bytes && s.Rand != nil {
		return s.Next()
	}
	s.failures = got.failures(s.failures)
	return s.Retry.Delay(s.failures)
}
