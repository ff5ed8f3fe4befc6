package candidate

import (
	"math"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
)

// The rule decides when there are enough rows and enough time has passed, and not before; then each condition alone rejects.
func TestRule(t *testing.T) {
	rows := someRows(1, 3000)
	with := func(change func(i int, r *Row)) []Row {
		out := make([]Row, len(rows))
		for i, r := range rows {
			if change != nil {
				change(i, &r)
			}
			out[i] = r
		}
		return out
	}
	label := func(r *Row) { r.Faulty = [2]bool{r.Probability[0] >= 0.5, r.Probability[1] >= 0.5} }
	for name, c := range map[string]struct {
		rows   []Row
		want   event.Decision
		failed string
	}{
		"all hold":        {with(nil), event.DecisionPromote, ""},
		"too few rows":    {with(nil)[:1999], event.DecisionOpen, "rows is 1,999, must be 2,000"},
		"too little time": {with(func(i int, r *Row) { r.At = start.Add(time.Duration(i) * 28 * time.Second) }), event.DecisionOpen, "time is 23h19m, must be 24h"},
		"too little time, and all else fails": {with(func(i int, r *Row) {
			r.At, r.Probability[1] = start, 1
			label(r)
		}), event.DecisionOpen, "time is 0s"},
		"labels": {with(func(i int, r *Row) {
			if i%10 == 0 {
				r.Probability = [2]float32{r.Probability[1], 1 - r.Probability[1]}
				label(r)
			}
		}), event.DecisionReject, "agreement is 89"},
		"scores": {with(func(_ int, r *Row) { // no label changes
			if r.Probability[1] < 0.4 {
				r.Probability[1] = 0.45
			}
		}), event.DecisionReject, "psi is"},
		"too many faulty rows": {with(func(i int, r *Row) {
			if i%20 == 0 {
				r.Probability[0], r.Probability[1] = 0.4, 0.5
			} else {
				r.Probability[0], r.Probability[1] = 0.2, 0.2
			}
			label(r)
		}), event.DecisionReject, "fault-ratio is 16.00 (5 % of 0 %), must be 0.5 to 2"},
		"no faulty rows any more": {with(func(i int, r *Row) {
			r.Probability = [2]float32{0.4, 0.4}
			if i%30 == 0 {
				r.Probability[0] = 0.55
			}
			label(r)
		}), event.DecisionReject, "fault-ratio is 0.09"},
		"3 faulty rows instead of 7": {with(func(i int, r *Row) {
			r.Probability = [2]float32{0.2, 0.2}
			if i < 7 {
				r.Probability[0] = 0.55
			}
			if i < 3 {
				r.Probability[1] = 0.55
			}
			label(r)
		}), event.DecisionPromote, ""},
		"slower":               {with(func(_ int, r *Row) { r.Took[1] *= 2 }), event.DecisionReject, "latency is p99 3"},
		"a little slower":      {with(func(_ int, r *Row) { r.Took[1] = r.Took[1] * 11 / 10 }), event.DecisionPromote, ""},
		"a few rows very slow": {with(func(i int, r *Row) { r.Took[1] += time.Duration(i / 2985 * int(time.Second)) }), event.DecisionPromote, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(testPair())
			for _, r := range c.rows {
				e.Add(r)
			}
			got := e.Compare(testLimits(), start)
			if got.Decision != c.want || !strings.Contains(Failed(got), c.failed) || (c.failed == "") != (Failed(got) == "") {
				t.Errorf("%s: %s; %s", got.Decision, Failed(got), Figures(got))
			}
		})
	}
}

// Hours without rows count as one, and so does a clock that is set years ahead; one that is set back takes nothing.
func TestTimeWithoutRows(t *testing.T) {
	e := New(testPair())
	at := start
	for i, jump := range []time.Duration{0, time.Minute, 50 * 24 * time.Hour, 40 * 365 * 24 * time.Hour, -80 * 365 * 24 * time.Hour, time.Minute} {
		at = at.Add(jump)
		r := rowOf(i, 0.1, 0.1)
		r.At = at
		e.Add(r)
	}
	if want := 2*time.Hour + 2*time.Minute; e.Passed != want {
		t.Errorf("%v, want %v", e.Passed, want)
	}
	for i := range 3000 { // enough rows, no time
		r := rowOf(i, 0.1, 0.1)
		r.At = at
		e.Add(r)
	}
	if got := e.Compare(testLimits(), at); got.Decision != event.DecisionOpen {
		t.Errorf("%+v", got)
	}
}

