// Package window makes a model's inputs of sensors over time: the mean oil temperature of the last 20 rows, the slope of
// the vibration over ten minutes. One implementation serves the engine and the tables that models are trained with, so that
// both see the same.
package window

// Stat is what an input says of a sensor's values.
type Stat string

// The statistics. Missing values do not count; of no value at all all but Count are missing.
const (
	Last  Stat = "last" // the row's own value
	Mean  Stat = "mean"
	Min   Stat = "min"
	Max   Stat = "max"
	Std   Stat = "std"   // standard deviation of the values, divided by n-1; missing below two values
	Slope Stat = "slope" // of the least-squares line, a row or, over a duration, a second; missing below two values
	Count Stat = "count" // how many values there are
)

// Spec says what a model's inputs are.
type Spec struct {
	Sensors []string `json:"sensors"` // of a row, in the order in which a row of values has them
	Inputs  []Input  `json:"inputs"`  // in the model's order
	// MaxGap is the longest pause between two rows, such as "10m"; after a longer one the windows begin empty. Empty: any.
	MaxGap string `json:"maxGap,omitempty"`
}

// Input is one feature: a statistic of a sensor over the last rows, or over a time. Both count the row at hand.
type Input struct {
	Sensor string `json:"sensor"`
	Stat   Stat   `json:"stat"`
	Rows   int    `json:"rows,omitempty"` // not with Last
	Time   string `json:"time,omitempty"` // such as "10m"; instead of Rows
}
