package event

import "time"

const (
	// TopicComparison has the figures of a candidate beside the active model, from time to time, and when it is decided.
	TopicComparison = "pdm/v1/comparison"
	// TopicEngineerModel takes commands for the models.
	TopicEngineerModel = prefixCommand + "engineer/model"
)

// Steps of a candidate. It is announced by ModelActivated when it is promoted, and by ModelRejected when it is not.
const (
	ModelShadowing ModelStep = "shadowing" // it is scored beside the active model, and its predictions go nowhere
)

// Commands for the models, over TopicEngineerModel and on the device.
const (
	CommandPromote = "promote" // the candidate becomes the active model, whatever the rule says
	CommandReject  = "reject"  // the candidate is not used, and not tried again
)

// Decision says how far the rule is with a candidate.
type Decision string

// The decisions.
const (
	DecisionOpen     Decision = "open"     // there are not enough rows, or not enough time has passed
	DecisionPromote  Decision = "promote"  // every condition holds
	DecisionReject   Decision = "reject"   // one does not
	DecisionReplaced Decision = "replaced" // a newer candidate took its place, or the active model changed
)

// Comparison has what is known of a candidate beside the active model, on the same rows (promise M9).
type Comparison struct {
	V         int             `json:"v"`
	ID        string          `json:"id"`
	TS        time.Time       `json:"ts"`
	Active    ModelRef        `json:"active"`
	Candidate ModelRef        `json:"candidate"`
	Since     time.Time       `json:"since"`            // the first row that both scored
	Rows      uint64          `json:"rows"`             // that both scored
	Skipped   uint64          `json:"skipped"`          // that the candidate did not score: no time, or no room
	Agreement float64         `json:"agreement"`        // share of rows with the same label
	Faulty    [2]float64      `json:"faulty"`           // share of rows: active, candidate
	PSI       float64         `json:"psi"`              // of the candidate's probabilities against the active model's
	Margin    float64         `json:"margin"`           // mean of candidate minus active
	Spread    float64         `json:"spread"`           // standard deviation of that
	P50       [2]float64      `json:"p50_us"`           // microseconds to score a row: active, candidate
	P99       [2]float64      `json:"p99_us"`           //
	Labeled   int             `json:"labeled"`          // alarms with an outcome
	Cost      *CostDifference `json:"cost,omitempty"`   // nil: no outcomes
	Differ    []RowOfThing    `json:"differ,omitempty"` // some of the rows whose labels differ
	Decision  Decision        `json:"decision"`
	Rules     []RuleState     `json:"rules"`
}

// CostDifference is candidate minus active, per alarm with an outcome, with its 90 % interval by bootstrap over alarms.
type CostDifference struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// RowOfThing names a row.
type RowOfThing struct {
	Thing string `json:"thing"`
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// RuleState is a condition of the promotion, and what there is of it.
type RuleState struct {
	Rule string `json:"rule"` // rows, time, agreement, psi, fault-ratio, latency, cost
	Have string `json:"have"` // for people
	Need string `json:"need"`
	OK   bool   `json:"ok"`
}

// DecodeComparison reads a message of TopicComparison. The error is an *InvalidError.
func DecodeComparison(payload []byte) (Comparison, error) {
	var c Comparison
	if err := decode(payload, &c); err != nil {
		return c, err
	}
	if err := checkVersion(c.V); err != nil {
		return c, err
	}
	if err := checkID(c.ID); err != nil {
		return c, err
	}
	return c, checkClock(c.TS)
}
