package event

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
)

// TelemetryDecoder reads rows of telemetry. It is for one goroutine, and keeps texts that repeat, so that they are in memory once.
type TelemetryDecoder struct{ words words }

// Decode reads a message of a telemetry topic. The error is an *InvalidError.
func (d *TelemetryDecoder) Decode(payload []byte) (Telemetry, error) {
	if err := Local.Check(payload); err != nil {
		return Telemetry{}, err
	}
	var t Telemetry
	s := scanner{text: payload, words: &d.words}
	if s.telemetry(&t); !s.end() {
		return decodeRow(payload)
	}
	return t.checked()
}

// DecodeBatch reads a message of TopicTelemetryBatch. One bad row does not spoil the others.
func (d *TelemetryDecoder) DecodeBatch(payload []byte) ([]Row, error) {
	if err := Local.Check(payload); err != nil {
		return nil, err
	}
	var v int
	var rows []Row
	s := scanner{text: payload, words: &d.words}
	s.object(func(name []byte) {
		switch string(name) {
		case "v":
			v = s.int()
		case "rows":
			s.odd = s.odd || rows != nil
			rows = make([]Row, 0, len(payload)/usualRow+1)
			s.array(func() {
				rows = append(rows, Row{})
				s.telemetry(&rows[len(rows)-1].Telemetry)
			})
		default:
			s.odd = true
		}
	})
	if !s.end() || rows == nil {
		return decodeRows(payload)
	}
	if err := checkVersion(v); err != nil {
		return nil, err
	}
	for i := range rows {
		rows[i].Telemetry, rows[i].Err = rows[i].checked()
	}
	return rows, nil
}

// usualRow is about how many bytes the rows in batches have.
const usualRow = 1000

// telemetry reads a row.
func (s *scanner) telemetry(t *Telemetry) {
	s.object(func(name []byte) {
		switch string(name) {
		case "v":
			t.V = s.int()
		case "thing":
			t.Thing = s.string()
		case "line":
			t.Line = s.word()
		case "epoch":
			t.Epoch = s.word()
		case "seq":
			t.Seq = s.uint64()
		case "ts":
			t.TS = s.time()
		case "schema":
			t.Schema = s.word()
		case "values":
			t.Values = s.values()
		case "readings":
			s.odd = s.odd || t.Readings != nil
			t.Readings = make(Readings)
			s.object(func(sensor []byte) { t.Readings[s.words.of(sensor)] = s.value() })
		case "f32":
			t.Packed = s.packed()
		case "simulated":
			t.Simulated = s.bool()
		case "faulty":
			truth := s.bool()
			t.Faulty = &truth
		case "remaining":
			remaining := s.float(64)
			t.Remaining = &remaining
		default:
			s.odd = true
		}
	})
}

// values reads an array of numbers and nulls.
func (s *scanner) values() Values {
	end := bytes.IndexByte(s.text[s.at:], ']')
	if end < 0 {
		s.odd = true
		return nil
	}
	list := make(Values, 0, bytes.Count(s.text[s.at:s.at+end], []byte(","))+1)
	s.array(func() { list = append(list, s.value()) })
	return list
}

// Decimals with so many digits, of which so many are behind the point, are exact as the quotient of two float64s.
const (
	exactDigits   = 15
	exactFraction = 22
)

var powersOfTen = [exactFraction + 1]float64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// value reads a number, as ParseFloat does, or null, a missing value.
func (s *scanner) value() float32 {
	if s.next() == 'n' {
		return s.null()
	}
	number := s.number()
	if x, is := decimal(number); is || s.odd {
		return float32(x)
	}
	x, err := ParseFloat(string(number))
	s.odd = s.odd || err != nil
	return x
}

func (s *scanner) null() float32 {
	rest, is := bytes.CutPrefix(s.text[s.at:], []byte("null"))
	s.at, s.odd = len(s.text)-len(rest), s.odd || !is
	return missing
}

// decimal returns what a JSON number says that has no exponent and few digits.
func decimal(number []byte) (x float64, is bool) {
	var digits uint64
	significant, fraction, point := 0, 0, 0
	negative := false
	for _, c := range number {
		switch {
		case c >= '0' && c <= '9':
			digits = digits*10 + uint64(c-'0')
			fraction += point
			if digits > 0 {
				significant++
			}
			if significant > exactDigits || fraction > exactFraction {
				return 0, false
			}
		case c == '.':
			point = 1
		case c == '-':
			negative = true
		default:
			return 0, false
		}
	}
	if x = float64(digits) / powersOfTen[fraction]; negative {
		x = -x
	}
	return x, true
}

// packed reads base64 of float32s.
func (s *scanner) packed() Packed {
	inner, plain := s.quoted()
	var raw [maxPacked]byte
	if !plain || base64.StdEncoding.DecodedLen(len(inner)) > len(raw) {
		s.odd = true
		return nil
	}
	n, err := base64.StdEncoding.Decode(raw[:], inner)
	if err != nil || n%4 != 0 {
		s.odd = true
		return nil
	}
	row := make(Packed, n/4)
	for i := range row {
		row[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		s.odd = s.odd || math.IsInf(float64(row[i]), 0)
	}
	return row
}

// maxPacked is how many bytes of float32s a local message can carry as base64.
const maxPacked = 4500
