package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Encode returns the message for local topics. It fails with an InvalidError when the message is larger than they carry.
func Encode(message any) ([]byte, error) {
	payload, err := json.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return payload, Local.Check(payload)
}

// decode reads a local message.
func decode(payload []byte, message any) error {
	if err := Local.Check(payload); err != nil {
		return err
	}
	if err := Unmarshal(payload, message); err != nil {
		return jsonError(payload, err)
	}
	return nil
}

func checkVersion(v int) error {
	if v != Version {
		return &InvalidError{ReasonVersion, fmt.Sprintf("v is %d, must be %d", v, Version)}
	}
	return nil
}

// jsonError makes an InvalidError of what encoding/json says of payload.
func jsonError(payload []byte, err error) error {
	if invalid, ok := errors.AsType[*InvalidError](err); ok {
		return invalid
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok && syntax.Offset > 0 && syntax.Offset <= int64(len(payload)) {
		// Some writers put Infinity and NaN, which are not JSON.
		rest := bytes.TrimPrefix(payload[syntax.Offset-1:], []byte("-"))
		if bytes.HasPrefix(rest, []byte("I")) && bytes.Contains(payload, []byte("Infinity")) {
			return &InvalidError{ReasonInfinity, "a value is Infinity; write null for a missing value"}
		}
		if bytes.Contains(payload, []byte("NaN")) {
			return &InvalidError{ReasonMalformed, "a value is NaN; write null for a missing value"}
		}
	}
	return &InvalidError{ReasonMalformed, err.Error()}
}

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
