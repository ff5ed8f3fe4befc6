package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
)

// Attributes of a model that scripts/train writes into the file.
const (
	attrThreshold = "edgepdm.threshold"
	attrVersion   = "edgepdm.version"
)

const (
	defaultThreshold = 0.5
	shortHash        = 12 // hexadecimal digits that name a model without a version
)

// activeModel is the model that scores.
type activeModel struct {
	ref       event.ModelRef
	scorer    *gbdt.Scorer
	features  int
	sensors   map[string]int // position by name; empty if the model names none
	schema    string         // of the sensors; "" if the model names none
	threshold float64

	margin, prediction []float32 // scratch
}

// loadModel reads a model file and makes it ready to score. Only a model that gives the probability of a fault is taken.
func loadModel(path string, config Config) (*activeModel, error) {
	data, err := gbdt.ReadFile(path)
	if err != nil {
		return nil, err
	}
	model, err := gbdt.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", path, err)
	}
	if model.Outputs != 1 || model.Objective != "binary:logistic" && model.Objective != "reg:logistic" {
		return nil, fmt.Errorf("model has objective %s with %d outputs: it must give one probability (binary:logistic)", model.Objective, model.Outputs)
	}
	if model, err = model.Cut(config.Iterations); err != nil {
		return nil, fmt.Errorf("iterations: %w", err)
	}
	sum := sha256.Sum256(data)
	m := &activeModel{
		ref: event.ModelRef{Version: model.Attributes[attrVersion], SHA256: hex.EncodeToString(sum[:])}, scorer: gbdt.NewScorer(model),
		features: model.NumFeature, sensors: make(map[string]int, len(model.FeatureNames)), threshold: config.Threshold,
	}
	if m.ref.Version == "" {
		m.ref.Version = m.ref.SHA256[:shortHash]
	}
	for i, name := range model.FeatureNames {
		m.sensors[name] = i
	}
	if len(model.FeatureNames) > 0 {
		m.schema = event.SchemaOf(model.FeatureNames)
	}
	if m.threshold == 0 {
		if m.threshold, err = ownThreshold(model.Attributes); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func ownThreshold(attributes map[string]string) (float64, error) {
	text, ok := attributes[attrThreshold]
	if !ok {
		return defaultThreshold, nil
	}
	t, err := strconv.ParseFloat(text, 64)
	if err != nil || !(t > 0 && t <= 1) {
		return 0, fmt.Errorf("model attribute %s is %.40q, not a probability", attrThreshold, text)
	}
	return t, nil
}

// check says whether the model can score the row.
func (m *activeModel) check(t *event.Telemetry) *event.InvalidError {
	if t.Schema != "" && m.schema != "" && t.Schema != m.schema {
		return &event.InvalidError{
			Reason: event.ReasonSchema,
			Detail: fmt.Sprintf("row has sensors of schema %.16s, model %s has %s", t.Schema, m.ref.Version, m.schema),
		}
	}
	if t.Values != nil && len(t.Values) != m.features {
		return &event.InvalidError{
			Reason: event.ReasonLength,
			Detail: fmt.Sprintf("row has %d values, model %s has %d features", len(t.Values), m.ref.Version, m.features),
		}
	}
	return nil
}

// probability scores a row that was checked.
func (m *activeModel) probability(row []float32) (float64, error) {
	var err error
	if m.margin, err = m.scorer.Margin(m.margin[:0], row); err != nil {
		return 0, err
	}
	m.prediction = m.scorer.Predict(m.prediction[:0], m.margin)
	return float64(m.prediction[0]), nil
}
