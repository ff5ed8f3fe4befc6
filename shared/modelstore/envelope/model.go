package envelope

import (
	"math"
	"strconv"
	"strings"

	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
)

// Attributes of a model file that say what it is and how it is used. scripts/train writes the first two.
const (
	attrThreshold = "edgepdm.threshold"
	attrName      = "edgepdm.name"
	AttrVersion   = "edgepdm.version" // of a model without a manifest
)

// defaultThreshold is that of a model whose file says none.
const defaultThreshold = 0.5

// How a model without a manifest is named.
const (
	ShortHash     = 12 // hexadecimal digits of a SHA-256 that name something
	UnsignedModel = "unsigned"
)

// Describe makes the manifest of a model that has none.
func Describe(model *gbdt.Model, file ModelFile) (Manifest, error) {
	m := Manifest{
		Format: 1, Name: model.Attributes[attrName], Version: file.SHA256[:ShortHash], Model: file,
		Objective: model.Objective, Features: model.FeatureNames, Trainer: trainerOf(model),
	}
	if !PlainName(m.Name, maxNameLength) {
		m.Name = UnsignedModel
	}
	if model.NumFeature > MaxFeatures || !plainText(m.Objective) {
		return m, refuse(ErrModel, "it has %d features (at most %d) and the objective %.40q", model.NumFeature, MaxFeatures, m.Objective)
	}
	var err error
	if m.Threshold, err = ThresholdOf(model.Attributes); err != nil {
		return m, err
	}
	if len(m.Features) > 0 {
		m.Schema = event.SchemaOf(m.Features)
		if err := m.validateFeatures(); err != nil {
			return m, refuse(ErrModel, "%v", err)
		}
	}
	return m, nil
}

// CheckModel says whether a model is what the manifest describes, and gives the golden rows the same margins, bit for bit
// (rule 3 of the design), from the boosting rounds that SageMaker's endpoint uses. The error wraps ErrModel or ErrGolden.
func CheckModel(m Manifest, model *gbdt.Model) error {
	switch {
	case model.Objective != m.Objective:
		return refuse(ErrModel, "its objective is %.40s, the manifest says %s", model.Objective, m.Objective)
	case model.NumFeature != len(m.Features) && len(m.Features) > 0: // without a manifest there may be no names
		return refuse(ErrModel, "it has %d features, the manifest names %d", model.NumFeature, len(m.Features))
	case m.ForLife() && !GivesLife(model):
		return refuse(ErrModel, "it has %d outputs in %d models: a life model has three quantiles, in one model", model.Outputs, max(1, len(model.Folds)))
	case !m.ForLife() && !model.Probability():
		return NoProbability(model.Objective, model.Predictions)
	}
	if len(model.FeatureNames) > 0 { // SageMaker's models have none: the manifest names them
		if i := differ(model.FeatureNames, m.Features); i >= 0 {
			return refuse(ErrModel, "its feature %d is %.64q, the manifest says %.64q", i+1, model.FeatureNames[i], m.Features[i])
		}
	}
	model, err := model.Cut(gbdt.AutoIterations)
	if err != nil {
		return refuse(ErrModel, "%v", err)
	}
	scorer := gbdt.NewScorer(model)
	var margin []float32
	for i, row := range m.Golden {
		var err error
		if margin, err = scorer.Margin(margin[:0], row.Values); err != nil {
			return refuse(ErrGolden, "row %d: %v", i+1, err)
		}
		want := row.margins()
		if len(margin) != len(want) {
			return refuse(ErrGolden, "row %d has %d margins, the model gives %d: one for each output, and each model of a k-fold training", i+1, len(want), len(margin))
		}
		for k := range margin {
			if math.Float32bits(margin[k]) != math.Float32bits(want[k]) {
				return refuse(ErrGolden, "row %d: margin %v, the training XGBoost gave %v", i+1, margin[k], want[k])
			}
		}
	}
	return nil
}

// GivesLife says whether a model gives three quantiles, as a life model does.
func GivesLife(model *gbdt.Model) bool {
	return model.Objective == lifeObjective && model.Outputs == lifeOutputs && len(model.Folds) == 0
}

// NoProbability refuses a model whose prediction is not the probability of a fault. It wraps ErrModel.
func NoProbability(objective string, predictions int) error {
	if objective == lifeObjective {
		return refuse(ErrModel, "its objective is %.40s: it tells the remaining life, if its manifest has the role %s (model-fetcher pack -role %[2]s); "+
			"a device wants the probability of a fault (binary:logistic) else", objective, event.RoleLife)
	}
	if strings.HasPrefix(objective, "multi:") || predictions > 1 {
		return refuse(ErrModel, "its objective is %.40s with %d predictions a row: it tells classes, and a device wants one probability of a fault; "+
			"train with two classes, faulty or not (binary:logistic), or one such model for each fault", objective, predictions)
	}
	return refuse(ErrModel, "its objective is %.40s: a device wants the probability of a fault (binary:logistic)", objective)
}

// ThresholdOf returns the threshold that a model file's attributes say, or 0.5.
func ThresholdOf(attributes map[string]string) (float64, error) {
	text, ok := attributes[attrThreshold]
	if !ok {
		return defaultThreshold, nil
	}
	t, err := strconv.ParseFloat(text, 64)
	if err != nil || !(t > 0 && t <= 1) {
		return 0, refuse(ErrModel, "attribute %s is %.40q, not a probability above 0", attrThreshold, text)
	}
	return t, nil
}

func trainerOf(model *gbdt.Model) string {
	return "xgboost " + model.Release()
}
