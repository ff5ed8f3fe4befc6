package alarms

import (
	"fmt"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ledger"
)

const (
	// farTime is how far the time of a row may be from the manager's until it is no news of the machine.
	farTime = 24 * time.Hour
	// misdatedTime is how long it is told that rows have such times, after the last one.
	misdatedTime = 2 * time.Minute
	// placeTimes is where a condition says so.
	placeTimes = "times of rows"
)

// hear notes the number of a prediction, and counts those that never came.
func (r *run) hear(p *event.Prediction) ledger.Gap {
	if p.Seq == 0 || p.Epoch == "" {
		return ledger.Gap{}
	}
	gap, err := r.ledger.Observe(p.Thing, p.Epoch, p.Seq)
	r.unrecorded(err)
	gap.Tally(r.rt.Counter(CounterGaps))
	if gap.Jump {
		r.rt.Counter(CounterJumps).Add(1)
	}
	if now := r.now(); gap.Missed > 0 && now.Sub(r.toldGap).Abs() >= time.Second {
		r.toldGap = now
		r.rt.ReportHealth() // the process may be killed before the next health message is due
	}
	if !gap.New() {
		r.rt.Counter(CounterRepeated).Add(1)
	}
	return gap
}

// keep records the number of a prediction that was dealt with. One that is lost with a process that was killed is so counted
// by the next.
func (r *run) keep(p *event.Prediction, gap ledger.Gap) {
	if p.Seq > 0 && p.Epoch != "" && gap.New() {
		r.unrecorded(r.ledger.Commit(p.Thing, p.Epoch, p.Seq))
	}
}

// tellLedger says what is wrong with the file of numbers.
func (r *run) tellLedger() {
	r.rt.Conditions().Set(event.CodeStateOnDisk, ledgerName, r.ledger.State())
}

func (r *run) unrecorded(err error) {
	if err != nil && r.rt.Counter(CounterLedger).Add(1) == 1 {
		r.rt.Log.Error("gaps may be counted wrong", "error", err)
	}
}

// votes reports whether a prediction votes: it is news of how the machine is now. Votes of before do not count with those of
// a machine that was silent, or whose producer has started again.
func (r *run) votes(t *thing, p *event.Prediction, gap ledger.Gap, now time.Time) bool {
	if !gap.New() {
		return false
	}
	clockIsSet := now.Year() >= earliestYear
	if clockIsSet && !p.TS.IsZero() && p.TS.Sub(now).Abs() > farTime {
		r.misdated(p, now)
		return false
	}
	silent := r.config.Silence > 0 && t.absence.lasts(now) >= r.config.Silence
	if silent || t.epoch != "" && t.epoch != p.Epoch && !gap.Twin {
		t.vote.forget()
		t.blind.forget()
	}
	t.epoch = p.Epoch
	return true
}

// restore takes from the alarm list which alarms of a thing are raised.
func (r *run) restore(name string, t *thing) {
	_, t.vote.raised = r.list.find(name, event.FaultMachine)
	_, t.blind.raised = r.list.find(name, event.FaultNoData)
}

// vote lets a prediction vote on the machine, or, when it says that there is no data to judge by, on that.
func (r *run) vote(t *thing, p *event.Prediction, now time.Time) {
	blind := p.Label == event.LabelNoData
	if blind && p.Assembling {
		return
	}
	alert := event.Alert{Thing: p.Thing, Line: p.Line, Since: now, Model: &p.Model, Simulated: p.Simulated, RowTS: p.TS.UTC()}
	dark := 0.0
	if blind {
		dark = 1
	}
	if t.blind.add(dark, 1, 0, r.config.Votes, r.config.Window) {
		noData := alert
		noData.Fault, noData.Severity, noData.Text = event.FaultNoData, event.SeverityMedium, noDataText(p)
		r.turn(t.blind.raised, noData, now)
	}
	if blind {
		return
	}
	raise, clear := r.config.levels(p.Threshold)
	if clear < r.config.Clear && !r.derived {
		r.derived = true
		r.rt.Log.Warn("clear is not below the model's threshold: half of that is used", "clear", r.config.Clear, "threshold", p.Threshold)
	}
	if t.vote.add(p.Probability, raise, clear, r.config.Votes, r.config.Window) {
		alert.Fault, alert.Severity, alert.Probability = event.FaultMachine, event.SeverityHigh, p.Probability
		r.turn(t.vote.raised, alert, now)
	}
}

// turn raises an alarm that was voted for, or ends it.
func (r *run) turn(raised bool, a event.Alert, now time.Time) {
	if raised {
		r.enter(a, event.AlarmUnacknowledged, now)
	} else {
		r.clear(a.Thing, a.Fault, now)
	}
}

// misdated counts a row whose time is far from now, and says so: the clock of its sender or of the core is wrong, or it is
// old.
func (r *run) misdated(p *event.Prediction, now time.Time) {
	r.rt.Counter(CounterMisdated).Add(1)
	if r.misdatedAt.IsZero() {
		r.rt.Conditions().Set(event.CodeInput, placeTimes, fmt.Errorf("rows of %s are dated %s: they raise and end no alarm", p.Thing, p.TS.UTC().Format(time.DateOnly)))
	}
	r.misdatedAt = now
}

// datedAgain says that rows have right times again.
func (r *run) datedAgain(now time.Time) {
	if !r.misdatedAt.IsZero() && now.Sub(r.misdatedAt) > misdatedTime {
		r.misdatedAt = time.Time{}
		r.rt.Conditions().Set(event.CodeInput, placeTimes, nil)
	}
}
