package alarm

import "time"

// clock turns the times that the owner gives into running time, which never goes back and does not jump. All delays and ends
// are kept in it.
//
// With readings of Go's monotonic clock (time.Now) running time is exact, whatever is done to the wall clock. By the wall clock
// alone, and over a restart, a step back counts as nothing and so does one of more than maxStep: the clock was set. A clock that
// is not set (before 2020) says nothing; when it is set later, the time since the last one that was counts, if it is at most
// maxStep.
type clock struct {
	run    time.Duration // running time
	last   time.Time     // the last call's time
	anchor anchor        // the last time at which the wall clock was believed
}

type anchor struct {
	wall time.Time
	run  time.Duration
}

const (
	origin       = time.Hour  // running time at the very start: zero is no time
	maxStep      = maxSetting // of the clock, that is taken for time that went by
	maxRun       = never / 4
	slack        = time.Second // less is no step of the clock
	earliestYear = 2020        // before any year this program runs in
)

// unset reports whether a time is by a clock that was not set.
func unset(t time.Time) bool { return t.Year() < earliestYear }

func (c *clock) now() time.Time { return plain(c.last) }

// plain returns a time as JSON can write it; zero for one that it cannot.
func plain(t time.Time) time.Time {
	if t = t.Round(0).UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// advance goes on to now. It returns the time in which nobody watched, which is part of it, and whether the wall clock has done
// something else than to go on.
func (c *clock) advance(now time.Time) (skipped time.Duration, jumped bool) {
	if now.Equal(c.last) { // of the same message
		return 0, false
	}
	last, before := c.last, c.run
	c.last = now
	measured := monotonic(now) && monotonic(last)
	if step := now.Sub(last); !last.IsZero() && step > 0 && (measured || step <= maxStep && unset(now) == unset(last)) {
		c.add(step)
	}
	wall := plain(now)
	jumped = last.IsZero() || wall.Sub(plain(last).Add(c.run-before)).Abs() >= slack
	if unset(wall) {
		return 0, jumped
	}
	gap := wall.Sub(c.anchor.wall.Add(c.run - c.anchor.run))
	switch {
	case c.anchor.wall.IsZero() || gap.Abs() > maxStep:
		c.anchor = anchor{wall, c.run}
	case gap >= slack:
		skipped = gap
		c.add(gap)
		c.anchor = anchor{wall, c.run}
	}
	return skipped, jumped
}

// add lets time go by. It ends before sums overflow, after 73 years.
func (c *clock) add(d time.Duration) { c.run += min(d, maxRun-c.run) }

// monotonic reports whether a time has a reading of the monotonic clock.
func monotonic(t time.Time) bool { return t != t.Round(0) }
