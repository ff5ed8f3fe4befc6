package gbdt

import (
	"encoding/json"
	"math"
	"strconv"
)

// jsonSource reads the JSON that XGBoost writes: RFC 8259 and the bare tokens NaN, Infinity and -Infinity, which
// encoding/json refuses. Numbers are read straight to float32: by way of float64 they would be rounded twice.
type jsonSource struct {
	data  []byte
	pos   int
	depth int
}

func (s *jsonSource) object(visit func(key string) error) error {
	if err := s.open('{'); err != nil {
		return err
	}
	defer func() { s.depth-- }()
	if s.accept('}') {
		return nil
	}
	for {
		key, err := s.quoted()
		if err != nil {
			return err
		}
		if !s.accept(':') {
			return s.unexpected("a colon")
		}
		if err := visit(key); err != nil {
			return err
		}
		if s.accept('}') {
			return nil
		}
		if !s.accept(',') {
			return s.unexpected("a comma or a closing brace")
		}
	}
}

func (s *jsonSource) array(visit func(index int) error) error {
	if err := s.open('['); err != nil {
		return err
	}
	defer func() { s.depth-- }()
	if s.accept(']') {
		return nil
	}
	for i := 0; ; i++ {
		if err := visit(i); err != nil {
			return err
		}
		if s.accept(']') {
			return nil
		}
		if !s.accept(',') {
			return s.unexpected("a comma or a closing bracket")
		}
	}
}

func (s *jsonSource) ints(buf []int32) ([]int32, error) {
	out := buf[:0]
	err := s.array(func(i int) error {
		if i >= maxNumbers {
			return tooManyNumbers()
		}
		s.space()
		switch start := s.pos; {
		case s.literal("true"):
			out = append(out, 1)
		case s.literal("false"):
			out = append(out, 0)
		default:
			token, err := s.number()
			if err != nil {
				return err
			}
			n, err := strconv.ParseInt(string(token), 10, 32)
			if err != nil {
				return invalidf(start, "%.60s is not a 32-bit integer", token)
			}
			out = append(out, int32(n))
		}
		return nil
	})
	return out, err
}

func (s *jsonSource) floats(buf []float32) ([]float32, error) {
	out := buf[:0]
	err := s.array(func(i int) error {
		if i >= maxNumbers {
			return tooManyNumbers()
		}
		f, err := s.float()
		out = append(out, f)
		return err
	})
	return out, err
}

func (s *jsonSource) float() (float32, error) {
	s.space()
	switch start := s.pos; {
	case s.literal("NaN"):
		return float32(math.NaN()), nil
	case s.literal("Infinity"):
		return float32(math.Inf(1)), nil
	case s.literal("-Infinity"):
		return float32(math.Inf(-1)), nil
	default:
		token, err := s.number()
		if err != nil {
			return 0, err
		}
		f, err := strconv.ParseFloat(string(token), 32)
		if err != nil {
			return 0, invalidf(start, "%.60s is not a 32-bit floating-point number", token)
		}
		return float32(f), nil
	}
}

func (s *jsonSource) text() (string, error) {
	s.space()
	if s.peek() == '"' {
		return s.quoted()
	}
	token, err := s.number()
	return string(token), err
}

func (s *jsonSource) skip() error {
	s.space()
	switch c := s.peek(); {
	case c == '{':
		return s.object(func(string) error { return s.skip() })
	case c == '[':
		return s.array(func(int) error { return s.skip() })
	case c == '"':
		_, err := s.quoted()
		return err
	case s.literal("true"), s.literal("false"), s.literal("null"):
		return nil
	}
	_, err := s.float()
	return err
}

func (s *jsonSource) read() float64 { return float64(s.pos) / float64(len(s.data)) }

func (s *jsonSource) end() error {
	if s.space(); s.pos < len(s.data) {
		return s.unexpected("nothing more")
	}
	return nil
}

// quoted reads a string. Those with an escape take the slow way.
func (s *jsonSource) quoted() (string, error) {
	s.space()
	if s.peek() != '"' {
		return "", s.unexpected("a string")
	}
	start, escaped := s.pos, false
	for s.pos++; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			if !escaped {
				return string(s.data[start+1 : s.pos-1]), nil
			}
			var text string
			if err := json.Unmarshal(s.data[start:s.pos], &text); err != nil {
				return "", invalidf(start, "bad string: %v", err)
			}
			return text, nil
		case c == '\\':
			escaped = true
			s.pos++
		case c < 0x20:
			return "", s.unexpected("a string without control characters")
		}
	}
	s.pos = len(s.data)
	return "", truncated(s.pos)
}

// number reads the token of a finite number: -?digits[.digits][(e|E)[+-]digits].
func (s *jsonSource) number() ([]byte, error) {
	s.space()
	start := s.pos
	digits := func() bool {
		first := s.pos
		for s.pos < len(s.data) && s.data[s.pos] >= '0' && s.data[s.pos] <= '9' {
			s.pos++
		}
		return s.pos > first
	}
	if s.peek() == '-' {
		s.pos++
	}
	if !digits() {
		return nil, s.unexpected("a number")
	}
	if s.peek() == '.' {
		if s.pos++; !digits() {
			return nil, s.unexpected("a digit")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !digits() {
			return nil, s.unexpected("a digit")
		}
	}
	return s.data[start:s.pos], nil
}

func (s *jsonSource) open(c byte) error {
	if !s.accept(c) {
		if c == '{' {
			return s.unexpected("an object")
		}
		return s.unexpected("an array")
	}
	if s.depth++; s.depth > maxNesting {
		return invalidf(s.pos, "values nest deeper than %d", maxNesting)
	}
	return nil
}

func (s *jsonSource) accept(c byte) bool {
	if s.space(); s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// nextIs says whether the next value begins with c.
func (s *jsonSource) nextIs(c byte) bool {
	s.space()
	return s.peek() == c
}

func (s *jsonSource) literal(word string) bool {
	if end := s.pos + len(word); end <= len(s.data) && string(s.data[s.pos:end]) == word {
		s.pos = end
		return true
	}
	return false
}

func (s *jsonSource) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end of the data.
func (s *jsonSource) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *jsonSource) unexpected(want string) error {
	if s.pos >= len(s.data) {
		return truncated(s.pos)
	}
	return invalidf(s.pos, "expected %s, found %q", want, s.data[s.pos])
}
