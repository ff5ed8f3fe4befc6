package event

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
)

// Unmarshal is json.Unmarshal with JSON's one kind of number: 1.0 and 1e0 are 1 where an integer is meant. A classic nucleus
// makes doubles of the integers in a jsonMessage, and so do Lua, MATLAB and many a PLC's library. 1.5 stays an error.
func Unmarshal(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	kind, isKind := errors.AsType[*json.UnmarshalTypeError](err)
	if !isKind || !strings.HasPrefix(kind.Value, "number ") {
		return err
	}
	return json.Unmarshal(wholeNumbers(data), into)
}

// wholeNumbers writes the whole numbers of a JSON text without fraction and exponent.
func wholeNumbers(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); {
		end := i + 1
		switch c := data[i]; {
		case c == '"':
			for end < len(data) && data[end] != '"' {
				if data[end] == '\\' {
					end++
				}
				end++
			}
			end = min(end+1, len(data))
			out = append(out, data[i:end]...)
		case c == '-' || c >= '0' && c <= '9':
			for end < len(data) && strings.IndexByte("+-.eE0123456789", data[end]) >= 0 {
				end++
			}
			out = append(out, whole(string(data[i:end]))...)
		default:
			out = append(out, c)
		}
		i = end
	}
	return out
}

// whole writes a number without fraction and exponent if it is whole, and exact as a float64.
func whole(number string) string {
	if integer, fraction, found := strings.Cut(number, "."); found && strings.Trim(fraction, "0") == "" && integer != "-0" {
		return integer
	}
	f, err := strconv.ParseFloat(number, 64)
	if f == 0 {
		f = 0 // not -0
	}
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 || !strings.ContainsAny(number, ".eE") {
		return number
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}
