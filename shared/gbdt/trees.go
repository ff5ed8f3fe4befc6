package gbdt

// Node is a split or a leaf of a tree, for a package that scores or explains in a way of its own.
type Node struct {
	Value       float32 // split: rows below go left; leaf: what it adds to the margin, dart's weight included
	Feature     int     // that a split tests
	MissingLeft bool    // where a split sends a missing value
	Left        int     // split: index of the left child in the tree, the right one stands behind it; leaf: 0
}

// Tree returns the nodes of tree t that can be reached, the root first, and the output that its leaves add to. It is only for
// models without vector leaves and categorical splits.
func (m *Model) Tree(t int) (nodes []Node, output int) {
	f := &m.forest
	root, end := f.roots[t], f.end(t)
	nodes = make([]Node, end-root)
	for i, n := range f.nodes[root:end] {
		nodes[i].Value = n.value
		if n.left != 0 {
			nodes[i].Left, nodes[i].Feature = int(n.left-root), int(n.slot)
			if nodes[i].MissingLeft = nodes[i].Feature < m.NumFeature; !nodes[i].MissingLeft {
				nodes[i].Feature -= m.NumFeature
			}
		}
	}
	return nodes, int(m.outputOf[t])
}

// VectorSize returns how many values a leaf holds, or 0 where it holds one.
func (m *Model) VectorSize() int { return m.forest.vectorSize }

// Categorical says whether a split tests for categories.
func (m *Model) Categorical() bool { return len(m.forest.sets) > 0 }

// Weights returns gblinear's weights, by feature and output, the bias last: (NumFeature + 1) x Outputs. Not to be changed.
func (m *Model) Weights() []float32 { return m.weights }
