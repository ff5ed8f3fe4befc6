package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edgepdm/components/inference-engine/candidate"
	"edgepdm/shared/component"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/random"
)

// Names of the counters of candidates.
const (
	CounterCandidateRows    = "candidate.rows"    // that a candidate scored, too
	CounterCandidateSkipped = "candidate.skipped" // that it did not: no time, no room, or the pair changed
)

const (
	// pollEvery is how often rows are taken out of the queue: waking a goroutine for each would delay the next row.
	pollEvery = 50 * time.Millisecond
	// candidateBurst is how much of the processor's time may be taken at once.
	candidateBurst = 100 * time.Millisecond
	// judgeEvery is the time between two judgements.
	judgeEvery = time.Second
	// maxDiffer is how many rows that differ a message has.
	maxDiffer = 16

	placeCandidate = "candidate"
)

// comparer scores rows with the candidate after the model in use has, and judges it. One goroutine owns it.
type comparer struct {
	rt      *component.Runtime
	config  Config
	now     func() time.Time
	models  *models
	labels  *ipc.Subscription[ipc.TopicMessage]
	reports *component.Publication

	trial  *trial // nil: there is no candidate
	book   *candidate.Book
	duel   [2]*activeModel // forks of the model in use and of the candidate
	first  int             // which of them scores first: they take turns
	warmth *warmth
	budget allowance // seconds

	row, inputs  []float32 // scratch
	judged, told time.Time
	asked        time.Time // when the keeper was told of a decision; zero: it was not
	reported     int
	name         string

	giveBack func() // the processors that a trial has
}

func newComparer(rt *component.Runtime, config Config, now func() time.Time, models *models, labels *ipc.Subscription[ipc.TopicMessage]) *comparer {
	return &comparer{
		rt: rt, config: config, now: now, models: models, labels: labels, reports: rt.Publication(event.TopicComparison), name: "comparison-" + random.ID() + "-",
		budget: allowance{perSecond: config.Candidate.CPUShare, most: candidateBurst.Seconds()}, giveBack: func() {},
	}
}

// run works until ctx ends.
func (c *comparer) run(ctx context.Context) {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	defer func() { c.giveBack() }()
	labels := c.labels.Events()
	for {
		var tick <-chan time.Time
		var filling <-chan struct{}
		if c.trial != nil {
			tick, filling = ticker.C, c.trial.queue.filling
		}
		select {
		case <-ctx.Done():
			return
		case <-c.models.another:
			c.enter(c.models.trial.Load())
		case m, open := <-labels:
			if !open {
				labels = nil
				continue
			}
			c.label(m)
		case <-tick:
			c.work()
		case <-filling:
			c.work()
		}
	}
}

// close scores what waits and keeps what is known. No row comes any more.
func (c *comparer) close() {
	if c.book == nil {
		return
	}
	if c.models.trial.Load() == c.trial {
		c.take()
	}
	c.keep(c.book.Close(c.now()))
}

// enter begins with another trial; nil: there is none. Rows of the one before are dropped.
func (c *comparer) enter(t *trial) {
	if t == c.trial {
		return
	}
	if old := c.trial; old != nil {
		c.rt.Counter(CounterCandidateSkipped).Add(old.queue.in.Load() - old.queue.out.Load() + old.queue.skipped.Load())
		c.keep(c.book.Close(c.now()))
	}
	c.trial, c.book, c.asked = t, nil, time.Time{}
	c.giveBack()
	c.giveBack = func() {}
	if t == nil {
		c.rt.Conditions().Set(event.CodeStateOnDisk, placeCandidate, nil)
		c.keep(nil)
		return // what is known of the last one stays on disk until there is another
	}
	c.giveBack = component.AllProcessors()
	c.duel = [2]*activeModel{t.active.fork(), t.model.fork()}
	c.warmth = newWarmth(t.rings)
	book, damage, err := candidate.Open(c.rt.WorkDir, t.pair, c.now())
	c.book = book
	if errors.Is(err, durable.ErrNewerFormat) {
		damage, err = err, nil
	}
	c.rt.Conditions().Set(event.CodeStateOnDisk, placeCandidate, damage)
	c.keep(err)
	c.rt.Log.Info("a candidate is scored beside the active model", "candidate", t.model.ref.Version, "active", t.active.ref.Version, "rows", book.All.Rows)
	c.judge(c.now())
}

// keep says whether the evidence is on disk.
func (c *comparer) keep(err error) { c.rt.Conditions().Set(event.CodeDisk, placeCandidate, err) }

// label takes what people found at an alarm.
func (c *comparer) label(m ipc.TopicMessage) {
	l, err := event.DecodeLabel(m.Payload)
	if err != nil || c.book == nil || !candidate.Tells(l) {
		return
	}
	c.take() // the rows that it is about
	c.book.Labeled(l)
	c.keep(c.book.Commit(c.now()))
}

// work takes the rows that wait, and judges.
func (c *comparer) work() {
	if c.models.trial.Load() != c.trial { // another one is on its way
		return
	}
	c.take()
	now := c.now()
	c.keep(c.book.Commit(now)) // before anybody is told
	if since := now.Sub(c.judged); since >= 0 && since < judgeEvery {
		return
	}
	comparison := c.judge(now)
	if since := now.Sub(c.told); since < 0 || since >= c.config.Candidate.Report {
		c.told = now
		c.report(comparison)
	}
	c.decide(comparison, now)
}

