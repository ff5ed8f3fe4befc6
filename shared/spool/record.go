package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
)

// Limits of a record, in bytes. Append refuses what is larger with ErrRecord.
const (
	MaxPayload = 1 << 20
	MaxID      = 512
	MaxStream  = 256
)

// Record is one message of the queue.
type Record struct {
	Seq      uint64 // set by the queue, from 1; ignored by Append
	Time     int64  // of the original message, Unix nanoseconds
	Stream   string // at most MaxStream bytes
	ID       string // at most MaxID bytes; the queue does not look into it
	Payload  []byte // at most MaxPayload bytes
	Replayed bool   // set by Peek: it may have been handed out before, also by a process that has ended
}

const (
	recordHeader = 40
	maxRecord    = recordHeader + MaxStream + MaxID + MaxPayload
)

// size returns how many bytes the record takes in a segment.
func (r *Record) size() int {
	return recordHeader + len(r.Stream) + len(r.ID) + len(r.Payload)
}

func (r *Record) check() error {
	switch {
	case len(r.Payload) > MaxPayload:
		return fmt.Errorf("%w: payload of %d bytes, at most %d", ErrRecord, len(r.Payload), MaxPayload)
	case len(r.ID) > MaxID:
		return fmt.Errorf("%w: id of %d bytes, at most %d", ErrRecord, len(r.ID), MaxID)
	case len(r.Stream) > MaxStream:
		return fmt.Errorf("%w: stream of %d bytes, at most %d", ErrRecord, len(r.Stream), MaxStream)
	}
	return nil
}

// The tables and the marker are functions and not variables: this package keeps no state.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // the same table each time

const marker = "\xF5SP\xF6"

// appendRecord appends the record to b, but for what number adds: the sequence number and the header's CRC.
func appendRecord(b []byte, r *Record) []byte {
	start := len(b)
	b = slices.Grow(b, r.size())
	b = append(b, marker...)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0) // CRCs
	b = binary.LittleEndian.AppendUint32(b, uint32(r.size()))
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0) // sequence number
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Time))
	b = append(b, 0, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.Stream)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.ID)))
	b = append(b, 0, 0)
	b = append(b, r.Stream...)
	b = append(b, r.ID...)
	b = append(b, r.Payload...)
	record := b[start:]
	binary.LittleEndian.PutUint32(record[8:], crc32.Checksum(record[recordHeader:], castagnoli()))
	return b
}

// number completes the records in b, which count from seq.
func number(b []byte, salt uint32, seq uint64) {
	for len(b) > 0 {
		binary.LittleEndian.PutUint64(b[16:], seq)
		binary.LittleEndian.PutUint32(b[4:], crc32.Update(salt, castagnoli(), b[8:recordHeader]))
		b = b[binary.LittleEndian.Uint32(b[12:]):]
		seq++
	}
}

// header is the first part of a record.
type header struct {
	seq        uint64
	time       int64
	bodyCRC    uint32
	length     int // of the whole record
	stream, id int // lengths
}

// parseHeader reads the header at the start of b. It is not ok when b is too short or has no header of this queue there.
func parseHeader(b []byte, salt uint32) (h header, ok bool) {
	if len(b) < recordHeader || string(b[:4]) != marker ||
		crc32.Update(salt, castagnoli(), b[8:recordHeader]) != binary.LittleEndian.Uint32(b[4:]) {
		return header{}, false
	}
	length := binary.LittleEndian.Uint32(b[12:])
	h = header{
		seq:     binary.LittleEndian.Uint64(b[16:]),
		time:    int64(binary.LittleEndian.Uint64(b[24:])),
		bodyCRC: binary.LittleEndian.Uint32(b[8:]),
		length:  int(length),
		stream:  int(binary.LittleEndian.Uint16(b[34:])),
		id:      int(binary.LittleEndian.Uint16(b[36:])),
	}
	body := int(length) - recordHeader - h.stream - h.id
	sane := length <= maxRecord && body >= 0 && body <= MaxPayload && h.stream <= MaxStream && h.id <= MaxID &&
		h.seq > 0 && b[33] == 0 && b[38] == 0 && b[39] == 0
	return h, sane
}

// record reads the record whose bytes b are. Its payload is part of b. It is not ok when the body is damaged.
// A stream of the same name as the given one is that string, without a copy.
func (h *header) record(b []byte, stream string) (r Record, ok bool) {
	body := b[recordHeader:h.length:h.length]
	if crc32.Checksum(body, castagnoli()) != h.bodyCRC {
		return Record{}, false
	}
	name, rest := body[:h.stream], body[h.stream:]
	if !bytes.Equal(name, []byte(stream)) {
		stream = string(name)
	}
	return Record{
		Seq: h.seq, Time: h.time,
		Stream: stream, ID: string(rest[:h.id]), Payload: rest[h.id:],
	}, true
}
