package gbdt

import (
	"errors"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/must"
)

// randomTree grows a tree of at most so many splits over so many features, a third of them categorical. Some nodes have no
// cover, and covers of children do not sum to their parent's exactly.
func randomTree(rnd *rand.Rand, features, splits, vector int) *fileTree {
	t := &fileTree{numNodes: -1, vectorSize: vector}
	leaf := func(cover float32) int32 {
		id := int32(len(t.left))
		t.left, t.right, t.feature = append(t.left, -1), append(t.right, -1), append(t.feature, 0)
		t.condition, t.defaultLeft = append(t.condition, rnd.Float32()*2-1), append(t.defaultLeft, int32(rnd.IntN(2)))
		t.splitType, t.cover = append(t.splitType, 0), append(t.cover, cover)
		for range vector {
			t.baseWeights = append(t.baseWeights, rnd.Float32()*2-1)
		}
		return id
	}
	leaves := []int32{leaf(100)}
	for range splits {
		k := rnd.IntN(len(leaves))
		if rnd.IntN(2) == 0 { // long ways are wanted, too
			k = len(leaves) - 1
		}
		id := leaves[k]
		leaves = slices.Delete(leaves, k, k+1)
		part := rnd.Float32()
		if rnd.IntN(8) == 0 {
			part = float32(rnd.IntN(2))
		}
		cover := t.cover[id]
		if rnd.IntN(12) == 0 {
			cover = 0
		}
		feature := int32(rnd.IntN(features))
		t.left[id], t.right[id] = leaf(part*cover), leaf((1-part)*cover*1.001)
		t.feature[id] = feature
		leaves = append(leaves, t.left[id], t.right[id])
		if feature%3 == 2 {
			t.splitType[id] = 1
			t.categoryNodes = append(t.categoryNodes, id)
			t.categoryStarts = append(t.categoryStarts, int32(len(t.categories)))
			t.categorySizes = append(t.categorySizes, 2)
			c := int32(rnd.IntN(3))
			t.categories = append(t.categories, c, c+1)
		}
	}
	return t
}

// randomModel has trees for each output in turn, or vector leaves.
func randomModel(t *testing.T, rnd *rand.Rand, features, outputs int, vector bool) (*Model, []*fileTree) {
	t.Helper()
	m := &Model{Booster: "gbtree", Version: [3]int{3, 0, 5}, NumFeature: features, Outputs: outputs, NumTrees: 2 * outputs, forest: forest{limits: DefaultLimits()}}
	size := 0
	if vector {
		size = outputs
		m.forest.vectorSize = outputs
	}
	var trees []*fileTree
	for k := range m.NumTrees {
		tree := randomTree(rnd, features, rnd.IntN(3*features+4), size)
		must.OK(t, m.forest.add(tree))
		trees = append(trees, tree)
		m.outputOf = append(m.outputOf, int32(k%outputs))
	}
	must.OK(t, m.forest.bind(features, nil))
	for range outputs {
		m.BaseMargin = append(m.BaseMargin, rnd.Float32())
	}
	return m, trees
}

// expect returns what a tree gives for output k when only the features of the set are known.
func (t *fileTree) expect(id int32, row []float32, known uint, k int) float64 {
	left, right := t.left[id], t.right[id]
	if left < 0 {
		if t.vectorSize > 0 {
			return float64(t.baseWeights[int(id)*t.vectorSize+k])
		}
		return float64(t.condition[id])
	}
	if f := t.feature[id]; known>>f&1 == 1 {
		goLeft := row[f] < t.condition[id]
		if at := slices.Index(t.categoryNodes, id); at >= 0 {
			goLeft = !slices.Contains(t.categories[t.categoryStarts[at]:][:2], int32(row[f]))
		}
		if row[f] != row[f] {
			goLeft = t.defaultLeft[id] == 1
		}
		if goLeft {
			return t.expect(left, row, known, k)
		}
		return t.expect(right, row, known, k)
	}
	l, r := 0.5, 0.5
	if t.cover[id] > 0 {
		l, r = float64(t.cover[left])/float64(t.cover[id]), float64(t.cover[right])/float64(t.cover[id])
	}
	return l*t.expect(left, row, known, k) + r*t.expect(right, row, known, k)
}

