package event

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Telemetry is one row of sensor values of one thing. Exactly one of Values, Readings and Packed is set in a message;
// DecodeTelemetry turns Packed into Values.
type Telemetry struct {
	V      int       `json:"v"`
	Thing  string    `json:"thing"`
	Line   string    `json:"line,omitempty"` // production line
	Epoch  string    `json:"epoch"`          // random at the producer's start, so that Seq may begin again
	Seq    uint64    `json:"seq"`            // 1, 2, 3… within the epoch: a hole is a lost row
	TS     time.Time `json:"ts"`
	Schema string    `json:"schema,omitempty"` // Schema of the sensors; checked against the model's when set

	Values   Values   `json:"values,omitempty"`
	Readings Readings `json:"readings,omitempty"`
	Packed   Packed   `json:"f32,omitempty"`

	Simulated bool  `json:"simulated,omitempty"`
	Faulty    *bool `json:"faulty,omitempty"` // the truth, where simulated or replayed data know it
	// Remaining is how long the machine will run until it needs maintenance, where simulated or replayed data know it, in the unit of the life model.
	Remaining *float64 `json:"remaining,omitempty"`

	// Set by decoders: readings by name that are no numbers, which only a sensor must be, and how many others are of no use.
	Unreadable map[string]*InvalidError `json:"-"`
	Unused     int                      `json:"-"`
}

// ID names a row for ever: <thing>-<epoch>-<seq>. The prediction for it has the same id.
func (t *Telemetry) ID() string {
	b := append(append(make([]byte, 0, MaxID), t.Thing...), '-')
	b = append(append(b, t.Epoch...), '-')
	return string(strconv.AppendUint(b, t.Seq, 10))
}

// TelemetryBatch carries rows of one or several things in one message.
type TelemetryBatch struct {
	V    int         `json:"v"`
	Rows []Telemetry `json:"rows"`
}

// Row is a decoded row, or why it is invalid. An invalid row has what could be read of its identity.
type Row struct {
	Telemetry
	Err error // an *InvalidError
}

// SchemaOf returns the Schema of sensors in the model's order: the first 16 hexadecimal digits of the SHA-256 of the
// names, each followed by a line feed.
func SchemaOf(sensors []string) string {
	h := sha256.New()
	for _, s := range sensors {
		h.Write([]byte(s + "\n"))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// DecodeTelemetry reads a message of a telemetry topic, see TelemetryDecoder.
func DecodeTelemetry(payload []byte) (Telemetry, error) {
	var d TelemetryDecoder
	return d.Decode(payload)
}

// DecodeTelemetryBatch reads a message of TopicTelemetryBatch, see TelemetryDecoder.
func DecodeTelemetryBatch(payload []byte) ([]Row, error) {
	var d TelemetryDecoder
	return d.DecodeBatch(payload)
}

// decodeRows reads a batch in any spelling.
func decodeRows(payload []byte) ([]Row, error) {
	var batch struct {
		V    int               `json:"v"`
		Rows []json.RawMessage `json:"rows"`
	}
	if err := Unmarshal(payload, &batch); err != nil {
		return nil, jsonError(payload, err)
	}
	if err := checkVersion(batch.V); err != nil {
		return nil, err
	}
	rows := make([]Row, len(batch.Rows))
	for i, raw := range batch.Rows {
		rows[i].Telemetry, rows[i].Err = decodeRow(raw)
	}
	return rows, nil
}

// decodeRow reads a row in any spelling.
func decodeRow(payload []byte) (Telemetry, error) {
	var row struct {
		Telemetry
		Readings map[string]json.RawMessage `json:"readings"` // in place of Telemetry's: not all must be numbers
	}
	if err := Unmarshal(payload, &row); err != nil {
		return identity(payload), jsonError(payload, err)
	}
	t := row.Telemetry
	if row.Readings != nil {
		t.Readings = make(Readings, len(row.Readings))
	}
	for name, n := range row.Readings {
		x, err := parseValue(n)
		t.read(name, x, err)
	}
	return t.checked()
}

// read takes a reading, or why it is none.
func (t *Telemetry) read(name string, x float32, err *InvalidError) {
	if err == nil {
		t.Readings[name] = x
		return
	}
	if t.Unreadable == nil {
		t.Unreadable = make(map[string]*InvalidError)
	}
	t.Unreadable[name] = &InvalidError{err.Reason, fmt.Sprintf("reading %.64q %s", name, err.Detail)}
}

// identity reads what tells an invalid row from others, as far as it can be read.
func identity(payload []byte) Telemetry {
	var id struct {
		Thing string `json:"thing"`
		Epoch string `json:"epoch"`
		Seq   uint64 `json:"seq"`
	}
	if Unmarshal(payload, &id) != nil {
		return Telemetry{}
	}
	return (&Telemetry{Thing: id.Thing, Epoch: id.Epoch, Seq: id.Seq}).Identity()
}

// Identity is what remains of a row that is invalid: its thing, epoch and number, or nothing where they are none.
func (t *Telemetry) Identity() Telemetry {
	if CheckName(t.Thing) != nil || CheckEpoch(t.Epoch) != nil {
		return Telemetry{}
	}
	return Telemetry{Thing: t.Thing, Epoch: t.Epoch, Seq: t.Seq}
}

// checked returns the row, or its identity and why it is invalid.
func (t *Telemetry) checked() (Telemetry, error) {
	if err := t.normalise(); err != nil {
		return t.Identity(), err
	}
	return *t, nil
}

// normalise checks t and turns its packed form into Values.
func (t *Telemetry) normalise() error {
	if err := checkVersion(t.V); err != nil {
		return err
	}
	if err := checkThing(t.Thing, t.Line); err != nil {
		return err
	}
	if err := CheckEpoch(t.Epoch); err != nil {
		return &InvalidError{ReasonName, err.Error()}
	}
	if t.Seq == 0 {
		return &InvalidError{ReasonSequence, "seq must be 1 or more"}
	}
	if t.TS.IsZero() {
		return &InvalidError{ReasonSequence, "ts is missing"}
	}
	if err := CheckTime(t.TS); err != nil {
		return &InvalidError{ReasonSequence, "ts " + err.Error()}
	}
	forms := 0
	for _, set := range [...]bool{t.Values != nil, t.Readings != nil, t.Packed != nil} {
		if set {
			forms++
		}
	}
	if forms != 1 {
		return &InvalidError{ReasonMalformed, fmt.Sprintf("%d of values, readings and f32 are set, must be one", forms)}
	}
	if t.Packed != nil {
		t.Values, t.Packed = Values(t.Packed), nil
	}
	return nil
}

// MaxEpoch is the longest epoch, in bytes.
const MaxEpoch = 16

// CheckEpoch says whether s can be an epoch: 1 to 16 of 0-9 and a-z.
func CheckEpoch(s string) error {
	if s == "" || len(s) > MaxEpoch || strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyz") != "" {
		return fmt.Errorf("epoch %.32q must be 1 to %d of 0-9 and a-z", s, MaxEpoch)
	}
	return nil
}
