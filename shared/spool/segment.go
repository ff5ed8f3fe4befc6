package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"edgepdm/shared/durable"
)

const (
	formatVersion = 2
	segmentMagic  = "EPSPOOL\n"
	segmentSuffix = ".seg"
	segmentHeader = 32
)

// segment is a file of records.
type segment struct {
	base uint64 // sequence number of its first record
	salt uint32
	size int64 // bytes that are synced, with the header
}

func (s segment) name() string { return fmt.Sprintf("%016x-%08x%s", s.base, s.salt, segmentSuffix) }

// parseName reads a segment's file name.
func parseName(name string) (s segment, ok bool) {
	text, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(text) != 25 {
		return segment{}, false
	}
	base, err := strconv.ParseUint(text[:16], 16, 64)
	if err != nil || base == 0 {
		return segment{}, false
	}
	salt, err := strconv.ParseUint(text[17:], 16, 32)
	if err != nil {
		return segment{}, false
	}
	s = segment{base: base, salt: uint32(salt)}
	return s, s.name() == name
}

// header returns the first bytes of the segment's file in a version of the format.
func (s segment) header(version uint32) []byte {
	b := make([]byte, 0, segmentHeader)
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, s.salt)
	b = binary.LittleEndian.AppendUint64(b, s.base)
	b = append(b, 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli()))
}

// checkHeader reads the header of the segment's file. A damaged one is not intact: the file's name says the same. The
// error wraps durable.ErrNewerFormat when a newer program wrote the file.
func (s segment) checkHeader(file io.ReaderAt) (intact bool, err error) {
	var b [segmentHeader]byte
	if _, err := file.ReadAt(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read header of segment %s: %w", s.name(), err)
	}
	if string(b[:8]) != segmentMagic || crc32.Checksum(b[:28], castagnoli()) != binary.LittleEndian.Uint32(b[28:]) {
		return false, nil
	}
	v := binary.LittleEndian.Uint32(b[8:])
	if v > formatVersion {
		return false, fmt.Errorf("segment %s: %w: version %d, this program knows %d", s.name(), durable.ErrNewerFormat, v, formatVersion)
	}
	return v > 0 && string(b[:]) == string(s.header(v)), nil
}
