package alarm

import (
	"fmt"
	"time"
)

// Weekly is intervals of the week at a site.
type Weekly struct {
	weeks []week
	zone  *time.Location
}

// NewWeekly reads intervals of a time zone with an IANA name. The error names the interval that is wrong.
func NewWeekly(timeZone string, intervals []Interval) (Weekly, error) {
	zone, err := Config{TimeZone: timeZone}.location()
	if err != nil {
		return Weekly{}, err
	}
	if n := len(intervals); n > maxListed {
		return Weekly{}, fmt.Errorf("has %d intervals, at most %d", n, maxListed)
	}
	w := Weekly{zone: zone}
	for i, in := range intervals {
		if err := in.validate(); err != nil {
			return Weekly{}, fmt.Errorf("[%d].%w", i, err)
		}
		w.weeks = append(w.weeks, in.week())
	}
	return w, nil
}

// Contains reports whether a time is in one of the intervals.
func (w Weekly) Contains(t time.Time) bool {
	for _, each := range w.weeks {
		if !each.end(t, w.zone).IsZero() {
			return true
		}
	}
	return false
}
