package modbussource

import (
	"encoding/binary"
	"math"
	"testing"
)

func TestWrongTags(t *testing.T) {
	for _, text := range []string{
		"", "holding", "holding:", "holding:x", "holding:-1", "holding:65536", "register:1", "holding:1:real", "holding:1:int32:abdc",
		"holding:1:int32:abcd:x", "holding:1.16", "holding:1.", "holding:1.-1", "holding:1.3:int16", "coil:1.3", "coil:1:int16", "discrete:1:bool",
		"holding:65535:int32", "input:65533:float64", "holding:1:", "holding:1:int32:", " holding:1",
	} {
		if got, err := parse(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
	for _, text := range []string{"holding:65535", "input:65532:float64", "coil:65535", "discrete:0", "holding:1.15"} {
		if _, err := parse(text); err != nil {
			t.Error(err)
		}
	}
}

func TestBlocksRespectTheProtocolsLimits(t *testing.T) {
	var points []*point
	for address := range uint16(300) { // no gap
		points = append(points, &point{tag: tag{table: holdingRegisters, kind: "uint16", address: address, bit: -1}})
	}
	for _, address := range []uint16{400, 416 + 1, 500, 65535} { // together, together, alone, alone
		points = append(points, &point{tag: tag{table: holdingRegisters, kind: "uint16", address: address, bit: -1}})
	}
	for address := range uint16(2001) {
		points = append(points, &point{tag: tag{table: coils, kind: "bool", address: 65535 - address, bit: -1}})
	}
	points = append(points, &point{tag: tag{table: inputRegisters, kind: "float64", address: 124, bit: -1}},
		&point{tag: tag{table: inputRegisters, kind: "uint16", address: 109, bit: -1}}, &point{tag: tag{table: inputRegisters, kind: "uint16", address: 2, bit: -1}})
	var got [][3]int
	n := 0
	for _, b := range blocks(points) {
		got, n = append(got, [3]int{int(b.address), int(b.size), len(b.points)}), n+len(b.points)
	}
	want := [][3]int{
		{63535, 2000, 2000}, {65535, 1, 1}, // coils
		{0, 125, 125}, {125, 125, 125}, {250, 50, 50}, {400, 18, 2}, {500, 1, 1}, {65535, 1, 1}, // holding
		{2, 1, 1}, {109, 19, 2}, // input
	}
	if n != len(points) || len(got) != len(want) {
		t.Fatalf("%d points in %v, want %v", n, got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("block %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"holding:40:float32:cdab", "coil:7", "input:3.5", "holding:65535:uint64"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parse(text)
		if err != nil {
			return
		}
		if parsed.size() == 0 || int(parsed.address)+int(parsed.size()) > 1<<16 || parsed.bit > 15 {
			t.Errorf("%q is %+v", text, parsed)
		}
		if !parsed.table.ofBits() {
			parsed.value(make([]byte, 2*parsed.size())) // does not panic
		}
	})
}

// words of a value in an order of the bytes.
func inOrder(raw []byte, order string) []byte {
	b := make([]byte, 0, len(raw))
	switch order {
	case "abcd":
		b = append(b, raw...)
	case "cdab":
		for i := len(raw) - 2; i >= 0; i -= 2 {
			b = append(b, raw[i], raw[i+1])
		}
	case "badc":
		for i := 0; i < len(raw); i += 2 {
			b = append(b, raw[i+1], raw[i])
		}
	case "dcba":
		for i := len(raw) - 1; i >= 0; i-- {
			b = append(b, raw[i])
		}
	}
	return b
}

// examples are a value of each type, big-endian.
func examples() map[string]struct {
	raw  []byte
	want float64
} {
	be := binary.BigEndian
	type example = struct {
		raw  []byte
		want float64
	}
	return map[string]example{
		"int16":   {be.AppendUint16(nil, 0xFEDC), -292},
		"uint16":  {be.AppendUint16(nil, 0xFEDC), 65244},
		"int32":   {be.AppendUint32(nil, 0xFEDCBA98), -19088744},
		"uint32":  {be.AppendUint32(nil, 0xFEDCBA98), 4275878552},
		"float32": {be.AppendUint32(nil, math.Float32bits(-12.25)), -12.25},
		"int64":   {be.AppendUint64(nil, 0xFFFEDCBA98765432), -320255973501902},
		"uint64":  {be.AppendUint64(nil, 0x0001234567890ABC), 320255972084412},
		"float64": {be.AppendUint64(nil, math.Float64bits(1234.5678)), 1234.5678},
	}
}
