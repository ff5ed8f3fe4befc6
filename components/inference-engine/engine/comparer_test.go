package engine

import (
	"context"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/window"
	"edgepdm/test/must"
)

// pairOf is a scorer with a candidate beside its model, and a comparer that works when the test says so, by the test's clock.
type pairOf struct {
	*rowBench
	*comparer
	trial *trial
	clock time.Time
}

// withPair runs a test with the second model beside the shipped one.
func withPair(t *testing.T, settings func(*CandidateConfig), run func(ctx context.Context, p *pairOf)) {
	t.Helper()
	withRows(t, func(ctx context.Context, r *rowBench) {
		p := &pairOf{rowBench: r, clock: time.Unix(1.8e9, 0)}
		config := r.config
		config.Candidate.CPUShare = 1
		if settings != nil {
			settings(&config.Candidate)
		}
		second, err := loadModel("../../../scripts/demo/second-model/model.ubj", config)
		must.OK(t, err)
		r.adopt()
		faults := r.models
		faults.another, faults.verdicts = make(chan struct{}, 1), make(chan verdict, 1)
		p.trial, err = newTrial(modelstore.Installed{ID: "2.0.0-a", Accepted: p.clock}, r.model, second, config)
		must.OK(t, err)
		labels, err := r.rt.Subscribe(ctx, event.FilterLabel)
		must.OK(t, err)
		p.comparer = newComparer(r.rt, config, func() time.Time { return p.clock }, faults, labels)
		faults.setTrial(p.trial)
		p.enter(p.trial)
		run(ctx, p)
		p.close()
	})
}

// counted returns how many rows the candidate scored, and how many it skipped.
func (p *pairOf) counted() (rows, skipped uint64) {
	rt := p.comparer.rt
	return rt.Counter(CounterCandidateRows).Load(), rt.Counter(CounterCandidateSkipped).Load()
}

// Rows for which there is no room are counted, and those that are there are scored in order.
func TestAFullQueue(t *testing.T) {
	withPair(t, nil, func(ctx context.Context, p *pairOf) {
		p.rows(ctx, maxSlots+88)
		p.work()
		if rows, skipped := p.counted(); rows != maxSlots || skipped != 88 || p.book.All.Rows != maxSlots || p.book.Evidence.Skipped != 88 {
			t.Errorf("%d rows, %d skipped, %d and %d kept", rows, skipped, p.book.All.Rows, p.book.Evidence.Skipped)
		}
		p.rows(ctx, 10)
		p.work()
		if rows, skipped := p.counted(); rows != maxSlots+10 || skipped != 88 {
			t.Errorf("%d rows, %d skipped", rows, skipped)
		}
	})
}

// What scoring may take of a processor's time bounds the rows, and time gives more.
func TestTheBudget(t *testing.T) {
	withPair(t, func(c *CandidateConfig) { c.CPUShare = 0.01 }, func(ctx context.Context, p *pairOf) {
		p.now = func() time.Time { // each look at the clock takes a millisecond
			p.clock = p.clock.Add(time.Millisecond)
			return p.clock
		}
		p.rows(ctx, 300)
		p.work()
		rows, skipped := p.counted()
		if rows < 10 || rows > 30 || rows+skipped != 300 { // a burst of 100 ms, some 6 ms a row
			t.Errorf("%d rows, %d skipped", rows, skipped)
		}
		p.clock = p.clock.Add(time.Hour)
		p.rows(ctx, 10)
		p.work()
		if more, _ := p.counted(); more != rows+10 {
			t.Errorf("%d rows, want %d", more, rows+10)
		}
	})
}

// Rows that wait when the pair changes are dropped and counted, and so is one that another model scored.
func TestThePairChangesBetweenTwoRows(t *testing.T) {
	withPair(t, nil, func(ctx context.Context, p *pairOf) {
		p.rows(ctx, 20)
		faults := p.scorer.models
		other := *p.model
		faults.inUse.Store(&use{&other, nil, probation{}}) // as models.use does, before it sets the trial
		p.rows(ctx, 5)
		faults.setTrial(nil)
		p.rows(ctx, 3)
		p.work() // before it has heard of that
		p.enter(nil)
		if rows, skipped := p.counted(); rows != 0 || skipped != 25 {
			t.Errorf("%d rows, %d skipped", rows, skipped)
		}
	})
}