// What operators found decides where it is there: a candidate that misses confirmed faults is rejected, one that is silent at false
// alarms is not, and one alarm alone does not make it worse by chance.
func TestCost(t *testing.T) {
	for name, c := range map[string]struct {
		outcome string
		only    int // 0: the active model alone calls the rows faulty; 1: the candidate; 2: both
		alarms  int
		want    event.Decision
		mean    float64
	}{
		"misses faults":            {"confirmed", 0, 12, event.DecisionReject, 500},
		"misses few faults":        {"confirmed", 0, 4, event.DecisionPromote, 500},
		"no false alarms any more": {"no-fault-found", 0, 12, event.DecisionPromote, -10},
		"earlier than the other":   {"confirmed", 1, 12, event.DecisionPromote, -500},
		"more false alarms":        {"no-fault-found", 1, 12, event.DecisionReject, 10},
		"alike":                    {"confirmed", 2, 12, event.DecisionPromote, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(testPair())
			rows := someRows(3, 3000)
			for i, r := range rows {
				if i < c.alarms*50 && i%5 == 0 { // the rows of a thing, ten an alarm; the others agree
					r.Probability = [2]float32{0.49, 0.49}
					for j := range r.Probability {
						if j == c.only || c.only == 2 {
							r.Probability[j] = 0.51
						}
					}
					r.Faulty = [2]bool{r.Probability[0] > 0.5, r.Probability[1] > 0.5}
				} else {
					r.Probability[1] = r.Probability[0]
					r.Faulty[1] = r.Faulty[0]
				}
				e.Add(r)
			}
			for i := range c.alarms {
				l := event.Label{
					ID: "label-" + string(rune('a'+i)), Thing: "press-0", Outcome: c.outcome, Since: start.Add(time.Minute),
					Rows: &event.RowSpan{First: event.RowRef{Epoch: "e1", Seq: uint64(10*i + 1)}, Last: event.RowRef{Epoch: "e1", Seq: uint64(10*i + 10)}},
				}
				if !e.Label(l) || e.Label(l) {
					t.Fatal("a label counts once")
				}
			}
			limits := testLimits()
			limits.FaultRatio, limits.Agreement, limits.PSI = 100, 0.5, 100
			got := e.Compare(limits, start)
			if got.Decision != c.want || got.Labeled != c.alarms || math.Abs(got.Cost.Mean-c.mean) > 1e-9 || got.Cost.Low > got.Cost.Mean+1e-9 || got.Cost.High < got.Cost.Mean-1e-9 {
				t.Errorf("%s: %s; %+v", got.Decision, Failed(got), got.Cost)
			}
		})
	}
}

// A mixture that may be chance rejects nobody.
func TestCostByChance(t *testing.T) {
	e := New(testPair())
	e.Labels = []outcome{{"a", true, 1}, {"b", true, -1}, {"c", false, 1}, {"d", true, 0.5}}
	if d := e.cost(500, 10); d.Mean <= 0 || d.Low > 0 || d.High <= 0 {
		t.Errorf("%+v", d)
	}
}

// Labels that tell nothing are none: planned stops, spans over two epochs, rows before the comparison.
func TestLabelsThatTellNothing(t *testing.T) {
	span := func(first, last event.RowRef) *event.RowSpan { return &event.RowSpan{First: first, Last: last} }
	good := event.Label{ID: "a", Thing: "press-0", Outcome: "confirmed", Since: start.Add(time.Minute), Rows: span(event.RowRef{Epoch: "e1", Seq: 1}, event.RowRef{Epoch: "e1", Seq: 2})}
	for name, spoil := range map[string]func(*event.Label){
		"planned": func(l *event.Label) { l.Outcome = "planned" },
		"no rows": func(l *event.Label) { l.Rows = nil },
		"epochs":  func(l *event.Label) { l.Rows = span(l.Rows.First, event.RowRef{Epoch: "e2", Seq: 9}) },
		"order":   func(l *event.Label) { l.Rows = span(l.Rows.Last, l.Rows.First) },
		"before":  func(l *event.Label) { l.Since = start.Add(-time.Minute) },
		"no row":  func(l *event.Label) { l.Rows = span(event.RowRef{Epoch: "e1"}, event.RowRef{Epoch: "e1"}) },
	} {
		e := New(testPair())
		l := good
		spoil(&l)
		if e.Label(l) {
			t.Errorf("%s: before any row", name)
		}
		e.Add(rowOf(0, 0.1, 0.1))
		if e.Label(l) {
			t.Errorf("%s counts", name)
		}
		if !e.Label(good) {
			t.Errorf("%s: the good one does not count", name)
		}
	}
}

// Texts for people.
func TestTexts(t *testing.T) {
	for d, want := range map[time.Duration]string{
		24 * time.Hour: "24h", 23*time.Hour + 59*time.Minute + 59*time.Second: "23h59m", 90 * time.Second: "1m", 20 * time.Minute: "20m", 0: "0s", 1500 * time.Millisecond: "1s",
		10 * time.Hour: "10h", 20 * time.Hour: "20h",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0", 999: "999", 2412: "2,412", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	for x, want := range map[float64]string{0.94999: "94.9 %", 0.95: "95 %", 1: "100 %", 0: "0 %", 0.992: "99.2 %"} {
		if got := percent(x); got != want {
			t.Errorf("%v: %q, want %q", x, got, want)
		}
	}
}