// TestExplainIsShapley computes Shapley values by their definition, over all sets of features.
func TestExplainIsShapley(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	deep := false
	for round := range 120 {
		features := 1 + rnd.IntN(11)
		outputs, vector := 1+rnd.IntN(3), rnd.IntN(3) == 0
		m, trees := randomModel(t, rnd, features, outputs, vector && outputs > 1)
		e, err := NewExplainer(m)
		must.OK(t, err)
		deep = deep || len(e.tables.rules) > 1
		row := make([]float32, features)
		for i := range row {
			row[i] = rnd.Float32()*2 - 1
			if i%3 == 2 {
				row[i] = float32(rnd.IntN(5))
			}
			if rnd.IntN(5) == 0 {
				row[i] = float32(math.NaN())
			}
		}
		got, err := e.Explain(nil, row)
		must.OK(t, err)
		for k := range outputs {
			want := make([]float64, features+1)
			want[features] = float64(m.BaseMargin[k])
			for i, tree := range trees {
				if !(vector && outputs > 1) && i%outputs != k {
					continue
				}
				values := make([]float64, 1<<features)
				for known := range values {
					values[known] = tree.expect(0, row, uint(known), k)
				}
				want[features] += values[0]
				for known := range values {
					for f := range features {
						if known>>f&1 == 0 {
							want[f] += (values[known|1<<f] - values[known]) * weightOf(bits.OnesCount(uint(known)), features)
						}
					}
				}
			}
			for f, w := range want {
				if v := got[k*(features+1)+f]; !(math.Abs(float64(v)-w) < 1e-6) {
					t.Fatalf("round %d: %d features, output %d, feature %d: %v instead of %v", round, features, k, f, v, w)
				}
			}
		}
		sumsToMargin(t, m, row, got)
	}
	if !deep {
		t.Error("no tree had more than eight features on a way")
	}
}

// TestExplainDeep has a tree of one long way with a feature at each split. As the quadrature is exact, the contributions sum
// to the margin: with too few points they would not.
func TestExplainDeep(t *testing.T) {
	for _, depth := range []int{7, 8, 9, 16, 17, 100, 1000} {
		m := &Model{Booster: "gbtree", NumFeature: depth, Outputs: 1, BaseMargin: []float32{0.25}, outputOf: []int32{0}, forest: forest{limits: DefaultLimits()}}
		tree := &fileTree{numNodes: -1}
		for i := range depth {
			id := int32(2 * i)
			tree.left, tree.right = append(tree.left, id+1, -1), append(tree.right, id+2, -1)
			tree.feature, tree.condition = append(tree.feature, int32(i), 0), append(tree.condition, 0, float32(i%7))
			tree.defaultLeft, tree.cover = append(tree.defaultLeft, 0, 0), append(tree.cover, float32(2*depth-i), 1)
		}
		tree.left, tree.right, tree.feature, tree.condition = append(tree.left, -1), append(tree.right, -1), append(tree.feature, 0), append(tree.condition, 5)
		tree.defaultLeft, tree.cover = append(tree.defaultLeft, 0), append(tree.cover, float32(depth))
		must.OK(t, errors.Join(m.forest.add(tree), m.forest.bind(depth, nil)))
		m.countTrees()
		e, err := NewExplainer(m)
		must.OK(t, err)
		for _, from := range []int{0, depth / 2, depth} { // where the row leaves the way
			row := make([]float32, depth)
			for i := from; i < depth; i++ {
				row[i] = -1
			}
			got, err := e.Explain(nil, row)
			must.OK(t, err)
			sumsToMargin(t, m, row, got)
		}
	}
}

// weightOf is |S|! (n-|S|-1)! / n!.
func weightOf(size, n int) float64 {
	w := 1 / float64(n)
	for i := 1; i <= size; i++ {
		w *= float64(i) / float64(n-i)
	}
	return w
}

// sumsToMargin wants the contributions and the bias of each output to sum to the margin.
func sumsToMargin(t *testing.T, m *Model, row, contributions []float32) {
	t.Helper()
	margin, err := NewScorer(m).Margin(nil, row)
	must.OK(t, err)
	width := len(contributions) / len(margin)
	for k, want := range margin {
		sum, scale := 0.0, 1.0
		for _, v := range contributions[k*width:][:width] {
			sum += float64(v)
			scale += math.Abs(float64(v))
		}
		if !(math.Abs(sum-float64(want)) <= 1e-6*scale) {
			t.Errorf("output %d: the contributions sum to %v, the margin is %v", k, sum, want)
		}
	}
}

