package event

import (
	"fmt"
	"time"
)

// Times that messages may carry. Others are mistakes, such as milliseconds taken for seconds, and some cannot be written
// as JSON again.
const (
	firstYear = 2000
	unsetYear = 1970 // of a core's own clock that was not set yet
	lastYear  = 2100
	maxOffset = 24 * 60 * 60 // seconds from UTC: less than that
)

// CheckTime says whether a message may carry a time: years 2000 to 2100, offsets up to 23:59.
func CheckTime(t time.Time) error { return checkTime(t, firstYear) }

func checkTime(t time.Time, first int) error {
	if year := t.UTC().Year(); year < first || year > lastYear {
		return fmt.Errorf("is in the year %d, must be in %d to %d", year, first, lastYear)
	}
	if _, offset := t.Zone(); offset <= -maxOffset || offset >= maxOffset {
		return fmt.Errorf("is %d s from UTC, may be 23:59", offset)
	}
	return nil
}

// checkRowTime checks the time of a row, where a message has it.
func checkRowTime(t time.Time) error { return checkTimes(firstYear, t) }

// checkClock checks times by the core's own clock, where a message has them. An alert is none the worse because the clock is
// not set yet.
func checkClock(times ...time.Time) error { return checkTimes(unsetYear, times...) }

func checkTimes(first int, times ...time.Time) error {
	for _, t := range times {
		if t.IsZero() {
			continue
		}
		if err := checkTime(t, first); err != nil {
			return &InvalidError{ReasonSequence, "time " + err.Error()}
		}
	}
	return nil
}
