package ipc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Blob is bytes; in JSON it is a base64 string, the empty one when nil.
type Blob []byte

// MarshalJSON encodes b.
func (b Blob) MarshalJSON() ([]byte, error) {
	text := make([]byte, 0, base64.StdEncoding.EncodedLen(len(b))+2)
	text = append(text, '"')
	text = base64.StdEncoding.AppendEncode(text, b)
	return append(text, '"'), nil
}

// List is a list that a request must have: in JSON it is [] when nil.
type List[T any] []T

// MarshalJSON encodes l.
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}

// Document is the text of a JSON value. A classic nucleus turns every number in it into a double: 1 comes back as 1.0, and
// integers beyond 2^53 lose digits. Nucleus lite corrupts integers of 19 characters and more, such as UNIX nanoseconds.
type Document json.RawMessage

// NewDocument encodes v, which must not be nil: a nucleus takes no null.
func NewDocument(v any) (Document, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode document: %w", err)
	}
	if d := Document(text); !d.missing() {
		return d, nil
	}
	return nil, fmt.Errorf("encode document: %w: null", ErrInvalidRequest)
}

// Decode decodes d into v as json.Unmarshal does. It fails on a document that is absent.
func (d Document) Decode(v any) error {
	if len(d) == 0 {
		return errors.New("decode document: it is absent")
	}
	if err := json.Unmarshal(d, v); err != nil {
		return fmt.Errorf("decode document: %w", err)
	}
	return nil
}

// MarshalJSON returns d. It fails on an empty document and on null, which no nucleus takes, and on what is not JSON.
func (d Document) MarshalJSON() ([]byte, error) {
	switch {
	case d.missing():
		return nil, fmt.Errorf("%w: a document is null", ErrInvalidRequest)
	case !json.Valid(d):
		return nil, fmt.Errorf("%w: a document is not JSON", ErrInvalidRequest)
	}
	return d, nil
}

// UnmarshalJSON keeps a copy of text.
func (d *Document) UnmarshalJSON(text []byte) error {
	*d = bytes.Clone(text)
	return nil
}

// missing reports whether there is nothing to send.
func (d Document) missing() bool {
	text := bytes.TrimSpace(d)
	return len(text) == 0 || string(text) == "null"
}

// Timestamp is a moment. In JSON it is the seconds since 1970 with a fraction to the microsecond, which is there for whole
// seconds, too: nucleus lite refuses 1795448155 and takes 1795448155.0.
type Timestamp struct{ time.Time }

// MarshalJSON encodes t.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	seconds, micros := t.Unix(), t.Nanosecond()/1000
	sign := ""
	if seconds < 0 {
		sign, seconds, micros = "-", -seconds, -micros
		if micros < 0 {
			seconds, micros = seconds-1, micros+1_000_000
		}
	}
	text := fmt.Appendf(nil, "%s%d.%06d", sign, seconds, micros)
	for bytes.HasSuffix(text, []byte("0")) && text[len(text)-2] != '.' {
		text = text[:len(text)-1]
	}
	return text, nil
}

// UnmarshalJSON decodes any JSON number of the years 1 to 9999, rounded to the microsecond.
func (t *Timestamp) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	seconds, err := strconv.ParseFloat(string(text), 64)
	if err != nil || text[0] == '"' {
		return fmt.Errorf("timestamp %.40s is not a number", text)
	}
	const from, to = -62_135_596_800, 253_402_300_800
	if seconds < from || seconds >= to {
		return fmt.Errorf("timestamp %s is out of range", text)
	}
	t.Time = time.UnixMicro(int64(math.Round(seconds * 1e6))).UTC()
	return nil
}
