package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"edgepdm/shared/durable"
)

const (
	quarantineName   = "quarantine"
	quarantineMagic  = "EPQUARN\n"
	quarantineFormat = 1
	quarantineHeader = 16
	pieceMarker      = "\xF5SQ\xF6"
	pieceHeader      = 32
	maxPiece         = 64 << 10
	maxPieces        = 4096
)

var errQuarantineFull = errors.New("the quarantine is full")

// piece identifies bytes in the quarantine. The same bytes, found again after a restart, are not stored again.
type piece struct {
	base uint64
	off  int64
	crc  uint32
}

// quarantine is the file that bad bytes are copied to. It grows to a limit and is never cut or overwritten.
type quarantine struct {
	files files
	dir   string
	limit int64

	file  file // nil until it is needed
	size  int64
	known map[piece]struct{}
}

// save copies bytes of a segment and syncs them. It returns how many are in the quarantine now.
func (c *quarantine) save(base uint64, from io.ReaderAt, off, size int64) (saved int64, err error) {
	if err := c.open(); err != nil {
		return 0, fmt.Errorf("open quarantine: %w", err)
	}
	for saved < size {
		buf := make([]byte, pieceHeader+min(size-saved, maxPiece))
		if _, err := from.ReadAt(buf[pieceHeader:], off+saved); err != nil && !errors.Is(err, io.EOF) {
			return saved, fmt.Errorf("read bad bytes: %w", err)
		}
		if err := c.add(base, off+saved, buf); err != nil {
			return saved, err
		}
		saved += int64(len(buf) - pieceHeader)
	}
	if err := c.file.Sync(); err != nil {
		return 0, fmt.Errorf("sync quarantine: %w", err)
	}
	return saved, nil
}

// add appends one piece, for whose header buf has room, unless it is there already.
func (c *quarantine) add(base uint64, off int64, buf []byte) error {
	p := piece{base, off, crc32.Checksum(buf[pieceHeader:], castagnoli())}
	if _, ok := c.known[p]; ok {
		return nil
	}
	if c.size+int64(len(buf)) > c.limit || len(c.known) >= maxPieces {
		return errQuarantineFull
	}
	copy(buf, pieceMarker)
	binary.LittleEndian.PutUint64(buf[8:], base)
	binary.LittleEndian.PutUint64(buf[16:], uint64(off))
	binary.LittleEndian.PutUint32(buf[24:], uint32(len(buf)-pieceHeader))
	binary.LittleEndian.PutUint32(buf[28:], p.crc)
	binary.LittleEndian.PutUint32(buf[4:], crc32.Checksum(buf[8:pieceHeader], castagnoli()))
	if _, err := c.file.WriteAt(buf, c.size); err != nil {
		return fmt.Errorf("write quarantine: %w", err)
	}
	c.size += int64(len(buf))
	c.known[p] = struct{}{}
	return nil
}

// open opens the file and learns what is in it. Behind a damaged piece nothing is learned, and nothing overwritten.
func (c *quarantine) open() error {
	if c.file != nil {
		return nil
	}
	f, err := c.files.Open(filepath.Join(c.dir, quarantineName), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	if err := c.start(f); err != nil {
		_ = f.Close()
		return err
	}
	c.file = f
	return nil
}

func (c *quarantine) start(f file) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	want := append([]byte(quarantineMagic), quarantineFormat, 0, 0, 0, 0, 0, 0, 0)
	if size < quarantineHeader { // new, or a crash came between its creation and its header
		if _, err := f.WriteAt(want, 0); err != nil {
			return err
		}
		if err := c.files.SyncDir(c.dir); err != nil {
			return err
		}
		size = quarantineHeader
	}
	var b [pieceHeader]byte
	if _, err := f.ReadAt(b[:quarantineHeader], 0); err != nil {
		return err
	}
	if string(b[:quarantineHeader]) != string(want) {
		return fmt.Errorf("%w, or damaged", durable.ErrNewerFormat)
	}
	c.size, c.known = size, make(map[piece]struct{})
	for off := int64(quarantineHeader); off < size && len(c.known) < maxPieces; {
		if _, err := f.ReadAt(b[:], off); err != nil || string(b[:4]) != pieceMarker ||
			crc32.Checksum(b[8:], castagnoli()) != binary.LittleEndian.Uint32(b[4:]) {
			break
		}
		c.known[piece{
			base: binary.LittleEndian.Uint64(b[8:]),
			off:  int64(binary.LittleEndian.Uint64(b[16:])),
			crc:  binary.LittleEndian.Uint32(b[28:]),
		}] = struct{}{}
		off += pieceHeader + int64(binary.LittleEndian.Uint32(b[24:]))
	}
	return nil //nolint:nilerr // a damaged piece ends what is known
}

func (c *quarantine) close() error {
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	return err
}
