package spool

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"edgepdm/test/must"
)

// format1 is a queue that version 0.2 left, with a priority in its records: 50 messages in three segments, of which 12 is
// damaged and kept in the quarantine, 1 to 5 are acknowledged, and all were handed out; then message 51.
const format1 = "testdata/format1"

// TestFormat1: what a version before left goes on: its records, its cursor and its quarantine.
func TestFormat1(t *testing.T) {
	dir := copyDir(t, format1)
	quarantine := snapshot(t, dir)[quarantineName]
	q := open(t, dir, Options{SegmentSize: minSegmentSize})
	records, err := q.Peek(1000, 1<<20)
	if err != nil || !records[0].Replayed || records[len(records)-1].Replayed {
		t.Fatalf("%d records, %v", len(records), err)
	}
	equal(t, "records", ids(t, q), span(6, 51, 12))
	if s := look(q); s.cursorLost || s.LostRecords != 1 || s.torn != 0 || s.damaged != s.kept || snapshot(t, dir)[quarantineName] != quarantine {
		t.Fatalf("%+v", s)
	}
	fill(t, q, 52, 100) // at the end of its newest segment, too
	closeQueue(t, q)
	q = open(t, dir, Options{SegmentSize: minSegmentSize})
	equal(t, "with new ones", ids(t, q), span(6, 100, 12))
	must.OK(t, q.Ack(60))
	equal(t, "acknowledged", ids(t, q), span(61, 100))
}

// Its segments are also taken into another queue, as after a rescue.
func TestFormat1IsTakenIn(t *testing.T) {
	dir := filled(t, 201, 210, 3)
	for _, path := range segmentPaths(t, format1) {
		must.OK(t, os.WriteFile(dir+path[len(format1):], []byte(snapshot(t, format1)[path[len(format1)+1:]]), 0o600))
	}
	q := open(t, dir, Options{})
	equal(t, "records", ids(t, q), append(span(204, 210), span(1, 51, 12)...))
}

// What this version writes has the new number, so that an older one refuses it, and nothing where the priority was.
func TestFormat2(t *testing.T) {
	dir := t.TempDir()
	q := open(t, dir, Options{})
	fill(t, q, 1, 3)
	closeQueue(t, q)
	for name, data := range snapshot(t, dir) {
		if v := binary.LittleEndian.Uint32([]byte(data)[8:]); v != 2 {
			t.Errorf("%s has version %d", name, v)
		}
		if segmentFile(name) && !bytes.Equal([]byte(data)[segmentHeader+32:][:2], []byte{0, 0}) {
			t.Errorf("%s has a priority", name)
		}
	}
}
