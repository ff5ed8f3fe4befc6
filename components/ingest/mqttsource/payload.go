package mqttsource

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// message is a Payload of Sparkplug's protobuf schema, as far as it is used, without its metrics.
type message struct {
	time   time.Time
	seq    uint64
	hasSeq bool
}

type metric struct {
	name       string
	alias      uint64
	hasAlias   bool
	time       time.Time
	datatype   uint64
	historical bool
	null       bool
	good       bool
	value      float64 // of a float, a double or a truth value
	isNumber   bool    // value is
	raw        uint64  // of a whole number
	isRaw      bool    // raw is
}

// Numbers of Sparkplug's data types that are read from an unsigned field.
const (
	typeUnknown = 0
	typeInt8    = 1
	typeInt16   = 2
	typeInt32   = 3
	typeInt64   = 4
)

// goodQuality is Sparkplug's property Quality of a good value.
const goodQuality = 192

// fields calls read for each field of a protobuf message.
func fields(b []byte, read func(number protowire.Number, kind protowire.Type, value []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		n = protowire.ConsumeFieldValue(number, kind, b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := read(number, kind, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func varint(kind protowire.Type, b []byte) (uint64, bool) {
	x, n := protowire.ConsumeVarint(b)
	return x, kind == protowire.VarintType && n > 0
}

func millis(x uint64) time.Time {
	if x == 0 || x > math.MaxInt64/1_000_000 {
		return time.Time{}
	}
	return time.UnixMilli(int64(x)) //nolint:gosec // bounded above
}

// readPayload reads a message, and hands each of its metrics to take: they are not kept, because there may be many in few bytes.
func readPayload(payload []byte, take func(metric) error) (message, error) {
	var p message
	err := fields(payload, func(number protowire.Number, kind protowire.Type, value []byte) error {
		x, isVarint := varint(kind, value)
		switch {
		case number == 1 && isVarint:
			p.time = millis(x)
		case number == 3 && isVarint:
			p.seq, p.hasSeq = x, true
		case number == 2 && kind == protowire.BytesType:
			inner, _ := protowire.ConsumeBytes(value)
			m, err := readMetric(inner)
			if err != nil {
				return err
			}
			return take(m)
		}
		return nil
	})
	return p, err
}

func readMetric(b []byte) (metric, error) {
	m := metric{good: true}
	err := fields(b, func(number protowire.Number, kind protowire.Type, value []byte) error {
		x, isVarint := varint(kind, value)
		switch {
		case number == 1 && kind == protowire.BytesType:
			name, _ := protowire.ConsumeBytes(value)
			m.name = string(name)
		case number == 2 && isVarint:
			m.alias, m.hasAlias = x, true
		case number == 3 && isVarint:
			m.time = millis(x)
		case number == 4 && isVarint:
			m.datatype = x
		case number == 5 && isVarint:
			m.historical = x != 0
		case number == 7 && isVarint:
			m.null = x != 0
		case number == 9 && kind == protowire.BytesType:
			inner, _ := protowire.ConsumeBytes(value)
			good, err := readQuality(inner)
			m.good = good
			return err
		case (number == 10 || number == 11) && isVarint:
			m.raw, m.isRaw = x, true
		case number == 12 && kind == protowire.Fixed32Type:
			bits, _ := protowire.ConsumeFixed32(value)
			m.value, m.isNumber = float64(math.Float32frombits(bits)), true
		case number == 13 && kind == protowire.Fixed64Type:
			bits, _ := protowire.ConsumeFixed64(value)
			m.value, m.isNumber = math.Float64frombits(bits), true
		case number == 14 && isVarint:
			m.value, m.isNumber = truth(x != 0), true
		}
		return nil
	})
	return m, err
}

// readQuality looks for the property Quality in a PropertySet: keys are its field 1, values its field 2, in the same order.
func readQuality(b []byte) (good bool, err error) {
	keys, values, at := 0, 0, -1
	err = fields(b, func(number protowire.Number, kind protowire.Type, value []byte) error {
		if inner, _ := protowire.ConsumeBytes(value); number == 1 && kind == protowire.BytesType {
			if string(inner) == "Quality" {
				at = keys
			}
			keys++
		}
		return nil
	})
	good = true
	if err != nil || at < 0 {
		return good, err
	}
	err = fields(b, func(number protowire.Number, kind protowire.Type, value []byte) error {
		if number != 2 || kind != protowire.BytesType {
			return nil
		}
		if values++; values-1 != at {
			return nil
		}
		inner, _ := protowire.ConsumeBytes(value)
		return fields(inner, func(number protowire.Number, kind protowire.Type, value []byte) error {
			if x, ok := varint(kind, value); ok && (number == 3 || number == 4) {
				good = x == goodQuality
			}
			return nil
		})
	})
	return good, err
}
