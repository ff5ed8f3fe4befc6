package trends

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"strings"

	"edgepdm/shared/event"
)

// A file has the trends of one machine: a head, then a ring of minutes and one of hours, in slots of fixed size. The slot of a minute
// follows from its number, so that nothing else has to be known to write it, and a write that was cut off spoils that minute only.
//
//	head   magic, format, minutes, hours, number of series, names (each length and text), checksum; padded to headSize
//	slot   number of the minute or hour since 1970, mean, min and max of each series, checksum
//
// Numbers are little-endian; a value that is missing is NaN.
const (
	magic    = "EPDMTRND"
	format   = 1
	headSize = 8 << 10

	// MaxSeries is how many series a machine has: its score, its remaining life, and the values that are watched.
	MaxSeries = 2 + event.MaxWatched
)

var errOther = errors.New("not a trend file of this format")

// layout is how a file is laid out.
type layout struct {
	minutes, hours int
	series         []string
}

func (l layout) slotSize() int64 { return int64(4 + 12*len(l.series) + 4) }

// size is that of a file, in bytes.
func (l layout) size() int64 { return headSize + int64(l.minutes+l.hours)*l.slotSize() }

// offset is where a ring's slot for a number is.
func (l layout) offset(of ring, number uint32) int64 {
	if of == hourly {
		return headSize + int64(l.minutes+int(number)%l.hours)*l.slotSize()
	}
	return headSize + int64(int(number)%l.minutes)*l.slotSize()
}

// ring is one of a file's two.
type ring int

const (
	minutely ring = iota
	hourly
)

// seconds is how long a slot of the ring is.
func (r ring) seconds() int64 {
	if r == hourly {
		return 3600
	}
	return 60
}

// head encodes a file's head.
func (l layout) head() ([]byte, error) {
	b := append([]byte(magic), make([]byte, 0, headSize)...)
	for _, n := range []int{format, l.minutes, l.hours, len(l.series)} {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	for _, name := range l.series {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(name)))
		b = append(b, name...)
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	if len(b) > headSize {
		return nil, fmt.Errorf("head of %d bytes, at most %d", len(b), headSize)
	}
	return append(b, make([]byte, headSize-len(b))...), nil
}

// readHead reads a file's head. The error is errOther for what is none.
func readHead(f *os.File) (layout, error) {
	b := make([]byte, headSize)
	if _, err := f.ReadAt(b, 0); err != nil {
		return layout{}, errOther
	}
	if !strings.HasPrefix(string(b), magic) {
		return layout{}, errOther
	}
	at := len(magic)
	number := func() int {
		at += 4
		return int(binary.LittleEndian.Uint32(b[at-4:]))
	}
	version, l := number(), layout{}
	l.minutes, l.hours = number(), number()
	n := number()
	if version != format || l.minutes < 1 || l.minutes > maxSlots || l.hours < 1 || l.hours > maxSlots || n < 1 || n > MaxSeries {
		return layout{}, errOther
	}
	for range n {
		if at+2 > headSize-4 {
			return layout{}, errOther
		}
		size := int(binary.LittleEndian.Uint16(b[at:]))
		if at += 2; at+size > headSize-4 {
			return layout{}, errOther
		}
		l.series = append(l.series, string(b[at:at+size]))
		at += size
	}
	if binary.LittleEndian.Uint32(b[at:]) != crc32.ChecksumIEEE(b[:at]) {
		return layout{}, errOther
	}
	return l, nil
}

// span has the values of a series in a slot.
type span struct{ mean, low, high float32 }

var nothing = span{nan, nan, nan}

var nan = float32(math.NaN())

// encode makes a slot.
func (l layout) encode(number uint32, values []span) []byte {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, l.slotSize()), number)
	for _, v := range values {
		for _, x := range [...]float32{v.mean, v.low, v.high} {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
	}
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// decode reads a slot; ok is false for one that was never written, or not as a whole.
func (l layout) decode(b []byte, values []span) (number uint32, ok bool) {
	end := len(b) - 4
	number = binary.LittleEndian.Uint32(b)
	if number == 0 || binary.LittleEndian.Uint32(b[end:]) != crc32.ChecksumIEEE(b[:end]) {
		return 0, false
	}
	for i := range values {
		at := 4 + 12*i
		x := func(k int) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b[at+4*k:])) }
		values[i] = span{x(0), x(1), x(2)}
	}
	return number, true
}
