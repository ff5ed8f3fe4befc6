package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/request"
)

const (
	maxAsks   = 16          // commands to explain that wait at a time
	askFor    = time.Minute // how long one waits for its row, if it does not say
	askTell   = 4 * time.Second
	maxCalled = 60 // characters of a contributor's name for a person
)

// ask is a command to explain a thing's next row.
type ask struct {
	*request.Request
	event.Explain
	begun, until, told time.Time
}

// answer is what became of it.
type answer struct {
	to   *ask
	text string
	err  error
}

// asks are the commands to explain that wait for their rows. The keeper's goroutine adds and answers them; the scorer's takes those
// whose row has come.
type asks struct {
	waiting atomic.Int32 // in list: mostly none, and the scorer takes no lock
	mu      sync.Mutex
	list    []*ask
	answers chan answer // has room for all
	open    int         // not answered yet; the keeper's
}

func newAsks() *asks { return &asks{answers: make(chan answer, maxAsks)} }

// add takes a command; unexplained says why the model in use explains nothing.
func (a *asks) add(q *request.Request, unexplained error, now time.Time) {
	one := &ask{Request: q, begun: now, told: now}
	err := q.Arguments(&one.Explain)
	if err == nil {
		err = one.Check()
	}
	switch {
	case err != nil:
	case unexplained != nil:
		err = unexplained
	case a.open >= maxAsks:
		err = fmt.Errorf("%d commands wait for a row already", a.open)
	}
	if err != nil {
		q.Answer("", fmt.Errorf("explain: %w", err))
		return
	}
	one.until = now.Add(askFor)
	if one.Wait > 0 {
		one.until = now.Add(time.Duration(one.Wait) * time.Second)
	}
	q.Progress("waits for the next row of " + one.Thing)
	a.open++
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, one)
	a.waiting.Add(1)
}

// take takes the commands that wait for a thing's row.
func (a *asks) take(thing string) []*ask {
	if a.waiting.Load() == 0 {
		return nil
	}
	return a.takeIf(func(one *ask) bool { return one.Thing == thing })
}

func (a *asks) takeIf(wanted func(*ask) bool) []*ask {
	a.mu.Lock()
	defer a.mu.Unlock()
	var taken []*ask
	a.list = slices.DeleteFunc(a.list, func(one *ask) bool {
		if !wanted(one) {
			return false
		}
		taken = append(taken, one)
		return true
	})
	a.waiting.Store(int32(len(a.list)))
	return taken
}

// answer ends a command.
func (a *asks) answer(one answer) {
	a.open--
	one.to.Answer(one.text, one.err)
}

// tick tells those who wait that they still do, and answers those who waited long enough.
func (a *asks) tick(now time.Time) {
	for _, one := range a.takeIf(func(one *ask) bool { return !now.Before(one.until) }) {
		a.answer(answer{to: one, err: fmt.Errorf("explain: no row of %s that can be scored came in %v", one.Thing, one.until.Sub(one.begun))})
	}
	a.mu.Lock()
	waiting := slices.Clone(a.list)
	a.mu.Unlock()
	for _, one := range waiting {
		if now.Sub(one.told) >= askTell {
			one.told = now
			one.Progress(fmt.Sprintf("waits for the next row of %s, since %v", one.Thing, now.Sub(one.begun).Round(time.Second)))
		}
	}
}

// refuse answers those that wait when the work ends. The scorer answers for the rows that it has taken them for: at once.
func (a *asks) refuse() {
	for _, one := range a.takeIf(func(*ask) bool { return true }) {
		a.answer(answer{to: one, err: errors.New("explain: the engine stops, or has a new configuration")})
	}
	for a.open > 0 {
		a.answer(<-a.answers)
	}
}

// explanationText says for a person what points to a fault in a prediction's row.
func explanationText(p *event.Prediction) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s, row %s of %s: %s, probability %.4g (threshold %.4g), model %s\n", p.Thing, p.ID, p.TS.Local().Format(time.DateTime),
		p.Label, p.Probability, p.Threshold, p.Model.Version)
	if len(p.Contributors) == 0 {
		text.WriteString("Nothing in it points to a fault.")
		return text.String()
	}
	text.WriteString("What points to a fault in it, most first, with its share:\n")
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, c := range p.Contributors {
		name := c.Name
		if name == "" {
			name = c.Sensor
		}
		value := ""
		switch {
		case c.Value != nil:
			value = strings.TrimSpace(fmt.Sprintf("%.6g %s", *c.Value, c.Unit))
		case c.Direction == event.DirectionMissing:
			value = "missing"
		}
		_, _ = fmt.Fprintf(table, "  %.*s\t%s\t%s\t%.0f %%\n", maxCalled, name, value, usual(c), 100*c.Share) // to memory
	}
	_ = table.Flush()
	return strings.TrimRight(text.String(), "\n")
}

// usual says what is usual of a contributor; "" if that is not known.
func usual(c event.Contributor) string {
	switch {
	case c.Low != nil && c.High != nil:
		return fmt.Sprintf("usually %.6g to %.6g", *c.Low, *c.High)
	case c.Low != nil:
		return fmt.Sprintf("usually %.6g or more", *c.Low)
	case c.High != nil:
		return fmt.Sprintf("usually at most %.6g", *c.High)
	}
	return ""
}
