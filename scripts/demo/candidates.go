package main

import (
	"fmt"
	"slices"
	"strings"

	"edgepdm/shared/event"
)

// driftAccount is what was told of drift, beside what there was.
type driftAccount struct {
	from    uint64         // rows of a machine from this sequence number on have drifted; 0: none have
	rows    map[string]int // that have drifted, by line
	told    map[string]struct{}
	early   []event.Drift // found on a line of which no row had drifted
	found   *event.Drift  // the first that was found rightly
	after   int           // drifted rows of its line until then
	cleared bool
	last    event.Drift // what was told last
}

// row counts a row that has drifted.
func (a *driftAccount) row(t *event.Telemetry) {
	if a.from > 0 && t.Seq >= a.from {
		a.rows[t.Line]++
	}
}

// add takes an event of drift, each once.
func (a *driftAccount) add(d event.Drift) {
	if _, known := a.told[d.ID]; known {
		return
	}
	a.told[d.ID] = struct{}{}
	a.last = d
	switch {
	case d.State == event.DriftOver:
		a.cleared = a.cleared || a.found != nil && a.found.Line == d.Line
	case a.rows[d.Line] == 0:
		a.early = append(a.early, d)
	case a.found == nil:
		a.found, a.after = &d, a.rows[d.Line]
	}
}

// whatDiffers are the figures of a drift, in the order in which it has them, for people.
func whatDiffers(d event.Drift) []string {
	var all []string
	for _, f := range d.Found {
		text := f.Name
		if text == "" {
			text = f.Sensor
		}
		switch f.Kind {
		case event.DriftMissing:
			text += " is missing"
		case event.DriftScore:
			text = "probabilities of a fault"
		case event.DriftFaultRate:
			text = "share of faulty rows"
		case event.DriftSensor:
		}
		if f.Usual != nil && f.Now != nil {
			scale, unit := 1., f.Unit
			if f.Kind == event.DriftMissing || f.Kind == event.DriftFaultRate {
				scale, unit = 100, "%"
			}
			text += strings.TrimRight(fmt.Sprintf(" %.3g %s", scale**f.Now, unit), " ") + fmt.Sprintf(", usually %.3g", scale**f.Usual)
		}
		all = append(all, text)
	}
	for _, name := range d.Unknown {
		all = append(all, name+" is unknown to the model")
	}
	return all
}

