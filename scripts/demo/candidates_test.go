package main

import (
	"errors"
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/sensor-simulator/dataset"
	"edgepdm/components/sensor-simulator/generate"
	"edgepdm/shared/cli"
	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

func float(x float64) *float64 { return &x }

// driftOf is an event of drift of a line.
func driftOf(id, line string, state event.DriftState) event.Drift {
	return event.Drift{
		V: 1, ID: id, Line: line, State: state, Since: begin, TS: begin, Rows: 200, More: 3, Unknown: []string{"new_sensor"},
		Found: []event.DriftFigure{
			{Kind: event.DriftSensor, Sensor: "oil_particles", Name: "particles in the oil", Unit: "1/ml", PSI: 2, Limit: 0.3, Usual: float(141), Now: float(92)},
			{Kind: event.DriftMissing, Sensor: "dew_point", Usual: float(0.04), Now: float(0.5)},
			{Kind: event.DriftFaultRate, Usual: float(0.04), Now: float(0.1)},
		},
	}
}

// compared is a comparison of 1.1.0, or another version, with 1.0.0.
func compared(version string, rows uint64, decision event.Decision) event.Comparison {
	return event.Comparison{
		V: 1, ID: "c", TS: begin, Active: event.ModelRef{Version: "1.0.0", SHA256: "a"}, Candidate: event.ModelRef{Version: version, SHA256: version},
		Rows: rows, Agreement: 0.96, Faulty: [2]float64{0.12, 0.06}, PSI: 0.0123, Decision: decision,
		Rules: []event.RuleState{{Rule: "agreement", Have: "0.960", Need: "0.8", OK: true}, {Rule: "rows", Have: "512", Need: "600", OK: decision != event.DecisionOpen}},
	}
}

// drifting is a row of a line.
func drifting(line string, seq uint64) event.Telemetry {
	r := row(seq)
	r.Line = line
	return r
}

func TestDriftIsHeldAgainstTheTruth(t *testing.T) {
	o := newObserver()
	o.drift.from = 3
	for seq := range uint64(2) {
		tell(t, o, event.TelemetryTopic("p"), drifting("line-1", seq+1))
	}
	tell(t, o, event.DriftTopic("line-1"), driftOf("d-1", "line-1", event.DriftFound))
	for seq := range uint64(5) {
		tell(t, o, event.TelemetryTopic("p"), drifting("line-1", seq+3))
	}
	tell(t, o, event.DriftTopic("line-1"), driftOf("d-2", "line-1", event.DriftFound))
	tell(t, o, event.DriftTopic("line-1"), driftOf("d-1", "line-1", event.DriftFound)) // published again
	tell(t, o, event.TelemetryTopic("p"), drifting("line-1", 8))
	tell(t, o, event.DriftTopic("line-1"), driftOf("d-3", "line-1", event.DriftFound)) // it grows
	tell(t, o, event.DriftTopic("line-2"), driftOf("d-4", "line-2", event.DriftFound))
	r := makeReport(o, nil, nil).Drift
	if !r.Found || r.Line != "line-1" || r.AfterRows != 5 || r.False != 2 || r.Cleared || strings.Join(r.Sensors, " ") != "oil_particles dew_point" {
		t.Errorf("%+v", r)
	}
	tell(t, o, event.DriftTopic("line-1"), driftOf("d-5", "line-1", event.DriftOver))
	if r := makeReport(o, nil, nil).Drift; !r.Cleared {
		t.Errorf("%+v", r)
	}
	if d := o.delivery(nil); d.lost != 5 { // none of the events is in the cloud
		t.Errorf("%+v", d)
	}
}

func TestCandidatesAreFollowed(t *testing.T) {
	o := newObserver()
	model := func(step event.ModelStep, version, detail string) {
		tell(t, o, event.ModelTopic(step), event.ModelEvent{V: 1, ID: "m", Event: step, Version: version, Detail: detail})
	}
	model(event.ModelActivated, "1.0.0", "") // no candidate
	model(event.ModelDelivered, "1.1.0", "")
	model(event.ModelShadowing, "1.1.0", "")
	tell(t, o, event.TopicComparison, compared("1.1.0", 300, event.DecisionOpen))
	tell(t, o, event.TopicComparison, compared("1.1.0", 512, event.DecisionOpen))
	if got := makeReport(o, nil, nil).Shadow.Candidates; len(got) != 1 || got[0] != (candidateReport{
		Version: "1.1.0", Rows: 512, Agreement: 0.96, Faulty: [2]float64{0.12, 0.06}, PSI: 0.0123, Decision: event.DecisionOpen, Detail: "rows 512, need 600",
	}) {
		t.Errorf("%+v", got)
	}
	tell(t, o, event.TopicComparison, compared("1.1.0", 601, event.DecisionPromote))
	model(event.ModelActivated, "1.1.0", "")
	model(event.ModelShadowing, "1.1.0", "") // published again
	model(event.ModelShadowing, "1.2.0", "")
	model(event.ModelRejected, "1.2.0", "it agrees with few rows")
	got := makeReport(o, nil, nil).Shadow.Candidates
	if len(got) != 2 || got[0].Decision != event.DecisionPromote || got[1].Decision != event.DecisionReject || got[1].Detail != "it agrees with few rows" {
		t.Errorf("%+v", got)
	}
	if o.shadow[0].back != 0 {
		t.Errorf("%d rows were lost", o.shadow[0].back)
	}
	tell(t, o, event.TopicComparison, compared("1.1.0", 590, event.DecisionOpen))
	if o.shadow[0].back != 11 {
		t.Errorf("%d rows were lost, want 11", o.shadow[0].back)
	}
	other := compared("1.1.0", 5, event.DecisionOpen)
	other.Active.SHA256 = "b" // against another model it begins again
	tell(t, o, event.TopicComparison, other)
	if o.shadow[0].back != 11 {
		t.Errorf("%d rows were lost, want 11", o.shadow[0].back)
	}
}

// Drift costs the shipped model quality. The good candidate wins it back, and the bad one tells nothing.
func TestCandidatesAreAsGoodAsTheStorySays(t *testing.T) {
	t.Chdir(need.Root(t))
	path := filepath.Join(t.TempDir(), "rows.csv")
	costs := func(drift ...string) (all []int) {
		args := append([]string{"-rows", "4000", "-seed", "5", "-out", path}, drift...)
		must.OK(t, generate.Run(t.Context(), args, cli.Streams{Out: io.Discard, Err: io.Discard}))
		for _, model := range []string{shippedModel, filepath.Join(driftModel.dir, "model.ubj"), filepath.Join(shuffledModel.dir, "model.ubj")} {
			all = append(all, costOf(t, model, path))
		}
		return all
	}
	usual, drifted := costs(), costs("-drift", "new-oil")
	t.Logf("cost of shipped, good and bad model: %v, with new oil %v", usual, drifted)
	if drifted[0] < usual[0]*3/2 {
		t.Errorf("the shipped model costs %d with new oil, and %d without: there is no need for another", drifted[0], usual[0])
	}
	if drifted[1] > drifted[0]*3/4 || drifted[2] < 3*drifted[0] {
		t.Errorf("with new oil the shipped model costs %d, the good candidate %d, the bad one %d", drifted[0], drifted[1], drifted[2])
	}
	for _, p := range []product{driftModel, shuffledModel} {
		b, err := p.build()
		must.OK(t, err)
		model := filepath.Join(p.dir, "model.ubj")
		packed, err := envelope.Pack(io.Discard, model)
		must.OK(t, err)
		b.Version, b.Created, b.Expires, b.Archive = driftVersion, begin, begin.Add(time.Hour), packed.Archive
		if m, err := envelope.BuildManifest(model, filepath.Join(p.dir, "golden.csv"), b); err != nil || !m.Shadow() || m.Model.Size > 200_000 {
			t.Errorf("%s: %v, %d bytes", p.dir, err, m.Model.Size)
		}
	}
}

// costOf scores a labelled table: 500 for a fault that the model misses, 10 for a false alarm.
func costOf(t *testing.T, path, table string) (cost int) {
	t.Helper()
	data, err := gbdt.ReadFile(path)
	must.OK(t, err)
	model, err := gbdt.Parse(data)
	must.OK(t, err)
	threshold, err := envelope.ThresholdOf(model.Attributes)
	must.OK(t, err)
	rows, err := dataset.Open(table)
	must.OK(t, err)
	defer func() { _ = rows.Close() }()
	scorer := gbdt.NewScorer(model)
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return cost
		}
		must.OK(t, err)
		margin, err := scorer.Margin(nil, row.Values)
		must.OK(t, err)
		switch flagged := 1/(1+math.Exp(-float64(margin[0]))) >= threshold; {
		case flagged && !row.Label.Faulty:
			cost += 10
		case !flagged && row.Label.Faulty:
			cost += 500
		}
	}
}

