package gbdt

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
)

// ubjSource reads Universal Binary JSON (draft 12) as far as XGBoost writes it: big-endian numbers, keys and strings
// with a length, typed arrays [$type#count, and counted arrays [#count, which XGBoost does not close with a bracket.
type ubjSource struct {
	data  []byte
	pos   int
	depth int
}

func (s *ubjSource) object(visit func(key string) error) error {
	if err := s.open('{'); err != nil {
		return err
	}
	defer func() { s.depth-- }()
	for s.peek() != '}' {
		key, err := s.bytes()
		if err != nil {
			return err
		}
		if err := visit(string(key)); err != nil {
			return err
		}
	}
	s.pos++
	return nil
}

func (s *ubjSource) array(visit func(index int) error) error {
	if err := s.open('['); err != nil {
		return err
	}
	defer func() { s.depth-- }()
	switch s.peek() {
	case '$':
		// A typed array of numbers where other things belong: nothing that XGBoost writes, unless it is empty.
		if _, count, err := s.typed(); err != nil || count == 0 {
			return err
		}
		return invalidf(s.pos, "an array of numbers stands where other values belong")
	case '#':
		s.pos++
		count, err := s.length()
		for i := 0; i < count && err == nil; i++ {
			err = visit(i)
		}
		return err
	}
	for i := 0; s.peek() != ']'; i++ {
		if err := visit(i); err != nil {
			return err
		}
	}
	s.pos++
	return nil
}

func (s *ubjSource) ints(buf []int32) ([]int32, error) {
	out := buf[:0]
	err := s.numbers(func(count int) { out = slices.Grow(out, count) }, func(marker byte) error {
		at := s.pos
		n, err := s.integer(marker)
		if err != nil {
			return err
		}
		if n != int64(int32(n)) {
			return invalidf(at, "%d is not a 32-bit integer", n)
		}
		out = append(out, int32(n))
		return nil
	})
	return out, err
}

func (s *ubjSource) floats(buf []float32) ([]float32, error) {
	out := buf[:0]
	err := s.numbers(func(count int) { out = slices.Grow(out, count) }, func(marker byte) error {
		f, err := s.float(marker)
		out = append(out, f)
		return err
	})
	return out, err
}

// numbers reads an array in any of its three forms; each reads one element of the type that a marker names. reserve is
// told the length of a typed array, which the data is known to hold.
func (s *ubjSource) numbers(reserve func(count int), each func(marker byte) error) error {
	if s.pos+1 < len(s.data) && s.data[s.pos] == '[' && s.data[s.pos+1] == '$' {
		s.pos++
		marker, count, err := s.typed()
		if err != nil {
			return err
		}
		if count > maxNumbers {
			return tooManyNumbers()
		}
		reserve(count)
		for range count {
			if err := each(marker); err != nil {
				return err
			}
		}
		return nil
	}
	return s.array(func(i int) error {
		if i >= maxNumbers {
			return tooManyNumbers()
		}
		marker, err := s.byte()
		if err != nil {
			return err
		}
		return each(marker)
	})
}

// typed reads the head of a typed array, from the dollar on, and makes sure that its elements are there.
func (s *ubjSource) typed() (marker byte, count int, err error) {
	head, err := s.take(3)
	if err != nil {
		return 0, 0, err
	}
	marker = head[1]
	size := sizeOf(marker)
	if head[2] != '#' || size == 0 {
		return 0, 0, invalidf(s.pos, "bad head of a typed array %q", head)
	}
	if count, err = s.length(); err != nil {
		return 0, 0, err
	}
	if count > (len(s.data)-s.pos)/size {
		return 0, 0, truncated(len(s.data))
	}
	return marker, count, nil
}

func (s *ubjSource) text() (string, error) {
	marker, err := s.byte()
	switch {
	case err != nil:
		return "", err
	case marker == 'S':
		b, err := s.bytes()
		return string(b), err
	case marker == 'd', marker == 'D':
		f, err := s.float(marker)
		return strconv.FormatFloat(float64(f), 'g', -1, 32), err
	}
	n, err := s.integer(marker)
	return strconv.FormatInt(n, 10), err
}

