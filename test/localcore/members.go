package localcore

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"
)

// members is a JSON object in a request. Names are case-sensitive, unknown ones are ignored, and null is absent.
type members map[string]json.RawMessage

// UnmarshalJSON splits an object, or takes null. encoding/json has checked the text, so its values need no second look.
func (m *members) UnmarshalJSON(text []byte) error {
	s := splitter{rest: text}
	if !s.skip('{') {
		return json.Unmarshal(text, (*map[string]json.RawMessage)(m)) // null, or an error
	}
	*m = make(members)
	for !s.skip('}') {
		s.skip(',')
		name, err := unquote(s.value())
		if err != nil {
			return err
		}
		s.skip(':')
		(*m)[name] = s.value()
	}
	return nil
}

// unquote reads a valid JSON string.
func unquote(text []byte) (string, error) {
	plain := text[0] == '"'
	for _, c := range text {
		plain = plain && c < utf8.RuneSelf && c != '\\'
	}
	if plain {
		return string(text[1 : len(text)-1]), nil
	}
	var s string
	err := json.Unmarshal(text, &s)
	return s, err
}

// splitter walks over JSON that is known to be valid.
type splitter struct{ rest []byte }

// skip passes over c, if it is what comes next.
func (s *splitter) skip(c byte) bool {
	s.rest = bytes.TrimLeft(s.rest, " \t\r\n")
	if s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// value cuts the next value off.
func (s *splitter) value() []byte {
	s.rest = bytes.TrimLeft(s.rest, " \t\r\n")
	depth, i := 0, 0
	for done := false; !done; i++ {
		switch c := s.rest[i]; {
		case c == '"':
			for i++; s.rest[i] != '"'; i++ {
				if s.rest[i] == '\\' {
					i++
				}
			}
			done = depth == 0
		case c == '{' || c == '[':
			depth++
		case (c == '}' || c == ']') && depth > 0:
			depth--
			done = depth == 0
		case depth == 0 && i > 0 && bytes.IndexByte([]byte(",]} \t\r\n"), c) >= 0: // after a number or a word
			i--
			done = true
		}
	}
	value := s.rest[:i:i]
	s.rest = s.rest[i:]
	return value
}

// decoder keeps the first failure to read a member: an exception outside of the operation's own code.
type decoder struct{ err *opError }

// get reads one member of m and says whether it is there.
func get[T any](d *decoder, m members, name string) (v T, ok bool) {
	raw, ok := m[name]
	if !ok || string(raw) == "null" || d.err != nil {
		return v, false
	}
	var err error
	switch v := any(&v).(type) {
	case *members:
		err = v.UnmarshalJSON(raw)
	case *string:
		*v, err = unquote(raw)
	default:
		err = json.Unmarshal(raw, v)
	}
	if err != nil {
		d.err = unexpected()
	}
	return v, d.err == nil
}

// blob reads a base64 member.
func (d *decoder) blob(m members, name string) ([]byte, bool) {
	text, ok := get[string](d, m, name)
	if !ok {
		return nil, false
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		d.err = unexpected()
	}
	return b, err == nil
}
