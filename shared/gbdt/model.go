package gbdt

import (
	"fmt"
	"strconv"
	"strings"
)

// Model is a parsed model. The exported fields are facts about it, for reading only.
type Model struct {
	Format       string            // FormatJSON, …, after what it was wrapped in: "tar.gz+pickle+config-offset+legacy-binf"
	Version      [3]int            // of the XGBoost that wrote the file; it decides details of the arithmetic; see Release
	Booster      string            // "gbtree", "dart" or "gblinear", as the file has it
	Objective    string            // "binary:logistic", …
	NumFeature   int               // values in a row
	FeatureNames []string          // NumFeature names, or none
	Outputs      int               // margins a row: classes, targets, or 1; those of all Folds
	Predictions  int               // predictions a row: 1 where the objective names a class, otherwise Outputs
	NumTrees     int               // 0 for gblinear
	NumNodes     int               // nodes that can be reached
	MaxDepth     int               // splits on the longest way from a root to a leaf
	Iterations   int               // boosting rounds
	Attributes   map[string]string // of the Booster: best_iteration, best_score, and what the training set
	BaseScore    string            // as the file spells it: "5E-1", "[1.5E0,2E0]"
	BaseMargin   []float32         // Outputs values: base_score in the margin's space
	Wrapper      string            // the class of xgboost.sklearn that saved it, such as XGBClassifier; "scikit-learn" where only that is known
	Missing      *float32          // the value that stands for a missing one besides NaN, as the wrapper was told; nil without
	Folds        []*Model          // of a k-fold archive: the models whose predictions are averaged; otherwise none

	endpointCuts  bool // see Cut
	roundsGuessed bool // Iterations may be too many: see document.parallelTrees

	forest    forest
	outputOf  []int32   // by tree; unused for vector leaves
	weights   []float32 // gblinear: (NumFeature + 1) x Outputs
	roundEnds []int     // by round: how many trees stand before its end; nil for gblinear
	objective objective
}

