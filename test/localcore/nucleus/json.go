package nucleus

import (
	"cmp"
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Object is a JSON object whose members keep their order: names and values by turns.
type Object []any

// RawJSON is JSON that is printed already.
type RawJSON []byte

// JSONStyle is how a nucleus prints JSON.
type JSONStyle struct {
	Text  func(b []byte, s string) []byte
	Float func(b []byte, f float64) []byte
	Names func(m map[string]any) []string // in the order in which they are printed
}

// Append appends v, one of nil, bool, string, []byte (as base64), int64, uint64, float64, []any, []string, Object, RawJSON
// and map[string]any.
func (s JSONStyle) Append(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return s.Text(b, v)
	case []byte:
		return s.Text(b, base64.StdEncoding.EncodeToString(v))
	case int64:
		return strconv.AppendInt(b, v, 10)
	case uint64:
		return strconv.AppendUint(b, v, 10)
	case float64:
		return s.Float(b, v)
	case RawJSON:
		return append(b, v...)
	case Object:
		b = append(b, '{')
		for i := 0; i < len(v); i += 2 {
			if i > 0 {
				b = append(b, ',')
			}
			b = s.Append(append(s.Append(b, v[i]), ':'), v[i+1])
		}
		return append(b, '}')
	case map[string]any:
		ordered := make(Object, 0, 2*len(v))
		for _, k := range s.Names(v) {
			ordered = append(ordered, k, v[k])
		}
		return s.Append(b, ordered)
	case []string:
		return appendList(s, b, v)
	case []any:
		return appendList(s, b, v)
	default: // nil: nothing else is let in
		return append(b, "null"...)
	}
}

func appendList[T any](s JSONStyle, b []byte, list []T) []byte {
	b = append(b, '[')
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = s.Append(b, e)
	}
	return append(b, ']')
}

// SortedKeys returns the keys of m in case-insensitive order.
func SortedKeys[V any](m map[string]V) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b))
	})
}
