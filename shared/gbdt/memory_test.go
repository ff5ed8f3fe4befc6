package gbdt

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/test/must"
)

// TestLoadingTakesLittleMore wants a large model to be loaded within three times its nodes (they may grow once) and twice
// the file, garbage included, whatever the format.
func TestLoadingTakesLittleMore(t *testing.T) {
	const trees, depth = 60, 9
	text := largeModel(trees, depth)
	ubj := toUBJSON(t, text)
	for name, data := range map[string][]byte{"json": []byte(text), "ubjson": ubj, "tar": tarOf(ubj, "xgboost-model"), "gzip": zipped(ubj)} {
		path := filepath.Join(t.TempDir(), "model")
		must.OK(t, os.WriteFile(path, data, 0o600))
		before := allocated()
		m, err := readModel(path)
		used := allocated() - before
		must.OK(t, err)
		const nodes = trees * (1<<(depth+1) - 1)
		if m.NumNodes != nodes || m.MaxDepth != depth {
			t.Errorf("%s: %d nodes, depth %d", name, m.NumNodes, m.MaxDepth)
		}
		unpacked := len(data)
		if name == "gzip" {
			unpacked += len(ubj)
		}
		if bound := uint64(3*16*nodes + 2*unpacked + allocationBase); used > bound {
			t.Errorf("%s: %d bytes for a file of %d and %d nodes, at most %d", name, used, unpacked, nodes, bound)
		}
	}
}

// largeModel has perfect trees over the features a and b.
func largeModel(trees, depth int) string {
	list := func(n int, value func(i int) string) string {
		values := make([]string, n)
		for i := range values {
			values[i] = value(i)
		}
		return "[" + strings.Join(values, ",") + "]"
	}
	n, inner := 1<<(depth+1)-1, 1<<depth-1
	child := func(offset int) func(i int) string {
		return func(i int) string {
			if i >= inner {
				return "-1"
			}
			return itoa(2*i + offset)
		}
	}
	zero := list(n, func(int) string { return "0" })
	left, right := list(n, child(1)), list(n, child(2))
	rnd := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	head, tail, _ := strings.Cut(tiny, `"trees":[`)
	_, tail, _ = strings.Cut(tail, `]}]}},`)
	head = strings.NewReplacer(`"num_trees":"2"`, fmt.Sprintf(`"num_trees":"%d"`, trees), `"iteration_indptr":[0,1,2],"tree_info":[0,0],`,
		`"iteration_indptr":`+list(trees+1, itoa)+`,"tree_info":`+list(trees, func(int) string { return "0" })+`,`).Replace(head)
	b.WriteString(head + `"trees":[`)
	for i := range trees {
		if i > 0 {
			b.WriteString(",")
		}
		conditions := list(n, func(int) string { return fmt.Sprintf("%.6f", rnd.Float32()) })
		fmt.Fprintf(&b, `{"id":%d,"tree_param":{"num_nodes":"%d","size_leaf_vector":"1"},"left_children":%s,"right_children":%s,"split_indices":%s,`+
			`"split_conditions":%s,"default_left":%s,"loss_changes":%s,"sum_hessian":%s}`, i, n, left, right, zero, conditions, zero, conditions, conditions)
	}
	b.WriteString("]}}," + tail)
	return b.String()
}
