package plant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	minLife  = 40 * time.Hour // from a new part to the need of maintenance
	maxLife  = 80 * time.Hour
	maxRunOn = 8 * time.Hour // how long a machine runs on when maintenance is due

	maxRemaining = 70 * time.Hour // that AgeFrom takes: some parts last longer

	wearStep = 3600. // between two points of the course of wear, s
	newPart  = 0.05  // severity of a part that has been replaced
)

// wearing are the faults to which a part wears: a bearing, the cooler.
var wearing = [...]Fault{BearingWear, Overheating}

// aging is a slow wear process: one part of the machine grows worse, at a rate of its own, unevenly, and faster the worse it
// is, until maintenance is due. That is at the severity FaultyFrom, from which a fault counts, and the sensors show what a fault
// of that severity shows. The course is drawn at its start, so that the machine knows its end.
type aging struct {
	fault   Fault
	bearing int
	began   float64   // on the elapsed scale, s
	course  []float64 // severity at began, and each wearStep after it
	due     float64   // when it reaches FaultyFrom, on the elapsed scale, s
	repair  float64   // when the part is replaced, on the elapsed scale, s
}

// Age lets the machine wear out. It stands at a random point of the life of one of its parts. When maintenance is due, it
// runs on for some hours, is repaired, and then another part wears. Faults may come beside it, and their repair does not touch it.
func (m *Machine) Age() {
	a := m.newAging()
	m.aging = a.shifted(m.elapsed - a.began - (a.due-a.began)*m.fate.Float64())
}

// AgeFrom is Age with a fault that wears and the time until maintenance is due.
func (m *Machine) AgeFrom(f Fault, remaining time.Duration) error {
	if err := CheckWear(f, remaining); err != nil {
		return err
	}
	a := m.newAging()
	for a.due-a.began < remaining.Seconds() {
		a = m.newAging()
	}
	a.fault = f
	m.aging = a.shifted(m.elapsed + remaining.Seconds() - a.due)
	return nil
}

// CheckWear returns why AgeFrom refuses a fault and a time.
func CheckWear(f Fault, remaining time.Duration) error {
	if !slices.Contains(wearing[:], f) {
		return fmt.Errorf("fault: no part wears to %q: it is one of %s, %s", f, BearingWear, Overheating)
	}
	if remaining < 0 || remaining > maxRemaining {
		return fmt.Errorf("remaining: %v is not between 0 and %v", remaining, maxRemaining)
	}
	return nil
}

// newAging draws the course of a part that is new now.
func (m *Machine) newAging() aging {
	a := aging{fault: wearing[m.fate.IntN(len(wearing))], bearing: m.fate.IntN(bearings), began: m.elapsed, course: []float64{newPart}}
	life := between(m.fate, minLife, maxLife)
	rate := math.Log(FaultyFrom/newPart) * wearStep / life
	for s := newPart; a.due == 0 || float64(len(a.course)-1)*wearStep < a.repair-a.began; {
		next := s * math.Exp(rate*m.fate.ExpFloat64())
		if a.due == 0 && next >= FaultyFrom {
			a.due = a.began + (float64(len(a.course)-1)+(FaultyFrom-s)/(next-s))*wearStep
			a.repair = a.due + between(m.fate, 0, maxRunOn)
		}
		s = min(next, 1)
		a.course = append(a.course, s)
	}
	return a
}

// between returns a time between low and high, in s.
func between(r *rand.Rand, low, high time.Duration) float64 {
	return low.Seconds() + r.Float64()*(high-low).Seconds()
}

// shifted returns the process, by s seconds later.
func (a aging) shifted(by float64) *aging {
	a.began, a.due, a.repair = a.began+by, a.due+by, a.repair+by
	return &a
}

// severity returns newPart…1.
func (a *aging) severity(now float64) float64 {
	whole, part := math.Modf((now - a.began) / wearStep)
	i := int(whole)
	if i >= len(a.course)-1 {
		return a.course[len(a.course)-1]
	}
	return a.course[i] + part*(a.course[i+1]-a.course[i])
}

// remaining returns how long the machine will run until it needs maintenance, by what is under way, in hours. Without aging it is
// NaN: then nothing but a fault that nobody foresees ends a life.
func (m *Machine) remaining() float64 {
	if m.aging == nil {
		return math.NaN()
	}
	due := m.aging.due
	if e := m.episode; e != nil && e.fault.OfMachine() {
		due = min(due, e.began+FaultyFrom*e.grow)
	}
	return max(0, due-m.elapsed) / 3600
}
