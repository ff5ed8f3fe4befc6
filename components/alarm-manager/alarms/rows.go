package alarms

import (
	"encoding/json"
	"fmt"
	"time"

	"edgepdm/shared/alarm"
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
	r.unrecorded(1, err)
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

// keep notes the number of a prediction that was dealt with, for record.
func (r *run) keep(p *event.Prediction, gap ledger.Gap) {
	if p.Seq > 0 && p.Epoch != "" && gap.New() {
		r.numbers = append(r.numbers, ledger.Number{Thing: p.Thing, Epoch: p.Epoch, Seq: p.Seq})
	}
}

// record records the numbers of a message's predictions. One that is lost with a process that was killed is so counted by the next.
func (r *run) record() {
	r.unrecorded(len(r.numbers), r.ledger.CommitAll(r.numbers...))
	r.numbers = r.numbers[:0]
}

// tellLedger says what is wrong with the file of numbers.
func (r *run) tellLedger() {
	r.rt.Conditions().Set(event.CodeStateOnDisk, ledgerName, r.ledger.State())
}

// unrecorded tells of predictions whose numbers could not be recorded.
func (r *run) unrecorded(n int, err error) {
	if err != nil && r.rt.Counter(CounterLedger).Add(uint64(n)) == uint64(n) {
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
		for _, fault := range append(r.limits.faults(p.Line, p.Thing), event.FaultMachine, event.FaultNoData, event.FaultQuality) {
			r.observe(alarm.Observation{Thing: p.Thing, Line: p.Line, Fault: fault, Undecided: true, Fresh: true}, now)
		}
	}
	t.epoch = p.Epoch
	return true
}

// rowData is what is kept with an alarm that rows have raised.
type rowData struct {
	RowTS       time.Time       `json:"row_ts,omitzero"`
	Probability float64         `json:"probability,omitempty"`
	Model       *event.ModelRef `json:"model,omitempty"`
	Rows        *event.RowSpan  `json:"rows,omitempty"`

	Contributors []event.Contributor `json:"contributors,omitempty"`
	Life         *event.Life         `json:"life,omitempty"` // at RowTS
}

// vote lets a prediction vote on the machine, or, when it says that there is no data to judge by, on that.
func (r *run) vote(p *event.Prediction, now time.Time) {
	blind := p.Label == event.LabelNoData
	if blind && p.Assembling {
		return
	}
	o := alarm.Observation{Thing: p.Thing, Line: p.Line, Simulated: p.Simulated}
	noData := o
	noData.Fault, noData.Active, noData.Severity = event.FaultNoData, blind, event.SeverityMedium
	if blind {
		noData.Text = noDataText(p)
		noData.Data = r.rowData(p, event.FaultNoData, now)
	}
	r.observe(noData, now)
	if blind {
		return
	}
	raise, clear := r.config.levels(p.Threshold)
	if clear < r.config.Clear && !r.derived {
		r.derived = true
		r.rt.Log.Warn("clear is not below the model's threshold: half of that is used", "clear", r.config.Clear, "threshold", p.Threshold)
	}
	o.Fault, o.Severity = event.FaultMachine, event.SeverityHigh
	o.Active, o.Undecided = alarm.Band{Raise: raise, Clear: clear}.Judge(p.Probability)
	if o.Active {
		o.Data = r.rowData(p, event.FaultMachine, now)
	}
	r.observe(o, now)
}

// rowData is what a row that votes for an alarm adds to it. The first row is the one that raised it.
func (r *run) rowData(p *event.Prediction, fault event.Fault, now time.Time) json.RawMessage {
	d := rowData{RowTS: p.TS.UTC()}
	var before rowData
	if a, known := r.list.system.Find(alarm.Key{Thing: p.Thing, Fault: fault}); known && a.Active {
		before = dataOf(a)
	}
	switch fault {
	case event.FaultMachine:
		d.Model, d.Probability = &p.Model, p.Probability
		r.addInsight(&d, p.Thing, before, now)
	case event.FaultNoData:
		d.Model = &p.Model
	default: // a limit's, or of sensors: no model says so
	}
	if p.Epoch != "" {
		row := event.RowRef{Epoch: p.Epoch, Seq: p.Seq}
		d.Rows = &event.RowSpan{First: row, Last: row}
		if before.Rows != nil {
			d.Rows.First = before.Rows.First
		}
	}
	return encodeData(d)
}

// dataOf reads what is kept with an alarm.
func dataOf(a alarm.Alarm) (d rowData) {
	if len(a.Data) > 0 {
		_ = json.Unmarshal(a.Data, &d) // of another version: nothing is known
	}
	return d
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
