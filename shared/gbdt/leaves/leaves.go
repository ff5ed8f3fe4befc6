// Package leaves scores models with github.com/dmitryikh/leaves, as a second engine beside that of gbdt: XGBoost models that
// gbdt has read, and LightGBM's text models, which gbdt does not score.
//
// leaves trusts its input: a damaged file can make it panic or ask for any amount of memory, and the formats that XGBoost
// writes today it does not know. So it never sees a file. Each model is read and checked by gbdt or by ParseLightGBM, and
// written again in a form that leaves reads right:
//
//	model, err := leaves.New(xgboost)                                     // a *gbdt.Model, cut to its rounds
//	model, err := leaves.ParseLightGBM(data, gbdt.DefaultLimits())        // where gbdt.IsLightGBM(data)
//	scorer := model.NewScorer()                                           // one a goroutine; as gbdt.Scorer
//	margin, err = scorer.Margin(margin, row)
//	prediction = scorer.Predict(prediction, margin)
//
// Rows are float32, as everywhere in gbdt. leaves sums a row's trees in float64 and the sum is rounded to float32 once.
// For an XGBoost model every tree gives the same leaf as with gbdt, so that the margins differ by no more than the rounding
// of XGBoost's own float32 sums: see Tolerance. For a LightGBM model the margin is LightGBM's own float64 sum, rounded to
// float32. What becomes of a margin is decided here and by gbdt; of leaves only the sum is used.
//
// New refuses, with an error that wraps gbdt.ErrUnsupported, what leaves cannot represent: categorical splits, vector
// leaves, a base_score for each output, and outputs with different numbers of trees.
package leaves

import (
	"bufio"
	"bytes"
	"fmt"

	dmitryikh "github.com/dmitryikh/leaves"

	"edgepdm/shared/gbdt"
)

// Tolerance bounds the difference between a margin of an XGBoost model here and with gbdt, relative to the margin or to 1,
// whichever is larger: some thirty roundings of float32 (each at most 2^-24 of the sum so far). Models of up to 100 trees
// an output differ by less than 1e-6; one of very many trees may differ by more.
const Tolerance = 2e-6

// Model is a model in the form that leaves scores. The exported fields are facts about it, for reading only. It may be
// shared between goroutines.
type Model struct {
	Format       string   // gbdt.Model's Format, or "lightgbm-v2", "lightgbm-v3", "lightgbm-v4"
	Objective    string   // as the file spells it: "binary:logistic", or LightGBM's "binary sigmoid:1"; "" if LightGBM's was custom
	NumFeature   int      // values in a row
	FeatureNames []string // NumFeature names, or none
	Outputs      int      // margins a row
	Predictions  int      // predictions a row
	Probability  bool     // a row gives one prediction, and it is a probability
	NumTrees     int      // 0 for gblinear
	NumNodes     int      // splits and leaves
	MaxDepth     int      // splits on the longest way from a root to a leaf

	ensembles     []*dmitryikh.Ensemble // one; or one for each fold
	missingAsZero bool                  // gblinear leaves out what is missing; leaves' would sum it
	divisor       float64               // the margin is the sum over this: LightGBM's random forests have the mean
	xgboost       *gbdt.Model           // whose transform applies; nil for LightGBM
	transform     transform             // of LightGBM's objective
}

// load has leaves read what this package wrote. It checks that leaves understood as much as can be asked of it.
func load(encoded []byte, read func(*bufio.Reader, bool) (*dmitryikh.Ensemble, error), outputs int) (*dmitryikh.Ensemble, error) {
	ensemble, err := read(bufio.NewReader(bytes.NewReader(encoded)), false)
	if err != nil {
		return nil, fmt.Errorf("load into leaves: %w", err)
	}
	if n := ensemble.NRawOutputGroups(); n != outputs {
		return nil, fmt.Errorf("load into leaves: it has %d outputs of %d", n, outputs)
	}
	return ensemble, nil
}
