package window

import (
	"fmt"
	"strings"
	"testing"
)

// What is wrong with a spec is told with the field's name.
func TestCheck(t *testing.T) {
	many := make([]string, MaxInputs+1)
	for i := range many {
		many[i] = fmt.Sprint("s", i)
	}
	var wide []Input
	for _, name := range many[:MaxInputs] {
		wide = append(wide, Input{Sensor: name, Stat: Mean, Rows: MaxRows})
	}
	var long []Input
	for rows := MaxRows - 300; rows <= MaxRows; rows++ {
		long = append(long, Input{Sensor: "a", Stat: Mean, Rows: rows})
	}
	in := func(inputs ...Input) Spec { return Spec{Sensors: []string{"a", "b", "a_mean_5"}, Inputs: inputs} }
	good := Input{Sensor: "a", Stat: Mean, Rows: 5}
	for want, s := range map[string]Spec{
		"":                                                    in(good, Input{Sensor: "a", Stat: Mean, Time: "5m"}, Input{Sensor: "b", Stat: Last}),
		"sensors has 0 entries":                               {Inputs: []Input{good}},
		"sensors has 4097 entries":                            {Sensors: many, Inputs: []Input{good}},
		`sensors[1] is ""`:                                    {Sensors: []string{"a", ""}, Inputs: []Input{good}},
		`sensors[2] is "a", as one`:                           {Sensors: []string{"a", "b", "a"}, Inputs: []Input{good}},
		"inputs has 0 entries":                                in(),
		"inputs has 4097 entries":                             in(make([]Input, MaxInputs+1)...),
		`inputs[1].sensor is "c"`:                             in(good, Input{Sensor: "c", Stat: Mean, Rows: 5}),
		`inputs[1].stat is "median"`:                          in(good, Input{Sensor: "a", Stat: "median", Rows: 5}),
		`inputs[0].stat is ""`:                                in(Input{Sensor: "a", Rows: 5}),
		"inputs[0].rows is 5; stat last takes neither":        in(Input{Sensor: "a", Stat: Last, Rows: 5}),
		`inputs[0].time is "5m"; stat last takes neither`:     in(Input{Sensor: "a", Stat: Last, Time: "5m"}),
		`inputs[0].rows is 5 and time is "5m"`:                in(Input{Sensor: "a", Stat: Mean, Rows: 5, Time: "5m"}),
		"inputs[0].rows is missing":                           in(Input{Sensor: "a", Stat: Mean}),
		"inputs[1].rows is 1000000000;":                       in(good, Input{Sensor: "a", Stat: Mean, Rows: 1e9}),
		"inputs[1].rows is -1;":                               in(good, Input{Sensor: "a", Stat: Mean, Rows: -1}),
		"inputs[0].rows is 1; a window for std has 2 to 4096": in(Input{Sensor: "a", Stat: Std, Rows: 1}),
		`inputs[0].time is "5 minutes"`:                       in(Input{Sensor: "a", Stat: Mean, Time: "5 minutes"}),
		`inputs[0].time is "-5m"`:                             in(Input{Sensor: "a", Stat: Mean, Time: "-5m"}),
		`inputs[0].time is "0s"`:                              in(Input{Sensor: "a", Stat: Mean, Time: "0s"}),
		`inputs[0].time is "1000000h"`:                        in(Input{Sensor: "a", Stat: Mean, Time: "1000000h"}),
		`inputs[1].sensor: the input "a_mean_5" is there`:     in(good, good),
		`inputs[1].sensor: the input "a_mean_300s" is there`:  in(Input{Sensor: "a", Stat: Mean, Time: "5m"}, Input{Sensor: "a", Stat: Mean, Time: "300s"}),
		`inputs[1].sensor: the input "a_mean_5" is  there`:    in(good, Input{Sensor: "a_mean_5", Stat: Last}),
		`maxGap is "long"`:                                    {Sensors: []string{"a"}, Inputs: []Input{good}, MaxGap: "long"},
		`maxGap is "-1s"`:                                     {Sensors: []string{"a"}, Inputs: []Input{good}, MaxGap: "-1s"},
		"inputs: the windows of one row have 1187746 values":  in(long...),
		"inputs: the rows of one thing take":                  {Sensors: many[:MaxInputs], Inputs: wide},
	} {
		err := s.Check()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(want, "  ", " "))) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestNames(t *testing.T) {
	s := Spec{Sensors: []string{"oil"}, Inputs: []Input{
		{Sensor: "oil", Stat: Last}, {Sensor: "oil", Stat: Mean, Rows: 20}, {Sensor: "oil", Stat: Slope, Time: "10m"},
	}}
	if got := strings.Join(s.Names(), " "); got != "oil oil_mean_20 oil_slope_10m" {
		t.Error(got)
	}
}