// A candidate that cannot score a row is rejected at once, whatever the rule says, and asked for again only after a while.
func TestACandidateThatFails(t *testing.T) {
	withPair(t, nil, func(ctx context.Context, p *pairOf) {
		p.duel[1] = p.duel[1].fork()
		broken := *p.duel[1].scorer
		broken.Scorer = nanScorer{}
		p.duel[1].scorer = &broken
		for range 3 {
			p.rows(ctx, 5)
			p.work()
		}
		v := <-p.scorer.models.verdicts
		if v.promote || v.trial != p.trial || !strings.Contains(v.why, "cannot score a row: ") || !strings.Contains(v.why, "NaN, which is no probability") {
			t.Errorf("%+v", v)
		}
		if rows, skipped := p.counted(); rows != 0 || skipped != 15 {
			t.Errorf("%d rows, %d skipped", rows, skipped)
		}
		p.rows(ctx, 1)
		p.work()
		if len(p.scorer.models.verdicts) != 0 {
			t.Error("asked for again at once")
		}
		p.clock = p.clock.Add(retryAfter)
		p.rows(ctx, 1)
		p.work()
		if len(p.scorer.models.verdicts) != 1 {
			t.Error("not asked for again")
		}
	})
}

// nanScorer gives what is no number.
type nanScorer struct{}

func (nanScorer) Margin(dst, _ []float32) ([]float32, error) { return append(dst[:0], 0), nil }

func (nanScorer) Predict(dst, _ []float32) []float32 {
	zero := float32(0)
	return append(dst[:0], zero/zero)
}

// A clock that jumps years ahead promotes nobody: time without rows proves nothing.
func TestAClockThatJumps(t *testing.T) {
	withPair(t, func(c *CandidateConfig) { c.PSI, c.Rows = 100, 100 }, func(ctx context.Context, p *pairOf) {
		for range 10 {
			p.rows(ctx, 50)
			p.work()
			p.clock = p.clock.Add(time.Second)
		}
		for _, jump := range []time.Duration{40 * 365 * 24 * time.Hour, -39 * 365 * 24 * time.Hour, 100 * 24 * time.Hour} {
			p.clock = p.clock.Add(jump)
			p.rows(ctx, 1)
			p.work()
			p.clock = p.clock.Add(2 * judgeEvery)
			p.work()
		}
		if len(p.scorer.models.verdicts) != 0 {
			t.Fatalf("it is decided: %+v", p.trial.latest.Load())
		}
		for range 24 {
			p.clock = p.clock.Add(time.Hour)
			p.rows(ctx, 1)
			p.work()
		}
		p.clock = p.clock.Add(2 * judgeEvery)
		p.work()
		if v := <-p.scorer.models.verdicts; !v.promote {
			t.Errorf("%+v", p.trial.latest.Load())
		}
	})
}

// Rows of a thing count once the windows of a candidate's inputs over time are as full as they get.
func TestWarmth(t *testing.T) {
	spec := window.Spec{Sensors: []string{"a"}, Inputs: []window.Input{{Sensor: "a", Stat: window.Mean, Rows: 3}, {Sensor: "a", Stat: window.Max, Time: "10s"}}}
	windows, err := window.New(spec, 1<<20)
	must.OK(t, err)
	w := newWarmth(&rings{windows, spec})
	var got strings.Builder
	for i := range 14 {
		one := "."
		if w.of(&slot{thing: "press-1", seq: uint64(i), ts: time.Unix(int64(1000+2*i), 0)}) {
			one = "x"
		}
		got.WriteString(one)
	}
	if want := ".....xxxxxxxxx"; got.String() != want {
		t.Errorf("%s, want %s", got.String(), want)
	}
	if w.of(&slot{thing: "press-2", ts: time.Unix(1000, 0)}) {
		t.Error("the windows of another thing are full")
	}
}

// A candidate may have fewer sensors, in any order; one that the active model does not have is a reason.
func TestPicks(t *testing.T) {
	of := func(names ...string) *activeModel {
		m := &activeModel{names: names, features: len(names), sensors: map[string]int{}}
		for i, name := range names {
			m.sensors[name] = i
		}
		return m
	}
	nameless := &activeModel{features: 2}
	for _, c := range []struct {
		active, model *activeModel
		want          []int
		why           string
	}{
		{of("a", "b"), of("a", "b"), nil, ""},
		{of("a", "b"), of("b", "a"), []int{1, 0}, ""},
		{of("a", "b"), of("b"), []int{1}, ""},
		{of("a", "b"), of("a"), []int{0}, ""},
		{of("a", "b"), of("a", "c"), nil, `sensor "c" is none of the 2`},
		{nameless, &activeModel{features: 2}, nil, ""},
		{nameless, &activeModel{features: 3}, nil, "it has 3 values"},
		{nameless, of("a", "b"), nil, "of which 2 are named"},
	} {
		got, err := picks(c.active, c.model)
		if len(got) != len(c.want) || (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%v, %v; want %v, %q", got, err, c.want, c.why)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%v, want %v", got, c.want)
			}
		}
	}
}
