package localcloud

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// Kind says what an entry of the journal is about.
type Kind string

// The kinds.
const (
	KindIoT        Kind = "iot"         // a device published to IoT Core
	KindIoTCloud   Kind = "iot-cloud"   // the cloud's own function published to IoT Core
	KindSNS        Kind = "sns"         // published to the SNS topic
	KindS3Put      Kind = "s3-put"      // an object was written
	KindAudio      Kind = "audio"       // an object was written whose content type is audio/…
	KindSpeech     Kind = "speech"      // Polly made audio
	KindDeadLetter Kind = "dead-letter" // the function failed on an SNS message for the last time
)

// Entry is something that arrived and was acknowledged.
type Entry struct {
	Kind Kind      `json:"kind"`
	IDs  []string  `json:"ids,omitempty"` // of the records in the payload
	Name string    `json:"name"`          // topic, key or voice
	Size int       `json:"size"`          // bytes of payload
	Time time.Time `json:"time"`
}

// Journal is everything that was acknowledged, in order. Its entries must not be changed.
type Journal []Entry

// Count returns how many entries there are of a kind.
func (j Journal) Count(kind Kind) int {
	n := 0
	for _, e := range j {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// IDs returns how often each record's id arrived in entries of a kind: more than once means a duplicate.
func (j Journal) IDs(kind Kind) map[string]int {
	ids := make(map[string]int)
	for _, e := range j {
		if e.Kind == kind {
			for _, id := range e.IDs {
				ids[id]++
			}
		}
	}
	return ids
}

// recorder keeps the journal in memory and in a file.
type recorder struct {
	now func() time.Time
	log *slog.Logger

	mu      sync.Mutex
	entries Journal
	changed chan struct{} // closed and replaced at each entry
	file    *os.File
	failed  bool // the file; said once
}

func newRecorder(now func() time.Time, log *slog.Logger) *recorder {
	return &recorder{now: now, log: log, changed: make(chan struct{})}
}

// open continues the file. Nothing is recorded before.
func (r *recorder) open(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	r.file = f
	return nil
}

// add records a payload. It is called just before the acknowledgement is sent.
func (r *recorder) add(kind Kind, name string, payload []byte) {
	r.addEntry(Entry{Kind: kind, IDs: recordIDs(payload), Name: name, Size: len(payload)})
}

func (r *recorder) addEntry(e Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.Time = r.now().UTC()
	r.entries = append(r.entries, e)
	close(r.changed)
	r.changed = make(chan struct{})
	line, err := json.Marshal(e)
	if err == nil {
		_, err = r.file.Write(append(line, '\n'))
	}
	if err != nil && !r.failed {
		r.failed = true
		r.log.Error("write journal", "err", err)
	}
}

// view returns the entries so far, which are never changed, and a channel that is closed when there are more.
func (r *recorder) view() (Journal, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clip(r.entries), r.changed
}

func (r *recorder) wait(ctx context.Context, condition func(Journal) bool) error {
	for {
		entries, changed := r.view()
		if condition(entries) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the journal, which has %d entries: %w", len(entries), ctx.Err())
		}
	}
}

func (r *recorder) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	if err := r.file.Close(); err != nil {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}

// maxUnpacked bounds what is unpacked of a gzip payload in search of ids.
const maxUnpacked = 64 << 20

// recordIDs returns the ids in a payload: of a JSON object its "id" (or "alertId"), of one without it the ids in its
// arrays, of an array those of its elements, and of JSON lines those of every line. The payload may be packed with gzip.
func recordIDs(payload []byte) []string {
	var r io.Reader = bytes.NewReader(payload)
	if bytes.HasPrefix(payload, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil
		}
		r = io.LimitReader(z, maxUnpacked)
	}
	b := bufio.NewReader(r)
	if first, err := b.Peek(1); err != nil || (first[0] != '{' && first[0] != '[') {
		return nil
	}
	var ids []string
	for d := json.NewDecoder(b); ; {
		var v any
		if err := d.Decode(&v); err != nil {
			return ids
		}
		ids = appendIDs(ids, v, 2)
	}
}

func appendIDs(ids []string, v any, depth int) []string {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			ids = appendIDs(ids, element, depth-1)
		}
	case map[string]any:
		for _, member := range []string{"id", "alertId"} {
			if id, ok := v[member].(string); ok && id != "" {
				return append(ids, id)
			}
		}
		if depth <= 0 {
			return ids
		}
		for _, member := range v {
			if list, ok := member.([]any); ok {
				ids = appendIDs(ids, list, depth-1)
			}
		}
	}
	return ids
}
