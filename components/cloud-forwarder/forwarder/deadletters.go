package forwarder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/spool"
)

// Files of dead letters in the work directory: of predictions, of telemetry, and of alerts and events of models. Those that are to be sent
// again are renamed to replayPrefix…replaySuffix.
const (
	deadLettersName = "dead-letters.jsonl"
	deadAlertsName  = "dead-alerts.jsonl"
	deadRowsName    = "dead-telemetry.jsonl"
	deadOldSuffix   = ".old"
	droppedSuffix   = ".dropped"
	damagedName     = "damaged-letters"
	damagedSize     = 1 << 20 // bytes
	replayPrefix    = "replay-"
	replaySuffix    = ".jsonl"
)

func deadNames() []string { return []string{deadAlertsName, deadLettersName, deadRowsName} }

// deadName is the file of a stream's dead letters.
func deadName(stream string) string {
	switch stream {
	case streamPredictions, streamChanges:
		return deadLettersName
	case streamTelemetry:
		return deadRowsName
	}
	return deadAlertsName
}

// deadLetters is a file of what no sink will take, a JSON line with a checksum each. When it is full it is kept with the suffix
// .old, and replaces the previous full one, whose letters are dropped and counted.
type deadLetters struct {
	dir, name string
	limit     int64 // bytes
	now       func() time.Time

	mu      sync.Mutex // one writer at a time
	dropped droppedLetters
	counted uint64 // dropped ones since the last look
	newer   bool   // a newer version wrote the file of dropped, which is left alone
}

// droppedLetters is how many letters were dropped since somebody took them to be sent again. It has a file of its own.
type droppedLetters struct {
	Format  int       `json:"format"`
	Dropped uint64    `json:"dropped"`
	Last    time.Time `json:"last"`
}

// openDeadLetters reads how many letters earlier processes dropped. After an error that is unknown, and the letters are usable.
func openDeadLetters(dir, name string, limit int64, now func() time.Time) (*deadLetters, error) {
	d := &deadLetters{dir: dir, name: name, limit: limit, now: now}
	dropped, damage, err := d.count().Open()
	d.newer = errors.Is(err, durable.ErrNewerFormat)
	if err = errors.Join(damage, err); err == nil {
		d.dropped = dropped
	}
	return d, err
}

func (d *deadLetters) count() durable.State[droppedLetters] {
	return durable.State[droppedLetters]{Path: d.path() + droppedSuffix, Format: 1}
}

func (d *deadLetters) path() string { return filepath.Join(d.dir, d.name) }

// deadLetterFormat is the format of a line. Older lines have no number and no checksum.
const deadLetterFormat = 1

type deadLetter struct {
	V      int             `json:"v"`
	Stream string          `json:"stream"`
	ID     string          `json:"id"`
	Time   time.Time       `json:"time"` // of the message
	Buried time.Time       `json:"buried"`
	Reason string          `json:"reason"`
	Record json.RawMessage `json:"record"` // a string when it is not JSON
}

// add puts a record among the dead letters: it is on disk when add returns nil.
func (d *deadLetters) add(stream string, r spool.Record, reason error) error {
	letter := deadLetter{deadLetterFormat, stream, r.ID, time.Unix(0, r.Time).UTC(), d.now().UTC(), reason.Error(), r.Payload}
	if !json.Valid(r.Payload) {
		quoted, err := json.Marshal(string(r.Payload))
		if err != nil {
			return fmt.Errorf("encode dead letter: %w", err)
		}
		letter.Record = quoted
	}
	line, err := encode(letter)
	if err != nil {
		return fmt.Errorf("encode dead letter: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.write(append(sealLine(line), '\n'))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealEnd is what ends a line: the checksum of the JSON object without it.
const sealEnd = `,"crc":"%08x"}`

// sealLine adds a checksum to a JSON object.
func sealLine(object []byte) []byte {
	return fmt.Appendf(object[:len(object)-1:len(object)-1], sealEnd, crc32.Checksum(object, castagnoli))
}

// openLine reads a letter. The error says why a line is none.
func openLine(line []byte) (letter deadLetter, err error) {
	line = bytes.TrimSpace(line)
	err = json.Unmarshal(line, &letter)
	switch end := len(line) - len(fmt.Sprintf(sealEnd, 0)); {
	case letter.V > deadLetterFormat: // its other members may have other types
		return letter, fmt.Errorf("format %d: %w", letter.V, durable.ErrNewerFormat)
	case err != nil:
		return letter, err
	case letter.V == 0 && (end < 1 || !bytes.HasPrefix(line[end:], []byte(`,"crc":"`))):
		return letter, nil // of an older version
	case end < 1 || !bytes.Equal(line, sealLine(append(line[:end:end], '}'))):
		return letter, errors.New("the checksum does not fit")
	}
	return letter, nil
}

// keepDamaged keeps a line that is no letter, for a person to look at, while the file has at most damagedSize.
func (d *deadLetters) keepDamaged(line []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	path := filepath.Join(d.dir, damagedName)
	if info, err := os.Stat(path); err == nil && info.Size() > damagedSize {
		return nil
	}
	if err := durable.AppendLine(path, append(bytes.TrimSpace(line), '\n'), true); err != nil {
		return fmt.Errorf("keep damaged letter: %w", err)
	}
	return nil
}

// keepLine puts a line back as it is.
func (d *deadLetters) keepLine(line []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.write(append(bytes.TrimSpace(line), '\n'))
}

// setAside begins new dead letters; the files so far are to be sent again.
func (d *deadLetters) setAside() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.newer {
		if err := os.Remove(d.path() + droppedSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("take dead letters: %w", err)
		}
	}
	d.dropped = droppedLetters{}
	kind := strings.TrimSuffix(d.name, replaySuffix)
	for i, name := range []string{d.name + deadOldSuffix, d.name} {
		to := fmt.Sprintf("%s%d-%d-%s%s", replayPrefix, d.now().UnixNano(), i, kind, replaySuffix)
		if err := os.Rename(filepath.Join(d.dir, name), filepath.Join(d.dir, to)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("take dead letters: %w", err)
		}
	}
	return nil
}

// lost returns how many letters were dropped since somebody took them and since the last call, and when the last was.
func (d *deadLetters) lost() (dropped, since uint64, last time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	since, d.counted = d.counted, 0
	return d.dropped.Dropped, since, d.dropped.Last
}

// rotate makes room for new letters. mu is held.
func (d *deadLetters) rotate(path string) error {
	old, err := os.ReadFile(path + deadOldSuffix)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("count dead letters: %w", err)
	}
	if n := uint64(bytes.Count(old, []byte{'\n'})); n > 0 {
		dropped := droppedLetters{1, d.dropped.Dropped + n, d.now().UTC()}
		if !d.newer {
			if err := d.count().Save(dropped); err != nil {
				return err
			}
		}
		d.dropped = dropped
		d.counted += n
	}
	if err := os.Rename(path, path+deadOldSuffix); err != nil {
		return fmt.Errorf("begin new dead letters: %w", err)
	}
	return nil
}

// write adds a line. mu is held.
func (d *deadLetters) write(line []byte) error {
	path := d.path()
	if info, err := os.Stat(path); err == nil && info.Size() > 0 && info.Size()+int64(len(line)) > d.limit {
		if err := d.rotate(path); err != nil {
			return err
		}
	}
	if err := durable.AppendLine(path, line, true); err != nil {
		return fmt.Errorf("write dead letter: %w", err)
	}
	return nil
}
