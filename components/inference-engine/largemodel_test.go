package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/test/coretest"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/table"
)

// ubj writes Universal Binary JSON as XGBoost does.
type ubj struct{ bytes.Buffer }

func (u *ubj) length(n int) {
	u.WriteByte('L')
	u.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func (u *ubj) key(name string) {
	u.length(len(name))
	u.WriteString(name)
}

func (u *ubj) text(name, value string) {
	u.key(name)
	u.WriteByte('S')
	u.key(value)
}

// object writes an object under a name; "" is the document itself.
func (u *ubj) object(name string, fill func()) {
	if name != "" {
		u.key(name)
	}
	u.WriteByte('{')
	fill()
	u.WriteByte('}')
}

// numbers writes an array of int32, float32 or uint8.
func numbers[T int32 | float32 | uint8](u *ubj, name string, n int, of func(i int) T) {
	u.key(name)
	list := make([]T, n)
	for i := range list {
		list[i] = of(i)
	}
	marker := map[any]byte{int32(0): 'l', float32(0): 'd', uint8(0): 'U'}[any(*new(T))]
	u.WriteString("[$" + string(marker) + "#")
	u.length(n)
	data, err := binary.Append(nil, binary.BigEndian, list)
	if err != nil {
		panic(err) // these types have a size
	}
	u.Write(data)
}

// trainedModel makes a model of so many trees of depth 6 over the shipped model's features, with all that XGBoost 3 writes of a
// tree: 34 bytes a node.
func trainedModel(t testing.TB, trees int) (model, golden string) {
	t.Helper()
	columns, lines := table.Read(t, "model/golden.csv")
	features := columns[1:]
	const depth = 6
	nodes, splits := 1<<(depth+1)-1, 1<<depth-1
	u := new(ubj)
	child := func(side int32) func(i int) int32 {
		return func(i int) int32 {
			if i >= splits {
				return -1
			}
			return 2*int32(i) + side
		}
	}
	zeros := func(int) uint8 { return 0 }
	tree := func(k int) {
		condition := func(i int) float32 {
			if i >= splits {
				return float32((i*31+k*17)%200-100) / 1e6
			}
			x := lines[(i+k)%len(lines)][1+(7*i+3*k)%len(features)]
			if x != x {
				return 0
			}
			return x
		}
		numbers(u, "base_weights", nodes, condition)
		for _, none := range []string{"categories", "categories_nodes", "categories_segments", "categories_sizes"} {
			numbers(u, none, 0, func(int) int32 { return 0 })
		}
		numbers(u, "default_left", nodes, zeros)
		u.key("id")
		u.WriteByte('l')
		u.Write(binary.BigEndian.AppendUint32(nil, uint32(k)))
		numbers(u, "left_children", nodes, child(1))
		numbers(u, "loss_changes", nodes, condition)
		numbers(u, "parents", nodes, func(i int) int32 { return int32(i-1) / 2 })
		numbers(u, "right_children", nodes, child(2))
		numbers(u, "split_conditions", nodes, condition)
		numbers(u, "split_indices", nodes, func(i int) int32 { return int32((7*i + 3*k) % len(features)) })
		numbers(u, "split_type", nodes, zeros)
		numbers(u, "sum_hessian", nodes, func(i int) float32 { return float32(int(1) << (depth + 1 - bits.Len(uint(i+1)))) })
		u.object("tree_param", func() {
			u.text("num_nodes", strconv.Itoa(nodes))
			u.text("size_leaf_vector", "1")
		})
	}
	strs := func(name string, of []string) {
		u.key(name)
		u.WriteByte('[')
		for _, s := range of {
			u.WriteByte('S')
			u.key(s)
		}
		u.WriteByte(']')
	}
	u.object("", func() {
		u.object("learner", func() {
			u.object("attributes", func() {})
			strs("feature_names", features)
			u.object("gradient_booster", func() {
				u.object("model", func() {
					u.object("gbtree_model_param", func() {
						u.text("num_parallel_tree", "1")
						u.text("num_trees", strconv.Itoa(trees))
					})
					numbers(u, "iteration_indptr", trees+1, func(i int) int32 { return int32(i) })
					numbers(u, "tree_info", trees, func(int) int32 { return 0 })
					u.key("trees")
					u.WriteString("[#")
					u.length(trees)
					for k := range trees {
						u.object("", func() { tree(k) })
					}
				})
				u.text("name", "gbtree")
			})
			u.object("learner_model_param", func() {
				u.text("base_score", "5E-1")
				u.text("num_class", "0")
				u.text("num_feature", strconv.Itoa(len(features)))
				u.text("num_target", "1")
			})
			u.object("objective", func() { u.text("name", "binary:logistic") })
		})
		numbers(u, "version", 3, func(i int) int32 { return []int32{3, 0, 5}[i] })
	})
	parsed, err := gbdt.Parse(u.Bytes())
	must.OK(t, err)
	rows := new(strings.Builder)
	rows.WriteString("margin," + strings.Join(features, ",") + "\n")
	for _, line := range lines[:3] {
		margin, err := gbdt.NewScorer(parsed).Margin(nil, line[1:])
		must.OK(t, err)
		_, _ = fmt.Fprint(rows, margin[0]) // a builder takes all
		for _, x := range line[1:] {
			_, _ = fmt.Fprintf(rows, ",%v", x)
		}
		rows.WriteString("\n")
	}
	dir := t.TempDir()
	model, golden = filepath.Join(dir, "model.ubj"), filepath.Join(dir, "golden.csv")
	must.OK(t, errors.Join(os.WriteFile(model, u.Bytes(), 0o600), os.WriteFile(golden, []byte(rows.String()), 0o600)))
	return model, golden
}

// A model of 100 MB as XGBoost writes it is put into the store when it ships with the component, is loaded at the next start, and
// takes over when it is delivered: each takes three times its size at most, what explains a row included.
func TestALargeModelTakesThreeTimesItsSize(t *testing.T) {
	need.Long(t)
	p := newPlant(t)
	large, golden := trainedModel(t, 22_000)
	info, err := os.Stat(large)
	must.OK(t, err)
	size := float64(info.Size()) / (1 << 20)
	check := func(what string, pid int, beside float64) {
		t.Helper()
		resident, most := memoryOf(t, pid)
		t.Logf("%s: a model of %.1f MiB, %.1f MiB at most beside %.1f: %.2f times; %.1f MiB now", what, size, most-beside, beside, (most-beside)/size, resident)
		if most-beside > 3*size {
			t.Errorf("%s: a model of %.1f MiB takes %.1f", what, size, most-beside)
		}
	}
	loaded := func(h event.Health) bool { return h.State == event.StateOK && h.Model != nil }
	for _, what := range []string{"shipped", "in the store"} {
		run := coretest.StartProgram(t, p.env, nil, p.program, "-model", large)
		p.health.Await(what, loaded)
		check(what, run.Process.Pid, 0)
		must.OK(t, run.Process.Kill())
		_ = run.Wait() // it was killed
		p.health.Ended()
	}
	must.OK(t, os.RemoveAll(filepath.Join(p.env.WorkDir, "models")))
	run := p.start()
	p.health.Await("a small model", loaded)
	before, _ := memoryOf(t, run.Process.Pid)
	must.OK(t, p.prepare(large, golden, "9.0.0", nil).Commit())
	p.health.Await("the delivered model", func(h event.Health) bool { return h.Model != nil && h.Model.Version == "9.0.0" })
	check("delivered", run.Process.Pid, before)
}
