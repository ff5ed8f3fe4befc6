package candidate

import (
	"math/rand/v2"
	"slices"
	"time"

	"edgepdm/shared/event"
)

// outcome is what people found at an alarm, and how much of it each model saw.
type outcome struct {
	ID        string  `json:"id"`
	Confirmed bool    `json:"confirmed"`
	Share     float64 `json:"share"` // of its rows: those that only the active model calls faulty, less those that only the candidate does
}

// Outcomes of labels that tell whether there was a fault. A planned stop tells nothing.
const (
	outcomeConfirmed = "confirmed"
	outcomeNoFault   = "no-fault-found"
)

// Tells reports whether a label says anything of the models: what people found, and at which rows of one epoch.
func Tells(l event.Label) bool {
	return (l.Outcome == outcomeConfirmed || l.Outcome == outcomeNoFault) && l.Rows != nil && l.Rows.First.Epoch == l.Rows.Last.Epoch &&
		l.Rows.First.Seq <= l.Rows.Last.Seq && l.Rows.First.Seq > 0
}

// Label takes what people found at an alarm, and reports whether it is new. One whose rows came before the comparison began tells nothing.
func (e *Evidence) Label(l event.Label) bool {
	known := slices.ContainsFunc(e.Labels, func(o outcome) bool { return o.ID == l.ID })
	if known || !Tells(l) || e.All.Rows == 0 || l.Since.Before(e.Since) {
		return false
	}
	e.Step++
	if len(e.Labels) == maxLabels {
		e.Labels = slices.Delete(e.Labels, 0, 1)
	}
	e.Labels = append(e.Labels, outcome{l.ID, l.Outcome == outcomeConfirmed, e.share(l.Thing, *l.Rows)})
	return true
}

// share returns how much more of a span's rows the active model calls faulty than the candidate, -1 to 1.
func (e *Evidence) share(thing string, span event.RowSpan) float64 {
	first, last := span.First.Seq, span.Last.Seq
	sum := 0.0
	for _, r := range e.Runs {
		if r.Thing != thing || r.Epoch != span.First.Epoch || r.Last < first || r.First > last {
			continue
		}
		n := float64(min(r.Last, last) - max(r.First, first) + 1)
		if r.OnlyCandidate {
			n = -n
		}
		sum += n
	}
	return min(max(sum/(float64(last-first)+1), -1), 1)
}

// resamples are how many draws the interval of the cost is made of.
const resamples = 2000

// cost returns how much more the candidate would have cost than the active model per alarm with an outcome, with its 90 % interval by
// bootstrap over these alarms; nil without any. A fault that the candidate does not find costs missed, an alarm without one costs wrong.
func (e *Evidence) cost(missed, wrong float64) *event.CostDifference {
	n := len(e.Labels)
	if n == 0 {
		return nil
	}
	each := make([]float64, n)
	mean := 0.0
	for i, o := range e.Labels {
		if each[i] = -wrong * o.Share; o.Confirmed {
			each[i] = missed * o.Share
		}
		mean += each[i] / float64(n)
	}
	draw := rand.New(rand.NewPCG(uint64(n), 1)) // the same alarms give the same interval
	means := make([]float64, resamples)
	for i := range means {
		sum := 0.0
		for range n {
			sum += each[draw.IntN(n)]
		}
		means[i] = sum / float64(n)
	}
	slices.Sort(means)
	return &event.CostDifference{Mean: mean, Low: means[resamples/20], High: means[resamples-1-resamples/20]}
}

// microseconds says a duration as messages have it.
func microseconds(d time.Duration) float64 { return float64(d.Round(100*time.Nanosecond)) / 1000 }
