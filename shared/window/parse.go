package window

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Parse reads a spec that people wrote, and checks it. It may be as a manifest has it, or shorter: an entry of inputs with
// lists stands for every sensor of it with every stat over every window, in this order.
//
//	{"sensors": ["a", "b", "c"], "maxGap": "10m", "inputs": [
//	  {"sensors": "*", "stats": ["last", "mean", "slope"], "rows": [5, 20], "time": ["10m"]},
//	  {"sensor": "a", "stat": "max", "rows": 40}]}
//
// "*" is every sensor. Last takes no window, so that it comes once for each sensor.
func Parse(data []byte) (*Spec, error) {
	if len(data) > MaxSpec {
		return nil, fmt.Errorf("the spec has %d bytes; at most %d may be", len(data), MaxSpec)
	}
	var file struct {
		Sensors []string          `json:"sensors"`
		Inputs  []json.RawMessage `json:"inputs"`
		MaxGap  string            `json:"maxGap"`
	}
	if err := strict(bytes.TrimPrefix(data, []byte("\ufeff")), &file); err != nil {
		return nil, err
	}
	s := &Spec{Sensors: file.Sensors, MaxGap: file.MaxGap}
	c, err := s.checker()
	if err != nil {
		return nil, err
	}
	for i, raw := range file.Inputs {
		var e entry
		err := strict(raw, &e)
		if err == nil {
			err = e.expand(s, c)
		}
		if err != nil {
			return nil, fmt.Errorf("inputs[%d].%w", i, err)
		}
	}
	return s, s.Check()
}

// ReadFile reads a spec that people wrote from a file.
func ReadFile(path string) (*Spec, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	data, err := io.ReadAll(io.LimitReader(f, MaxSpec+1))
	if err != nil {
		return nil, err
	}
	return Parse(data)
}

// entry is an entry of inputs as people write it.
type entry struct {
	Sensor  string       `json:"sensor"`
	Sensors list[string] `json:"sensors"`
	Stat    Stat         `json:"stat"`
	Stats   list[Stat]   `json:"stats"`
	Rows    list[int]    `json:"rows"`
	Time    list[string] `json:"time"`
}

// list is a list, or one value for a list of one.
type list[T any] struct {
	values []T
	one    bool
}

func (l *list[T]) UnmarshalJSON(data []byte) error {
	if l.one = data[0] != '['; l.one {
		l.values = make([]T, 1)
		return json.Unmarshal(data, &l.values[0])
	}
	return json.Unmarshal(data, &l.values)
}

// expand adds the entry's inputs to the spec.
func (e *entry) expand(s *Spec, c *checker) error {
	sensors, stats := e.Sensors.values, e.Stats.values
	switch {
	case e.Sensor != "" && sensors != nil:
		return errors.New("sensor and sensors are both there")
	case e.Stat != "" && stats != nil:
		return errors.New("stat and stats are both there")
	case sensors == nil:
		sensors = []string{e.Sensor}
	case e.Sensors.one && sensors[0] == "*":
		sensors = s.Sensors
	case len(sensors) == 0:
		return errors.New("sensors is empty")
	}
	if stats == nil {
		stats = []Stat{e.Stat}
	} else if len(stats) == 0 {
		return errors.New("stats is empty")
	}
	windows := e.windows()
	for _, sensor := range sensors {
		for _, stat := range stats {
			over := windows
			if stat == Last && (len(stats) > 1 || len(over) == 0) {
				over = []Input{{}}
			}
			for _, w := range over {
				if len(s.Inputs) == MaxInputs {
					return fmt.Errorf("sensors: with this entry there are more than %d inputs", MaxInputs)
				}
				w.Sensor, w.Stat = sensor, stat
				if err := c.add(w); err != nil {
					return err
				}
				s.Inputs = append(s.Inputs, w)
			}
		}
	}
	return nil
}

// windows returns an entry's windows. Two that are no lists are those of one input.
func (e *entry) windows() []Input {
	if e.Rows.one && e.Time.one {
		return []Input{{Rows: e.Rows.values[0], Time: e.Time.values[0]}}
	}
	windows := make([]Input, 0, len(e.Rows.values)+len(e.Time.values))
	for _, n := range e.Rows.values {
		windows = append(windows, Input{Rows: n})
	}
	for _, d := range e.Time.values {
		windows = append(windows, Input{Time: d})
	}
	if len(windows) == 0 {
		windows = append(windows, Input{})
	}
	return windows
}

// strict decodes one JSON value and refuses what it does not know.
func strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Errorf("sensors are missing: this is %s and no object", kind.Value)
	case errors.As(err, &kind):
		return fmt.Errorf("%s is %s where it must be %s", kind.Field, kind.Value, kind.Type)
	case err != nil:
		text := strings.TrimPrefix(err.Error(), "json: ")
		if name, unknown := strings.CutPrefix(text, "unknown field "); unknown {
			return fmt.Errorf("%s is an unknown field", strings.Trim(name, `"`))
		}
		return errors.New(text)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the JSON goes on behind its end")
	}
	return nil
}
