package spoolcli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/shared/cli"
	"edgepdm/shared/spool"
	"edgepdm/test/must"
)

// run runs a command and returns what it wrote.
func run(t *testing.T, command func(context.Context, []string, cli.Streams) error, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := command(t.Context(), args, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &out})
	return out.String(), err
}

// fill makes a stream's queue with so many records of that payload, one a second.
func fill(t *testing.T, dir, stream string, payloads ...string) {
	t.Helper()
	q, err := spool.Open(filepath.Join(dir, "spool", stream), spool.Options{})
	must.OK(t, err)
	for i, payload := range payloads {
		must.OK(t, q.Append(t.Context(), spool.Record{Stream: stream, ID: string(rune('a' + i)), Time: time.Unix(1_790_000_000+int64(i), 0).UnixNano(), Payload: []byte(payload)}))
	}
	must.OK(t, q.Close())
}

// However much waits, and however old it is, the table fits into 80 columns.
func TestTableFitsATerminal(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	var p forwarder.Picture
	for _, n := range []uint64{0, 1, 9_999, 10_000, 999_999, 123_456_789, math.MaxInt64 / 1000} {
		for _, since := range []time.Duration{0, time.Second, time.Hour, 47 * time.Hour, 2000 * 24 * time.Hour, -time.Hour, 100 * 365 * 24 * time.Hour} {
			p.Streams = append(p.Streams, forwarder.Waiting{
				Stream: "alerts-sns-later", Records: n, Bytes: int64(min(n, 1<<50)), Segments: int(min(n, 9999)), Oldest: now.Add(-since), Newest: now.Add(-since), Dead: n,
				Dropped: map[string]uint64{"age": n}, Bounds: []forwarder.Bound{{Name: "free-space", Used: float64(n)}},
			})
		}
	}
	var out bytes.Buffer
	must.OK(t, printTable(&out, p, now))
	for line := range strings.Lines(out.String()) {
		if len(line) > 81 {
			t.Errorf("%d columns: %s", len(line)-1, line)
		}
	}
	for _, want := range []string{"\nalerts-sns-later    9999  9999B", "\nalerts-sns-later    123M   117M   2000d", "unknown", "free-space 999%"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// Whatever lies in the work directory, looking ends, changes nothing, and writes nothing to a terminal that it would obey.
func TestLookingAtAHostileFolder(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, "predictions", `{"topic":"pdm/v1/prediction/a","message":{"text":"\u001b[31mred"}}`, "\x1b]0;title\x07 no JSON\n", `{"topic":"t\u001b[1m","message":{"n":1}}`)
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name, text string) { must.OK(t, os.WriteFile(at(name), []byte(text), 0o600)) }
	write("spool/alerts-iot", "a file")
	must.OK(t, os.Mkdir(at("spool/alerts-sns"), 0o700))
	must.OK(t, syscall.Mkfifo(at("spool/alerts-sns/cursor"), 0o600))
	must.OK(t, os.Mkdir(at("spool/other"), 0o700))
	must.OK(t, syscall.Mkfifo(at("dead-letters.jsonl"), 0o600))
	write("dead-alerts.jsonl", strings.Repeat("x\n", 1000))
	must.OK(t, os.Mkdir(at("replay-1.jsonl"), 0o700))
	write("drops-total.json", `{`)
	write("last-good-configuration.json", strings.Repeat("[", 1<<20))
	out, err := run(t, list, "-dir", dir)
	must.OK(t, err)
	for _, want := range []string{"\nalerts-sns       cannot be read: ", "\npredictions            3 ", "dead-letters.jsonl cannot be read: it is not a file", "1000 lines of dead letters are damaged",
		"replay-1.jsonl cannot be read", "what was dropped so far is not known", "the bounds are the default ones"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	shownText, err := run(t, show, "predictions", "-dir", dir)
	must.OK(t, err)
	for _, text := range []string{out, shownText} {
		if strings.ContainsAny(text, "\x1b\x07") {
			t.Errorf("control characters in %q", text)
		}
	}
	if !strings.Contains(shownText, "no message") || strings.Count(shownText, "\n") != 6 {
		t.Errorf("%s", shownText)
	}
	asJSON, err := run(t, show, "predictions", "-json", "-dir", dir)
	must.OK(t, err)
	for line := range strings.Lines(asJSON) {
		var m shown
		if err := json.Unmarshal([]byte(line), &m); err != nil || m.Seq == 0 || (m.Message == nil) == (m.Raw == "") {
			t.Errorf("%s: %v", line, err)
		}
	}
	if _, err := run(t, show, "alerts-iot", "-dir", dir); !errors.Is(err, cli.ErrUsage) || !strings.Contains(err.Error(), "there are alerts-sns, predictions") {
		t.Errorf("%v", err)
	}
}

// A work directory without a spool has no choices to name.
func TestWhereNothingWaits(t *testing.T) {
	dir := t.TempDir()
	out, err := run(t, list, "-dir", dir)
	if err != nil || !strings.Contains(out, "no stream: ") {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := run(t, show, "-dir", dir, "predictions"); !errors.Is(err, cli.ErrUsage) || !strings.Contains(err.Error(), "none has kept a message") {
		t.Errorf("%v", err)
	}
	fill(t, dir, "predictions")
	out, err = run(t, show, "predictions", "-dir", dir)
	if err != nil || out != "0 of 0 messages\n" {
		t.Errorf("%q, %v", out, err)
	}
	for _, line := range [][]string{nil, {"count"}, {"-x"}} {
		if _, err := run(t, Run, line...); !errors.Is(err, cli.ErrUsage) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// Only a clear yes drops.
func TestAsking(t *testing.T) {
	for answer, yes := range map[string]bool{"yes\n": true, "Y": true, "": false, "no\n": false, "\n": false, "yes please\n": false, strings.Repeat("y", 1000): false} {
		var out bytes.Buffer
		if err := ask(strings.NewReader(answer), &out, "Drop?"); (err == nil) != yes || out.String() != "Drop? [yes/no] " {
			t.Errorf("%q: %v, %q", answer, err, out.String())
		}
	}
	for _, c := range []struct {
		before string
		older  time.Duration
		all    bool
		want   time.Time
		bad    bool
	}{
		{bad: true}, {before: "2026-11-28", all: true, bad: true}, {older: -time.Hour, bad: true}, {before: "noon", bad: true}, {before: "1990-01-01", bad: true}, {all: true},
		{before: "2026-11-28T10:00:00Z", want: time.Date(2026, 11, 28, 10, 0, 0, 0, time.UTC)},
		{before: "2026-11-28 10:00", want: time.Date(2026, 11, 28, 10, 0, 0, 0, time.Local)},
		{older: time.Hour, want: time.Unix(1_790_000_000, 0)},
	} {
		if got, err := limitOf(c.before, c.older, c.all, time.Unix(1_790_003_600, 0)); (err != nil) != c.bad || !got.Equal(c.want) {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}

// The bar is for a terminal, and for work that takes long.
func TestTheBarIsForATerminal(t *testing.T) {
	var out bytes.Buffer
	b := newBar(&out, 100)
	b.at(50)
	b.wipe()
	b = &bar{out: &out, total: 100}
	b.at(50)
	if want := "\r[" + strings.Repeat("#", 15) + strings.Repeat(".", 15) + "] 50 of 100, 50 %"; out.String() != want {
		t.Errorf("%q", out.String())
	}
	b.at(60) // too soon
	b.wipe()
	b.wipe()
	if !strings.HasSuffix(out.String(), "50 %\r\x1b[K") {
		t.Errorf("%q", out.String())
	}
}
