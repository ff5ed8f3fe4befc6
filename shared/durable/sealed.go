// Package durable keeps small state on disk: files that are replaced whole and survive a loss of power, and documents whose
// damage is noticed. It also has what else the disk is asked for: locks and free space.
package durable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// ErrDamaged says that a document is not what was written.
var ErrDamaged = errors.New("damaged")

// The seal is the last member of the document: the CRC-32C of the document without it, so that programs which know nothing
// of seals still read it.
const (
	sealStart = `,"sum":"`
	sealEnd   = `"}`
	sumDigits = 8
	sealSize  = len(sealStart) + sumDigits + len(sealEnd)
)

// Marshal encodes v, which must be a JSON object with at least one member and none named sum, in one line with a seal.
func Marshal(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(data) < len(`{"a":1}`) || data[0] != '{' {
		return nil, fmt.Errorf("%T is no JSON object with members", v)
	}
	return Seal(data), nil
}

// Seal ends a document, which must be a JSON object with members, with a seal and a newline.
func Seal(body []byte) []byte {
	return fmt.Appendf(nil, "%s%s%08x%s\n", body[:len(body)-1], sealStart, sum(body), sealEnd)
}

// Unmarshal decodes a document that Marshal encoded. One without a seal, which a program before 0.2 wrote, is taken when
// it has no member that into does not know: a damaged seal is such a member. Other errors than of a document that is none
// of v's kind wrap ErrDamaged.
func Unmarshal(data []byte, into any) error {
	body, sealed, err := Open(data)
	if err != nil {
		return err
	}
	if sealed {
		return json.Unmarshal(body, into)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: it goes on behind its end", ErrDamaged)
	}
	return nil
}

// Open returns the document without its seal, after checking it.
func Open(data []byte) (body []byte, sealed bool, err error) {
	data = bytes.TrimRight(data, "\n")
	at := len(data) - sealSize
	if at < 0 || !bytes.HasPrefix(data[at:], []byte(sealStart)) || !bytes.HasSuffix(data, []byte(sealEnd)) {
		return data, false, nil
	}
	body = append(bytes.Clone(data[:at]), '}')
	if want := string(data[at+len(sealStart):][:sumDigits]); fmt.Sprintf("%08x", sum(body)) != want {
		return nil, true, fmt.Errorf("%w: the checksum is not %s", ErrDamaged, want)
	}
	return body, true, nil
}

func sum(data []byte) uint32 { return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) }
