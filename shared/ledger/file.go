package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
)

// The file: an 8-byte magic that ends in the format version, then slots. A slot has the thing's name (length, 128 bytes) and
// a record for each of its sequences: epoch (length, 16 bytes; length 0: there is none), seq as big-endian u64, and the
// CRC-32 of the name, of the record's place in the slot, and of the record.
const (
	magic     = "EPDMSEQ2"
	nameLen   = 1 + 128
	posLen    = 1 + event.MaxEpoch + 8
	recordLen = posLen + 4
	slotLen   = nameLen + tracksKept*recordLen
	maxFile   = int64(len(magic)) + MaxThings*slotLen
)

// Format 1 had one position a thing, and no checksum.
const (
	magic1   = "EPDMSEQ1"
	slotLen1 = nameLen + posLen
)

func (l *Ledger) open(path string) error {
	data, err := l.read(path)
	if err != nil {
		return err
	}
	switch {
	case len(data) < len(magic): // new, or killed while it was made
		if l.damaged = min(len(data), 1); l.damaged > 0 { // a killed process left none of it, or all
			if err := l.file.Truncate(0); err != nil {
				return err
			}
		}
		return l.put([]byte(magic), 0)
	case bytes.HasPrefix(data, []byte(magic1)):
		l.load1(data[len(magic1):])
		if err := l.convert(path); err != nil {
			return fmt.Errorf("convert it from format 1: %w", err)
		}
		return nil
	case !bytes.HasPrefix(data, []byte(magic)):
		return ErrFormat
	}
	return l.load(data)
}

func (l *Ledger) read(path string) (data []byte, err error) {
	if l.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(l.file, maxFile))
}

// load reads the slots. What is damaged of one is forgotten, counted, and overwritten, so that it is counted once; a place
// with nothing that is whole is free.
func (l *Ledger) load(data []byte) error {
	l.image = data
	at := len(magic)
	for ; at+slotLen <= len(data); at += slotLen {
		name, s, damaged := decodeSlot(data[at : at+slotLen])
		clean := make([]byte, slotLen)
		if name == "" || l.things[name] != nil {
			l.free = append(l.free, int64(at))
		} else {
			s.offset, s.named, s.heard = int64(at), true, l.now()
			l.things[name] = s
			clean = encodeSlot(name, s)
		}
		if damaged {
			l.damaged++
			if err := l.put(clean, int64(at)); err != nil {
				return fmt.Errorf("mend a slot: %w", err)
			}
		}
	}
	if at < len(data) {
		l.damaged++
		if err := l.file.Truncate(int64(at)); err != nil {
			return fmt.Errorf("cut off a torn slot: %w", err)
		}
		l.image = data[:at]
	}
	return nil
}

// decodeSlot returns what is whole of a slot, and whether anything else is in it; the name is "" if nothing is whole.
func decodeSlot(b []byte) (name string, s *slot, damaged bool) {
	name, ok := text(b[:nameLen])
	if !ok || event.CheckName(name) != nil {
		return "", nil, !blank(b)
	}
	s, whole := &slot{}, false
	for i := range s.tracks {
		at := nameLen + i*recordLen
		pos, sum := b[at:at+posLen], b[at+posLen:at+recordLen]
		epoch, ok := text(pos[:1+event.MaxEpoch])
		if !ok || event.CheckEpoch(epoch) != nil || (epoch == event.ShadowEpoch) != (i == shadowTrack) ||
			binary.BigEndian.Uint32(sum) != checksum(crc32.ChecksumIEEE(b[:nameLen]), i, pos) {
			damaged = damaged || !blank(b[at:at+recordLen])
			continue
		}
		s.tracks[i] = track{epoch: epoch, seq: binary.BigEndian.Uint64(pos[1+event.MaxEpoch:])}
		whole = true
	}
	if !whole {
		return "", nil, true
	}
	return name, s, damaged
}

