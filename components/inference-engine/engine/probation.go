package engine

import (
	"fmt"
	"time"
)

// probation watches a new model for a while (promise M7): an error, a score that is no number, or scores that are too slow
// send it back.
type probation struct {
	until time.Time // zero: there is none
	slow  time.Duration
	rows  int
	late  int
}

const (
	probationRows = 20  // rows before slowness is judged
	lateShare     = 0.1 // of the rows may be slower than maxScore
)

func newProbation(c Config, now time.Time) probation {
	return probation{until: now.Add(c.Probation), slow: c.MaxScore}
}

// row judges a row that was scored, or not, and says what is wrong with the model, "" if nothing is.
func (p *probation) row(err error, took time.Duration, now time.Time) string {
	if now.After(p.until) {
		*p = probation{}
		return ""
	}
	p.rows++
	if took > p.slow {
		p.late++
	}
	switch {
	case err != nil:
		return err.Error()
	case p.rows >= probationRows && float64(p.late) > lateShare*float64(p.rows):
		return fmt.Sprintf("took more than %v for %d of %d rows", p.slow, p.late, p.rows)
	}
	return ""
}
