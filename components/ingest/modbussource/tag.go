// Package modbussource reads values from a Modbus TCP server. It never writes.
package modbussource

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// table is one of Modbus's four tables of data.
type table string

const (
	coils            table = "coil"
	discreteInputs   table = "discrete"
	holdingRegisters table = "holding"
	inputRegisters   table = "input"
)

func (t table) ofBits() bool { return t == coils || t == discreteInputs }

// tag is a value of a server: <table>:<address>[:<type>[:<order>]], such as holding:40:float32:cdab, coil:7 or input:3.5 for
// bit 5 of a register. Addresses are those of the protocol, from 0: what a manual calls 40001 is holding:0.
type tag struct {
	table   table
	address uint16
	kind    string // bool, int16, …, float64
	order   string // of the bytes, "abcd" = big-endian, "cdab" = words swapped, "badc" = bytes swapped, "dcba" = little-endian
	bit     int    // of a register; -1: none
}

// words are the registers of each type.
var words = map[string]uint16{
	"int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "float32": 2, "int64": 4, "uint64": 4, "float64": 4,
}

var orders = []string{"abcd", "cdab", "badc", "dcba"}

// parse reads a tag.
func parse(text string) (tag, error) {
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 4 {
		return tag{}, fmt.Errorf("%q is not <table>:<address>[:<type>[:<order>]], such as holding:40:float32", text)
	}
	t := tag{table: table(parts[0]), kind: "uint16", order: "abcd", bit: -1}
	if !slices.Contains([]table{coils, discreteInputs, holdingRegisters, inputRegisters}, t.table) {
		return tag{}, fmt.Errorf("%q: table %q is none of %s, %s, %s and %s", text, parts[0], coils, discreteInputs, holdingRegisters, inputRegisters)
	}
	address, bit, hasBit := strings.Cut(parts[1], ".")
	n, err := strconv.ParseUint(address, 10, 16)
	if err != nil {
		return tag{}, fmt.Errorf("%q: address %q is not 0 to 65535", text, address)
	}
	t.address = uint16(n)
	if hasBit {
		b, err := strconv.ParseUint(bit, 10, 8)
		if err != nil || b > 15 || t.table.ofBits() || len(parts) > 2 {
			return tag{}, fmt.Errorf("%q: a bit is 0 to 15, of a register without a type", text)
		}
		t.kind, t.bit = "bool", int(b)
		return t, nil
	}
	if t.table.ofBits() {
		if len(parts) > 2 {
			return tag{}, fmt.Errorf("%q: a %s has no type", text, t.table)
		}
		t.kind = "bool"
		return t, nil
	}
	if len(parts) > 2 {
		t.kind = parts[2]
	}
	if words[t.kind] == 0 {
		return tag{}, fmt.Errorf("%q: type %q is none of int16, uint16, int32, uint32, float32, int64, uint64 and float64", text, t.kind)
	}
	if len(parts) > 3 {
		t.order = parts[3]
	}
	if !slices.Contains(orders, t.order) {
		return tag{}, fmt.Errorf("%q: order %q is none of %s", text, t.order, strings.Join(orders, ", "))
	}
	if int(t.address)+int(t.size()) > 1<<16 {
		return tag{}, fmt.Errorf("%q: it ends behind address 65535", text)
	}
	return t, nil
}

// size is how many registers, or bits, the value takes.
func (t tag) size() uint16 {
	if t.kind == "bool" {
		return 1
	}
	return words[t.kind]
}

// value reads the value from its registers, each big-endian as it came.
func (t tag) value(raw []byte) float64 {
	if t.bit >= 0 {
		return float64(binary.BigEndian.Uint16(raw) >> t.bit & 1)
	}
	b := slices.Clone(raw)
	if t.order == "badc" || t.order == "dcba" {
		for i := 0; i+1 < len(b); i += 2 {
			b[i], b[i+1] = b[i+1], b[i]
		}
	}
	if t.order == "cdab" || t.order == "dcba" {
		for i, j := 0, len(b)-2; i < j; i, j = i+2, j-2 {
			b[i], b[i+1], b[j], b[j+1] = b[j], b[j+1], b[i], b[i+1]
		}
	}
	switch t.kind {
	case "int16":
		return float64(int16(binary.BigEndian.Uint16(b))) //nolint:gosec // two's complement
	case "uint16":
		return float64(binary.BigEndian.Uint16(b))
	case "int32":
		return float64(int32(binary.BigEndian.Uint32(b))) //nolint:gosec // two's complement
	case "uint32":
		return float64(binary.BigEndian.Uint32(b))
	case "float32":
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
	case "int64":
		return float64(int64(binary.BigEndian.Uint64(b))) //nolint:gosec // two's complement
	case "uint64":
		return float64(binary.BigEndian.Uint64(b))
	default: // float64
		return math.Float64frombits(binary.BigEndian.Uint64(b))
	}
}