// TestExplainTiny has contributions that were computed by hand, bias last, for the margin 2.5 of the row a=2, b=0, and for a
// missing a.
func TestExplainTiny(t *testing.T) {
	covers := `"sum_hessian":[10,4,6,2,4]`
	for name, c := range map[string]struct {
		edits         []string
		want, missing []float32
	}{
		"covers":            {nil, []float32{22. / 15, -16. / 15, 2.1}, []float32{-2.2, -0.4, 2.1}},
		"no cover anywhere": {[]string{covers, `"sum_hessian":[0,0,0,0,0]`}, []float32{1.75, -0.75, 1.5}, []float32{-1.75, -0.25, 1.5}},
		"no cover at right": {[]string{covers, `"sum_hessian":[10,10,0,0,0]`}, []float32{3.5, -0.5, -0.5}, []float32{0, 0, -0.5}},
		"dart": {[]string{`"tree_info":[0,0],`, `"tree_info":[0,0],"weight_drop":[0.5,2],`, `"gradient_booster":{"name":"gbtree"`, `"gradient_booster":{"name":"dart"`},
			[]float32{11. / 15, -8. / 15, 1.8}, []float32{-1.1, -0.2, 1.8}},
	} {
		text := must.Replace(t, tiny, c.edits...)
		for _, data := range [][]byte{[]byte(text), toUBJSON(t, text)} {
			m, err := Parse(data)
			must.OK(t, err)
			e, err := NewExplainer(m)
			must.OK(t, err)
			for i, want := range [][]float32{c.want, c.missing} {
				got, err := e.Explain(nil, []float32{[]float32{2, nan}[i], 0})
				if err != nil || len(got) != 3 {
					t.Fatal(got, err)
				}
				for k := range want {
					if math.Abs(float64(got[k]-want[k])) > 1e-6 {
						t.Errorf("%s: %v instead of %v", name, got, want)
					}
				}
			}
		}
	}
	for _, none := range []string{`"sum_hessian":[]`, `"sum_hessian":[10]`, `"other":[10,4,6,2,4]`} {
		m, err := Parse([]byte(must.Replace(t, tiny, covers, none)))
		must.OK(t, err)
		if _, err := NewExplainer(m); !errors.Is(err, ErrNotExplained) {
			t.Errorf("%s gives %v", none, err)
		}
	}
}

func TestExplainRefuses(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for text, spoil := range map[string]func(m *Model){
		"keeps no cover":         func(m *Model) { m.forest.covers = nil },
		"tree 0: a node has":     func(m *Model) { m.forest.covers[0] = float32(math.NaN()) },
		"tree 1: a node has":     func(m *Model) { m.forest.covers[m.forest.roots[1]] = -1 },
		"a node has the cover +": func(m *Model) { m.forest.covers[1] = float32(math.Inf(1)) },
		"much more cover":        func(m *Model) { m.forest.covers[1] = 1e30 },
		"contributions a row":    func(m *Model) { m.Outputs, m.NumFeature = 4096, 1<<20 },
	} {
		m, _ := randomModel(t, rnd, 4, 1, false)
		for len(m.forest.nodes) < 5 || m.forest.nodes[0].left == 0 {
			m, _ = randomModel(t, rnd, 4, 1, false)
		}
		spoil(m)
		if _, err := NewExplainer(m); !errors.Is(err, ErrNotExplained) || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, expected %q", err, text)
		}
	}
	m, _ := randomModel(t, rnd, 4, 1, false)
	e, err := NewExplainer(m)
	must.OK(t, err)
	if _, err := e.Explain(nil, make([]float32, 3)); !errors.Is(err, ErrRowLength) {
		t.Errorf("a short row gives %v", err)
	}
	if _, err := e.Explain(nil, []float32{0, float32(math.Inf(1)), 0, 0}); !errors.Is(err, ErrRowInfinite) || !strings.Contains(err.Error(), "column 2") {
		t.Errorf("an infinite value gives %v", err)
	}
}
