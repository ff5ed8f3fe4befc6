package event

import "fmt"

// MaxQuality is how many sensors each list of a Quality names.
const MaxQuality = 4

// Quality names sensors of a row's machine whose values are not to be trusted, for a long time. The machine may be well.
type Quality struct {
	Frozen  []string `json:"frozen,omitempty"`  // the value does not change, as it usually does
	Outside []string `json:"outside,omitempty"` // far outside what the model's training saw
	Missing []string `json:"missing,omitempty"` // there is no value
	More    int      `json:"more,omitempty"`    // such sensors that are not named
}

func (q *Quality) check() error {
	if q == nil {
		return nil
	}
	for _, list := range [...]struct {
		name    string
		sensors []string
	}{{"frozen", q.Frozen}, {"outside", q.Outside}, {"missing", q.Missing}} {
		if len(list.sensors) > MaxQuality {
			return &InvalidError{ReasonOversized, fmt.Sprintf("quality.%s has %d sensors, may have %d", list.name, len(list.sensors), MaxQuality)}
		}
		for _, name := range list.sensors {
			if err := CheckSensor(name); err != nil {
				return &InvalidError{ReasonName, fmt.Sprintf("quality.%s: %v", list.name, err)}
			}
		}
	}
	return nil
}
