package spool

import (
	"bytes"
	"math"
	"testing"

	"edgepdm/test/must"
)

const fuzzSalt = 0x5A17

// seeds are segments' contents behind the header: whole, damaged, and what lengths can do.
func seeds() [][]byte {
	var b []byte
	for i := range 5 {
		r := message(i)
		b = appendRecord(b, &r)
	}
	number(b, fuzzSalt, 1)
	flipped := bytes.Clone(b)
	flipped[len(b)/2] ^= 4
	huge := bytes.Clone(b)
	copy(huge[12:], "\xff\xff\xff\x7f")
	copied := append(bytes.Clone(b), b...) // of the first copy, 4 and 5 are damaged
	for _, i := range []int{4, 5} {
		copied[bytes.Index(b, []byte(message(i-1).ID))] ^= 1
	}
	return [][]byte{
		nil, b, copied[:len(copied)-60], b[:len(b)-30], flipped, huge, append(bytes.Clone(b), b...), bytes.Repeat([]byte(marker), 50),
		make([]byte, 300), append(bytes.Clone(b), make([]byte, 100)...), b[len(b)-60:],
	}
}

// FuzzScan looks for bytes that make the scanner panic, loop, allocate much, or return what is no record.
//
//	go test -run '^$' -fuzz FuzzScan -fuzztime 30s ./shared/spool
func FuzzScan(f *testing.F) {
	for _, b := range seeds() {
		f.Add(b, uint8(0))
	}
	f.Fuzz(func(t *testing.T, b []byte, chunk uint8) {
		scan := scanner{
			file: bytes.NewReader(b), salt: fuzzSalt, limit: int64(len(b)), next: 1, end: math.MaxUint64,
			chunk: 1 + 16*int(chunk), reuse: chunk%2 == 0,
		}
		covered, last := int64(0), uint64(0)
		for {
			it, err := scan.scan()
			must.OK(t, err)
			if it.kind == foundEnd {
				break
			}
			if it.off != covered || it.size <= 0 || len(scan.buf) > max(len(b), scan.chunk) {
				t.Fatalf("%+v behind %d, buffer of %d", it, covered, len(scan.buf))
			}
			covered += it.size
			if it.kind != foundRecord {
				continue
			}
			// It is there byte for byte.
			r := it.record
			again := appendRecord(nil, &r)
			number(again, fuzzSalt, r.Seq)
			if r.Seq <= last || !bytes.Equal(again, b[it.off:covered]) {
				t.Fatalf("record %+v after %d", r, last)
			}
			last = r.Seq
		}
		if covered != int64(len(b)) {
			t.Fatalf("%d of %d bytes", covered, len(b))
		}
	})
}

// FuzzOpen opens a folder whose segment, cursor and quarantine have any content: the queue opens, can be read and
// appended to, and what is appended comes back.
func FuzzOpen(f *testing.F) {
	for _, b := range seeds() {
		f.Add(b, b, b)
	}
	f.Fuzz(func(t *testing.T, segmentBytes, cursorBytes, quarantineBytes []byte) {
		d := newDisk(nil)
		s := segment{base: 1, salt: fuzzSalt}
		for name, b := range map[string][]byte{
			s.name(): append(s.header(formatVersion), segmentBytes...), cursorName: cursorBytes, quarantineName: quarantineBytes,
		} {
			d.names[name] = &content{disk: d, data: bytes.Clone(b), dirty: make(map[int]bool)}
		}
		q, err := Open("/queue", Options{files: d})
		must.OK(t, err)
		defer func() { _ = q.Close() }()
		before, err := q.Peek(1000, 1<<30)
		must.OK(t, err)
		must.OK(t, q.Append(t.Context(), message(7)))
		after, err := q.Peek(1000, 1<<30)
		if err != nil || len(after) != len(before)+1 {
			t.Fatalf("%d records, then %d, %v %+v", len(before), len(after), err, q.Stats())
		}
		number1(t, after[len(before)])
		must.OK(t, q.Ack(after[len(before)].Seq))
		if s := q.Stats(); s.Depth != 0 {
			t.Fatalf("stats: %+v", s)
		}
	})
}
