package modelcli_test

import (
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/model-fetcher/record"
	"edgepdm/shared/cli"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/request"
	"edgepdm/test/lifemodel"
	"edgepdm/test/must"
	"edgepdm/test/table"
)

// A rollout makes the manifest one of format 3, and only where it says something.
func TestPackARollout(t *testing.T) {
	for _, test := range []struct {
		flags []string
		want  *envelope.Rollout
	}{
		{nil, nil},
		{[]string{"-mode", "direct", "-percent", "100"}, nil},
		{[]string{"-mode", "shadow"}, &envelope.Rollout{Mode: envelope.ModeShadow}},
		{[]string{"-percent", "10"}, &envelope.Rollout{Percent: 10}},
		{[]string{"-mode", "shadow", "-percent", "1"}, &envelope.Rollout{Mode: envelope.ModeShadow, Percent: 1}},
	} {
		m := packed(t, test.flags...)
		if format := map[bool]int{true: 1, false: 3}[test.want == nil]; m.Format != format {
			t.Errorf("%v: format %d", test.flags, m.Format)
		}
		if (m.Rollout == nil) != (test.want == nil) || test.want != nil && *m.Rollout != *test.want {
			t.Errorf("%v: %+v", test.flags, m.Rollout)
		}
	}
	model, golden := shipped(t)
	packing := []string{"pack", "-model", model, "-golden", golden, "-version", "1.2.0", "-out", t.TempDir()}
	for why, flags := range map[string][]string{
		`-mode: "slow" is neither`:     {"-mode", "slow"},
		"-percent: 0 is not from 1":    {"-percent", "0"},
		"-percent: 101 is not from":    {"-percent", "101"},
		"-mode: shadow is for models ": {"-mode", "shadow", "-life", filepath.Join(lifemodel.Folder(), "life.json")},
	} {
		fails(t, cli.ExitUsage, why, append(packing, flags...)...)
	}
}

// The same version may be published once more, for more cores.
func TestPublishForMoreCores(t *testing.T) {
	c := cloud(t)
	private, _ := keys(t)
	at := []string{"-created", time.Now().UTC().Format(time.DateOnly)}
	version := func(flags ...string) string { return signed(t, private, "1.2.0", append(at, flags...)...) }
	do(t, "in the shadow first, for 10 % of the cores", to(c, version("-mode", "shadow", "-percent", "10"))...)
	do(t, "in the shadow first, for 50 % of the cores", to(c, version("-mode", "shadow", "-percent", "50"))...)
	const lower = "1.2.0 is published, which is not lower than 1.2.0"
	fails(t, cli.ExitFailed, lower, to(c, version("-mode", "shadow", "-percent", "49"))...)
	fails(t, cli.ExitFailed, lower, to(c, version("-percent", "50"))...) // to take over at once is another thing
	fails(t, cli.ExitFailed, lower, to(c, version("-mode", "shadow", "-expires", "300d"))...)
	fails(t, cli.ExitFailed, lower, to(c, version("-mode", "shadow", "-threshold", "0.5"))...)
	do(t, "in the shadow first\n", to(c, version("-mode", "shadow"))...)
}

// A version that failed in the ring that it was published for is not published for more cores; nor is one that nobody has tried.
func TestAFailingRingHaltsTheRollout(t *testing.T) {
	c := cloud(t)
	private, _ := keys(t)
	at := []string{"-created", time.Now().UTC().Format(time.DateOnly)}
	version := func(number string, flags ...string) string {
		return signed(t, private, number, append(at, flags...)...)
	}
	told := func(steps ...event.ModelStep) []string {
		var text strings.Builder
		for _, step := range steps {
			model := event.ModelEvent{Name: packed(t).Name, Version: "1.2.0", Detail: "probation: scores took 80ms"}
			line, err := event.Encode(event.NewModelEvent(step, model, time.Now()))
			must.OK(t, err)
			text.WriteString(strings.Repeat(string(line)+"\n", 2)) // events come again
		}
		return []string{"-outcomes", write(t, "outcomes.jsonl", []byte(text.String()))}
	}
	more := func(outcomes []string) []string {
		return append(to(c, version("1.2.0", "-percent", "50")), outcomes...)
	}
	do(t, "for 5 % of the cores", append(to(c, version("1.2.0", "-percent", "5")), told()...)...) // the beginning
	fails(t, cli.ExitFailed, "waits at 5 % of the cores: none has told", more(told(event.ModelDelivered))...)
	fails(t, cli.ExitFailed, "stays at 5 % of the cores: it failed 1 times and was activated 2 times; rolled-back: probation: scores took 80ms",
		more(told(event.ModelActivated, event.ModelActivated, event.ModelRolledBack))...)
	fails(t, cli.ExitFailed, "-outcomes: line 1: ", more([]string{"-outcomes", write(t, "bad", []byte("{"))})...)
	do(t, "for 50 % of the cores", more(told(event.ModelDelivered, event.ModelActivated))...)
	do(t, "1.3.0 is published", append(to(c, version("1.3.0", "-percent", "5")), told(event.ModelRolledBack)...)...) // what mends it
}

