package event

import (
	"fmt"
	"time"
)

// SpokenDuration is a duration as people say it, such as 90 minutes.
func SpokenDuration(d time.Duration) string {
	count := func(n int, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	switch {
	case d < 2*time.Minute:
		return count(max(int(d.Seconds()), 1), "second")
	case d < 2*time.Hour:
		return count(int(d.Minutes()), "minute")
	case d < 72*time.Hour:
		return count(int(d.Hours()), "hour")
	default:
		return count(int(d.Hours())/24, "day")
	}
}
