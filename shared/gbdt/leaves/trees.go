package leaves

import "edgepdm/shared/gbdt"

// forest is what gbdt keeps of a model's trees, or gblinear's weights.
type forest struct {
	trees       [][]node
	outputOf    []int32   // by tree
	vectorSize  int       // values a leaf; 0 where a leaf holds one
	categorical bool      // a split tests for a category
	weights     []float32 // gblinear: (features + 1) x outputs
}

// node is a split or a leaf. The right child of a split stands behind the left one.
type node struct {
	value       float32 // threshold, which is tested as row < value; or a leaf's value, dart's weight included
	feature     uint32
	missingLeft bool
	left        uint32 // index in the tree; 0 in a leaf
}

// readForest reads the trees of a model that is no k-fold archive.
func readForest(m *gbdt.Model) forest {
	f := forest{vectorSize: m.VectorSize(), categorical: m.Categorical(), weights: m.Weights()}
	if len(m.Folds) > 0 {
		return f
	}
	for t := range m.NumTrees {
		nodes, output := m.Tree(t)
		tree := make([]node, len(nodes))
		for i, n := range nodes {
			tree[i] = node{n.Value, uint32(n.Feature), n.MissingLeft, uint32(n.Left)}
		}
		f.trees, f.outputOf = append(f.trees, tree), append(f.outputOf, int32(output))
	}
	return f
}
