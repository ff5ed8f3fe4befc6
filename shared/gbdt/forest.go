package gbdt

import (
	"math"
	"slices"
)

// node is a split or a leaf of a forest. The two children of a split stand side by side, the right one at left+1, and
// behind their parent.
type node struct {
	value float32 // split: the threshold; leaf: what it adds to the margin, the tree's weight included
	slot  uint32  // split: where in a prepared row (see Scorer) the value stands: feature, or features + feature where missing goes right
	left  uint32  // split: index of the left child; leaf: 0
	set   uint32  // categorical split: 1 + the index of its set, otherwise 0; leaf of a vector tree: the index of its vector
}

// maxCategory bounds categories: OutOfRangeCat in src/common/categorical.h, the first integer that float32 cannot tell from
// its successor.
const maxCategory = 1 << 24

// missingRight marks a slot until the number of features is known.
const missingRight = 1 << 31

// forest is all trees of a model, in compact form: only nodes that can be reached, breadth-first, one tree after another.
type forest struct {
	nodes      []node
	covers     []float32 // by node: the weight of the training rows there; nil where a tree of the file has none
	roots      []uint32  // the first node of each tree
	depths     []int32   // the most splits on the way to a leaf, by tree
	sets       [][]int32 // categories that go right, rising
	vectors    []float32 // leaf vectors, vectorSize each
	vectorSize int       // 0 where a leaf holds one value

	limits     Limits
	numFeature int    // 1 + the largest feature that a split tests
	categories int    // in all sets
	bare       bool   // a tree had no covers
	seen       []bool // scratch of add
	order      []int32
}

// fileTree is a tree as the file has it: arrays by node, deleted nodes included. See RegTree::LoadModel in
// src/tree/tree_model.cc and MultiTargetTree::LoadModel in src/tree/multi_target_tree_model.cc.
type fileTree struct {
	numNodes, vectorSize int

	left, right []int32 // -1 in a leaf's left
	feature     []int32
	condition   []float32 // threshold, or a leaf's value
	defaultLeft []int32
	splitType   []int32   // 1 is categorical; absent before 1.3
	cover       []float32 // sum_hessian
	baseWeights []float32 // vector leaves until 3.1, vectorSize a node
	leafWeights []float32 // vector leaves since 3.2, vectorSize a leaf; a leaf's right is its index here

	categories                    []int32 // of all sets
	categoryNodes                 []int32 // the node of each set
	categoryStarts, categorySizes []int32 // where in categories a set stands

	leaves int // reached by add so far
}

// reset empties a tree, and keeps the memory of its arrays for the next.
func (t *fileTree) reset() {
	*t = fileTree{
		numNodes: -1, left: t.left[:0], right: t.right[:0], feature: t.feature[:0], condition: t.condition[:0], defaultLeft: t.defaultLeft[:0],
		splitType: t.splitType[:0], cover: t.cover[:0], baseWeights: t.baseWeights[:0], leafWeights: t.leafWeights[:0], categories: t.categories[:0],
		categoryNodes: t.categoryNodes[:0], categoryStarts: t.categoryStarts[:0], categorySizes: t.categorySizes[:0],
	}
}

// reserve makes room for the nodes of a tree, and at once for those that are to be expected after it, when so much of the file
// was read: growing bit by bit would hold the nodes twice.
func (f *forest) reserve(nodes int, read float64) {
	if len(f.nodes)+nodes <= cap(f.nodes) {
		return
	}
	expected := 1.05 * float64(len(f.nodes)+nodes) / max(read, 0.01)
	f.nodes = slices.Grow(f.nodes, max(nodes, min(int(expected), f.limits.Nodes)-len(f.nodes)))
	if !f.bare {
		f.covers = slices.Grow(f.covers, cap(f.nodes)-len(f.covers))
	}
}

