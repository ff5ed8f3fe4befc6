package engine

import (
	"fmt"
	"time"
)

// CandidateMode is what a delivered model of faults does first.
type CandidateMode string

// The modes.
const (
	CandidateManifest CandidateMode = "manifest" // what its manifest says
	CandidateShadow   CandidateMode = "shadow"   // it is scored beside the active model until it is promoted
	CandidateDirect   CandidateMode = "direct"   // it takes over at once
)

// CandidateConfig says how a candidate is scored beside the active model, and when it is promoted (promise M9).
type CandidateConfig struct {
	Mode       CandidateMode `json:"mode"`
	Rows       int           `json:"rows"`       // that both must have scored until it is decided
	Time       time.Duration `json:"time"`       // that must have passed since the first of them
	Agreement  float64       `json:"agreement"`  // least share of rows with the same label
	PSI        float64       `json:"psi"`        // most of the candidate's probabilities against the active model's
	FaultRatio float64       `json:"faultRatio"` // most that its share of faulty rows is of the other's, and the other way round
	Latency    float64       `json:"latency"`    // most that its p99 is of the active model's
	CostMissed float64       `json:"costMissed"` // of an alarm that people confirmed, if the model is silent
	CostFalse  float64       `json:"costFalse"`  // of an alarm without a fault
	CPUShare   float64       `json:"cpuShare"`   // of a processor's time that scoring it may take
	Report     time.Duration `json:"report"`     // between two messages with its figures
}

func defaultCandidate() CandidateConfig {
	return CandidateConfig{
		Mode: CandidateManifest, Rows: 2000, Time: 24 * time.Hour, Agreement: 0.95, PSI: 0.2, FaultRatio: 2, Latency: 1.2,
		CostMissed: 500, CostFalse: 10, CPUShare: 0.1, Report: time.Minute,
	}
}

// validate names the field that is wrong.
func (c CandidateConfig) validate() error {
	switch {
	case c.Mode != CandidateManifest && c.Mode != CandidateShadow && c.Mode != CandidateDirect:
		return fmt.Errorf("candidate.mode: %q is none of %s, %s and %s", c.Mode, CandidateManifest, CandidateShadow, CandidateDirect)
	case c.Rows < 1 || c.Rows > 1e9:
		return fmt.Errorf("candidate.rows: %d is not between 1 and 1000000000", c.Rows)
	case c.Time < 0 || c.Time > 90*24*time.Hour:
		return fmt.Errorf("candidate.time: %v is not between 0s and 2160h", c.Time)
	case !(c.Agreement >= 0 && c.Agreement <= 1):
		return fmt.Errorf("candidate.agreement: %v is not between 0 and 1", c.Agreement)
	case !(c.PSI >= 0 && c.PSI <= 100):
		return fmt.Errorf("candidate.psi: %v is not between 0 and 100", c.PSI)
	case !(c.FaultRatio >= 1 && c.FaultRatio <= 1e6):
		return fmt.Errorf("candidate.faultRatio: %v is not between 1 and 1000000", c.FaultRatio)
	case !(c.Latency >= 1 && c.Latency <= 1e6):
		return fmt.Errorf("candidate.latency: %v is not between 1 and 1000000", c.Latency)
	case !(c.CostMissed >= 0 && c.CostMissed <= 1e9):
		return fmt.Errorf("candidate.costMissed: %v is not between 0 and 1e9", c.CostMissed)
	case !(c.CostFalse >= 0 && c.CostFalse <= 1e9):
		return fmt.Errorf("candidate.costFalse: %v is not between 0 and 1e9", c.CostFalse)
	case !(c.CPUShare > 0 && c.CPUShare <= 1):
		return fmt.Errorf("candidate.cpuShare: %v is not above 0 and at most 1", c.CPUShare)
	case c.Report < time.Second || c.Report > 24*time.Hour:
		return fmt.Errorf("candidate.report: %v is not between 1s and 24h", c.Report)
	}
	return nil
}

// DriftReference is what rows are compared with.
type DriftReference string

// The references.
const (
	// ReferenceAuto is what the line itself showed: its machines may always be unlike those of the training.
	ReferenceAuto     DriftReference = "auto"
	ReferenceTraining DriftReference = "training"
)

// DriftConfig says how drift is looked for.
type DriftConfig struct {
	Every     time.Duration  `json:"every"` // between two rows of a thing that count; 0 = drift is not looked for
	Learn     time.Duration  `json:"learn"` // what is usual of a line is learned at least so long
	Reference DriftReference `json:"reference"`
}

func defaultDrift() DriftConfig {
	return DriftConfig{Every: time.Minute, Learn: 24 * time.Hour, Reference: ReferenceAuto}
}

// validate names the field that is wrong.
func (c DriftConfig) validate() error {
	switch {
	case c.Every < 0 || c.Every > 24*time.Hour:
		return fmt.Errorf("drift.every: %v is not between 0s and 24h", c.Every)
	case c.Learn < 0 || c.Learn > 90*24*time.Hour:
		return fmt.Errorf("drift.learn: %v is not between 0s and 2160h", c.Learn)
	case c.Reference != ReferenceAuto && c.Reference != ReferenceTraining:
		return fmt.Errorf("drift.reference: %q is neither %s nor %s", c.Reference, ReferenceAuto, ReferenceTraining)
	}
	return nil
}
