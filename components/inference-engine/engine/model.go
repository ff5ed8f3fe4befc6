package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"edgepdm/components/inference-engine/scoring"
	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/memory"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/window"
)

const shortHash = 12 // hexadecimal digits that name a model without a version

// activeModel is the model that scores.
type activeModel struct {
	ref       event.ModelRef
	scorer    *scoring.Model
	features  int                           // values of a row
	names     []string                      // of the sensors; empty if the model names none
	sensors   map[string]int                // position by name; empty if the model names none
	schema    string                        // of the sensors; "" if the model names none
	own       float64                       // threshold
	threshold float64                       // in force
	baseline  map[string]envelope.Histogram // of features in training, by name; nil if it is not known

	usual       *envelope.Baseline // what training saw; nil if it is not known
	driftInputs []driftInput       // by feature

	inputs *window.Spec        // what it is given, made of rows over time; nil: the row
	scale  *envelope.LifeScale // of a life model, which gives no probability

	reasons     *reasons // nil: unexplained says why there are none
	unexplained error

	scratch *scratch // of the goroutine that scores
}

// scratch has what scoring needs for a row.
type scratch struct{ margin, prediction []float32 }

// manifestFile is the manifest that a model file may have beside it: what people call its sensors, and which values are usual.
const manifestFile = "manifest.json"

// beside returns the path of the manifest beside a model file, "" if there is none.
func beside(model string) string {
	path := filepath.Join(filepath.Dir(model), manifestFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return path
}

// loadModel reads a model file that the configuration names. A manifest beside it counts if it is the model's.
func loadModel(path string, config Config) (*activeModel, error) {
	need, err := gbdt.Footprint(path)
	if err == nil {
		err = memory.Admit(need)
	}
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	data, err := gbdt.ReadFile(path)
	if err != nil {
		return nil, err
	}
	model, err := scoring.Parse(data, config.Engine, config.Iterations)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", path, err)
	}
	sum := sha256.Sum256(data)
	ref := event.ModelRef{Version: event.Cut(model.Attributes[envelope.AttrVersion], event.MaxModel), SHA256: hex.EncodeToString(sum[:])}
	if ref.Version == "" {
		ref.Version = ref.SHA256[:shortHash]
	}
	threshold, err := envelope.ThresholdOf(model.Attributes)
	if err != nil {
		return nil, err
	}
	manifest := envelope.Manifest{Features: model.FeatureNames, Threshold: threshold}
	if own, err := modelstore.ShippedManifest(beside(path), path, ref.SHA256); err == nil && len(own.Features) == model.NumFeature && !own.ForLife() {
		manifest, ref.Version = own, own.Version
	}
	return prepare(model, ref, manifest, config)
}

// newActiveModel makes a model of the store ready to score.
func newActiveModel(installed modelstore.Installed, config Config) (*activeModel, error) {
	loaded, err := installed.Load()
	if err != nil {
		return nil, err
	}
	return readyToScore(installed, loaded, config)
}

// readyToScore makes a model ready. A life model is scored by XGBoost's own rules, whatever the configuration says of the other.
func readyToScore(installed modelstore.Installed, loaded *gbdt.Model, config Config) (*activeModel, error) {
	if installed.Manifest.ForLife() {
		config.Engine, config.Iterations = scoring.Native, gbdt.AutoIterations
	}
	model, err := scoring.New(loaded, config.Engine, config.Iterations)
	if err != nil {
		return nil, err
	}
	return prepare(model, installed.Ref(), installed.Manifest, config)
}

// prepare takes only a model that gives the probability of a fault or, where its manifest says so, the remaining life.
func prepare(model *scoring.Model, ref event.ModelRef, manifest envelope.Manifest, config Config) (*activeModel, error) {
	switch {
	case manifest.ForLife() && (manifest.Life == nil || model.Predictions != scoring.LifeOutputs):
		return nil, fmt.Errorf("%w: life: it gives %d values, need %d, and how they are read", envelope.ErrModel, model.Predictions, scoring.LifeOutputs)
	case !manifest.ForLife() && !model.Probability:
		return nil, envelope.NoProbability(model.Objective, model.Predictions)
	case manifest.Inputs != nil && len(manifest.Inputs.Inputs) != model.NumFeature:
		return nil, fmt.Errorf("%w: inputs: %d, the model has %d features", envelope.ErrModel, len(manifest.Inputs.Inputs), model.NumFeature)
	}
	if manifest.Inputs != nil {
		if err := manifest.Inputs.Check(); err != nil {
			return nil, fmt.Errorf("%w: inputs: %w", envelope.ErrModel, err)
		}
	}
	sensors := manifest.Sensors()
	m := &activeModel{
		ref: ref, scorer: model, features: model.NumFeature, names: sensors, sensors: make(map[string]int, len(sensors)), own: manifest.Threshold,
		inputs: manifest.Inputs, scale: manifest.Life, baseline: baselineOf(&manifest), scratch: new(scratch),
		usual: manifest.Baseline, driftInputs: driftInputs(&manifest, model.NumFeature),
	}
	if m.inputs != nil {
		m.features = len(sensors)
	}
	for i, name := range sensors {
		m.sensors[name] = i
	}
	if len(sensors) > 0 {
		m.schema = event.SchemaOf(sensors)
	}
	if !manifest.ForLife() {
		m.reasons, m.unexplained = newReasons(model, manifest)
	}
	return m.with(config), nil
}

// with returns the model with the threshold that a configuration wants.
func (m *activeModel) with(config Config) *activeModel {
	other := *m
	other.threshold = m.own
	if config.Threshold > 0 {
		other.threshold = config.Threshold
	}
	return &other
}

// fork returns the model for another goroutine, which scores with it and explains nothing. The two share the trees.
func (m *activeModel) fork() *activeModel {
	other := *m
	other.scorer, other.scratch, other.reasons = m.scorer.Fork(), new(scratch), nil
	return &other
}

// position returns where in a row a reading of the message belongs; false for one of no sensor.
func (m *activeModel) position(t *event.Telemetry, name string) (int, bool) {
	i, ok := m.sensors[name]
	if !ok && t.Epoch == event.ShadowEpoch && name == event.PropertyReading {
		return 0, true // the workshop's sensor sends the first feature, without its name
	}
	return i, ok
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

// probability scores a row of the model's inputs.
func (m *activeModel) probability(row []float32) (float64, error) {
	var err error
	if m.scratch.margin, err = m.scorer.Margin(m.scratch.margin[:0], row); err != nil {
		return 0, err
	}
	m.scratch.prediction = m.scorer.Predict(m.scratch.prediction[:0], m.scratch.margin)
	p := float64(m.scratch.prediction[0])
	if !(p >= 0 && p <= 1) {
		return 0, fmt.Errorf("model %s gave %v, which is no probability", m.ref.Version, p)
	}
	return p, nil
}

// life gives the remaining life by a row of the model's inputs.
func (m *activeModel) life(row []float32) (*event.Life, error) {
	var err error
	if m.scratch.margin, err = m.scorer.Margin(m.scratch.margin[:0], row); err != nil {
		return nil, err
	}
	m.scratch.prediction = m.scorer.Predict(m.scratch.prediction[:0], m.scratch.margin)
	return scoring.Life(m.scratch.prediction, *m.scale)
}