// add checks a tree and appends it. It visits nodes breadth-first from the root; meeting one twice, or a child that does
// not exist, ends it.
func (f *forest) add(t *fileTree) error {
	if err := f.checkArrays(t); err != nil {
		return err
	}
	setOf, err := f.addSets(t)
	if err != nil {
		return err
	}
	n := len(t.left)
	if f.bare = f.bare || len(t.cover) != n; f.bare {
		f.covers = nil
	}
	f.seen = append(f.seen[:0], make([]bool, n)...)
	f.order = append(f.order[:0], 0)
	root := len(f.nodes)
	depth, levelEnd := 0, 1
	for i := 0; i < len(f.order); i++ {
		if i == levelEnd {
			depth, levelEnd = depth+1, len(f.order)
		}
		id := f.order[i]
		if f.seen[id] {
			return refuse(ErrInvalid, "node %d can be reached in two ways", id)
		}
		f.seen[id] = true
		if !f.bare {
			f.covers = append(f.covers, t.cover[id])
		}
		switch {
		case len(f.nodes) >= f.limits.Nodes:
			return refuse(ErrLimit, "more than %d nodes", f.limits.Nodes)
		case depth > f.limits.Depth:
			return refuse(ErrLimit, "a tree is deeper than %d", f.limits.Depth)
		case t.left[id] == -1:
			leaf, err := f.leaf(t, id)
			if err != nil {
				return err
			}
			f.nodes = append(f.nodes, leaf)
			continue
		}
		split, err := f.split(t, id, setOf)
		if err != nil {
			return err
		}
		split.left = uint32(root + len(f.order))
		f.nodes = append(f.nodes, split)
		f.order = append(f.order, t.left[id], t.right[id])
	}
	f.roots = append(f.roots, uint32(root))
	f.depths = append(f.depths, int32(depth))
	return nil
}

func (f *forest) checkArrays(t *fileTree) error {
	if len(f.roots) >= f.limits.Trees {
		return refuse(ErrLimit, "more than %d trees", f.limits.Trees)
	}
	n := len(t.left)
	switch {
	case n == 0:
		return refuse(ErrInvalid, "it has no nodes")
	case n > f.limits.Nodes:
		return refuse(ErrLimit, "%d nodes, at most %d", n, f.limits.Nodes)
	case t.numNodes >= 0 && t.numNodes != n:
		return refuse(ErrInvalid, "%d nodes declared, %d there", t.numNodes, n)
	case len(t.right) != n, len(t.feature) != n, len(t.condition) != n, len(t.defaultLeft) != n,
		len(t.splitType) != n && len(t.splitType) != 0:
		return refuse(ErrInvalid, "its arrays differ in length")
	}
	if t.vectorSize <= 1 {
		t.vectorSize = 0
	}
	switch {
	case len(f.roots) > 0 && t.vectorSize != f.vectorSize:
		return refuse(ErrInvalid, "trees differ in the size of their leaves")
	case t.vectorSize > f.limits.Outputs:
		return refuse(ErrLimit, "leaves hold %d values, at most %d", t.vectorSize, f.limits.Outputs)
	case t.vectorSize > 0 && len(t.leafWeights) == 0 && (len(t.baseWeights)%n != 0 || len(t.baseWeights)/n != t.vectorSize):
		return refuse(ErrInvalid, "base_weights do not hold %d values a node", t.vectorSize)
	case t.vectorSize > 0 && len(t.leafWeights)%t.vectorSize != 0:
		return refuse(ErrInvalid, "leaf_weights do not hold %d values a leaf", t.vectorSize)
	}
	f.vectorSize = t.vectorSize
	return nil
}

// addSets collects the categories of a tree's categorical splits and returns 1 + the index of each node's set.
// A set is kept as a sorted list: a bit set as in XGBoost would let a ten-byte category claim two megabytes.
func (f *forest) addSets(t *fileTree) (map[int32]uint32, error) {
	if len(t.categoryNodes) == 0 {
		return nil, nil
	}
	if len(t.categoryStarts) != len(t.categoryNodes) || len(t.categorySizes) != len(t.categoryNodes) {
		return nil, refuse(ErrInvalid, "its arrays of categories differ in length")
	}
	setOf := make(map[int32]uint32, len(t.categoryNodes))
	owned := 0
	for i, id := range t.categoryNodes {
		start, size := int64(t.categoryStarts[i]), int64(t.categorySizes[i])
		// Sets that overlapped could take memory out of proportion to the file.
		if start < 0 || size <= 0 || start+size > int64(len(t.categories)) || owned+int(size) > len(t.categories) {
			return nil, refuse(ErrInvalid, "the categories of node %d are out of range", id)
		}
		owned += int(size)
		if f.categories += int(size); f.categories > f.limits.Categories {
			return nil, refuse(ErrLimit, "more than %d categories", f.limits.Categories)
		}
		set := slices.Clone(t.categories[start : start+size])
		slices.Sort(set)
		if set[0] < 0 || set[len(set)-1] >= maxCategory {
			return nil, refuse(ErrInvalid, "node %d has a category out of range", id)
		}
		f.sets = append(f.sets, set)
		setOf[id] = uint32(len(f.sets))
	}
	return setOf, nil
}

