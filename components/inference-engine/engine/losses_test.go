package engine

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/ledger"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
)

// Missing more than a share of the rows is told with the figure, and over when a window is good; a lost row now and then,
// what was lost before the start, and what came late are none of it.
func TestTooManyMissedRowsAreTold(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	counters := make(map[string]*atomic.Uint64)
	problem, reports := "", 0
	l := &losses{max: 0.01, begun: now, report: func() { reports++ }, log: slog.New(slog.DiscardHandler), counter: func(name string) *atomic.Uint64 {
		if counters[name] == nil {
			counters[name] = new(atomic.Uint64)
		}
		return counters[name]
	}, condition: func(code event.Code, place string, err error) {
		if problem = ""; err != nil {
			problem = fmt.Sprintf("%s %s %v", code, place, err)
		}
	}}
	rows := uint64(0)
	missed := func(n uint64) ledger.Gap { return ledger.Gap{Missed: n} }
	late := ledger.Gap{Late: true}
	for _, c := range []struct {
		what    string
		took    time.Duration
		arrived uint64
		gaps    []ledger.Gap
		want    string // "" = nothing is wrong
	}{
		{"nothing", lossTime, 1000, nil, ""},
		{"one row of few", lossTime, 100, []ledger.Gap{missed(1)}, ""},
		{"a hundredth", lossTime, 990, []ledger.Gap{missed(10)}, ""},
		{"what was lost before", lossTime, 1000, []ledger.Gap{{Missed: 1000, Resumed: true}}, ""},
		{"what came late", lossTime, 1000, []ledger.Gap{missed(12), late, late}, ""},
		{"three quarters", lossTime, 2280, []ledger.Gap{missed(6510)}, "74.1 % of the rows of the last 10 s never arrived: 6510 of 8790"},
		{"before the window is over", lossTime - 1, 5000, nil, "6510 of 8790"},
		{"the window", 1, 0, nil, ""},
		{"too few rows to judge", lossTime, 20, []ledger.Gap{missed(10)}, ""},
		{"with those that came since", lossTime, 100, nil, "10 of 130"},
		{"silence, not long enough", lossTime, 0, nil, "10 of 130"},
		{"silence", longLossTime, 0, nil, ""},
		{"few rows for long", longLossTime, 6, []ledger.Gap{missed(3)}, "3 of 9"},
		{"only late ones", lossTime, 1000, []ledger.Gap{late}, ""},
	} {
		for _, g := range c.gaps {
			l.note(handled{thing: "press-1"}, g, now)
		}
		rows, now = rows+c.arrived, now.Add(c.took)
		l.judge(now, rows)
		if c.want == "" && problem != "" || !strings.Contains(problem, c.want) || c.want != "" && !strings.HasPrefix(problem, string(event.CodeOverload)) {
			t.Errorf("%s: %q, want %q", c.what, problem, c.want)
		}
	}
	for _, c := range []struct {
		missed, gaveWay uint64
		want            string
	}{{300, 250, "not scored: 250 of 1050"}, {0, 250, "not scored: 250 of 1000"}, {100, 5, "never arrived: 100 of 1095"}, {0, 0, ""}} {
		l.note(handled{thing: "press-1"}, missed(c.missed), now)
		l.counter(CounterSuperseded).Add(c.gaveWay)
		rows, now = rows+1000, now.Add(lossTime)
		if l.judge(now, rows); !strings.Contains(problem, c.want) || (c.want == "") != (problem == "") {
			t.Errorf("%d missed, %d gave way: %q", c.missed, c.gaveWay, problem)
		}
	}
	for range 3 {
		l.note(handled{thing: "press-1"}, ledger.Gap{Missed: 1, Resumed: true}, now)
	}
	if reports != 2 { // what was lost before, then and now
		t.Errorf("%d reports", reports)
	}
	l.judge(now.Add(reportEvery), rows) // those of other things, within the second
	l.judge(now.Add(2*reportEvery), rows)
	if reports != 3 {
		t.Errorf("%d reports in the end", reports)
	}
}

// Two senders are told until nothing was heard of them for a while.
func TestTwoSendersAreToldForAWhile(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var counter atomic.Uint64
	problem := ""
	l := &losses{max: 0.01, begun: now, log: slog.New(slog.DiscardHandler), counter: func(string) *atomic.Uint64 { return &counter },
		condition: func(code event.Code, _ string, err error) {
			if code == event.CodeInput {
				problem = fmt.Sprint(err)
			}
		}}
	l.note(handled{thing: "press-1"}, ledger.Gap{Twin: true}, now)
	l.note(handled{thing: "press-2"}, ledger.Gap{Twin: true}, now.Add(time.Minute))
	l.judge(now.Add(time.Minute+twinTime), 0)
	if !strings.Contains(problem, "press-1") {
		t.Errorf("%q", problem)
	}
	l.judge(now.Add(time.Minute+twinTime+1), 0)
	if problem != "<nil>" {
		t.Errorf("%q", problem)
	}
}

// Rows that waited while the configuration changed are among those that came: three of them that gave way are not all.
func TestRowsThatWaitOverAConfigurationAreJudged(t *testing.T) {
	const waiting = 1000
	core := coretest.Start(t)
	env := coretest.Environment(t, core, event.InferenceEngine, "inference-engine", slog.New(slog.DiscardHandler))
	run := func(_ context.Context, rt *component.Runtime, config Config) error {
		rt.Counter(CounterRows).Add(waiting)
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		l := newLosses(rt, config, func() time.Time { return now }, waiting)
		defer l.close()
		judged := 0
		l.condition = func(_ event.Code, _ string, problem error) {
			if judged++; problem != nil {
				t.Error(problem)
			}
		}
		rt.Counter(CounterSuperseded).Add(3)
		l.judge(now.Add(longLossTime), waiting)
		if judged != 1 {
			t.Errorf("judged %d times", judged)
		}
		return nil
	}
	must.OK(t, component.Run(t.Context(), component.Spec[Config]{Name: event.InferenceEngine, Version: "1.2.3", Default: Default, Run: run}, env))
}