// judge compares, and keeps the result for whoever asks.
func (c *comparer) judge(now time.Time) event.Comparison {
	c.judged = now
	l := c.config.Candidate
	comparison := c.book.Compare(candidate.Limits{
		Rows: l.Rows, Time: l.Time, Agreement: l.Agreement, PSI: l.PSI, FaultRatio: l.FaultRatio, Latency: l.Latency, CostMissed: l.CostMissed, CostFalse: l.CostFalse,
	}, now)
	c.trial.latest.Store(&comparison)
	return comparison
}

// report publishes a comparison.
func (c *comparer) report(comparison event.Comparison) {
	c.reported++
	comparison.ID = fmt.Sprintf("%s%d", c.name, c.reported)
	sendComparison(c.rt, c.reports, comparison)
}

// sendComparison publishes a comparison, with as many rows that differ as the way to the cloud carries.
func sendComparison(rt *component.Runtime, to *component.Publication, comparison event.Comparison) {
	comparison.Differ = comparison.Differ[:min(len(comparison.Differ), maxDiffer)]
	payload, err := event.Encode(comparison)
	for ; len(payload) > event.IoTCoreIPC.Limit() && len(comparison.Differ) > 0; payload, err = event.Encode(comparison) {
		comparison.Differ = comparison.Differ[:len(comparison.Differ)/2]
	}
	if err == nil {
		err = to.Send(event.TopicComparison, payload)
	}
	if err != nil {
		rt.Log.Warn("the comparison could not be published", "error", err)
	}
}

// decide tells the keeper what the rule makes of the candidate.
func (c *comparer) decide(comparison event.Comparison, now time.Time) {
	if comparison.Decision != event.DecisionOpen {
		c.tell(verdict{c.trial, comparison.Decision == event.DecisionPromote, ""}, now)
	}
}

// tell tells the keeper, again after a while if it could not be done.
func (c *comparer) tell(v verdict, now time.Time) {
	if !c.asked.IsZero() && now.Sub(c.asked).Abs() < retryAfter {
		return
	}
	select {
	case c.models.verdicts <- v: // it has room for one
		c.asked = now
	default:
	}
}

// take scores the rows that wait with the candidate.
func (c *comparer) take() {
	q := &c.trial.queue
	scored, skipped := uint64(0), q.skipped.Swap(0)
	for range q.slots { // not for ever
		s := q.first()
		if s == nil {
			break
		}
		switch taken, err := c.score(s); {
		case err != nil:
			skipped++
			c.tell(verdict{c.trial, false, "cannot score a row: " + err.Error()}, c.now())
		case taken:
			scored++
		case s.verdict:
			skipped++
		}
		q.pop()
	}
	if skipped > 0 {
		c.book.Skipped(skipped)
	}
	c.rt.Counter(CounterCandidateRows).Add(scored)
	c.rt.Counter(CounterCandidateSkipped).Add(skipped)
}

// score scores a row with both models, and reports whether it counts.
func (c *comparer) score(s *slot) (bool, error) {
	begin := c.now()
	defer func() { c.budget.level -= c.now().Sub(begin).Seconds() }()
	t := c.trial
	affordable := c.budget.fill(begin) > 0
	row := s.values
	if t.pick != nil {
		c.row = c.row[:0]
		for _, i := range t.pick {
			c.row = append(c.row, s.values[i])
		}
		row = c.row
	}
	active := s.values
	if t.active.inputs != nil {
		active = s.inputs
	}
	warm := true
	switch {
	case t.rings != nil:
		missing := ""
		c.inputs, missing = t.rings.add(c.inputs[:0], &event.Telemetry{Thing: s.thing, Epoch: s.epoch, Seq: s.seq, TS: s.ts}, row)
		row, warm = c.inputs, c.warmth.of(s) && missing == ""
	case t.same && t.active.inputs != nil:
		row = s.inputs
	}
	if !affordable || !warm || !s.verdict {
		return false, nil
	}
	r := candidate.Row{Thing: s.thing, Epoch: s.epoch, Seq: s.seq, TS: s.ts, Faulty: [2]bool{s.faulty, false}, Probability: [2]float32{s.probability, 0}}
	c.first = 1 - c.first
	for _, i := range [2]int{c.first, 1 - c.first} {
		given := active
		if i == 1 {
			given = row
		}
		before := c.now()
		p, err := c.duel[i].probability(given)
		r.Took[i] = c.now().Sub(before)
		if i == 0 { // only how long it takes
			continue
		}
		if err != nil {
			return false, err
		}
		r.Probability[1], r.Faulty[1] = float32(p), p >= t.model.threshold
	}
	r.At = begin
	c.book.Row(r)
	return true, nil
}

// warmth tells for which things the windows of a candidate are as full as they get: before, its scores are not what they will be.
type warmth struct {
	rows   int
	time   time.Duration
	things map[string]warming // nil: all are
}

type warming struct {
	rows  int
	first time.Time
}

func newWarmth(r *rings) *warmth {
	if r == nil || r.Stats().Things > 0 { // they were on disk
		return &warmth{}
	}
	w := &warmth{things: make(map[string]warming)}
	for _, in := range r.spec.Inputs {
		w.rows = max(w.rows, in.Rows)
		if d, err := time.ParseDuration(in.Time); err == nil {
			w.time = max(w.time, d)
		}
	}
	return w
}

// of reports whether the windows of a row's thing are full.
func (w *warmth) of(s *slot) bool {
	if w.things == nil {
		return true
	}
	one, known := w.things[s.thing]
	if !known {
		one.first = s.ts
	}
	if one.rows >= w.rows && s.ts.Sub(one.first) >= w.time {
		return true
	}
	one.rows++
	w.things[s.thing] = one
	return one.rows >= w.rows && s.ts.Sub(one.first) >= w.time
}
