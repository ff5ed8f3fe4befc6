package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/ipc"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/table"
)

// BenchmarkActivation has the real program score 200 rows a second over IPC, and delivers candidates meanwhile, which are verified,
// parsed, compared and promoted. It prints how long rows take from their publication to their prediction, and the program's memory.
func BenchmarkActivation(b *testing.B) {
	p := newPlant(b)
	coretest.Configure(b, p.core, event.InferenceEngine, map[string]any{
		"candidate": map[string]any{"time": "0s", "rows": 300, "psi": 100, "agreement": 0, "faultRatio": 1e6, "latency": 1000}, "maxScore": "1s", "predictionBatch": "off",
	})
	predictions := coretest.Subscribe(b, p.client, event.FilterPrediction)
	_, lines := table.Read(b, "model/golden.csv")
	run := p.start()
	p.health.Await("a model", func(h event.Health) bool { return h.State == event.StateOK && h.Model != nil })
	large, largeGolden := largeModel(b, 3000)
	second := filepath.Join(need.Root(b), "scripts/demo/second-model")
	phases := []struct {
		name          string
		model, golden string
		rollout       *envelope.Rollout
	}{
		{name: "nothing else"},
		{"a candidate of 100 trees is verified and compared", filepath.Join(second, "model.ubj"), filepath.Join(second, "golden.csv"), &envelope.Rollout{Mode: envelope.ModeShadow}},
		{name: "it is promoted, and after that"},
		{"a candidate of 3,000 trees is verified and compared", large, largeGolden, &envelope.Rollout{Mode: envelope.ModeShadow}},
		{name: "nothing else, again"},
		{"3,000 trees take over at once", large, largeGolden, nil},
	}
	out := new(strings.Builder)
	text := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(text, "p50 ms\tp99 ms\tmost ms\trows\tRSS MiB\tmost MiB\tmodel\t  while")
	seq := uint64(0)
	for range b.N {
		for i, phase := range phases {
			if phase.model != "" {
				must.OK(b, p.prepare(phase.model, phase.golden, fmt.Sprintf("2.%d.0", i), phase.rollout).Commit())
			}
			took, model := p.roundTrips(predictions, &seq, 1000, lines)
			resident, most := memoryOf(b, run.Process.Pid)
			ms := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1000 }
			_, _ = fmt.Fprintf(text, "%.2f\t%.2f\t%.2f\t%d\t%.1f\t%.1f\t%s\t  %s\n", ms(0.5), ms(0.99), ms(1), len(took), resident, most, model, phase.name)
		}
	}
	must.OK(b, text.Flush())
	b.Log("\n" + out.String())
	must.OK(b, errors.Join(run.Process.Signal(os.Interrupt), run.Wait()))
}

// roundTrips publishes rows, 200 a second, and returns how long each took to its prediction, in order, and the model of the last.
func (p *plant) roundTrips(predictions *ipc.Subscription[ipc.TopicMessage], seq *uint64, n int, lines [][]float32) (took []time.Duration, model string) {
	p.t.Helper()
	sent := make(map[uint64]time.Time, n)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(time.Minute); len(took) < n; {
		var next <-chan time.Time
		if len(sent) < n {
			next = tick.C
		}
		select {
		case <-next:
			*seq++
			row := event.Telemetry{V: 1, Thing: "press-1", Epoch: "e1", Seq: *seq, TS: time.Now().UTC(), Values: lines[*seq%uint64(len(lines))][1:]}
			payload := must.JSON(p.t, row)
			sent[*seq] = time.Now()
			must.OK(p.t, p.client.Publish(p.t.Context(), event.TelemetryTopic(row.Thing), payload))
		case m := <-predictions.Events():
			got := time.Now()
			one, err := event.DecodePrediction(m.Payload)
			must.OK(p.t, err)
			took, model = append(took, got.Sub(sent[one.Seq])), one.Model.Version
		case <-timeout:
			p.t.Fatalf("%d of %d predictions", len(took), n)
		}
	}
	slices.Sort(took)
	return took, model
}

// memoryOf returns the resident memory of a process, now and at most, in MiB.
func memoryOf(t testing.TB, pid int) (resident, most float64) {
	t.Helper()
	for line := range strings.Lines(string(must.Read(t, fmt.Sprintf("/proc/%d/status", pid)))) {
		name, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		switch name {
		case "VmRSS":
			resident = kib / 1024
		case "VmHWM":
			most = kib / 1024
		}
	}
	return resident, most
}

// largeModel makes a model of so many trees of depth 6 over the shipped model's features.
func largeModel(t testing.TB, trees int) (model, golden string) {
	t.Helper()
	columns, lines := table.Read(t, "model/golden.csv")
	const depth = 6
	nodes, splits := 1<<(depth+1)-1, 1<<depth-1
	list := func(n int, of func(i int) string) string {
		parts := make([]string, n)
		for i := range parts {
			parts[i] = of(i)
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	child := func(more int) func(int) string {
		return func(i int) string {
			if i >= splits {
				return "-1"
			}
			return strconv.Itoa(2*i + more)
		}
	}
	left, right := list(nodes, child(1)), list(nodes, child(2))
	zeros := list(nodes, func(int) string { return "0" })
	all := list(trees, func(k int) string {
		indices := list(nodes, func(i int) string { return strconv.Itoa((7*i + 3*k) % (len(columns) - 1)) })
		conditions := list(nodes, func(i int) string {
			if x := lines[(i+k)%len(lines)][1+(7*i+3*k)%(len(columns)-1)]; i < splits && x == x {
				return fmt.Sprint(x)
			}
			if i < splits {
				return "0"
			}
			return fmt.Sprintf("%.6f", float64((i*31+k*17)%200-100)/1e5)
		})
		return fmt.Sprintf(`{"id":%d,"tree_param":{"num_nodes":"%d","size_leaf_vector":"1"},"left_children":%s,"right_children":%s,"split_indices":%s,"split_conditions":%s,"default_left":%s}`,
			k, nodes, left, right, indices, conditions, zeros)
	})
	text := fmt.Sprintf(`{"version":[3,0,5],"learner":{"attributes":{},"feature_names":%s,"feature_types":%s,
"gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_parallel_tree":"1","num_trees":"%d"},"iteration_indptr":%s,"tree_info":%s,"trees":%s}},
"learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"%d","num_target":"1"},
"objective":{"name":"binary:logistic","reg_loss_param":{"scale_pos_weight":"1"}}}}`, must.JSON(t, columns[1:]), list(len(columns)-1, func(int) string { return `"float"` }),
		trees, list(trees+1, strconv.Itoa), list(trees, func(int) string { return "0" }), all, len(columns)-1)
	parsed, err := gbdt.Parse([]byte(text))
	must.OK(t, err)
	scorer := gbdt.NewScorer(parsed)
	rows := "margin," + strings.Join(columns[1:], ",") + "\n"
	for _, line := range lines[:3] {
		margin, err := scorer.Margin(nil, line[1:])
		must.OK(t, err)
		rows += fmt.Sprint(margin[0])
		for _, x := range line[1:] {
			rows += fmt.Sprintf(",%v", x)
		}
		rows += "\n"
	}
	dir := t.TempDir()
	model, golden = filepath.Join(dir, "model.json"), filepath.Join(dir, "golden.csv")
	must.OK(t, errors.Join(os.WriteFile(model, []byte(text), 0o600), os.WriteFile(golden, []byte(rows), 0o600)))
	return model, golden
}
