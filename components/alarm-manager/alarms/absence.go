package alarms

import "time"

// absence is how long something has not been heard. Time in which the manager was not running does not count: nobody
// listened, and the clock may have been set meanwhile.
type absence struct {
	since time.Time // the last word; zero: it is not absent
	from  time.Time // what counts begins here: since, or later by the time that does not count
}

// heard is an absence that begins now.
func heard(now time.Time) absence { return absence{since: now, from: now} }

// lasts returns how long the absence is.
func (a absence) lasts(now time.Time) time.Duration {
	if a.since.IsZero() {
		return 0
	}
	return now.Sub(a.from)
}

// skip leaves out time in which the manager did not listen, at most as much as there is until now.
func (a *absence) skip(d time.Duration, now time.Time) {
	if a.from = a.from.Add(d); a.from.After(now) {
		a.from = now
	}
}

// record is an absence as it is kept on disk.
type record struct {
	Since time.Time `json:"since,omitzero"`
	MS    int64     `json:"ms,omitempty"` // how long it is, milliseconds
}

// stepsKept is into how many steps the time until an alarm is divided: with each of the second half the absence is put on
// disk again.
const stepsKept = 4

// kept returns the absence for the disk, at most as long as until its alarm, in whole steps; none in the first half, so that
// what is heard all the time, or now and then, costs no writing. All of it with exactly.
func (a absence) kept(now time.Time, alarm time.Duration, exactly bool) record {
	length := min(a.lasts(now), alarm)
	if step := alarm / stepsKept; !exactly && step > 0 {
		if length = length.Truncate(step); length < alarm/2 {
			return record{}
		}
	}
	if length < time.Millisecond {
		return record{}
	}
	return record{a.since.UTC().Round(0), length.Milliseconds()}
}

// absence returns what goes on now from what was kept.
func (r record) absence(now time.Time) absence {
	if r.Since.IsZero() || r.MS <= 0 {
		return absence{}
	}
	return absence{since: r.Since, from: now.Add(-time.Duration(r.MS) * time.Millisecond)}
}
