package gbdt

import "strconv"

// maxShare bounds how much more cover children may have than their parents on one way: rounding alone gives a little.
const maxShare = 1e6

// newShapTables lays a model's trees out; gblinear has none.
func newShapTables(m *Model) (*shapTables, error) {
	t := &shapTables{repeats: make([]shapRepeat, 1), stride: 1, bias: make([]float64, m.Outputs)}
	f := &m.forest
	if len(f.roots) > 0 && f.covers == nil {
		return nil, refuse(ErrNotExplained, "it keeps no cover (sum_hessian)")
	}
	for i, b := range m.BaseMargin {
		t.bias[i] = float64(b)
	}
	splits := 0
	for i := range f.nodes {
		if f.nodes[i].left != 0 {
			splits++
		}
	}
	t.splits = make([]shapSplit, 0, splits)
	if f.vectorSize > 0 {
		t.stride, t.values = f.vectorSize, f.vectors // in this order already
	} else {
		t.values = make([]float32, 0, len(f.nodes)-splits)
	}
	b := shapBuilder{shapTables: t, model: m, last: make([]shapRepeat, m.NumFeature)}
	for tree := range f.roots {
		if err := b.add(tree); err != nil {
			return nil, within("tree "+strconv.Itoa(tree), err)
		}
	}
	return t, nil
}

// shapBuilder adds tree by tree. Nodes are counted from the root of the tree here.
type shapBuilder struct {
	*shapTables
	model    *Model
	nodes    []node // of the tree, whose left counts from the first tree
	root     uint32
	last     []shapRepeat // by feature, on the way to a node: where it was tested last (from is a node, 0 for none)
	distinct int          // most features on a way

	// by node
	repeated []shapRepeat // what last had for the feature of a split
	shares   [][2]float64 // of a split's cover
	weight   []float64    // share of the root's cover
	place    []uint32     // of splits, and leaves below inner ones
	value    []uint32     // of leaves, in values
}

func (b *shapBuilder) add(tree int) error {
	f := &b.model.forest
	b.root, b.distinct = f.roots[tree], 0
	b.nodes = f.nodes[b.root:f.end(tree)]
	n := len(b.nodes)
	b.repeated = append(b.repeated[:0], make([]shapRepeat, n)...)
	b.shares = append(b.shares[:0], make([][2]float64, n)...)
	b.weight = append(b.weight[:0], make([]float64, n)...)
	b.place = append(b.place[:0], make([]uint32, n)...)
	b.value = append(b.value[:0], make([]uint32, n)...)
	b.weight[0] = 1
	if err := b.walk(0, 0, 1); err != nil {
		return err
	}
	t := shapTree{
		first: uint32(len(b.splits)), firstLeaf: uint32(len(b.leaves)),
		passes: uint32(max(1, (b.distinct+7)/8)),
	}
	if f.vectorSize == 0 {
		t.output = b.model.outputOf[tree]
	}
	b.takeLeaves(tree)
	b.number(&t)
	b.takeSplits(&t)
	b.trees = append(b.trees, t)
	b.places = max(b.places, int(t.inner+t.bottom+t.leaves))
	for len(b.rules) < int(t.passes) {
		b.rules = append(b.rules, rule{})
	}
	if r := &b.rules[t.passes-1]; r.u == nil {
		*r = newRule(int(t.passes))
	}
	return nil
}

// walk visits a node and what is below it: so many features lead to it, and its cover is at most so much more than the root's.
func (b *shapBuilder) walk(at uint32, features int, excess float64) error {
	covers := b.model.forest.covers[b.root:]
	n := &b.nodes[at]
	switch {
	case !(covers[at] >= 0 && finite(covers[at])):
		return refuse(ErrNotExplained, "a node has the cover %v", covers[at])
	case excess > maxShare:
		return refuse(ErrNotExplained, "its nodes have much more cover than their parents")
	case n.left == 0:
		b.distinct = max(b.distinct, features)
		return nil
	}
	last := &b.last[b.feature(n)]
	before := *last
	b.repeated[at] = before
	if before.from == 0 {
		before.share = 1
		features++
	}
	for side := range uint32(2) {
		child := n.left - b.root + side
		share := 0.5 // as XGBoost takes it where no training row came: BranchWeight in src/predictor/interpretability/quadrature.h
		if covers[at] > 0 {
			share = float64(covers[child]) / float64(covers[at])
		}
		b.shares[at][side], b.weight[child] = share, b.weight[at]*share
		*last = shapRepeat{child, before.share * share}
		if err := b.walk(child, features, excess*max(1, share)); err != nil {
			return err
		}
	}
	*last = b.repeated[at]
	return nil
}

func (b *shapBuilder) feature(n *node) uint32 { return n.slot % uint32(b.model.NumFeature) }

// takeLeaves takes the values of the leaves, and what they add to the bias.
func (b *shapBuilder) takeLeaves(tree int) {
	for i := range b.nodes {
		n := &b.nodes[i]
		switch {
		case n.left != 0:
			continue
		case b.model.forest.vectorSize > 0:
			b.value[i] = n.set
			for k, v := range b.values[int(n.set)*b.stride:][:b.stride] {
				b.bias[k] += b.weight[i] * float64(v)
			}
		default:
			b.value[i] = uint32(len(b.values))
			b.values = append(b.values, n.value)
			b.bias[b.model.outputOf[tree]] += b.weight[i] * float64(n.value)
		}
	}
}

// number gives places: to inner splits, bottom splits, and leaves below inner splits.
func (b *shapBuilder) number(t *shapTree) {
	bottom := func(i int) bool {
		left := b.nodes[i].left
		return b.nodes[left-b.root].left == 0 && b.nodes[left-b.root+1].left == 0 && b.repeated[i].from == 0
	}
	for i, n := range b.nodes {
		if n.left != 0 && !bottom(i) {
			b.place[i] = t.inner
			t.inner++
		}
	}
	next := t.inner
	for i, n := range b.nodes {
		if n.left != 0 && bottom(i) {
			b.place[i] = next
			next++
		}
	}
	t.bottom = next - t.inner
	for i, n := range b.nodes {
		if n.left == 0 || bottom(i) {
			continue
		}
		for child := n.left - b.root; child <= n.left-b.root+1; child++ {
			if b.nodes[child].left == 0 {
				b.place[child] = next
				b.leaves = append(b.leaves, shapLeaf{next, b.value[child]})
				next++
			}
		}
	}
	t.leaves = next - t.inner - t.bottom
}

// takeSplits takes the splits in the order of their places.
func (b *shapBuilder) takeSplits(t *shapTree) {
	b.splits = b.splits[:t.first+t.inner+t.bottom]
	for i := range b.nodes {
		n := &b.nodes[i]
		if n.left == 0 {
			continue
		}
		s := shapSplit{share: b.shares[i], value: n.value, slot: n.slot, set: n.set, feature: b.feature(n)}
		left := n.left - b.root
		if b.place[i] < t.inner {
			s.child = [2]uint32{b.place[left], b.place[left+1]}
		} else {
			s.child = [2]uint32{b.value[left], b.value[left+1]}
		}
		if r := b.repeated[i]; r.from != 0 {
			s.repeat = uint32(len(b.repeats))
			b.repeats = append(b.repeats, shapRepeat{b.place[r.from], r.share})
		}
		b.splits[t.first+b.place[i]] = s
	}
}