// driftText is a drift in one line, with so many of its figures.
func driftText(d event.Drift, most int) string {
	line := d.Line
	if line == "" {
		line = "things without a line"
	}
	if d.State == event.DriftOver {
		return line + " is as usual again"
	}
	all := whatDiffers(d)
	text := fmt.Sprintf("%s since %s: %s", line, d.Since.Local().Format("15:04:05"), strings.Join(all[:min(most, len(all))], "; "))
	if more := len(all) - most + d.More; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// candidateAccount is what was told of a model that is scored beside the active one.
type candidateAccount struct {
	last   event.Comparison
	step   event.ModelStep // shadowing, then activated or rejected
	detail string
	back   uint64 // rows by which its figures went back: evidence that was told and lost
}

// outcome is what was decided, by the comparison or by what happened.
func (c *candidateAccount) outcome() event.Decision {
	switch {
	case c.step == event.ModelActivated:
		return event.DecisionPromote
	case c.step == event.ModelRejected:
		return event.DecisionReject
	case c.last.Decision == "":
		return event.DecisionOpen
	}
	return c.last.Decision
}

// why is what a rule lacks, or what an event said.
func (c *candidateAccount) why() string {
	var missing []string
	for _, r := range c.last.Rules {
		if !r.OK {
			missing = append(missing, fmt.Sprintf("%s %s, need %s", r.Rule, r.Have, r.Need))
		}
	}
	if len(missing) == 0 {
		return c.detail
	}
	return strings.Join(missing, "; ")
}

// text is the comparison in one line, the verdict first.
func (c *candidateAccount) text() string {
	l := &c.last
	verdict, why := "open", c.why()
	switch c.outcome() {
	case event.DecisionPromote:
		verdict, why = "promoted", ""
	case event.DecisionReject:
		verdict = "rejected"
	case event.DecisionReplaced:
		verdict, why = "replaced", ""
	case event.DecisionOpen:
	}
	text := fmt.Sprintf("%s %s after %d rows: agreement %.3f, faulty %.1f %% for %.1f %%, PSI %.3f",
		l.Candidate.Version, verdict, l.Rows, l.Agreement, 100*l.Faulty[1], 100*l.Faulty[0], l.PSI)
	if why != "" {
		text += "; " + why
	}
	return text
}

// shadowAccount has the candidates in their order.
type shadowAccount []*candidateAccount

// of returns the candidate of a version, nil if there is none.
func (s shadowAccount) of(version string) *candidateAccount {
	if i := slices.IndexFunc(s, func(c *candidateAccount) bool { return c.last.Candidate.Version == version }); i >= 0 {
		return s[i]
	}
	return nil
}

// compare takes a comparison. Rows that were told never go back, as long as the two models are the same.
func (s *shadowAccount) compare(c event.Comparison) {
	known := s.of(c.Candidate.Version)
	if known == nil {
		known = &candidateAccount{}
		*s = append(*s, known)
	}
	if last := &known.last; last.Active.SHA256 == c.Active.SHA256 && last.Candidate.SHA256 == c.Candidate.SHA256 && last.Rows > c.Rows {
		known.back = max(known.back, last.Rows-c.Rows)
	}
	known.last = c
}

// happened takes what happened to a model, if it is a candidate.
func (s *shadowAccount) happened(e event.ModelEvent) {
	known := s.of(e.Version)
	if known == nil && e.Event == event.ModelShadowing {
		known = &candidateAccount{}
		known.last.Candidate.Version = e.Version
		*s = append(*s, known)
	}
	if known != nil && (e.Event == event.ModelShadowing && known.step == "" || e.Event == event.ModelActivated || e.Event == event.ModelRejected) {
		known.step, known.detail = e.Event, e.Detail
	}
}

// driftReport is what was told of drift.
type driftReport struct {
	Found     bool     `json:"found"`
	Line      string   `json:"line"`
	Sensors   []string `json:"sensors"`    // the most striking first
	AfterRows int      `json:"after_rows"` // of the line that had drifted when it was found
	Cleared   bool     `json:"cleared"`
	False     int      `json:"false"` // events of drift where there was none
}

func (a *driftAccount) report() driftReport {
	r := driftReport{Sensors: []string{}, False: len(a.early)}
	if a.found == nil {
		return r
	}
	r.Found, r.Line, r.AfterRows, r.Cleared = true, a.found.Line, a.after, a.cleared
	for _, f := range a.found.Found {
		if f.Sensor != "" {
			r.Sensors = append(r.Sensors, f.Sensor)
		}
	}
	return r
}

// shadowReport is how candidates did beside the active model.
type shadowReport struct {
	Candidates []candidateReport `json:"candidates"`
}

type candidateReport struct {
	Version   string         `json:"version"`
	Rows      uint64         `json:"rows"` // that both scored
	Skipped   uint64         `json:"skipped"`
	Agreement float64        `json:"agreement"`
	Faulty    [2]float64     `json:"faulty"` // share of rows: active, candidate
	PSI       float64        `json:"psi"`
	Decision  event.Decision `json:"decision"`
	Detail    string         `json:"detail"` // what a rule lacked
}

func (s shadowAccount) report() shadowReport {
	r := shadowReport{Candidates: []candidateReport{}}
	for _, c := range s {
		l := &c.last
		r.Candidates = append(r.Candidates, candidateReport{
			Version: l.Candidate.Version, Rows: l.Rows, Skipped: l.Skipped, Agreement: round(l.Agreement, 4),
			Faulty: [2]float64{round(l.Faulty[0], 4), round(l.Faulty[1], 4)}, PSI: round(l.PSI, 4), Decision: c.outcome(), Detail: c.why(),
		})
	}
	return r
}
