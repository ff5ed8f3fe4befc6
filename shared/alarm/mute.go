package alarm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Interval is a time of the week, by the site's clocks. One that ends before it begins ends on the day after.
type Interval struct {
	Days []string `json:"days"` // on which it begins: mon to sun; none = each day
	From string   `json:"from"` // such as 22:00
	To   string   `json:"to"`   // such as 06:00, or 24:00
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // as time.Weekday counts them

const dayMinutes = 24 * 60

func (in Interval) validate() error {
	if len(in.Days) > len(weekdays) {
		return fmt.Errorf("days: has %d, at most %d", len(in.Days), len(weekdays))
	}
	for i, d := range in.Days {
		if !slices.Contains(weekdays, strings.ToLower(d)) {
			return fmt.Errorf("days[%d]: %q is none of mon, tue, wed, thu, fri, sat and sun", i, d)
		}
	}
	from, err := minutes(in.From)
	if err != nil || from == dayMinutes {
		return fmt.Errorf("from: %q is not a time such as 22:00", in.From)
	}
	to, err := minutes(in.To)
	if err != nil {
		return fmt.Errorf("to: %q is not a time such as 06:00", in.To)
	}
	if from == to {
		return fmt.Errorf("to: %q is from, too", in.To)
	}
	return nil
}

var errNoTime = errors.New("not a time of day")

// minutes returns a time of day in minutes from midnight, 24:00 included.
func minutes(text string) (int, error) {
	if text == "24:00" {
		return dayMinutes, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") {
		return 0, errNoTime
	}
	return t.Hour()*60 + t.Minute(), nil
}

// week is an Interval that was read.
type week struct {
	days     [7]bool
	from, to int // minutes from midnight of the day on which it begins; to may be on the day after
}

func (in Interval) week() week {
	w := week{}
	for i, name := range weekdays {
		w.days[i] = len(in.Days) == 0 || slices.ContainsFunc(in.Days, func(d string) bool { return strings.EqualFold(d, name) })
	}
	w.from, _ = minutes(in.From) // was validated
	if w.to, _ = minutes(in.To); w.to < w.from {
		w.to += dayMinutes
	}
	return w
}

// end returns when the interval that now is in ends; zero: now is in none.
func (w week) end(now time.Time, zone *time.Location) time.Time {
	local := now.In(zone)
	for _, ago := range []int{0, 1} { // it began today, or yesterday
		year, month, day := local.AddDate(0, 0, -ago).Date()
		if !w.days[time.Date(year, month, day, 12, 0, 0, 0, time.UTC).Weekday()] {
			continue
		}
		from, to := onClock(year, month, day, w.from, zone), onClock(year, month, day, w.to, zone)
		if !now.Before(from) && now.Before(to) {
			return to
		}
	}
	return time.Time{}
}

// onClock returns when the clocks of a zone first show so many minutes after midnight, or more: a time that is shown twice
// because the clocks go back is the first of the two, and one that is left out is when they go forward.
func onClock(year int, month time.Month, day, minutes int, zone *time.Location) time.Time {
	wall := time.Date(year, month, day, 0, minutes, 0, 0, time.UTC)
	_, before := wall.Add(-dayTime).In(zone).Zone()
	_, after := wall.Add(dayTime).In(zone).Zone()
	first := wall.Add(-time.Duration(max(before, after)) * time.Second)
	last := wall.Add(-time.Duration(min(before, after)) * time.Second)
	for _, t := range []time.Time{first, last} {
		if _, offset := t.In(zone).Zone(); t.Add(time.Duration(offset) * time.Second).Equal(wall) {
			return t
		}
	}
	change, _ := last.In(zone).ZoneBounds()
	return change
}
