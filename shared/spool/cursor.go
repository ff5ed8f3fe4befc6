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
	cursorName    = "cursor"
	cursorMagic   = "EPCURSR\n"
	cursorSlot    = 44
	cursorSpacing = 4096 // a slot each in a disk block of its own
)

// marks is what the cursor's file says.
type marks struct {
	salt       uint32 // of the queue whose numbers these are; 0 when a program before 0.2 wrote them
	generation uint64
	acked      uint64 // the highest sequence number that is removed
	handed     uint64 // no record above this one was ever returned by Peek
}

// cursor is the file that says what has been acknowledged.
type cursor struct {
	files files
	dir   string
	file  file // nil while it cannot be opened
	marks
}

// load reads the cursor's file and returns how many of its two slots are good. With none, the marks are zero; with one,
// they may be older than they were. A file that the disk cannot read is like none, and removed.
func (c *cursor) load() (good int, err error) {
	f, err := c.files.Open(filepath.Join(c.dir, cursorName), os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open cursor: %w", err)
	}
	defer func() { _ = f.Close() }()
	for slot := range int64(2) {
		var b [cursorSlot]byte
		if _, err := f.ReadAt(b[:], slot*cursorSpacing); err != nil && !errors.Is(err, io.EOF) {
			c.marks = marks{}
			_ = c.files.Remove(filepath.Join(c.dir, cursorName))
			return 0, nil
		}
		m, ok, err := parseSlot(b[:])
		switch {
		case err != nil:
			return 0, err
		case ok:
			good++
			if m.generation > c.generation {
				c.marks = m
			}
		}
	}
	return good, nil
}

func parseSlot(b []byte) (m marks, ok bool, err error) {
	if string(b[:8]) != cursorMagic || crc32.Checksum(b[:40], castagnoli()) != binary.LittleEndian.Uint32(b[40:]) {
		return marks{}, false, nil
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v > formatVersion {
		return marks{}, false, fmt.Errorf("cursor: %w: version %d, this program knows %d", durable.ErrNewerFormat, v, formatVersion)
	}
	m.salt = binary.LittleEndian.Uint32(b[12:])
	m.generation = binary.LittleEndian.Uint64(b[16:])
	m.acked = binary.LittleEndian.Uint64(b[24:])
	m.handed = binary.LittleEndian.Uint64(b[32:])
	return m, true, nil
}

// write writes the marks of the queue with that salt into the older slot. After a kill of the process they are there, after a loss of power perhaps.
func (c *cursor) write(salt uint32, acked, handed uint64) error {
	m := marks{salt, c.generation + 1, acked, handed}
	b := make([]byte, 0, cursorSlot)
	b = append(b, cursorMagic...)
	b = binary.LittleEndian.AppendUint32(b, formatVersion)
	b = binary.LittleEndian.AppendUint32(b, m.salt)
	b = binary.LittleEndian.AppendUint64(b, m.generation)
	b = binary.LittleEndian.AppendUint64(b, m.acked)
	b = binary.LittleEndian.AppendUint64(b, m.handed)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
	if err := c.open(); err != nil {
		return fmt.Errorf("open cursor: %w", err)
	}
	if _, err := c.file.WriteAt(b, int64(m.generation%2)*cursorSpacing); err != nil {
		return fmt.Errorf("write cursor: %w", err)
	}
	c.marks = m
	return nil
}

// open opens the file for writing. A disk that was read-only may have become writable.
func (c *cursor) open() error {
	if c.file != nil {
		return nil
	}
	f, err := c.files.Open(filepath.Join(c.dir, cursorName), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	if err := c.files.SyncDir(c.dir); err != nil {
		_ = f.Close()
		return err
	}
	c.file = f
	return nil
}

// sync makes what was written survive a loss of power. After a failure it takes another write: the kernel may have
// dropped the last one.
func (c *cursor) sync() error {
	if c.file == nil {
		return fmt.Errorf("sync cursor: %w", os.ErrClosed)
	}
	if err := c.file.Sync(); err != nil {
		return fmt.Errorf("sync cursor: %w", err)
	}
	return nil
}

func (c *cursor) close() error {
	if c.file == nil {
		return nil
	}
	err := c.file.Close()
	c.file = nil
	return err
}
