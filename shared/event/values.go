package event

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Values is a row of sensor values in the model's order; NaN is a missing value. In JSON it is an array of numbers
// in which null is a missing value.
type Values []float32

var missing = float32(math.NaN())

// MarshalJSON writes the shortest decimals that give the same float32s.
func (v Values) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 2+8*len(v))
	b = append(b, '[')
	for i, x := range v {
		if i > 0 {
			b = append(b, ',')
		}
		switch {
		case x != x:
			b = append(b, "null"...)
		case math.IsInf(float64(x), 0):
			return nil, fmt.Errorf("value %d is infinite", i)
		default:
			b = strconv.AppendFloat(b, float64(x), 'g', -1, 32)
		}
	}
	return append(b, ']'), nil
}

// UnmarshalJSON reads an array of numbers and nulls. A number too large for float32 is an InvalidError with
// ReasonInfinity.
func (v *Values) UnmarshalJSON(b []byte) error {
	var numbers []json.RawMessage
	if err := json.Unmarshal(b, &numbers); err != nil {
		return &InvalidError{ReasonMalformed, "values is not an array"}
	}
	if numbers == nil { // null
		*v = nil
		return nil
	}
	row := make(Values, len(numbers))
	for i, n := range numbers {
		x, err := parseValue(n)
		if err != nil {
			return &InvalidError{err.Reason, fmt.Sprintf("value %d %s", i, err.Detail)}
		}
		row[i] = x
	}
	*v = row
	return nil
}

// Readings are sensor values by sensor name; NaN (null in JSON) is a missing value.
type Readings map[string]float32

// MarshalJSON writes missing values as null.
func (r Readings) MarshalJSON() ([]byte, error) {
	o := make(map[string]*float32, len(r))
	for name, x := range r {
		if x != x {
			o[name] = nil
			continue
		}
		o[name] = &x
	}
	return json.Marshal(o)
}

// ParseFloat reads a decimal number as Python and numpy do before XGBoost sees it: as a float64, which is then rounded to
// float32. Read straight to float32, text close to the middle of two values gives the other one, and a row may take another
// leaf. The error is one of strconv.ParseFloat; what is too large for float32 wraps strconv.ErrRange.
func ParseFloat(text string) (float32, error) {
	wide, err := strconv.ParseFloat(text, 64)
	x := float32(wide)
	if err == nil && math.IsInf(float64(x), 0) && !math.IsInf(wide, 0) {
		err = &strconv.NumError{Func: "ParseFloat", Num: text, Err: strconv.ErrRange}
	}
	return x, err
}

// parseValue reads one number or null, valid JSON already.
func parseValue(n []byte) (float32, *InvalidError) {
	if string(n) == "null" {
		return missing, nil
	}
	if n[0] != '-' && (n[0] < '0' || n[0] > '9') {
		return 0, &InvalidError{ReasonMalformed, fmt.Sprintf("is %.20s, not a number", n)}
	}
	x, err := ParseFloat(string(n))
	if err != nil { // the syntax is right: it is out of range
		return 0, &InvalidError{ReasonInfinity, fmt.Sprintf("is %.20s, too large for float32", n)}
	}
	return x, nil
}

// Packed is a row in the compact form: base64 of little-endian float32s, NaN for a missing value.
type Packed Values

// MarshalJSON writes the base64 text.
func (p Packed) MarshalJSON() ([]byte, error) {
	raw := make([]byte, 0, 4*len(p))
	for _, x := range p {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return json.Marshal(raw)
}

// UnmarshalJSON reads the base64 text.
func (p *Packed) UnmarshalJSON(b []byte) error {
	var text *string
	if err := json.Unmarshal(b, &text); err != nil {
		return &InvalidError{ReasonMalformed, "f32 is not a string"}
	}
	if text == nil { // null
		*p = nil
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(*text)
	if err != nil || len(raw)%4 != 0 {
		return &InvalidError{ReasonMalformed, "f32 is not base64 of float32s"}
	}
	row := make(Packed, len(raw)/4)
	for i := range row {
		row[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		if math.IsInf(float64(row[i]), 0) {
			return &InvalidError{ReasonInfinity, fmt.Sprintf("value %d is infinite", i)}
		}
	}
	*p = row
	return nil
}
