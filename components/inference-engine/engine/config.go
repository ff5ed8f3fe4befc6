// Package engine is the inference component: it scores telemetry with an XGBoost model and publishes predictions. It is
// the only owner of the active model.
package engine

import (
	"fmt"
	"time"

	"edgepdm/shared/gbdt"
)

// Config is the component's configuration.
type Config struct {
	Model      string          `json:"model"`      // model file; empty = the one that ships with the component
	Threshold  float64         `json:"threshold"`  // probability from which a row is Faulty; 0 = the model's own
	Iterations gbdt.Iterations `json:"iterations"` // boosting rounds to score with: all, or best (early stopping)
	MaxAge     time.Duration   `json:"maxAge"`     // a reading older than this counts as missing, where rows come in parts
	MaxThings  int             `json:"maxThings"`  // things whose rows are accepted; bounds memory
}

// Default returns the configuration with no key set.
func Default() Config {
	return Config{Iterations: gbdt.AllIterations, MaxAge: time.Minute, MaxThings: 1000}
}

// Validate names the field that is wrong.
func (c Config) Validate() error {
	switch {
	case !(c.Threshold >= 0 && c.Threshold <= 1):
		return fmt.Errorf("threshold: %v is not between 0 and 1", c.Threshold)
	case c.Iterations != gbdt.AllIterations && c.Iterations != gbdt.BestIterations:
		return fmt.Errorf("iterations: %q is neither %s nor %s", c.Iterations, gbdt.AllIterations, gbdt.BestIterations)
	case c.MaxAge <= 0:
		return fmt.Errorf("maxAge: %v is not above 0", c.MaxAge)
	case c.MaxThings < 1 || c.MaxThings > maxLedgerThings:
		return fmt.Errorf("maxThings: %d is not between 1 and %d", c.MaxThings, maxLedgerThings)
	}
	return nil
}