func TestDriftAndShadowAreShown(t *testing.T) {
	o := newObserver()
	tell(t, o, event.TopicComparison, compared("1.1.0", 512, event.DecisionOpen))
	p := &picture{drift: driftOf("d-1", "line-1", event.DriftFound), candidate: o.shadow[0]}
	text := strings.Join(p.lines(200, 40), "\n")
	for _, want := range []string{
		"drift:  line-1 since " + begin.Local().Format(time.TimeOnly) + ": particles in the oil 92 1/ml, usually 141; dew_point is missing 50 %, usually 4; and 5 more",
		"shadow: 1.1.0 open after 512 rows: agreement 0.960, faulty 6.0 % for 12.0 %, PSI 0.012; rows 512, need 600",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	p.drift.State = event.DriftOver
	if text := strings.Join(p.lines(200, 40), "\n"); !strings.Contains(text, "drift:  line-1 is as usual again") {
		t.Errorf("%s", text)
	}
}

// The story of -drift fails where it was not told as it should be.
func TestJudgeOfDrift(t *testing.T) {
	for _, test := range []struct {
		name         string
		drift, ended bool
		early, found bool
		good, bad    event.Decision // "" = never compared
		lost         bool
		want         string
	}{
		{name: "all is well", drift: true, found: true, good: event.DecisionPromote, bad: event.DecisionReject},
		{name: "no story"},
		{name: "drift without a story", early: true, want: "drift was found where there was none: line-1 since"},
		{name: "early", drift: true, early: true, found: true, good: event.DecisionPromote, bad: event.DecisionReject, want: "drift was found where there was none"},
		{name: "not found", drift: true, want: "1 rows of line-1 had drifted, and that was not found"},
		{name: "not found, as the user ended it", drift: true, ended: true},
		{name: "no candidate", drift: true, found: true, want: "candidate 1.1.0 was never compared"},
		{name: "undecided", drift: true, found: true, good: event.DecisionOpen, want: "candidate 1.1.0: want promote, got 1.1.0 open after 512 rows"},
		{name: "good one refused", drift: true, found: true, good: event.DecisionReject, bad: event.DecisionReject, want: "candidate 1.1.0: want promote"},
		{name: "bad one promoted", drift: true, found: true, good: event.DecisionPromote, bad: event.DecisionPromote, want: "candidate 1.2.0: want reject"},
		{name: "evidence lost", drift: true, ended: true, found: true, good: event.DecisionOpen, lost: true, want: "of candidate 1.1.0, 2 rows that were told were lost again"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := &demo{options: options{drift: test.drift}, observer: newObserver()}
			o := d.observer
			o.drift.from = 1
			if test.early {
				tell(t, o, event.DriftTopic("line-1"), driftOf("d-1", "line-1", event.DriftFound))
			}
			tell(t, o, event.TelemetryTopic("p"), drifting("line-1", 1))
			if test.found {
				tell(t, o, event.DriftTopic("line-1"), driftOf("d-2", "line-1", event.DriftFound))
			}
			if test.lost {
				tell(t, o, event.TopicComparison, compared(driftVersion, 514, event.DecisionOpen))
			}
			for version, decision := range map[string]event.Decision{driftVersion: test.good, shuffledVersion: test.bad} {
				if decision != "" {
					tell(t, o, event.TopicComparison, compared(version, 512, decision))
				}
			}
			var text strings.Builder
			for _, err := range d.judgeDrift(!test.ended) {
				text.WriteString(err.Error() + "\n")
			}
			if got := text.String(); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// What the user gives stays; a story that is too short for the engine to learn what is usual is refused.
func TestDriftSuitsTheDemo(t *testing.T) {
	o := options{drift: true, headless: true, cuts: 1, things: 3, rate: 2, mode: "classic"}
	o.suitDrift(map[string]bool{})
	must.OK(t, o.complete())
	if o.things != driftThings || o.rate != driftRate || o.cuts != 0 || o.duration != chapter {
		t.Errorf("%+v", o)
	}
	kept := options{drift: true, headless: true, cuts: 1, things: 4, rate: 50, duration: 2 * time.Minute, mode: "classic"}
	kept.suitDrift(map[string]bool{"things": true, "rate": true, "cuts": true, "for": true})
	must.OK(t, kept.complete())
	if kept.things != 4 || kept.rate != 50 || kept.cuts != 1 || kept.duration != 2*time.Minute {
		t.Errorf("%+v", kept)
	}
	for _, change := range []func(o *options){
		func(o *options) { o.duration = 30 * time.Second }, func(o *options) { o.rate = 1 }, func(o *options) { o.input = "x.csv" }, func(o *options) { o.model = "m.ubj" },
	} {
		wrong := o
		change(&wrong)
		if err := wrong.complete(); err == nil || !strings.HasPrefix(err.Error(), "-drift: ") {
			t.Errorf("%v", err)
		}
	}
	if config := o.engine(nil); config["drift"] == nil || config["candidate"] == nil {
		t.Errorf("%v", config)
	}
	if config := (&options{}).engine(nil); config["drift"] != nil || config["candidate"] != nil {
		t.Errorf("without -drift the engine is configured: %v", config)
	}
}
