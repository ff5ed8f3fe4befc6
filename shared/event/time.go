package event

import (
	"fmt"
	"time"
)

// Times that messages may carry. Others are mistakes, such as milliseconds taken for seconds, and some cannot be written
// as JSON again.
const (
	firstYear = 2000
	lastYear  = 2100
	maxOffset = 24 * 60 * 60 // seconds from UTC: less than that
)

// CheckTime says whether a message may carry a time: years 2000 to 2100, offsets up to 23:59.
func CheckTime(t time.Time) error {
	if year := t.UTC().Year(); year < firstYear || year > lastYear {
		return fmt.Errorf("is in the year %d, must be in %d to %d", year, firstYear, lastYear)
	}
	if _, offset := t.Zone(); offset <= -maxOffset || offset >= maxOffset {
		return fmt.Errorf("is %d s from UTC, may be 23:59", offset)
	}
	return nil
}

// checkTimes checks times that a message may lack.
func checkTimes(times ...time.Time) error {
	for _, t := range times {
		if t.IsZero() {
			continue
		}
		if err := CheckTime(t); err != nil {
			return &InvalidError{ReasonSequence, "time " + err.Error()}
		}
	}
	return nil
}
