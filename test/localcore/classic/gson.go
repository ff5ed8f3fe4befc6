package classic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"edgepdm/test/localcore/nucleus"
)

// A classic nucleus writes its JSON with Gson, HTML-safe: every `=` of a base64 value arrives as \u003d, numbers that
// passed through a Document are doubles in Java's notation, and absent members are left out. A client must not depend
// on anything nicer, so the local core prints the same bytes.

func appendGson(b []byte, v any) []byte {
	return nucleus.JSONStyle{Text: appendGsonString, Float: appendDouble, Names: nucleus.SortedKeys[any]}.Append(b, v)
}

func appendGsonString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		if r == '+' || r >= '/' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' { // base64: most of all text
			b = append(b, byte(r))
		} else if i := strings.IndexRune("\"\\\b\t\n\f\r", r); i >= 0 {
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
func gsonDocument(raw []byte) (nucleus.RawJSON, error) {
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
