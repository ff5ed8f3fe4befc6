// Package engine is the inference component: it scores telemetry with an XGBoost model and publishes predictions. It is
// the only owner of the active model.
package engine

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"time"

	"edgepdm/components/inference-engine/scoring"
	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/ledger"
	"edgepdm/shared/modelstore/envelope"
)

// Config is the component's configuration.
type Config struct {
	Model        string          `json:"model"`        // model file that is used whatever is delivered; empty = shipped and delivered ones
	Threshold    float64         `json:"threshold"`    // probability from which a row is Faulty; 0 = the model's own
	Engine       scoring.Engine  `json:"engine"`       // what scores: native, or leaves, which takes a LightGBM file as model, too
	Iterations   gbdt.Iterations `json:"iterations"`   // boosting rounds to score with: auto (as SageMaker's endpoint does), all, or best (early stopping)
	MaxAge       time.Duration   `json:"maxAge"`       // a reading older than this counts as missing, where rows come in parts
	LeastPresent float64         `json:"leastPresent"` // share of the sensors that must have a value for a verdict
	MaxThings    int             `json:"maxThings"`    // things whose rows are accepted; bounds memory

	Watch       []string      `json:"watch"`       // sensors whose values are told with predictions
	FrozenAfter time.Duration `json:"frozenAfter"` // a value that does not change is doubted after so long, likewise one that is far outside or missing; 0 = never

	ReasonsEvery     time.Duration `json:"reasonsEvery"`     // between two of a thing's predictions that say what points to a fault; 0 = none do
	ReasonsPerSecond int           `json:"reasonsPerSecond"` // such predictions of all things together; 0 = none

	WindowMemory int64         `json:"windowMemory"` // bytes of the last rows that the inputs of a model over time take, for each of the two models
	WindowSave   time.Duration `json:"windowSave"`   // between two times at which they are kept on disk

	PredictionBatch BatchMode `json:"predictionBatch"` // auto: predictions leave together that come together, or faster than the nucleus takes them
	MaxMissed       float64   `json:"maxMissed"`       // share of the rows that may be missed; more is DEGRADED; 1 = any

	ShadowInput      bool   `json:"shadowInput"`      // score accepted updates of device shadows
	PredictionShadow string `json:"predictionShadow"` // named shadow of each thing that gets its predictions; empty = none

	Inbox          string        `json:"inbox"`          // where delivered models arrive; in the work directory if relative
	PublicKeys     []string      `json:"publicKeys"`     // Ed25519 keys that may sign models: PEM, or base64 in one line
	AllowUnsigned  bool          `json:"allowUnsigned"`  // take a model.tar.gz without a manifest
	AllowDowngrade bool          `json:"allowDowngrade"` // take a model of a lower version, an expired one, or one of another name
	Probation      time.Duration `json:"probation"`      // a new model is watched so long, and sent back if it fails
	MaxScore       time.Duration `json:"maxScore"`       // a new model that often takes longer for a row is sent back

	Candidate CandidateConfig `json:"candidate"`
	Drift     DriftConfig     `json:"drift"`
}

// BatchMode is whether predictions leave in batches.
type BatchMode string

// The modes.
const (
	BatchAuto BatchMode = "auto"
	BatchOff  BatchMode = "off" // each on the topic of its thing
)

const maxReasonsPerSecond = 10_000
const maxWindowMemory = 64 << 30

// maxShadowName is the longest name of a shadow, in bytes.
const maxShadowName = 64

// Default returns the configuration with no key set.
func Default() Config {
	return Config{
		Engine: scoring.Native, Iterations: gbdt.AutoIterations, MaxAge: time.Minute, LeastPresent: 0.1, MaxThings: 1000, FrozenAfter: 10 * time.Minute, ShadowInput: true,
		ReasonsEvery: 10 * time.Second, ReasonsPerSecond: 100, WindowMemory: 64 << 20, WindowSave: 10 * time.Minute,
		PredictionBatch: BatchAuto, MaxMissed: 0.01,
		Inbox: "../com.edgepdm.ModelFetcher/inbox", Probation: 5 * time.Minute, MaxScore: 50 * time.Millisecond,
		Candidate: defaultCandidate(), Drift: defaultDrift(),
	}
}

