package leaves

import (
	"encoding/binary"
	"fmt"
	"math"

	dmitryikh "github.com/dmitryikh/leaves"

	"edgepdm/shared/gbdt"
)

// New re-encodes a model for leaves. Cut it to the rounds that it is to score with first. What leaves cannot represent
// gives an error that wraps gbdt.ErrUnsupported.
func New(m *gbdt.Model) (*Model, error) {
	out := &Model{
		Format: m.Format, Objective: m.Objective, NumFeature: m.NumFeature, FeatureNames: m.FeatureNames, Outputs: m.Outputs,
		Predictions: m.Predictions, NumTrees: m.NumTrees, NumNodes: m.NumNodes, MaxDepth: m.MaxDepth,
		Probability:   m.Predictions == 1 && (m.Objective == "binary:logistic" || m.Objective == "reg:logistic"),
		missingAsZero: m.Booster == "gblinear", divisor: 1, xgboost: m,
	}
	parts := m.Folds
	if len(parts) == 0 {
		parts = []*gbdt.Model{m}
	}
	for _, part := range parts {
		encoded, err := encodeXGBoost(part)
		if err != nil {
			return nil, err
		}
		read := dmitryikh.XGEnsembleFromReader
		if part.Booster == "gblinear" {
			read = dmitryikh.XGBLinearFromReader
		}
		ensemble, err := load(encoded, read, part.Outputs)
		if err != nil {
			return nil, err
		}
		out.ensembles = append(out.ensembles, ensemble)
	}
	return out, nil
}

// Sizes in the legacy binary format: structures of src/learner.cc, src/gbm/gbtree_model.h, src/gbm/gblinear_model.h,
// include/xgboost/tree_model.h of XGBoost 0.90, with their reserved fields.
const (
	learnerSize = 136
	gbtreeSize  = 160
	linearSize  = 136
	treeSize    = 148
	statSize    = 16
)

// encodeXGBoost writes a model as XGBoost 0.90 would have saved it, which is the one XGBoost format that leaves reads. The
// base score is the margin itself, as it was then; dart's weights are in the leaves' values already, so that its trees are
// gbtree's.
func encodeXGBoost(m *gbdt.Model) ([]byte, error) {
	f := readForest(m)
	if m.Booster == "gblinear" && len(f.weights) == 0 {
		return nil, unsupported("it was never trained")
	}
	for _, b := range m.BaseMargin {
		if b != m.BaseMargin[0] {
			return nil, unsupported("the outputs have different base scores")
		}
	}
	order, err := f.order(m)
	if err != nil {
		return nil, err
	}
	var w writer
	w.float(m.BaseMargin[0])
	w.ints(m.NumFeature, m.Outputs)
	w.zeros(learnerSize - 12)
	w.text(m.Objective)
	if m.Booster == "gblinear" {
		w.text("gblinear")
		w.ints(m.NumFeature, m.Outputs)
		w.zeros(linearSize - 8)
		w.size(len(f.weights))
		for _, v := range f.weights {
			w.float(v)
		}
		return w.data, nil
	}
	w.text("gbtree")
	w.ints(len(order), 1, m.NumFeature, 0, 0, 0, m.Outputs, 0)
	w.zeros(gbtreeSize - 32)
	for _, tree := range order {
		w.tree(tree, m.NumFeature)
	}
	for i := range order {
		w.ints(i % m.Outputs)
	}
	return w.data, nil
}

// order returns the trees in the order that leaves wants: one for each output, and again. A model without trees gets a
// constant one for each output, which adds nothing.
func (f *forest) order(m *gbdt.Model) ([][]node, error) {
	switch {
	case m.Booster == "gblinear":
		return nil, nil
	case f.vectorSize != 0:
		return nil, unsupported("its leaves hold a value for each output")
	case f.categorical:
		return nil, unsupported("it has categorical splits")
	}
	byOutput := make([][][]node, m.Outputs)
	for i, tree := range f.trees {
		byOutput[f.outputOf[i]] = append(byOutput[f.outputOf[i]], tree)
	}
	if len(f.trees) == 0 {
		for i := range byOutput {
			byOutput[i] = [][]node{{node{}}}
		}
	}
	order := make([][]node, 0, len(f.trees))
	for round := range byOutput[0] {
		for output, trees := range byOutput {
			if len(trees) != len(byOutput[0]) {
				return nil, unsupported("output 0 has %d trees, output %d has %d", len(byOutput[0]), output, len(trees))
			}
			order = append(order, trees[round])
		}
	}
	return order, nil
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w for leaves: %s", gbdt.ErrUnsupported, fmt.Sprintf(format, args...))
}

// writer appends the legacy format's little-endian values.
type writer struct{ data []byte }

func (w *writer) ints(values ...int) {
	for _, v := range values {
		w.data = binary.LittleEndian.AppendUint32(w.data, uint32(v))
	}
}

func (w *writer) float(v float32) {
	w.data = binary.LittleEndian.AppendUint32(w.data, math.Float32bits(v))
}

func (w *writer) size(n int)  { w.data = binary.LittleEndian.AppendUint64(w.data, uint64(n)) }
func (w *writer) zeros(n int) { w.data = append(w.data, make([]byte, n)...) }

func (w *writer) text(s string) {
	w.size(len(s))
	w.data = append(w.data, s...)
}

func (w *writer) tree(nodes []node, numFeature int) {
	w.ints(1, len(nodes), 0, 0, numFeature)
	w.zeros(treeSize - 20)
	for _, n := range nodes {
		if n.left == 0 {
			w.ints(0, -1, -1, 0)
			w.float(n.value)
			continue
		}
		feature := n.feature
		if n.missingLeft {
			feature |= 1 << 31
		}
		w.ints(0, int(n.left), int(n.left)+1)
		w.data = binary.LittleEndian.AppendUint32(w.data, feature)
		// leaves goes left where a value is at most the threshold, XGBoost where it is below: the same for the float32
		// that comes before.
		w.float(math.Nextafter32(n.value, float32(math.Inf(-1))))
	}
	w.zeros(statSize * len(nodes))
}
