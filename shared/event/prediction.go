package event

import (
	"fmt"
	"strconv"
	"time"
)

// The labels of a prediction, in the workshop's words.
const (
	LabelFaulty    = "Faulty"
	LabelNotFaulty = "Not Faulty"
	LabelNoData    = "No Data" // not the workshop's: too few sensors have a value to say either
)

// Prediction is what the model says of one row of telemetry.
type Prediction struct {
	V           int       `json:"v"`
	ID          string    `json:"id"` // of the row
	Thing       string    `json:"thing"`
	Line        string    `json:"line,omitempty"`
	Epoch       string    `json:"epoch"`
	Seq         uint64    `json:"seq"`
	TS          time.Time `json:"ts"` // of the row
	Model       ModelRef  `json:"model"`
	Probability float64   `json:"probability"` // of a fault, 0 to 1
	Label       string    `json:"label"`       // LabelFaulty at or above the threshold, LabelNoData without a verdict
	Threshold   float64   `json:"threshold"`
	LatencyUS   int64     `json:"latency_us"` // from the row's arrival to its score, microseconds
	Platform    string    `json:"platform"`   // e.g. linux/arm64
	Text        string    `json:"text"`       // the workshop's sentence
	Simulated   bool      `json:"simulated,omitempty"`
	Faulty      *bool     `json:"faulty,omitempty"` // the truth, where the row told it

	// With LabelNoData:
	Absent     int    `json:"absent,omitempty"`     // sensors without a value
	Missing    string `json:"missing,omitempty"`    // some of them, for a person
	Assembling bool   `json:"assembling,omitempty"` // the row's parts have not all come yet

	Watched Watched  `json:"watched,omitempty"` // values of the sensors that the engine's watch names
	Quality *Quality `json:"quality,omitempty"` // sensors that are not to be trusted; nil: none is known

	Contributors []Contributor `json:"contributors,omitempty"` // what points to a fault, most first; not with every faulty row
	Life         *Life         `json:"life,omitempty"`         // until maintenance is needed, where there is a model of it
	// Remaining is the truth that Life estimates, where the row told it, in Life's unit.
	Remaining *float64 `json:"remaining,omitempty"`
}

// ModelRef names a model.
type ModelRef struct {
	Version string `json:"version"`
	SHA256  string `json:"sha256"` // of the model file, hexadecimal
}

// PredictionText is the sentence that the workshop's function sends.
func PredictionText(label string, latency time.Duration, platform string) string {
	b := make([]byte, 0, 160)
	b = append(append(append(b, "Predicted Label "...), label...), " in "...)
	b = strconv.AppendFloat(b, float64(latency.Microseconds())/1000, 'f', 3, 64)
	b = append(b, " milliseconds. Sent from Greengrass Core running on platform: "...)
	return string(append(b, platform...))
}

// DecodePrediction reads a message of a prediction topic. The error is an *InvalidError.
func DecodePrediction(payload []byte) (Prediction, error) {
	var d PredictionDecoder
	return d.Decode(payload)
}

// decodePrediction reads a prediction in any spelling.
func decodePrediction(payload []byte) (Prediction, error) {
	var p Prediction
	if err := Unmarshal(payload, &p); err != nil {
		return p, jsonError(payload, err)
	}
	return p, p.check()
}

// Bounds of what others repeat or remember of a prediction, in bytes.
const (
	maxLabel   = 64
	MaxModel   = 128 // its version, its hash
	maxMissing = 1500
)

func (p *Prediction) check() error {
	if err := checkVersion(p.V); err != nil {
		return err
	}
	if err := checkID(p.ID); err != nil {
		return err
	}
	if err := checkThing(p.Thing, p.Line); err != nil {
		return err
	}
	if p.Epoch != "" {
		if err := CheckEpoch(p.Epoch); err != nil {
			return &InvalidError{ReasonName, err.Error()}
		}
	}
	for _, text := range [...]struct {
		name, value string
		most        int
	}{
		{"label", p.Label, maxLabel}, {"model version", p.Model.Version, MaxModel}, {"model sha256", p.Model.SHA256, MaxModel},
		{"missing", p.Missing, maxMissing},
	} {
		if len(text.value) > text.most {
			return &InvalidError{ReasonOversized, fmt.Sprintf("%s has %d bytes, may have %d", text.name, len(text.value), text.most)}
		}
	}
	if err := p.Watched.check(); err != nil {
		return err
	}
	if err := p.Quality.check(); err != nil {
		return err
	}
	if err := checkContributors(p.Contributors); err != nil {
		return err
	}
	if err := p.Life.check(); err != nil {
		return err
	}
	return checkRowTime(p.TS)
}