func (s *ubjSource) skip() error {
	switch s.peek() {
	case '{':
		return s.object(func(string) error { return s.skip() })
	case '[':
		if s.pos+1 < len(s.data) && s.data[s.pos+1] == '$' {
			s.pos++
			marker, count, err := s.typed()
			if err != nil {
				return err
			}
			_, err = s.take(count * sizeOf(marker))
			return err
		}
		return s.array(func(int) error { return s.skip() })
	case 'Z':
		s.pos++
		return nil
	case 'T', 'F', 'd', 'D', 'i', 'U', 'I', 'l', 'L', 'C':
		_, err := s.take(1 + sizeOf(s.peek()))
		return err
	}
	_, err := s.text()
	return err
}

func (s *ubjSource) read() float64 { return float64(s.pos) / float64(len(s.data)) }

func (s *ubjSource) end() error {
	if s.pos < len(s.data) {
		return invalidf(s.pos, "%d bytes follow the model", len(s.data)-s.pos)
	}
	return nil
}

// integer reads a value whose type marker has been read.
func (s *ubjSource) integer(marker byte) (int64, error) {
	switch marker {
	case 'T':
		return 1, nil
	case 'F':
		return 0, nil
	case 'i', 'U', 'C', 'I', 'l', 'L':
	default:
		return 0, invalidf(s.pos, "expected an integer, found marker %q", marker)
	}
	b, err := s.take(sizeOf(marker))
	if err != nil {
		return 0, err
	}
	switch marker {
	case 'i', 'C':
		return int64(int8(b[0])), nil
	case 'U':
		return int64(b[0]), nil
	case 'I':
		return int64(int16(binary.BigEndian.Uint16(b))), nil
	case 'l':
		return int64(int32(binary.BigEndian.Uint32(b))), nil
	default:
		return int64(binary.BigEndian.Uint64(b)), nil
	}
}

// float reads a value whose type marker has been read.
func (s *ubjSource) float(marker byte) (float32, error) {
	if marker != 'd' && marker != 'D' {
		n, err := s.integer(marker)
		return float32(n), err
	}
	b, err := s.take(sizeOf(marker))
	if err != nil {
		return 0, err
	}
	if marker == 'd' {
		return math.Float32frombits(binary.BigEndian.Uint32(b)), nil
	}
	return float32(math.Float64frombits(binary.BigEndian.Uint64(b))), nil
}

// bytes reads a length and as many bytes.
func (s *ubjSource) bytes() ([]byte, error) {
	n, err := s.length()
	if err != nil {
		return nil, err
	}
	return s.take(n)
}

// length reads a count. Whatever is counted takes at least a byte each, so a count beyond the data is refused here.
func (s *ubjSource) length() (int, error) {
	marker, err := s.byte()
	if err != nil {
		return 0, err
	}
	n, err := s.integer(marker)
	if err != nil {
		return 0, err
	}
	if n < 0 || n > int64(len(s.data)-s.pos) {
		return 0, invalidf(s.pos, "a length of %d is more than the file holds", n)
	}
	return int(n), nil
}

func (s *ubjSource) open(c byte) error {
	switch got, err := s.byte(); {
	case err != nil:
		return err
	case got != c:
		return invalidf(s.pos-1, "expected marker %q, found %q", c, got)
	}
	if s.depth++; s.depth > maxNesting {
		return invalidf(s.pos, "values nest deeper than %d", maxNesting)
	}
	return nil
}

func (s *ubjSource) byte() (byte, error) {
	b, err := s.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (s *ubjSource) take(n int) ([]byte, error) {
	if n < 0 || n > len(s.data)-s.pos {
		return nil, truncated(len(s.data))
	}
	b := s.data[s.pos : s.pos+n]
	s.pos += n
	return b, nil
}

// peek returns the next byte, 0 at the end of the data.
func (s *ubjSource) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// sizeOf gives the bytes of a number, 0 for a marker of something else.
func sizeOf(marker byte) int {
	switch marker {
	case 'i', 'U', 'C':
		return 1
	case 'I':
		return 2
	case 'd', 'l':
		return 4
	case 'D', 'L':
		return 8
	}
	return 0
}