// The baseline has the probabilities that the training's XGBoost gives.
func TestBaselineOfTheScore(t *testing.T) {
	_, golden := shipped(t)
	m := packed(t, "-table", golden)
	h := m.Baseline.Score
	if h == nil {
		t.Fatal("none")
	}
	_, rows := table.Read(t, golden)
	low, high, sum := 1.0, 0.0, uint64(0)
	for _, row := range rows {
		p := 1 / (1 + math.Exp(-float64(row[0])))
		low, high = min(low, p), max(high, p)
	}
	for _, n := range h.Counts {
		sum += n
	}
	if math.Abs(float64(*h.Min)/low-1) > 1e-5 || math.Abs(float64(*h.Max)/high-1) > 1e-5 {
		t.Errorf("from %v to %v, want %v to %v", *h.Min, *h.Max, low, high)
	}
	if sum != uint64(len(rows)) || h.Missing != 0 || len(h.Counts) > 20 || h.Counts[0] != 0 || h.Counts[len(h.Counts)-1] != 0 {
		t.Errorf("%d rows in %v, %d missing, want %d", sum, h.Counts, h.Missing, len(rows))
	}
	// A row without any value is none that a device scores.
	names := features(t)
	text := strings.Join(names, ",") + "\n" + strings.Repeat(",", len(names)-1) + "\n" + strings.Repeat("1,", len(names)-1) + "1\n"
	if h := packed(t, "-table", write(t, "t.csv", []byte(text))).Baseline.Score; h.Missing != 1 || len(h.Counts) != 1 || h.Counts[0] != 1 {
		t.Errorf("%+v", h)
	}
}

// What a person decides about the candidate reaches the engine, and the answer is the engine's.
func TestDecideAboutTheCandidate(t *testing.T) {
	root := t.TempDir()
	engine := request.NewServer(event.InferenceEngine, filepath.Join(root, "work", event.InferenceEngine), time.Now, slog.New(slog.DiscardHandler))
	engine.Take()
	for _, command := range []string{event.CommandPromote, event.CommandReject} {
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			var taken []*request.Request
			for len(taken) == 0 && t.Context().Err() == nil {
				taken = engine.Take()
			}
			for _, q := range taken {
				var d event.Decide
				if err := q.Arguments(&d); err != nil || q.Command != command || d.Reason != "Ann said so" {
					t.Errorf("%s: %+v, %v", q.Command, d, err)
				}
				q.Answer("the rule: 3 of 2000 rows", nil)
			}
		}()
		do(t, "the rule: 3 of 2000 rows", command, "-root", root, "-reason", "Ann said so")
		<-answered
		fails(t, cli.ExitUsage, "-reason: 301 bytes", command, "-reason", strings.Repeat("x", 301))
	}
}

// The status tells of a model that is for other cores.
func TestStatusOfAModelForOtherCores(t *testing.T) {
	work := t.TempDir()
	r, err := record.Open(work, event.RoleFault, time.Now())
	must.OK(t, err)
	e := event.NewModelEvent(event.ModelAvailable, event.ModelEvent{Name: "compressor", Version: "1.2.0", Detail: "for 10 % of the cores, and core-7 is not one of them"}, time.Now())
	r.Leave("policy", record.Offer{ETag: "x"}, e)
	must.OK(t, r.Write(work, event.RoleFault))
	for _, says := range []string{"last decision: compressor 1.2.0 available at ", "for 10 % of the cores, and core-7 is not one of them"} {
		fails(t, cli.ExitFailed, says, "status", "-dir", work, "-timeout", "1ms")
	}
}
