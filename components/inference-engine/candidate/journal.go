package candidate

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"time"

	"edgepdm/shared/event"
)

// A journal has what was added since a checkpoint. A record is its length (2 bytes), its CRC-32C (4 bytes), and what it says: its
// step (8 bytes), its kind (1 byte), and the rest. Numbers are little-endian.
const (
	frameBytes = 6
	headBytes  = 9
	rowBytes   = headBytes + 8 + 8 + 8 + 4 + 4 + 4 + 4 + 1 // and then the thing, its length before it, and the epoch
	maxRecord  = 4 << 10
	// maxJournal bounds what is read: a checkpoint is made long before it is so large.
	maxJournal = 16 << 20
)

const (
	kindRow   byte = 'r'
	kindSkip  byte = 's'
	kindLabel byte = 'l'
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendRow appends the record of a row.
func appendRow(dst []byte, step uint64, r Row) []byte {
	return frame(dst, step, kindRow, func(b []byte) []byte {
		b = binary.LittleEndian.AppendUint64(b, r.Seq)
		b = binary.LittleEndian.AppendUint64(b, uint64(r.TS.UnixNano()))
		b = binary.LittleEndian.AppendUint64(b, uint64(r.At.UnixNano()))
		flags := byte(0)
		for i, p := range r.Probability {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(p))
			b = binary.LittleEndian.AppendUint32(b, uint32(min(r.Took[i], math.MaxUint32)))
			if r.Faulty[i] {
				flags |= 1 << i
			}
		}
		b = append(b, flags)
		if r.Faulty[0] == r.Faulty[1] { // nobody asks which row it was
			return b
		}
		b = append(b, byte(min(len(r.Thing), math.MaxUint8)))
		return append(append(b, r.Thing[:min(len(r.Thing), math.MaxUint8)]...), r.Epoch...)
	})
}

func appendSkip(dst []byte, step, rows uint64) []byte {
	return frame(dst, step, kindSkip, func(b []byte) []byte { return binary.LittleEndian.AppendUint64(b, rows) })
}

func appendLabel(dst []byte, step uint64, l event.Label) ([]byte, error) {
	text, err := json.Marshal(event.Label{ID: l.ID, Thing: l.Thing, Outcome: l.Outcome, Rows: l.Rows, Since: l.Since})
	if err != nil || len(text) > maxRecord-frameBytes-headBytes {
		return dst, fmt.Errorf("label %.40s cannot be kept: %d bytes, %w", l.ID, len(text), err)
	}
	return frame(dst, step, kindLabel, func(b []byte) []byte { return append(b, text...) }), nil
}

// frame appends a record, of which rest appends what is behind its head.
func frame(dst []byte, step uint64, kind byte, rest func([]byte) []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, frameBytes)...)
	dst = append(binary.LittleEndian.AppendUint64(dst, step), kind)
	dst = rest(dst)
	body := dst[start+frameBytes:]
	binary.LittleEndian.PutUint16(dst[start:], uint16(len(body)))
	binary.LittleEndian.PutUint32(dst[start+2:], crc32.Checksum(body, castagnoli))
	return dst
}

// replay adds a journal's records that are newer than the evidence, and returns how many bytes of the journal are whole. A record
// that is cut off, damaged, or not the next one ends it.
func (e *Evidence) replay(data []byte) (whole int) {
	for {
		rest := data[whole:]
		if len(rest) < frameBytes+headBytes {
			return whole
		}
		n := int(binary.LittleEndian.Uint16(rest))
		if n < headBytes || n > maxRecord || len(rest) < frameBytes+n {
			return whole
		}
		body := rest[frameBytes:][:n]
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(rest[2:]) {
			return whole
		}
		step := binary.LittleEndian.Uint64(body)
		if step > e.Step && (step != e.Step+1 || !e.apply(body[8], body[headBytes:])) {
			return whole
		}
		whole += frameBytes + n
	}
}

// apply adds what a record says, and reports whether that can be.
func (e *Evidence) apply(kind byte, rest []byte) bool {
	switch kind {
	case kindSkip:
		if len(rest) != 8 {
			return false
		}
		e.Skip(binary.LittleEndian.Uint64(rest))
		return true
	case kindLabel:
		var l event.Label
		return json.Unmarshal(rest, &l) == nil && e.Label(l)
	case kindRow:
		r, ok := decodeRow(rest)
		if ok {
			e.Add(r)
		}
		return ok
	}
	return false
}

func decodeRow(b []byte) (r Row, ok bool) {
	if len(b) < rowBytes-headBytes {
		return r, false
	}
	r.Seq = binary.LittleEndian.Uint64(b)
	r.TS = time.Unix(0, int64(binary.LittleEndian.Uint64(b[8:])))
	r.At = time.Unix(0, int64(binary.LittleEndian.Uint64(b[16:])))
	b = b[24:]
	for i := range r.Probability {
		r.Probability[i] = math.Float32frombits(binary.LittleEndian.Uint32(b))
		r.Took[i] = time.Duration(binary.LittleEndian.Uint32(b[4:]))
		if p := r.Probability[i]; !(p >= 0 && p <= 1) {
			return r, false
		}
		b = b[8:]
	}
	r.Faulty = [2]bool{b[0]&1 != 0, b[0]&2 != 0}
	if b = b[1:]; len(b) == 0 {
		return r, r.Faulty[0] == r.Faulty[1]
	}
	if n := int(b[0]); n < len(b) {
		r.Thing, r.Epoch = string(b[1:][:n]), string(b[1+n:])
		return r, true
	}
	return r, false
}

// journal is the file.
type journal struct {
	file *os.File
	size int64 // of what is whole
}

// openJournal opens the journal at path, and adds what it has to the evidence. lost is how many bytes at its end are none.
func openJournal(path string, e *Evidence) (j *journal, lost int64, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, 0, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxJournal))
	if err == nil {
		j = &journal{file: f, size: int64(e.replay(data))}
		var info os.FileInfo
		if info, err = f.Stat(); err == nil {
			lost = info.Size() - j.size
			err = f.Truncate(j.size)
		}
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return j, lost, nil
}

// write appends records at once. After an error none of them is there.
func (j *journal) write(records []byte) error {
	if _, err := j.file.WriteAt(records, j.size); err != nil {
		return errors.Join(err, j.file.Truncate(j.size))
	}
	j.size += int64(len(records))
	return nil
}

// clear makes it empty: a checkpoint has what was in it.
func (j *journal) clear() error {
	if err := j.file.Truncate(0); err != nil {
		return err
	}
	j.size = 0
	return nil
}
