package event

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// scanner reads JSON in the spelling that programs write, without reflection. What is spelled in another way, and what is no JSON
// or of another type, makes it odd: then it says nothing, and encoding/json has the word.
type scanner struct {
	text  []byte
	at    int
	odd   bool
	words *words
}

// next returns the next character that is no white space; 0 at the end.
func (s *scanner) next() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// take takes a character if it is the next one.
func (s *scanner) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.at++
	return true
}

// need takes the character that must be next.
func (s *scanner) need(c byte) {
	if !s.take(c) {
		s.odd = true
	}
}

// end reports whether all was read, and nothing was odd.
func (s *scanner) end() bool { return !s.odd && s.next() == 0 && s.at == len(s.text) }

// object gives the name of each member to a function that reads its value.
func (s *scanner) object(member func(name []byte)) {
	s.need('{')
	if s.odd || s.take('}') {
		return
	}
	for {
		name, plain := s.quoted()
		s.need(':')
		if s.odd = s.odd || !plain; s.odd {
			return
		}
		member(name)
		if s.odd || s.take('}') {
			return
		}
		s.need(',')
	}
}

// array calls a function that reads an element.
func (s *scanner) array(element func()) {
	s.need('[')
	if s.odd || s.take(']') {
		return
	}
	for {
		element()
		if s.odd || s.take(']') {
			return
		}
		s.need(',')
	}
}

// quoted reads a string, and returns what is between its quotes. It is plain if it stands there as it is meant.
func (s *scanner) quoted() (inner []byte, plain bool) {
	s.need('"')
	if s.odd {
		return nil, false
	}
	ascii, escaped := true, false
	for i := s.at; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			inner = s.text[s.at:i]
			s.at = i + 1
			return inner, !escaped && (ascii || utf8.Valid(inner))
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			s.odd = true
			return nil, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	s.odd = true
	return nil, false
}

// string reads a string of its own.
func (s *scanner) string() string {
	begin := s.at
	inner, plain := s.quoted()
	if plain {
		return string(inner)
	}
	return s.unquote(begin)
}

// word reads a string that is likely to come again.
func (s *scanner) word() string {
	begin := s.at
	inner, plain := s.quoted()
	if !plain {
		return s.unquote(begin)
	}
	return s.words.of(inner)
}

// unquote reads the string that begins there once more: it has escapes, or is no UTF-8.
func (s *scanner) unquote(begin int) (text string) {
	if !s.odd && json.Unmarshal(s.text[begin:s.at], &text) != nil {
		s.odd = true
	}
	return text
}

// number reads a number, and returns its text.
func (s *scanner) number() []byte {
	s.next()
	begin := s.at
	if s.at < len(s.text) && s.text[s.at] == '-' {
		s.at++
	}
	if s.at < len(s.text) && s.text[s.at] == '0' {
		s.at++
	} else {
		s.digits()
	}
	if s.at < len(s.text) && s.text[s.at] == '.' {
		s.at++
		s.digits()
	}
	if s.at < len(s.text) && (s.text[s.at] == 'e' || s.text[s.at] == 'E') {
		s.at++
		if s.at < len(s.text) && (s.text[s.at] == '+' || s.text[s.at] == '-') {
			s.at++
		}
		s.digits()
	}
	return s.text[begin:s.at]
}

// digits reads at least one.
func (s *scanner) digits() {
	begin := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	if s.at == begin {
		s.odd = true
	}
}

func (s *scanner) uint64() uint64 {
	n, err := strconv.ParseUint(string(s.number()), 10, 64)
	s.odd = s.odd || err != nil
	return n
}

func (s *scanner) int64() int64 {
	n, err := strconv.ParseInt(string(s.number()), 10, 64)
	s.odd = s.odd || err != nil
	return n
}

func (s *scanner) int() int {
	n := s.int64()
	s.odd = s.odd || int64(int(n)) != n
	return int(n)
}

// float reads a number of 32 or 64 bits.
func (s *scanner) float(bits int) float64 {
	x, err := strconv.ParseFloat(string(s.number()), bits)
	s.odd = s.odd || err != nil
	return x
}

func (s *scanner) bool() bool {
	s.next()
	for _, word := range [...]string{"true", "false"} {
		if rest := s.text[s.at:]; len(rest) >= len(word) && string(rest[:len(word)]) == word {
			s.at += len(word)
			return word == "true"
		}
	}
	s.odd = true
	return false
}

func (s *scanner) time() (t time.Time) {
	s.next()
	begin := s.at
	if _, plain := s.quoted(); !plain || t.UnmarshalJSON(s.text[begin:s.at]) != nil {
		s.odd = true
	}
	return t
}

// words are texts that come again and again, such as the names of lines: each is in memory once.
type words struct{ known map[string]string }

// Bounds of words.
const (
	maxWords = 1024
	maxWord  = 128 // bytes; longer ones are not remembered
)

func (w *words) of(text []byte) string {
	if known, is := w.known[string(text)]; is {
		return known
	}
	word := string(text)
	switch {
	case len(word) > maxWord:
		return word
	case w.known == nil:
		w.known = make(map[string]string)
	case len(w.known) >= maxWords:
		clear(w.known)
	}
	w.known[word] = word
	return word
}
