// Package scoring makes a model ready to score rows with the engine that the configuration names: the native one, which is
// bit for bit XGBoost, or github.com/dmitryikh/leaves, which scores LightGBM's models too.
package scoring

import (
	"fmt"

	"edgepdm/shared/gbdt"
	"edgepdm/shared/gbdt/leaves"
	"edgepdm/shared/memory"
)

// Engine names what scores.
type Engine string

// The values of Engine.
const (
	Native Engine = "native" // shared/gbdt
	Leaves Engine = "leaves" // shared/gbdt/leaves
)

// Known says whether e is one of the constants.
func (e Engine) Known() bool { return e == Native || e == Leaves }

// Scorer scores rows; see gbdt.Scorer, whose methods these are. It belongs to one goroutine at a time.
type Scorer interface {
	Margin(dst, row []float32) ([]float32, error)
	Predict(dst, margin []float32) []float32
}

// Model is a model that an engine scores with.
type Model struct {
	Scorer

	Objective    string            // as the file spells it
	NumFeature   int               // values in a row
	FeatureNames []string          // NumFeature names, or none
	Outputs      int               // margins a row
	Predictions  int               // predictions a row
	Probability  bool              // a row gives one prediction, and it is a probability
	Attributes   map[string]string // of XGBoost's Booster; LightGBM has none

	Iterations, AllIterations int // boosting rounds that are used, and that the file has

	xgboost *gbdt.Model // cut to its rounds; nil for LightGBM
}

// Fork returns a model that scores in another goroutine, and shares the trees.
func (m *Model) Fork() *Model {
	other := *m
	switch s := m.Scorer.(type) {
	case *gbdt.Scorer:
		other.Scorer = s.Fork()
	case *leaves.Scorer:
		other.Scorer = s.Fork()
	}
	return &other
}

// explainerBytes is what an explainer takes for a node: 60 bytes a split, and half of the nodes are leaves.
const explainerBytes = 30

// NewExplainer returns an explainer of the margins. The error wraps gbdt.ErrNotExplained or memory.ErrTooLittle.
func (m *Model) NewExplainer() (*gbdt.Explainer, error) {
	if m.xgboost == nil {
		return nil, fmt.Errorf("%w: it is LightGBM's", gbdt.ErrNotExplained)
	}
	if err := memory.Admit(explainerBytes * int64(m.xgboost.NumNodes)); err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	return gbdt.NewExplainer(m.xgboost)
}

// IsMissing says whether the model takes a value for a missing one: NaN, and what the training was told to take for it.
func (m *Model) IsMissing(x float32) bool {
	return x != x || m.xgboost != nil && m.xgboost.Missing != nil && x == *m.xgboost.Missing
}

// Parse reads a model file for an engine. The rounds are those that XGBoost's models are cut to; LightGBM cuts a model when
// it saves it, so that its files have no best iteration apart from all. The error is one of gbdt.Parse, gbdt.Model.Cut,
// leaves.ParseLightGBM or leaves.New.
func Parse(data []byte, engine Engine, rounds gbdt.Iterations) (*Model, error) {
	if engine != Leaves || !gbdt.IsLightGBM(data) {
		model, err := gbdt.Parse(data)
		if err != nil {
			return nil, err
		}
		return New(model, engine, rounds)
	}
	model, err := leaves.ParseLightGBM(data, gbdt.DefaultLimits())
	if err != nil {
		return nil, err
	}
	if rounds == gbdt.BestIterations {
		return nil, fmt.Errorf("iterations: %w: LightGBM saves a model cut to it; use %q", gbdt.ErrNoBestIteration, gbdt.AllIterations)
	}
	return newLeaves(model, nil), nil
}

// New makes a model that was read ready to score with the given rounds.
func New(model *gbdt.Model, engine Engine, rounds gbdt.Iterations) (*Model, error) {
	cut, err := model.Cut(rounds)
	if err != nil {
		return nil, fmt.Errorf("iterations: %w", err)
	}
	switch engine {
	case Native:
		return &Model{
			Scorer: gbdt.NewScorer(cut), Objective: cut.Objective, NumFeature: cut.NumFeature, FeatureNames: cut.FeatureNames,
			Outputs: cut.Outputs, Predictions: cut.Predictions, Attributes: cut.Attributes,
			Iterations: cut.Iterations, AllIterations: model.Iterations,
			Probability: cut.Probability(), xgboost: cut,
		}, nil
	case Leaves:
		encoded, err := leaves.New(cut)
		if err != nil {
			return nil, err
		}
		out := newLeaves(encoded, cut.Attributes)
		out.xgboost = cut
		out.Iterations, out.AllIterations = cut.Iterations, model.Iterations
		return out, nil
	}
	return nil, fmt.Errorf("engine %.40q: %s and %s are known", engine, Native, Leaves)
}

func newLeaves(m *leaves.Model, attributes map[string]string) *Model {
	rounds := m.NumTrees / m.Outputs
	return &Model{
		Iterations: rounds, AllIterations: rounds,
		Scorer: m.NewScorer(), Objective: m.Objective, NumFeature: m.NumFeature, FeatureNames: m.FeatureNames,
		Outputs: m.Outputs, Predictions: m.Predictions, Probability: m.Probability, Attributes: attributes,
	}
}
