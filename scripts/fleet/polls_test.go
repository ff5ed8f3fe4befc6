package main

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Ten thousand cores look evenly, whatever happened to all of them. Cores that all look when they start do not, and are found out.
func TestLooksAreSpread(t *testing.T) {
	const cores, poll = 10_000, 15 * time.Minute
	none := func() error { return nil }
	counts, err := simulate(cores, poll, 3*poll, 4*poll, 7*poll, rand.New(rand.NewPCG(3, 4)).Float64, none)
	if err != nil {
		t.Fatal(err)
	}
	p := pollsReport{Cores: cores, Asked: cores, Answers: cores, Phases: []phaseStats{
		stats("start", counts, 0, 2*poll, poll, cores), stats("usual", counts, 2*poll, 3*poll, poll, cores),
		stats("away", counts, 3*poll, 4*poll, poll, cores), stats("after", counts, 4*poll, 7*poll, poll, cores),
	}}
	p.Rollout = rollout{InRing: 500, Failed: 10, Halted: "it is", After: 500, Wider: 5000}
	if err := p.judge(); err != nil {
		t.Error(err)
	}
	p.Rollout.After = 5000
	if p.judge() == nil {
		t.Error("a roll-out that goes on from a ring that failed is no fault")
	}
	p.Rollout.After = 500
	together := make([]int, 900)
	together[0] = cores
	p.Phases[0] = stats("start", together, 0, poll, poll, cores)
	if p.judge() == nil {
		t.Error("cores that look together are no fault")
	}
	p.Phases[0] = stats("start", make([]int, 900), 0, poll, poll, cores)
	if p.judge() == nil {
		t.Error("cores that do not look are no fault")
	}
}

// A plant that publishes less than it should is a fault, whatever became of what it published.
func TestSilentMachinesAreAFault(t *testing.T) {
	whole := func() *coreReport {
		return &coreReport{Things: 10, Shown: 10, Account: account{Asked: 100, Published: 100, Rows: 100, Predictions: 100, Watched: 100, Forwarded: 100, Once: 10}}
	}
	if err := whole().judge(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*coreReport){
		"silence": func(r *coreReport) { r.Account = account{Asked: 100} },
		"a row less": func(r *coreReport) {
			r.Account.Published, r.Account.Rows, r.Account.Predictions, r.Account.Watched, r.Account.Forwarded, r.Account.Once = 99, 99, 99, 99, 99, 9
		},
		"a row lost":     func(r *coreReport) { r.Account.Predictions = 99 },
		"a machine less": func(r *coreReport) { r.Shown = 9 },
		"a counter":      func(r *coreReport) { r.Account.Lost = map[string]uint64{"x": 1} },
		"memory":         func(r *coreReport) { r.Programs = []programReport{{Name: "x", RSSMB: 65}} },
	} {
		r := whole()
		if change(r); r.judge() == nil {
			t.Errorf("%s is no fault", name)
		}
	}
}
