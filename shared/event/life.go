package event

import (
	"fmt"
	"slices"
	"time"
)

// LifeUnits are the units of remaining life.
var LifeUnits = []string{"minutes", "hours", "days", "weeks", "cycles"}

// Life is how much longer a machine is likely to run until it needs maintenance: 0 <= Low <= Median <= High.
type Life struct {
	Low      float64 `json:"low"`
	Median   float64 `json:"median"`
	High     float64 `json:"high"`
	Coverage float64 `json:"coverage"`         // how often the true life lies from Low to High, by calibration on other machines: 0.9
	Unit     string  `json:"unit"`             // one of LifeUnits
	Beyond   bool    `json:"beyond,omitempty"` // High is the most that the model tells: it may be any longer
}

// Length is that of Unit; 0 for cycles.
func (l *Life) Length() time.Duration {
	return map[string]time.Duration{"minutes": time.Minute, "hours": time.Hour, "days": 24 * time.Hour, "weeks": 7 * 24 * time.Hour}[l.Unit]
}

func (l *Life) check() error {
	switch {
	case l == nil:
		return nil
	case !(l.Low >= 0 && l.Low <= l.Median && l.Median <= l.High && l.High <= maxLife):
		return &InvalidError{ReasonMalformed, fmt.Sprintf("life: %v, %v, %v do not ascend from 0", l.Low, l.Median, l.High)}
	case !(l.Coverage > 0 && l.Coverage < 1):
		return &InvalidError{ReasonMalformed, fmt.Sprintf("life: coverage %v is not between 0 and 1", l.Coverage)}
	case !slices.Contains(LifeUnits, l.Unit):
		return &InvalidError{ReasonMalformed, fmt.Sprintf("life: unit %.16q is none of %q", l.Unit, LifeUnits)}
	}
	return nil
}

const maxLife = 1e9