// Validate names the field that is wrong.
func (c Config) Validate() error {
	switch {
	case !(c.Threshold >= 0 && c.Threshold <= 1):
		return fmt.Errorf("threshold: %v is not between 0 and 1", c.Threshold)
	case !c.Engine.Known():
		return fmt.Errorf("engine: %q is neither %s nor %s", c.Engine, scoring.Native, scoring.Leaves)
	case !c.Iterations.Known():
		return fmt.Errorf("iterations: %q is none of %s, %s and %s", c.Iterations, gbdt.AutoIterations, gbdt.AllIterations, gbdt.BestIterations)
	case c.MaxAge <= 0:
		return fmt.Errorf("maxAge: %v is not above 0", c.MaxAge)
	case !(c.LeastPresent >= 0 && c.LeastPresent <= 1):
		return fmt.Errorf("leastPresent: %v is not between 0 and 1", c.LeastPresent)
	case c.MaxThings < 1 || c.MaxThings > ledger.MaxThings:
		return fmt.Errorf("maxThings: %d is not between 1 and %d", c.MaxThings, ledger.MaxThings)
	case c.ReasonsEvery < 0 || c.ReasonsEvery > 24*time.Hour:
		return fmt.Errorf("reasonsEvery: %v is not between 0s and 24h", c.ReasonsEvery)
	case c.ReasonsPerSecond < 0 || c.ReasonsPerSecond > maxReasonsPerSecond:
		return fmt.Errorf("reasonsPerSecond: %d is not between 0 and %d", c.ReasonsPerSecond, maxReasonsPerSecond)
	case c.WindowMemory < 0 || c.WindowMemory > maxWindowMemory:
		return fmt.Errorf("windowMemory: %d is not between 0 and %d", c.WindowMemory, int64(maxWindowMemory))
	case c.WindowSave < time.Second || c.WindowSave > 24*time.Hour:
		return fmt.Errorf("windowSave: %v is not between 1s and 24h", c.WindowSave)
	case c.FrozenAfter != 0 && (c.FrozenAfter < 10*time.Second || c.FrozenAfter > 24*time.Hour):
		return fmt.Errorf("frozenAfter: %v is neither 0s nor between 10s and 24h", c.FrozenAfter)
	case c.PredictionBatch != BatchAuto && c.PredictionBatch != BatchOff:
		return fmt.Errorf("predictionBatch: %q is neither %s nor %s", c.PredictionBatch, BatchAuto, BatchOff)
	case !(c.MaxMissed >= 0 && c.MaxMissed <= 1):
		return fmt.Errorf("maxMissed: %v is not between 0 and 1", c.MaxMissed)
	case c.PredictionShadow != "" && (len(c.PredictionShadow) > maxShadowName || event.CheckName(c.PredictionShadow) != nil):
		return fmt.Errorf("predictionShadow: %q is not 1 to %d of a-z A-Z 0-9 : _ -", c.PredictionShadow, maxShadowName)
	case c.Inbox == "":
		return errors.New("inbox: empty")
	case c.Probation < 0 || c.Probation > 24*time.Hour:
		return fmt.Errorf("probation: %v is not between 0s and 24h", c.Probation)
	case c.MaxScore <= 0:
		return fmt.Errorf("maxScore: %v is not above 0", c.MaxScore)
	}
	_, keys := c.keys()
	for _, err := range []error{c.checkWatch(), c.Candidate.validate(), c.Drift.validate(), keys} {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c Config) checkWatch() error {
	if n := len(c.Watch); n > event.MaxWatched {
		return fmt.Errorf("watch: has %d sensors, at most %d", n, event.MaxWatched)
	}
	for i, name := range c.Watch {
		if err := event.CheckSensor(name); err != nil {
			return fmt.Errorf("watch[%d]: %w", i, err)
		}
		if slices.Contains(c.Watch[:i], name) {
			return fmt.Errorf("watch[%d]: %q is there twice", i, name)
		}
	}
	return nil
}

// keys parses the keys that may sign models.
func (c Config) keys() ([]ed25519.PublicKey, error) {
	var keys []ed25519.PublicKey
	for i, text := range c.PublicKeys {
		key, err := envelope.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("publicKeys[%d]: %w", i, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
