package lite

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"edgepdm/test/localcore/nucleus"
)

const (
	// maxDepth is how deep a request may nest, itself included (GG_MAX_OBJECT_DEPTH of the component SDK).
	maxDepth = 15
	// integerDigits is how many characters an integer may have; nucleus lite spoils longer ones.
	integerDigits = 18
	// What nucleus lite keeps of a value, in bytes (GgObject and GgKV of the component SDK, 64 bit): strings apart.
	elementBytes = 11 // an element of a list
	memberBytes  = 21 // a member of an object
	// requestBytes is the memory into which ggipcd decodes a request (GG_MAX_OBJECT_SUBOBJECTS of the component SDK).
	requestBytes = 255 * elementBytes
	// publishBytes is what a document may take of the memory into which ggpubsubd decodes a publication, of which the
	// publication's own three members (topic, type, message) take their part (core-bus/src/server.c).
	publishBytes = 200*elementBytes - 3*memberBytes
	// eventBytes is the same for the memory into which ggipcd decodes an event: 44 elements of a list, or 23 members
	// of an object (core-bus/src/client_subscribe.c).
	eventBytes = 50*elementBytes - 3*memberBytes
)

// parseLite reads JSON as nucleus lite does: integers are int64 and must fit, no more than maxDepth objects and lists nest,
// and the number of values has a limit.
func parseLite(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	v, err := native(v, 0)
	if values, _ := sizes(v); err == nil && values > requestBytes {
		return nil, errors.New("it holds too many values")
	}
	return v, err
}

// native makes the numbers in v int64 and float64.
func native(v any, depth int) (_ any, err error) {
	_, isList := v.([]any)
	if _, isObject := v.(map[string]any); depth == maxDepth && (isList || isObject) {
		return nil, fmt.Errorf("it nests deeper than %d", maxDepth)
	}
	switch v := v.(type) {
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return v.Float64()
		}
		if len(v) > integerDigits {
			return nil, fmt.Errorf("the integer %s has more than %d characters: nucleus lite would spoil it", v, integerDigits)
		}
		return v.Int64()
	case []any:
		for i, e := range v {
			if v[i], err = native(e, depth+1); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key, e := range v {
			if v[key], err = native(e, depth+1); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// appendLite prints as nucleus lite does: floats with 17 digits, the members of an object in order of their names, nothing
// escaped but control characters, quotes and backslashes.
func appendLite(b []byte, v any) []byte {
	return nucleus.JSONStyle{
		Text:  appendLiteString,
		Float: func(b []byte, f float64) []byte { return fmt.Appendf(b, "%#.17g", f) },
		Names: func(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) },
	}.Append(b, v)
}

func appendLiteString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x20:
			b = fmt.Appendf(b, `\u%04X`, r)
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// sizes is the memory that nucleus lite needs for what v holds: for its values, and for its strings.
func sizes(v any) (values, text int) {
	add := func(e any) {
		v, t := sizes(e)
		values, text = values+v, text+t
	}
	switch v := v.(type) {
	case string:
		text = len(v)
	case []any:
		values = len(v) * elementBytes
		for _, e := range v {
			add(e)
		}
	case map[string]any:
		values = len(v) * memberBytes
		for k, e := range v {
			text += len(k)
			add(e)
		}
	}
	return values, text
}