// blank reports whether there is nothing.
func blank(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// load1 reads the slots of format 1.
func (l *Ledger) load1(data []byte) {
	for ; len(data) >= slotLen1; data = data[slotLen1:] {
		name, named := text(data[:nameLen])
		pos := data[nameLen:slotLen1]
		epoch, ok := text(pos[:1+event.MaxEpoch])
		if !named || !ok || event.CheckName(name) != nil || event.CheckEpoch(epoch) != nil {
			continue
		}
		i := shadowTrack
		if epoch != event.ShadowEpoch {
			i++
		}
		s := &slot{heard: l.now()}
		s.tracks[i] = track{epoch: epoch, seq: binary.BigEndian.Uint64(pos[1+event.MaxEpoch:])}
		l.things[name] = s
	}
}

// convert puts a file with what was read in the place of one of an older format.
func (l *Ledger) convert(path string) error {
	data := []byte(magic)
	for name, s := range l.things {
		s.offset, s.named = int64(len(data)), true
		data = append(data, encodeSlot(name, s)...)
	}
	if err := durable.WriteFileAtomic(path, data, 0o600); err != nil {
		return err
	}
	if err := l.file.Close(); err != nil {
		return err
	}
	_, err := l.read(path)
	l.image = data
	return err
}

// text reads a text behind its length, in a field of fixed length.
func text(b []byte) (string, bool) {
	n := int(b[0])
	if n >= len(b) {
		return "", false
	}
	return string(b[1 : 1+n]), true
}

func encodeName(thing string) []byte {
	b := make([]byte, nameLen, slotLen)
	b[0] = byte(len(thing))
	copy(b[1:], thing)
	return b
}

// appendRecord adds the record of the sequence at place i of a slot, whose name has that checksum.
func appendRecord(b []byte, name uint32, i int, epoch string, seq uint64) []byte {
	if epoch == "" {
		return append(b, make([]byte, recordLen)...)
	}
	begin := len(b)
	b = append(append(b, byte(len(epoch))), epoch...)
	b = append(b, make([]byte, event.MaxEpoch-len(epoch))...)
	b = binary.BigEndian.AppendUint64(b, seq)
	return binary.BigEndian.AppendUint32(b, checksum(name, i, b[begin:]))
}

// places are those of a slot's records.
var places = [tracksKept]byte{0, 1, 2, 3, 4}

func checksum(name uint32, i int, pos []byte) uint32 {
	sum := crc32.Update(name, crc32.IEEETable, places[i:i+1])
	return crc32.Update(sum, crc32.IEEETable, pos)
}

func encodeSlot(thing string, s *slot) []byte {
	b := encodeName(thing)
	name := crc32.ChecksumIEEE(b)
	for i, t := range s.tracks {
		b = appendRecord(b, name, i, t.epoch, t.seq)
	}
	return b
}

// note puts the number of a thing's sequence i where flush writes it. mu is held.
func (l *Ledger) note(s *slot, thing string, i int, seq uint64) {
	if s.sum == 0 {
		s.sum = crc32.ChecksumIEEE(encodeName(thing))
	}
	at := s.offset + int64(nameLen+i*recordLen)
	appendRecord(l.image[at:at], s.sum, i, s.tracks[i].epoch, seq)
	l.dirty = append(l.dirty, at)
}

// nearby is how many bytes between two records are rather written again than left out.
const nearby = 4 << 10

// flush writes the records that were noted. mu is held.
func (l *Ledger) flush() error {
	defer func() { l.dirty = l.dirty[:0] }()
	slices.Sort(l.dirty)
	for left := l.dirty; len(left) > 0; {
		n := 1
		for n < len(left) && left[n]-left[n-1] <= nearby {
			n++
		}
		first, end := left[0], left[n-1]+recordLen
		if _, err := l.file.WriteAt(l.image[first:end], first); err != nil {
			return fmt.Errorf("write ledger: %w", err)
		}
		left = left[n:]
	}
	return nil
}

// put writes whole slots. mu is held.
func (l *Ledger) put(b []byte, at int64) error {
	if _, err := l.file.WriteAt(b, at); err != nil {
		return err
	}
	if end := int(at) + len(b); end > len(l.image) {
		l.image = append(l.image, make([]byte, end-len(l.image))...)
	}
	copy(l.image[at:], b)
	return nil
}

// enter writes a thing's slot, which has one number as yet: in the place of the thing that it replaces, in a free one, or at
// the end, over one that was torn. mu is held.
func (l *Ledger) enter(s *slot, thing string, i int, seq uint64) error {
	at := s.offset
	switch {
	case at != 0:
	case len(l.free) > 0:
		at = l.free[len(l.free)-1]
	default:
		end, err := l.file.Seek(0, io.SeekEnd)
		if err != nil {
			return fmt.Errorf("extend ledger: %w", err)
		}
		at = int64(len(magic)) + (end-int64(len(magic)))/slotLen*slotLen
	}
	kept := &slot{}
	kept.tracks[i] = track{epoch: s.tracks[i].epoch, seq: seq}
	if err := l.put(encodeSlot(thing, kept), at); err != nil {
		return fmt.Errorf("enter thing into ledger: %w", err)
	}
	if s.offset == 0 && len(l.free) > 0 {
		l.free = l.free[:len(l.free)-1]
	}
	s.offset, s.named = at, true
	return nil
}
