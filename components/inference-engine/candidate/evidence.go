// Package candidate judges a model that is scored beside the active one, on the same rows: what is known of it, how that survives
// the process, and the rule by which it is promoted or rejected (promise M9).
package candidate

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"edgepdm/shared/event"
)

const (
	windowLength = time.Hour
	maxWindows   = 48
	maxSample    = 64   // rows whose labels differ that are told
	maxRuns      = 1024 // spans of such rows that are remembered, for labels that come later
	maxLabels    = 256
	// maxPause is as much as a time without rows counts: what was not scored proves nothing, and a clock that is set years ahead
	// promotes nobody.
	maxPause = time.Hour
)

// Pair is what is compared. Other evidence begins with another pair.
type Pair struct {
	Active    event.ModelRef `json:"active"`
	Candidate event.ModelRef `json:"candidate"`
	Threshold [2]float64     `json:"threshold"`     // of the active model, of the candidate
	How       string         `json:"how,omitempty"` // they are scored: engine and rounds
	Held      time.Time      `json:"held"`          // when the candidate was accepted: the same one that comes later begins again
}

func (p Pair) same(other Pair) bool {
	return p.Active == other.Active && p.Candidate == other.Candidate && p.Threshold == other.Threshold && p.How == other.How && p.Held.Equal(other.Held)
}

// Row is a row that both models scored. Pairs are of the active model and the candidate.
type Row struct {
	Thing, Epoch string
	Seq          uint64
	TS           time.Time // of the row
	At           time.Time // when it was scored
	Probability  [2]float32
	Faulty       [2]bool
	Took         [2]time.Duration // to score it
}

// run is a span of rows of a thing, one after the other, that only one of the models calls faulty.
type run struct {
	Thing         string `json:"thing"`
	Epoch         string `json:"epoch"`
	First         uint64 `json:"first"`
	Last          uint64 `json:"last"`
	OnlyCandidate bool   `json:"candidate,omitempty"`
}

// Window has the figures of an hour.
type Window struct {
	Start time.Time `json:"start"`
	Tally
}

// Evidence is what is known of a candidate. It takes a fixed amount of memory.
type Evidence struct {
	Format  int           `json:"format"`
	Pair    Pair          `json:"pair"`
	Since   time.Time     `json:"since"`  // of the first row
	Last    time.Time     `json:"last"`   // when the last one was scored
	Passed  time.Duration `json:"passed"` // time in which rows came
	Skipped uint64        `json:"skipped"`
	Step    uint64        `json:"step"` // counts what was added, in the journal too
	All     Tally         `json:"all"`
	Windows []Window      `json:"windows"` // the oldest first

	Differ uint64             `json:"differ"` // rows whose labels differ
	Sample []event.RowOfThing `json:"sample"` // some of them, each as likely as any other
	Runs   []run              `json:"runs"`   // the oldest first
	Labels []outcome          `json:"labels"`
}

const format = 1

// New returns no evidence yet.
func New(pair Pair) *Evidence { return &Evidence{Format: format, Pair: pair} }

// Add takes a row.
func (e *Evidence) Add(r Row) {
	e.Step++
	if e.All.Rows == 0 {
		e.Since = r.TS
	} else {
		e.Passed += min(max(r.At.Sub(e.Last), 0), maxPause)
	}
	e.Last = r.At
	e.All.add(r)
	e.window(r.At).add(r)
	if r.Faulty[0] == r.Faulty[1] {
		return
	}
	e.Differ++
	e.sample(r)
	e.remember(r)
}

// Skip counts rows that the candidate did not score.
func (e *Evidence) Skip(rows uint64) {
	e.Step++
	e.Skipped += rows
}

// window returns that of a time. A clock that is set back by less than a window begins no other one.
func (e *Evidence) window(at time.Time) *Tally {
	start := at.UTC().Truncate(windowLength)
	if n := len(e.Windows); n > 0 {
		if last := &e.Windows[n-1]; !start.After(last.Start) && last.Start.Sub(start) <= windowLength {
			return &last.Tally
		}
	}
	if len(e.Windows) == maxWindows {
		copy(e.Windows, e.Windows[1:])
		e.Windows = e.Windows[:maxWindows-1]
	}
	e.Windows = append(e.Windows, Window{Start: start})
	return &e.Windows[len(e.Windows)-1].Tally
}

// sample keeps each row that differs with the same probability. What it draws follows from the step, so that the journal gives the
// same sample again.
func (e *Evidence) sample(r Row) {
	row := event.RowOfThing{Thing: strings.Clone(r.Thing), Epoch: strings.Clone(r.Epoch), Seq: r.Seq}
	if len(e.Sample) < maxSample {
		e.Sample = append(e.Sample, row)
		return
	}
	draw := rand.New(rand.NewPCG(e.Step, uint64(e.Pair.Held.UnixNano())))
	if at := draw.Uint64N(e.Differ); at < maxSample {
		e.Sample[at] = row
	}
}

// remember adds the row to the last run of its thing, or begins one.
func (e *Evidence) remember(r Row) {
	for i := len(e.Runs) - 1; i >= max(len(e.Runs)-maxSample, 0); i-- {
		last := &e.Runs[i]
		if last.Thing != r.Thing || last.Epoch != r.Epoch {
			continue
		}
		if r.Seq == last.Last+1 && last.OnlyCandidate == r.Faulty[1] {
			last.Last = r.Seq
			return
		}
		break
	}
	if len(e.Runs) == maxRuns {
		copy(e.Runs, e.Runs[1:])
		e.Runs = e.Runs[:maxRuns-1]
	}
	e.Runs = append(e.Runs, run{
		Thing: strings.Clone(r.Thing), Epoch: strings.Clone(r.Epoch), First: r.Seq, Last: r.Seq, OnlyCandidate: r.Faulty[1],
	})
}

// LastWindow returns the figures of the last hour with rows.
func (e *Evidence) LastWindow() (w Window, ok bool) {
	if len(e.Windows) == 0 {
		return w, false
	}
	return e.Windows[len(e.Windows)-1], true
}

// check says what in evidence that was read from disk cannot be.
func (e *Evidence) check() error {
	switch {
	case len(e.Windows) > maxWindows, len(e.Sample) > maxSample, len(e.Runs) > maxRuns, len(e.Labels) > maxLabels:
		return fmt.Errorf("it has %d windows, %d rows, %d runs and %d labels", len(e.Windows), len(e.Sample), len(e.Runs), len(e.Labels))
	case e.Passed < 0 || e.All.Agree > e.All.Rows || e.All.Rows > e.Step:
		return fmt.Errorf("its figures do not fit each other")
	}
	return cmp.Or(e.All.check(), e.checkWindows())
}

func (e *Evidence) checkWindows() error {
	for i := range e.Windows {
		if err := e.Windows[i].check(); err != nil {
			return fmt.Errorf("windows[%d]: %w", i, err)
		}
	}
	return nil
}