// newModel checks a document as a whole. What it returns is safe to score with.
func newModel(d *document, lim Limits) (*Model, error) {
	m := &Model{
		Format:       d.format,
		endpointCuts: d.endpointCuts,
		Wrapper:      d.wrapper,
		Missing:      d.missing,
		Version:      d.version,
		Booster:      d.booster,
		Objective:    d.objective,
		NumFeature:   d.numFeature,
		FeatureNames: d.featureNames,
		Outputs:      max(1, d.numClass, d.numTargets), // LearnerModelParam's OutputLength in src/learner.cc
		Attributes:   d.attributes,
		BaseScore:    d.baseScore,
	}
	switch {
	case d.version[0] == 0 && !d.legacy():
		return nil, refuse(ErrInvalid, "it has no version")
	case m.NumFeature == 0:
		return nil, refuse(ErrInvalid, "num_feature is missing or 0")
	case m.NumFeature > lim.Features:
		return nil, refuse(ErrLimit, "%d features, at most %d", m.NumFeature, lim.Features)
	case d.numClass > 1 && d.numTargets > 1:
		return nil, refuse(ErrInvalid, "it has %d classes and %d targets at once", d.numClass, d.numTargets)
	case m.Outputs > lim.Outputs:
		return nil, refuse(ErrLimit, "%d outputs, at most %d", m.Outputs, lim.Outputs)
	case len(m.FeatureNames) != 0 && len(m.FeatureNames) != m.NumFeature:
		return nil, refuse(ErrInvalid, "%d feature names for %d features", len(m.FeatureNames), m.NumFeature)
	}
	if m.Attributes == nil {
		m.Attributes = map[string]string{}
	}
	var err error
	if m.objective, err = newObjective(m.Objective, m.Version, m.Outputs); err != nil {
		return nil, err
	}
	m.Predictions = m.objective.predictions(m.Outputs)
	if m.BaseMargin, err = m.baseMargin(d); err != nil {
		return nil, err
	}
	switch m.Booster {
	case "gbtree", "dart":
		err = m.takeTrees(d)
	case "gblinear":
		err = m.takeWeights(d)
	default:
		err = refuse(ErrUnsupported, "booster %.60q", m.Booster)
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Release returns the XGBoost release that wrote the file: "3.0.5", or "1.7.x" where the format holds no more, or "unknown"
// (a legacy binary file from before 1.0 holds none).
func (m *Model) Release() string {
	switch {
	case m.Version[0] == 0:
		return "unknown"
	case isLegacyFormat(m.Format) && !strings.Contains(m.Format, formatConfigOffset):
		return fmt.Sprintf("%d.%d.x", m.Version[0], m.Version[1])
	}
	return fmt.Sprintf("%d.%d.%d", m.Version[0], m.Version[1], m.Version[2])
}

// baseMargin reads BaseScore and takes it to the margin's space: one value for each output. A model of 3.1 or later that was
// to estimate it and was never trained holds the margin itself.
func (m *Model) baseMargin(d *document) ([]float32, error) {
	untrained := d.estimates && len(d.forest.roots) == 0 && d.rounds == 0 && (d.version[0] > 3 || d.version[0] == 3 && d.version[1] >= 1)
	text := strings.TrimSpace(m.BaseScore)
	if inner, ok := strings.CutPrefix(text, "["); ok { // since 3.1
		text = strings.TrimSuffix(inner, "]")
	}
	fields := strings.Split(text, ",")
	if len(fields) != 1 && len(fields) != m.Outputs {
		return nil, refuse(ErrInvalid, "%d values in base_score for %d outputs", len(fields), m.Outputs)
	}
	if m.Booster == "gblinear" {
		fields = fields[:1] // used for every output: GBLinear::PredictBatchInternal in src/gbm/gblinear.cc
	}
	base := make([]float32, m.Outputs)
	for i := range base {
		if i >= len(fields) {
			base[i] = base[0]
			continue
		}
		score, err := strconv.ParseFloat(strings.TrimSpace(fields[i]), 32)
		if err != nil || !finite(float32(score)) {
			return nil, refuse(ErrInvalid, "base_score %.60q is not a number", m.BaseScore)
		}
		if base[i] = float32(score); untrained {
			continue
		}
		if base[i] = m.objective.margin(base[i]); !finite(base[i]) {
			return nil, refuse(ErrInvalid, "base_score %.60q is out of range for %s", m.BaseScore, m.Objective)
		}
	}
	return base, nil
}

// takeTrees checks and takes a tree booster's part of the document.
func (m *Model) takeTrees(d *document) error {
	f := &d.forest
	n := len(f.roots)
	switch {
	case d.numTrees >= 0 && d.numTrees != n:
		return refuse(ErrInvalid, "%d trees declared, %d there", d.numTrees, n)
	case len(d.treeInfo) != n:
		return refuse(ErrInvalid, "tree_info is for %d trees of %d", len(d.treeInfo), n)
	case len(d.weightDrop) != n && (len(d.weightDrop) != 0 || m.Booster == "dart"):
		return refuse(ErrInvalid, "weight_drop is for %d trees of %d", len(d.weightDrop), n)
	case f.numFeature > m.NumFeature:
		return refuse(ErrInvalid, "a split tests feature %d of %d", f.numFeature-1, m.NumFeature)
	case f.vectorSize != 0 && f.vectorSize != m.Outputs:
		return refuse(ErrInvalid, "leaves hold %d values for %d outputs", f.vectorSize, m.Outputs)
	}
	for t, output := range d.treeInfo {
		if output < 0 || int(output) >= m.Outputs {
			return refuse(ErrInvalid, "tree %d adds to output %d of %d", t, output, m.Outputs)
		}
	}
	if err := f.bind(m.NumFeature, d.weightDrop); err != nil {
		return err
	}
	ends, err := d.roundEnds(m.Outputs)
	if err != nil {
		return err
	}
	if len(d.indptr) == 0 {
		_, known := d.parallelTrees()
		m.roundsGuessed = !known
	}
	f.seen, f.order = nil, nil
	m.forest, m.outputOf, m.roundEnds = *f, d.treeInfo, ends
	m.countTrees()
	return nil
}

func (m *Model) countTrees() {
	m.NumTrees, m.NumNodes, m.MaxDepth, m.Iterations = len(m.forest.roots), len(m.forest.nodes), 0, len(m.roundEnds)
	for _, depth := range m.forest.depths {
		m.MaxDepth = max(m.MaxDepth, int(depth))
	}
}

// takeWeights checks and takes gblinear's part of the document.
func (m *Model) takeWeights(d *document) error {
	want := (int64(m.NumFeature) + 1) * int64(m.Outputs)
	if d.weighted && len(d.weights) == 0 && d.rounds == 0 { // never trained
		return nil
	}
	if int64(len(d.weights)) != want {
		return refuse(ErrInvalid, "%d weights, %d expected", len(d.weights), want)
	}
	for i, w := range d.weights {
		if !finite(w) {
			return refuse(ErrInvalid, "weight %d is %v", i, w)
		}
	}
	m.weights, m.Iterations = d.weights, d.rounds
	return nil
}

// sumsLate says whether the base margin is added after the trees. Until 1.2 the CPU predictor summed a row's trees from 0
// and added the base margin last (PredValue in src/predictor/cpu_predictor.cc); since 1.3 the sum starts from it. dart had
// its own loop and followed in 1.4 (Dart::PredLoopSpecalize in src/gbm/gbtree.cc).
func (m *Model) sumsLate() bool {
	return m.Version[0] == 0 || m.Version[0] == 1 && (m.Version[1] <= 2 || m.Version[1] == 3 && m.Booster == "dart")
}

// Probability reports whether a row gives one prediction, and it is a probability.
func (m *Model) Probability() bool {
	return m.Predictions == 1 && (m.Objective == "binary:logistic" || m.Objective == "reg:logistic")
}
