package localcore

import (
	"encoding/base64"
	"strconv"
)

// member is one member of an ordered JSON object.
type member struct {
	name  string
	value any
}

// object is a JSON object whose members keep their order.
type object []member

// rawJSON is JSON that is printed already.
type rawJSON []byte

// jsonStyle is how a nucleus prints JSON.
type jsonStyle struct {
	text  func(b []byte, s string) []byte
	float func(b []byte, f float64) []byte
	names func(m map[string]any) []string // in the order in which they are printed
}

// append appends v, one of nil, bool, string, []byte (as base64), int64, uint64, float64, []any, []string, object, rawJSON
// and map[string]any.
func (s jsonStyle) append(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return s.text(b, v)
	case []byte:
		return s.text(b, base64.StdEncoding.EncodeToString(v))
	case int64:
		return strconv.AppendInt(b, v, 10)
	case uint64:
		return strconv.AppendUint(b, v, 10)
	case float64:
		return s.float(b, v)
	case rawJSON:
		return append(b, v...)
	case object:
		b = append(b, '{')
		for i, m := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = s.append(append(s.text(b, m.name), ':'), m.value)
		}
		return append(b, '}')
	case map[string]any:
		ordered := make(object, 0, len(v))
		for _, k := range s.names(v) {
			ordered = append(ordered, member{k, v[k]})
		}
		return s.append(b, ordered)
	case []string:
		return appendList(s, b, v)
	case []any:
		return appendList(s, b, v)
	default: // nil: nothing else is let in
		return append(b, "null"...)
	}
}

func appendList[T any](s jsonStyle, b []byte, list []T) []byte {
	b = append(b, '[')
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = s.append(b, e)
	}
	return append(b, ']')
}
