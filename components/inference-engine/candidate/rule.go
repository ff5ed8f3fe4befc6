package candidate

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"edgepdm/shared/event"
)

// Limits are what a candidate must meet.
type Limits struct {
	Rows                  int
	Time                  time.Duration
	Agreement             float64
	PSI                   float64
	FaultRatio            float64
	Latency               float64
	CostMissed, CostFalse float64
}

// Names of the rule's conditions.
const (
	RuleRows      = "rows"
	RuleTime      = "time"
	RuleAgreement = "agreement"
	RulePSI       = "psi"
	RuleFaults    = "fault-ratio"
	RuleLatency   = "latency"
	RuleCost      = "cost"
)

// fewFaults is added to both numbers of faulty rows, so that some few of them decide nothing.
const fewFaults = 10

// Compare says what is known, and what the rule makes of it. The caller adds the message's id.
func (e *Evidence) Compare(limits Limits, now time.Time) event.Comparison {
	a := &e.All
	c := event.Comparison{
		V: event.Version, TS: now.UTC(), Active: e.Pair.Active, Candidate: e.Pair.Candidate, Since: e.Since.UTC(), Rows: a.Rows, Skipped: e.Skipped,
		Agreement: a.Agreement(), Faulty: a.FaultRates(), PSI: a.PSI(), Labeled: len(e.Labels), Cost: e.cost(limits.CostMissed, limits.CostFalse),
		Differ: append([]event.RowOfThing(nil), e.Sample...),
	}
	if a.Rows == 0 {
		c.Since = now.UTC()
	}
	c.Margin, c.Spread = a.Margin()
	for i := range a.Took {
		c.P50[i], c.P99[i] = microseconds(a.Took[i].quantile(0.5)), microseconds(a.Took[i].quantile(0.99))
	}
	c.Rules = e.rules(limits, &c)
	c.Decision = decide(c.Rules)
	return c
}

// rules returns the conditions. The first two say whether it is time to decide.
func (e *Evidence) rules(l Limits, c *event.Comparison) []event.RuleState {
	a := &e.All
	ratio := (float64(a.Faulty[1]) + fewFaults) / (float64(a.Faulty[0]) + fewFaults)
	slowest, _ := a.Took[1].bounds(0.99)
	_, allowed := a.Took[0].bounds(0.99)
	rules := []event.RuleState{
		{Rule: RuleRows, Have: thousands(a.Rows), Need: thousands(uint64(l.Rows)), OK: a.Rows >= uint64(l.Rows)},
		{Rule: RuleTime, Have: span(e.Passed), Need: span(l.Time), OK: e.Passed >= l.Time},
		{Rule: RuleAgreement, Have: percent(c.Agreement), Need: "at least " + percent(l.Agreement), OK: c.Agreement >= l.Agreement},
		{Rule: RulePSI, Have: fmt.Sprintf("%.3f", c.PSI), Need: "at most " + number(l.PSI), OK: c.PSI <= l.PSI},
		{
			Rule: RuleFaults, Have: fmt.Sprintf("%.2f (%s of %s)", ratio, percent(c.Faulty[1]), percent(c.Faulty[0])),
			Need: fmt.Sprintf("%s to %s", number(1/l.FaultRatio), number(l.FaultRatio)), OK: ratio <= l.FaultRatio && ratio >= 1/l.FaultRatio,
		},
		{
			Rule: RuleLatency, Have: fmt.Sprintf("p99 %.1f µs, the active model's %.1f µs", c.P99[1], c.P99[0]), Need: fmt.Sprintf("at most %s times", number(l.Latency)),
			OK: float64(slowest) <= l.Latency*float64(allowed),
		},
	}
	if d := c.Cost; d != nil {
		rules = append(rules, event.RuleState{
			Rule: RuleCost, Have: fmt.Sprintf("%+.1f an alarm (%+.1f to %+.1f), %d with an outcome", d.Mean, d.Low, d.High, c.Labeled), Need: fmt.Sprintf("not above 0, from %d on", fewLabels), OK: d.Low <= 0 || c.Labeled < fewLabels,
		})
	}
	return rules
}

// fewLabels is how many alarms with an outcome tell something: one alone has no spread.
const fewLabels = 5

// decide says what the conditions make of a candidate.
func decide(rules []event.RuleState) event.Decision {
	decision := event.DecisionPromote
	for i, r := range rules {
		switch {
		case !r.OK && i < 2:
			return event.DecisionOpen
		case !r.OK:
			decision = event.DecisionReject
		}
	}
	return decision
}

// Figures says for people what a comparison found.
func Figures(c event.Comparison) string {
	text := fmt.Sprintf("%s rows in %s, labels agree in %s, PSI %.3f, faulty %s and %s, p99 %.1f and %.1f µs", thousands(c.Rows), passed(c), percent(c.Agreement), c.PSI,
		percent(c.Faulty[0]), percent(c.Faulty[1]), c.P99[0], c.P99[1])
	if c.Cost != nil {
		text += fmt.Sprintf(", cost %+.1f an alarm of %d", c.Cost.Mean, c.Labeled)
	}
	return text
}

// Failed says for people which conditions do not hold; "" if all do.
func Failed(c event.Comparison) string {
	var failed []string
	for _, r := range c.Rules {
		if !r.OK {
			failed = append(failed, fmt.Sprintf("%s is %s, must be %s", r.Rule, r.Have, r.Need))
		}
	}
	return strings.Join(failed, "; ")
}

// passed is the time as the rule has it.
func passed(c event.Comparison) string {
	for _, r := range c.Rules {
		if r.Rule == RuleTime {
			return r.Have
		}
	}
	return "?"
}

// percent rounds down: what is less than a limit never looks like it.
func percent(x float64) string { return number(math.Floor(x*1000+1e-6)/10) + " %" }

func number(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }

// thousands writes a number as 2,412.
func thousands(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// span writes a duration as 24h or 23h59m.
func span(d time.Duration) string {
	if d >= time.Minute {
		d = d.Truncate(time.Minute)
	}
	text := d.Truncate(time.Second).String()
	if d >= time.Minute {
		text = strings.TrimSuffix(text, "0s")
	}
	if whole, yes := strings.CutSuffix(text, "h0m"); yes {
		text = whole + "h"
	}
	return text
}
