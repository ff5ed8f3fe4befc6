package gbdt

import "slices"

// Explainer says how much each feature of a row moves the margin: SHAP values, those of XGBoost's predict with
// pred_contribs=True (Lundberg and Lee, "Consistent Individualized Feature Attribution for Tree Ensembles", arXiv 1802.03888,
// path-dependent). For each output the contributions and the bias sum to the margin. They are in the margin's unit, such as
// log-odds for binary:logistic.
//
// gbtree, random forests, dart, gblinear, categorical splits and vector leaves are explained; of a k-fold archive each fold's
// margins. gblinear's contribution is weight times value, as XGBoost has it.
//
// An Explainer holds scratch memory, so it belongs to one goroutine at a time; Clone makes one for another goroutine, which
// shares the tables. The model must not change.
type Explainer struct {
	model  *Model
	rows   *Scorer // prepares a row
	tables *shapTables
	shapScratch
	folds []*Explainer // of a k-fold archive; then the rest is not used
}

// maxContributions bounds what Explain writes for a row.
const maxContributions = 1 << 24

// NewExplainer returns an explainer for m, which takes about 60 bytes a split. Explaining a row takes time in proportion to the
// splits, and to a quarter of the points (see newRule): twice the time where a tree tests 9 to 16 features on a way. The error wraps ErrNotExplained: the file
// keeps no cover (sum_hessian, the weight of the training rows at each node), or none that makes sense, or a row has too
// many contributions.
func NewExplainer(m *Model) (*Explainer, error) {
	if n := int64(m.Outputs) * (int64(m.NumFeature) + 1); n > maxContributions {
		return nil, refuse(ErrNotExplained, "%d contributions a row, at most %d", n, maxContributions)
	}
	e := &Explainer{model: m}
	for _, fold := range m.Folds {
		f, err := NewExplainer(fold)
		if err != nil {
			return nil, err
		}
		e.folds = append(e.folds, f)
	}
	if e.folds != nil {
		return e, nil
	}
	var err error
	if e.tables, err = newShapTables(m); err != nil {
		return nil, err
	}
	e.addScratch()
	return e, nil
}

// Clone returns an explainer of the same model for another goroutine.
func (e *Explainer) Clone() *Explainer {
	clone := &Explainer{model: e.model, tables: e.tables}
	for _, f := range e.folds {
		clone.folds = append(clone.folds, f.Clone())
	}
	if clone.folds == nil {
		clone.addScratch()
	}
	return clone
}

func (e *Explainer) addScratch() {
	e.rows = newPlainScorer(e.model)
	e.shapScratch = newShapScratch(e.tables, e.model)
}

// Explain explains one row, given as to Scorer.Margin. It returns Outputs x (NumFeature + 1) values in dst, which it grows if
// need be and may be nil; with room in dst it allocates nothing. Output k, feature i is at k*(NumFeature+1) + i, and the last
// of each output is its bias: the margin that the model expects before it sees the row, base margin included.
//
// The error is one of Scorer.Margin; dst then holds nothing of use.
func (e *Explainer) Explain(dst, row []float32) ([]float32, error) {
	m := e.model
	if len(row) != m.NumFeature {
		return dst, wrongLength(len(row), m.NumFeature)
	}
	n := m.Outputs * (m.NumFeature + 1)
	dst = slices.Grow(dst[:0], n)[:n]
	if e.folds != nil {
		part := n / len(e.folds)
		for i, f := range e.folds {
			if _, err := f.Explain(dst[i*part:i*part:(i+1)*part], row); err != nil {
				return dst, err
			}
		}
		return dst, nil
	}
	if m.Missing != nil {
		row = e.rows.withoutMissing(row, *m.Missing)
	}
	if err := e.rows.prepare(row); err != nil {
		return dst, err
	}
	if m.Booster == "gblinear" {
		m.explainLinear(dst, row)
		return dst, nil
	}
	e.addTrees(e.tables, m.forest.sets, e.rows.row)
	for k, bias := range e.tables.bias {
		e.phi[(k+1)*(m.NumFeature+1)-1] = bias
	}
	for i, v := range e.phi {
		dst[i] = float32(v)
	}
	return dst, nil
}

// explainLinear is GBLinear::PredictContribution in src/gbm/gblinear.cc.
func (m *Model) explainLinear(dst, row []float32) {
	width := m.NumFeature + 1
	for k, base := range m.BaseMargin {
		out := dst[k*width:][:width]
		clear(out)
		out[m.NumFeature] = base
		if len(m.weights) == 0 { // never trained
			continue
		}
		out[m.NumFeature] += m.weights[m.NumFeature*m.Outputs+k]
		for i, v := range row {
			if v == v {
				out[i] = v * m.weights[i*m.Outputs+k]
			}
		}
	}
}
