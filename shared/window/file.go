package window

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"edgepdm/shared/durable"
)

// The file of rings is a head, a record of each thing, and an end. Numbers are little-endian.
//
//	head    "edgepdm windows\n", format uint32, SHA-256 of the spec's JSON
//	record  length uint32, then so many bytes: name, epoch, epoch before (each with its length as uint16), seq, seq of the
//	        epoch before, place, ts, clock (64 bits each), rows uint32, places, times (if a window is over a time), columns
//	end     length 0, number of things uint32
//
// The CRC-32C of it is behind each of them.
const (
	fileMagic  = "edgepdm windows\n"
	fileFormat = 1
	headSize   = len(fileMagic) + 4 + sha256.Size
	maxText    = 1024 // bytes of a thing's name, and of an epoch: more than messages may have
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Save writes all rings to a file, which it replaces whole. Rows may be added meanwhile: each thing is kept as it is at one
// moment. A file that has them already stays as it is.
func (w *Windows) Save(path string) error {
	w.mu.Lock()
	changes := w.changes
	if w.savedTo == path && w.saved == changes {
		w.mu.Unlock()
		return nil
	}
	things := make([]string, 0, len(w.rings))
	for thing := range w.rings {
		things = append(things, thing)
	}
	w.mu.Unlock()
	err := durable.WriteAtomic(path, 0o600, func(f io.Writer) error {
		out := bufio.NewWriterSize(f, 1<<16)
		buf := sealed(w.head())
		var count uint32
		for _, thing := range things {
			if _, err := out.Write(buf); err != nil {
				return err
			}
			if buf = w.record(buf[:0], thing); len(buf) > 0 {
				count++
			}
		}
		if _, err := out.Write(buf); err != nil {
			return err
		}
		end := binary.LittleEndian.AppendUint32(make([]byte, 4), count)
		if _, err := out.Write(sealed(end)); err != nil {
			return err
		}
		return out.Flush()
	})
	if err != nil {
		return fmt.Errorf("keep %s: %w", filepath.Base(path), err)
	}
	w.mu.Lock()
	w.savedTo, w.saved = path, changes
	w.mu.Unlock()
	return nil
}

func sealed(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func (w *Windows) head() []byte {
	spec, err := json.Marshal(&w.spec)
	if err != nil {
		panic(err) // strings and numbers
	}
	sum := sha256.Sum256(spec)
	return append(binary.LittleEndian.AppendUint32([]byte(fileMagic), fileFormat), sum[:]...)
}

// record appends a thing's record; none if the thing was dropped, or has a name that no message may have.
func (w *Windows) record(b []byte, thing string) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.rings[thing]
	if r == nil || r.place == 0 || max(len(thing), len(r.epoch), len(r.before)) > maxText {
		return b
	}
	le := binary.LittleEndian
	b = append(b, 0, 0, 0, 0)
	for _, text := range []string{thing, r.epoch, r.before} {
		b = append(le.AppendUint16(b, uint16(len(text))), text...)
	}
	for _, n := range []uint64{r.seq, r.seqOf, uint64(r.place), uint64(r.ts), uint64(r.clock)} {
		b = le.AppendUint64(b, n)
	}
	b = le.AppendUint32(b, uint32(r.n))
	for i := range r.n {
		b = le.AppendUint64(b, uint64(r.places[r.slot(i)]))
	}
	for i := range min(r.n, len(r.times)) {
		b = le.AppendUint64(b, uint64(r.times[r.slot(i)]))
	}
	for c := range w.plan.kept {
		for i := range r.n {
			b = le.AppendUint32(b, math.Float32bits(r.values[c*len(r.places)+r.slot(i)]))
		}
	}
	le.PutUint32(b, uint32(len(b)-4))
	return sealed(b)
}

// Load reads the rings that Save wrote, for windows that have none yet. Without a file, and of one that is of another spec or
// of a newer format, there are none. A damaged file is set aside, never deleted; what is whole before the damage is taken,
// and damage says so. Things without room are left out, and counted as full.
func (w *Windows) Load(path string) (damage, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	w.mu.Lock()
	err = w.read(bufio.NewReaderSize(f, 1<<16))
	w.mu.Unlock()
	_ = f.Close() // opened for reading only
	if !errors.Is(err, durable.ErrDamaged) {
		return nil, err
	}
	aside, asideErr := durable.SetAside(path)
	if asideErr != nil {
		return nil, asideErr
	}
	return fmt.Errorf("%s is kept as %s: %w", filepath.Base(path), filepath.Base(aside), err), nil
}

// read reads the file. The error wraps durable.ErrDamaged, or is the disk's.
func (w *Windows) read(in io.Reader) error {
	head, err := readSealed(in, nil, headSize)
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(head, []byte(fileMagic)) {
		return fmt.Errorf("%w: it begins with other bytes", durable.ErrDamaged)
	}
	if !bytes.Equal(head, w.head()) {
		return nil
	}
	var things uint32
	for {
		record, err := readRecord(in, w.plan.maxRecord())
		switch {
		case err != nil:
			return fmt.Errorf("thing %d: %w", things+1, err)
		case len(record) > 0:
			things++
			if err := w.restore(record); err != nil {
				return fmt.Errorf("%w: thing %d: %w", durable.ErrDamaged, things, err)
			}
			continue
		}
		end, err := readSealed(in, make([]byte, 4), 4)
		switch {
		case err != nil:
			return err
		case binary.LittleEndian.Uint32(end[4:]) != things:
			return fmt.Errorf("%w: it does not have as many things as it says", durable.ErrDamaged)
		}
		if n, err := in.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
			return errors.Join(fmt.Errorf("%w: it goes on behind its end", durable.ErrDamaged), err)
		}
		return nil
	}
}

func (p *plan) maxRecord() int {
	return 3*(2+maxText) + 5*8 + 4 + p.most*(8+8+4*len(p.kept))
}

// readRecord reads a record without its length; an empty one begins the end, of which only the length is read.
func readRecord(in io.Reader, most int) ([]byte, error) {
	length := make([]byte, 4)
	if err := readFull(in, length); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(length)
	if n == 0 {
		return nil, nil
	}
	if int64(n) > int64(most) {
		return nil, fmt.Errorf("%w: a length of %d", durable.ErrDamaged, n)
	}
	record, err := readSealed(in, length, int(n))
	if err != nil {
		return nil, err
	}
	return record[4:], nil
}

// readSealed reads n bytes more of a part whose first bytes were read, and its checksum.
func readSealed(in io.Reader, first []byte, n int) ([]byte, error) {
	part := append(first, make([]byte, n+4)...)
	if err := readFull(in, part[len(first):]); err != nil {
		return nil, err
	}
	body := part[:len(part)-4]
	if !bytes.Equal(sealed(bytes.Clone(body)), part) {
		return nil, fmt.Errorf("%w: a checksum is not right", durable.ErrDamaged)
	}
	return body, nil
}

func readFull(in io.Reader, b []byte) error {
	_, err := io.ReadFull(in, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too early", durable.ErrDamaged)
	}
	return err
}