func (f *forest) leaf(t *fileTree, id int32) (node, error) {
	if f.vectorSize == 0 {
		value := t.condition[id]
		if !finite(value) {
			return node{}, refuse(ErrInvalid, "leaf %d has the value %v", id, value)
		}
		return node{value: value}, nil
	}
	values, at := t.baseWeights, int(id)
	if len(t.leafWeights) > 0 {
		values, at = t.leafWeights, int(t.right[id])
	}
	if at < 0 || at >= len(values)/f.vectorSize {
		return node{}, refuse(ErrInvalid, "leaf %d has no values", id)
	}
	// Leaves that shared their values could take memory out of proportion to the file.
	if t.leaves++; t.leaves > len(values)/f.vectorSize {
		return node{}, refuse(ErrInvalid, "leaf %d has the values of another", id)
	}
	vector := values[at*f.vectorSize:][:f.vectorSize]
	for _, v := range vector {
		if !finite(v) {
			return node{}, refuse(ErrInvalid, "leaf %d has the value %v", id, v)
		}
	}
	f.vectors = append(f.vectors, vector...)
	return node{set: uint32(len(f.vectors)/f.vectorSize - 1)}, nil
}

func (f *forest) split(t *fileTree, id int32, setOf map[int32]uint32) (node, error) {
	n := int32(len(t.left))
	left, right, feature := t.left[id], t.right[id], t.feature[id]
	switch {
	case left < 0 || left >= n || right < 0 || right >= n:
		return node{}, refuse(ErrInvalid, "node %d has the children %d and %d of %d nodes", id, left, right, n)
	case feature < 0:
		return node{}, refuse(ErrInvalid, "node %d tests feature %d", id, feature)
	case int(feature) >= f.limits.Features:
		return node{}, refuse(ErrLimit, "node %d tests feature %d, at most %d features", id, feature, f.limits.Features)
	}
	f.numFeature = max(f.numFeature, int(feature)+1)
	s := node{value: t.condition[id], slot: uint32(feature)}
	if t.defaultLeft[id] == 0 {
		s.slot |= missingRight
	}
	if len(t.splitType) > 0 && t.splitType[id] == 1 {
		// split_conditions says nothing here (1.7 writes NaN).
		s.value, s.set = 0, setOf[id]
		if s.set == 0 {
			return node{}, refuse(ErrInvalid, "categorical node %d has no categories", id)
		}
		return s, nil
	}
	if s.value != s.value {
		return node{}, refuse(ErrInvalid, "node %d has no threshold (NaN)", id)
	}
	// No finite value is below either bound, and a missing one, -Inf in a prepared row, must be.
	s.value = max(s.value, -math.MaxFloat32)
	return s, nil
}

// bind fixes what depends on the whole document: the slots, and the weights of dart's trees.
func (f *forest) bind(numFeature int, weights []float32) error {
	for i := range f.nodes {
		if n := &f.nodes[i]; n.left != 0 && n.slot&missingRight != 0 {
			n.slot = n.slot&^missingRight + uint32(numFeature)
		}
	}
	if weights == nil {
		return nil
	}
	// dart multiplies each tree's value as float32 and then adds it, so the product can be made beforehand:
	// Dart::PredictBatchImpl in src/gbm/gbtree.cc until 3.2, PredValueByOneTree in src/predictor/cpu_predictor.cc since.
	for t, w := range weights {
		for i := f.roots[t]; i < f.end(t); i++ {
			n := &f.nodes[i]
			if n.left != 0 {
				continue
			}
			leaf := []float32{n.value}
			if f.vectorSize > 0 {
				leaf = f.vectors[int(n.set)*f.vectorSize:][:f.vectorSize]
			}
			for k, v := range leaf {
				leaf[k] = float32(v * w) // rounded here, not fused with what follows (arm64)
				if !finite(leaf[k]) {
					return refuse(ErrInvalid, "tree %d has the weight %v", t, w)
				}
			}
			if f.vectorSize == 0 {
				n.value = leaf[0]
			}
		}
	}
	return nil
}

// end returns the index behind the last node of a tree.
func (f *forest) end(tree int) uint32 {
	if tree+1 < len(f.roots) {
		return f.roots[tree+1]
	}
	return uint32(len(f.nodes))
}

func finite(v float32) bool { return v >= -math.MaxFloat32 && v <= math.MaxFloat32 }
