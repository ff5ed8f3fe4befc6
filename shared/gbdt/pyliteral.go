package gbdt

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"
)

// number reads a number.
func (u *unpickler) number(op byte) (any, error) {
	switch op {
	case 'I', 'L', 'F': // INT, LONG, FLOAT
		line, err := u.line()
		if err != nil {
			return nil, err
		}
		return textNumber(op, line)
	case 'G': // BINFLOAT
		value, err := u.take(8)
		if err != nil {
			return nil, err
		}
		return math.Float64frombits(binary.BigEndian.Uint64(value)), nil
	}
	var value []byte
	var err error
	switch op {
	case 'K': // BININT1
		value, err = u.take(1)
	case 'M': // BININT2
		value, err = u.take(2)
	case 'J': // BININT
		value, err = u.take(4)
		return int64(int32(littleEndian(value))), err
	case 0x8a: // LONG1
		value, err = u.counted(1)
	default: // LONG4
		value, err = u.counted(4)
	}
	switch {
	case err != nil:
		return nil, err
	case len(value) > 8:
		return pyBig{}, nil
	case (op == 0x8a || op == 0x8b) && len(value) > 0 && value[len(value)-1] >= 0x80: // two's complement
		return int64(littleEndian(value) | ^uint64(0)<<(8*len(value)-1)), nil
	}
	return int64(littleEndian(value)), nil
}

// textNumber reads the number of an INT, LONG or FLOAT.
func textNumber(op byte, line []byte) (any, error) {
	switch text := string(line); {
	case len(line) > 400:
		return nil, refuse(ErrInvalid, "a number of %d digits", len(line))
	case op == 'F':
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, refuse(ErrInvalid, "%.40q is not a number", text)
		}
		return x, nil
	case op == 'I' && (text == "00" || text == "01"): // how protocol 1 writes a bool
		return text == "01", nil
	default:
		digits := bytes.TrimSuffix(line, []byte("L"))
		n, err := strconv.ParseInt(string(digits), 10, 64)
		if err == nil {
			return n, nil
		}
		if _, err := strconv.ParseFloat(string(digits), 64); err != nil {
			return nil, refuse(ErrInvalid, "%.40q is not a number", text)
		}
		return pyBig{}, nil
	}
}

// string reads text or bytes.
func (u *unpickler) string(op byte) (any, error) {
	switch op {
	case 'S': // STRING, as Python's repr
		line, err := u.line()
		if err != nil {
			return nil, err
		}
		return unquote(line)
	case 'V': // UNICODE, raw-unicode-escape
		line, err := u.line()
		if err != nil {
			return nil, err
		}
		return unescape(line), nil
	}
	size := 4
	switch op {
	case 0x8c, 'U', 'C':
		size = 1
	case 0x8d, 0x8e, 0x96:
		size = 8
	}
	value, err := u.counted(size)
	if op == 'X' || op == 0x8c || op == 0x8d {
		return pyText(value), err
	}
	return pyBytes(value), err // SHORT_BINSTRING, BINSTRING, SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8
}

// unquote reads what repr of Python 2 made of a string.
func unquote(line []byte) (any, error) {
	line = bytes.TrimSpace(line)
	n := len(line)
	if n < 2 || line[0] != line[n-1] || line[0] != '\'' && line[0] != '"' {
		return nil, refuse(ErrInvalid, "%.40q is not a quoted string", line)
	}
	line = line[1 : n-1]
	out := make(pyBytes, 0, len(line))
	for i := 0; i < len(line); i++ {
		if line[i] != '\\' || i+1 == len(line) {
			out = append(out, line[i])
			continue
		}
		i++
		switch c := line[i]; c {
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case '\\', '\'', '"':
			out = append(out, c)
		case 'x':
			value, err := strconv.ParseUint(string(line[i+1:min(i+3, len(line))]), 16, 8)
			if err != nil {
				return nil, refuse(ErrInvalid, "%.40q has a bad escape", line)
			}
			out = append(out, byte(value))
			i += 2
		default:
			return nil, refuse(ErrInvalid, "%.40q has a bad escape", line)
		}
	}
	return out, nil
}

// unescape reads raw-unicode-escape: latin-1 with \uXXXX and \UXXXXXXXX.
func unescape(line []byte) pyText {
	out := make(pyText, 0, len(line))
	for i := 0; i < len(line); i++ {
		digits := 0
		if line[i] == '\\' && i+1 < len(line) {
			digits = map[byte]int{'u': 4, 'U': 8}[line[i+1]]
		}
		if end := i + 2 + digits; digits > 0 && end <= len(line) {
			if r, err := strconv.ParseUint(string(line[i+2:end]), 16, 32); err == nil {
				out = utf8.AppendRune(out, rune(r))
				i = end - 1
				continue
			}
		}
		out = utf8.AppendRune(out, rune(line[i]))
	}
	return out
}
