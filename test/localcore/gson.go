package localcore

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A classic nucleus writes its JSON with Gson, HTML-safe: every `=` of a base64 value arrives as \u003d, numbers that
// passed through a Document are doubles in Java's notation, and absent members are left out. A client must not depend
// on anything nicer, so the local core prints the same bytes.

// member is one member of an ordered JSON object.
type member struct {
	name  string
	value any
}

// object is a JSON object whose members keep their order.
type object []member

// rawJSON is JSON that is already in Gson's form.
type rawJSON []byte

// appendGson appends v, one of nil, bool, string, []byte (as base64), int64, uint64, float64, []any, []string, object,
// rawJSON and map[string]any, which is printed in case-insensitive order of its keys, as a configuration is.
func appendGson(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(b, v)
	case string:
		return appendGsonString(b, v)
	case []byte:
		return appendGsonString(b, base64.StdEncoding.EncodeToString(v))
	case int64:
		return strconv.AppendInt(b, v, 10)
	case uint64:
		return strconv.AppendUint(b, v, 10)
	case float64:
		return appendDouble(b, v)
	case rawJSON:
		return append(b, v...)
	case object:
		b = append(b, '{')
		for i, m := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendGson(append(appendGsonString(b, m.name), ':'), m.value)
		}
		return append(b, '}')
	case map[string]any:
		ordered := make(object, 0, len(v))
		for _, k := range sortedKeys(v) {
			ordered = append(ordered, member{k, v[k]})
		}
		return appendGson(b, ordered)
	case []string:
		return appendList(b, v)
	case []any:
		return appendList(b, v)
	default: // nil: nothing else is let in
		return append(b, "null"...)
	}
}

func appendList[T any](b []byte, list []T) []byte {
	b = append(b, '[')
	for i, e := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendGson(b, e)
	}
	return append(b, ']')
}

// sortedKeys returns the keys of m in case-insensitive order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b))
	})
	return keys
}

func appendGsonString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		if i := strings.IndexRune("\"\\\b\t\n\f\r", r); i >= 0 {
			b = append(b, '\\', `"\btnfr`[i])
		} else if r < 0x20 || strings.ContainsRune("<>&='\u2028\u2029", r) {
			b = fmt.Appendf(b, `\u%04x`, r)
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// appendDouble prints f as Java's Double.toString does: 1.0, 0.001, 1.0E7, 1.5E-5.
func appendDouble(b []byte, f float64) []byte {
	if abs := math.Abs(f); abs == 0 || abs >= 1e-3 && abs < 1e7 {
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return append(b, s...)
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	e, _ := strconv.Atoi(exponent) // FormatFloat printed it
	return strconv.AppendInt(append(append(b, mantissa...), 'E'), int64(e), 10)
}

// gsonDocument reprints a JSON document as it looks after a classic nucleus parsed it into Java objects: the members
// keep their order and every number is a double.
func gsonDocument(raw []byte) (rawJSON, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return appendDocument(nil, dec)
}

func appendDocument(b []byte, dec *json.Decoder) ([]byte, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	switch tok := tok.(type) {
	case json.Number:
		f, err := tok.Float64()
		if err != nil {
			return nil, fmt.Errorf("read document: %w", err)
		}
		return appendDouble(b, f), nil
	case json.Delim:
		b = append(b, byte(tok))
		for first := true; dec.More(); first = false {
			if !first {
				b = append(b, ',')
			}
			if tok == '{' {
				if b, err = appendDocument(b, dec); err != nil { // the name
					return nil, err
				}
				b = append(b, ':')
			}
			if b, err = appendDocument(b, dec); err != nil {
				return nil, err
			}
		}
		if _, err := dec.Token(); err != nil {
			return nil, fmt.Errorf("read document: %w", err)
		}
		return append(b, byte(tok)+2), nil // '{' and '}', '[' and ']' are two apart
	default:
		return appendGson(b, tok), nil
	}
}
