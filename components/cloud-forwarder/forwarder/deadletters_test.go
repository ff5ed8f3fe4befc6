package forwarder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/spool"
)

func newDeadLetters(t *testing.T, limit int64) *deadLetters {
	t.Helper()
	d, err := openDeadLetters(t.TempDir(), deadLettersName, limit, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// ids returns the letters' ids in a file, oldest first. Every line must be a letter.
func (d *deadLetters) ids(t *testing.T, name string) (ids []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(d.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		letter, err := openLine(line)
		if err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		ids = append(ids, letter.ID)
	}
	return ids
}

func record(id string) spool.Record {
	return spool.Record{ID: id, Payload: []byte(`{"a":"<&>"}`)}
}

// F7: the dead letters are bounded; several streams that write at once neither mix lines nor lose a file.
func TestDeadLettersAreBounded(t *testing.T) {
	const limit = 10_000
	d := newDeadLetters(t, limit)
	var writers sync.WaitGroup
	const each = 100
	for w := range 3 {
		writers.Go(func() {
			for i := range each {
				if err := d.add(fmt.Sprintf("stream-%d", w), record(fmt.Sprintf("%d-%d", w, i)), errors.New("why")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	for _, name := range []string{deadLettersName, deadLettersName + deadOldSuffix} {
		info, err := os.Stat(filepath.Join(d.dir, name))
		if err != nil || info.Size() > limit {
			t.Fatalf("%v, %+v", err, info)
		}
		if n := len(d.ids(t, name)); name != deadLettersName && n < limit/250 {
			t.Errorf("%s has %d letters: a file was replaced too early", name, n)
		}
	}
	entries, err := os.ReadDir(d.dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("%v, %v", entries, err)
	}
	kept := len(d.ids(t, deadLettersName)) + len(d.ids(t, deadLettersName+deadOldSuffix))
	dropped, since, last := d.lost()
	if int(dropped) != 3*each-kept || since != dropped || last.IsZero() {
		t.Errorf("%d of %d kept, %d dropped, %d since", kept, 3*each, dropped, since)
	}
	// The next process still tells it, until somebody takes the letters.
	next, err := openDeadLetters(d.dir, d.name, limit, time.Now)
	if n, since, at := next.lost(); err != nil || n != dropped || since != 0 || !at.Equal(last) {
		t.Errorf("%d dropped at %v, %d since, %v; want %d at %v", n, at, since, err, dropped, last)
	}
	if err := next.setAside(); err != nil {
		t.Fatal(err)
	}
	next, err = openDeadLetters(d.dir, d.name, limit, time.Now)
	if n, _, _ := next.lost(); err != nil || n != 0 {
		t.Errorf("%d dropped after they were taken, %v", n, err)
	}
	// A letter that is larger than the bound is kept all the same, alone.
	large := spool.Record{ID: "large", Payload: []byte(`"` + strings.Repeat("x", 2*limit) + `"`)}
	if err := d.add("s", large, errors.New("why")); err != nil {
		t.Fatal(err)
	}
	if ids := d.ids(t, deadLettersName); len(ids) != 1 || ids[0] != "large" {
		t.Errorf("%v", ids)
	}
}

// A process that was killed while it wrote a letter does not spoil the next one.
func TestTornDeadLetter(t *testing.T) {
	d := newDeadLetters(t, 1e6)
	path := filepath.Join(d.dir, deadLettersName)
	if err := os.WriteFile(path, []byte(`{"stream":"s","id":"to`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.add("s", record("next"), errors.New("why")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, second, _ := strings.Cut(string(data), "\n")
	if !strings.Contains(second, `"id":"next"`) || !strings.Contains(second, `{"a":"<&>"}`) || !json.Valid([]byte(second)) {
		t.Errorf("%s", data)
	}
}

// A letter that was damaged on disk is told from one that was not, whatever was damaged. Those of an older version are read.
func TestDamagedDeadLetter(t *testing.T) {
	d := newDeadLetters(t, 1e6)
	if err := d.add("s", record("id-1"), errors.New("why")); err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(filepath.Join(d.dir, deadLettersName))
	if err != nil {
		t.Fatal(err)
	}
	if letter, err := openLine(line); err != nil || letter.ID != "id-1" || string(letter.Record) != `{"a":"<&>"}` {
		t.Fatalf("%+v, %v", letter, err)
	}
	for bit := range 8 * (len(line) - 1) {
		damaged := bytes.Clone(line)
		damaged[bit/8] ^= 1 << (bit % 8)
		if letter, err := openLine(damaged); err == nil {
			t.Errorf("bit %d: %+v from %s", bit, letter, damaged)
		}
	}
	for _, old := range []string{`{"stream":"s","id":"old","record":{"a":1}}`, `{"stream":"s","id":"old","record":{"a":1,"crc":"00000000"}}`} {
		if letter, err := openLine([]byte(old)); err != nil || letter.ID != "old" {
			t.Errorf("%+v, %v", letter, err)
		}
	}
	if _, err := openLine(sealLine([]byte(`{"v":2,"id":"new"}`))); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("%v", err)
	}
}

// A count of dropped letters that is damaged is told, and counting goes on from 0.
func TestDamagedCountOfDroppedLetters(t *testing.T) {
	d := newDeadLetters(t, 1e6)
	if err := os.WriteFile(d.path()+droppedSuffix, []byte(`{"format":1,"dropped":7,"sum":"00000000"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := openDeadLetters(d.dir, d.name, d.limit, time.Now)
	if n, _, _ := d.lost(); err == nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
}

// A count that a newer version wrote is left alone, whatever happens to the letters, which are counted in memory.
func TestCountOfDroppedLettersOfANewerVersion(t *testing.T) {
	d := newDeadLetters(t, 300)
	newer := string(durable.Seal([]byte(`{"format":2,"dropped":{"s":7}}`)))
	if err := os.WriteFile(d.path()+droppedSuffix, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := openDeadLetters(d.dir, d.name, d.limit, time.Now)
	if !errors.Is(err, durable.ErrNewerFormat) {
		t.Fatal(err)
	}
	check := func(what string) {
		t.Helper()
		if data, err := os.ReadFile(d.path() + droppedSuffix); err != nil || string(data) != newer {
			t.Errorf("%s: %q, %v", what, data, err)
		}
	}
	for n := range 10 {
		if err := d.add("s", record(fmt.Sprint("id-", n)), errors.New("why")); err != nil {
			t.Fatal(err)
		}
	}
	if n, _, _ := d.lost(); n == 0 {
		t.Error("no letter was dropped")
	}
	check("after letters were dropped")
	if err := d.setAside(); err != nil {
		t.Fatal(err)
	}
	check("after they were taken")
}
