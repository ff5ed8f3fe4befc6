package mqttsource

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/components/ingest/mapping"
	"edgepdm/components/ingest/rows"
	"edgepdm/components/ingest/source"
	"edgepdm/test/must"
)

// world has a source whose tags are the sensors of a machine, by number.
type world struct {
	t     testing.TB
	env   *source.Env
	tags  []string
	table *rows.Table

	mu      sync.Mutex
	counts  map[string]int
	problem error
	told    chan struct{} // something was counted, or is wrong
}

func newWorld(t testing.TB, tags ...string) *world { return newAging(t, time.Hour, tags...) }

// newAging has values that are missing when they were heard so long ago.
func newAging(t testing.TB, maxAge time.Duration, tags ...string) *world {
	w := &world{t: t, tags: tags, counts: make(map[string]int), told: make(chan struct{}, 1), problem: errors.New("nothing is said yet")}
	thing := mapping.Thing{Thing: "press-1", Every: 10 * time.Millisecond, AtLeast: time.Minute, MaxAge: maxAge}
	for i, tag := range tags {
		thing.Sensors = append(thing.Sensors, mapping.Sensor{Sensor: "s" + strconv.Itoa(i), Source: "mqtt", Tag: tag, Factor: 1})
	}
	w.table = rows.New(mapping.Config{Things: []mapping.Thing{thing}}, "epoch", time.Now, w.count)
	w.env = &source.Env{
		Name: "mqtt", Tags: w.table.Tags("mqtt"), Table: w.table, Count: w.count, Log: slog.New(slog.DiscardHandler),
		Problem: func(err error) {
			w.mu.Lock()
			w.problem = err
			w.mu.Unlock()
			w.tell()
		},
	}
	return w
}

func (w *world) tell() {
	select {
	case w.told <- struct{}{}:
	default:
	}
}

func (w *world) count(reason string, n int) {
	w.mu.Lock()
	w.counts[reason] += n
	w.mu.Unlock()
	w.tell()
}

// counted returns how many were counted for a reason, and forgets it.
func (w *world) counted(reason string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.counts[reason]
	delete(w.counts, reason)
	return n
}

// nothingElse fails if something was counted that the test did not look at.
func (w *world) nothingElse() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.counts) > 0 {
		w.t.Errorf("counted %v", w.counts)
	}
}

// decode has a decoder read a message, and returns the newest value of each tag that it has; NaN is missing.
func (w *world) decode(d decoder, topic, payload string) (map[string]float64, error) {
	got := make(map[string]float64)
	err := d.decode(topic, []byte(payload), func(s rows.Sample) {
		x := s.Value
		if !s.Good {
			x = math.NaN()
		}
		got[w.tags[s.Tag]] = x
	})
	return got, err
}

// equal compares values; NaN equals NaN.
func equal(got, want map[string]float64) bool {
	for tag, x := range want {
		if y, ok := got[tag]; !ok || x != y && (!math.IsNaN(x) || !math.IsNaN(y)) {
			return false
		}
	}
	return len(got) == len(want)
}

var missing = math.NaN()

// recorded is one of testdata/sparkplug.json.
type recorded struct {
	Topic   string
	Payload string
}

func sparkplugMessages(t testing.TB) map[string]recorded {
	t.Helper()
	var messages map[string]recorded
	must.OK(t, json.Unmarshal(must.Read(t, filepath.Join("testdata", "sparkplug.json")), &messages))
	for name, m := range messages {
		payload, err := base64.StdEncoding.DecodeString(m.Payload)
		must.OK(t, err)
		m.Payload = string(payload)
		messages[name] = m
	}
	return messages
}

func contains(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }
