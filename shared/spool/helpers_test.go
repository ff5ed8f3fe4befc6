package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"edgepdm/test/must"
)

// faults counts and breaks the operations of the files below it.
type faults struct {
	files
	mu     sync.Mutex
	counts map[string]int // by operation
	// fail decides about an operation ("open", "read", "write", "truncate", "sync", "remove", "syncdir", "makedir") on a
	// file, by its base name. Of a write, it also says how many of the n bytes are written before the error.
	fail func(op, name string, n int) (int, error)
	free func() int64 // what the disk has left; nil: what it really has
}

func newFaults() *faults { return &faults{files: osFiles{}, counts: make(map[string]int)} }

// set replaces what fails; nil for nothing.
func (f *faults) set(fail func(op, name string, n int) (int, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *faults) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[op]
}

func (f *faults) do(op, path string, n int) (int, error) {
	f.mu.Lock()
	f.counts[op]++
	fail := f.fail
	f.mu.Unlock()
	if fail == nil {
		return n, nil
	}
	return fail(op, filepath.Base(path), n)
}

func (f *faults) MakeDir(dir string) error {
	if _, err := f.do("makedir", dir, 0); err != nil {
		return err
	}
	return f.files.MakeDir(dir)
}

func (f *faults) Open(path string, flag int) (file, error) {
	op := "open"
	if flag == os.O_RDONLY {
		op = "openread"
	}
	if _, err := f.do(op, path, 0); err != nil {
		return nil, err
	}
	below, err := f.files.Open(path, flag)
	if err != nil {
		return nil, err
	}
	return &faultFile{below, f, path}, nil
}

func (f *faults) Free(dir string) (int64, error) {
	f.mu.Lock()
	free := f.free
	f.mu.Unlock()
	if free == nil {
		return f.files.Free(dir)
	}
	return free(), nil
}

// leave sets how many bytes the disk has left.
func (f *faults) leave(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.free = func() int64 { return n }
}

func (f *faults) Remove(path string) error {
	if _, err := f.do("remove", path, 0); err != nil {
		return err
	}
	return f.files.Remove(path)
}

func (f *faults) Rename(from, to string) error { return f.files.Rename(from, to) }

func (f *faults) SyncDir(dir string) error {
	if _, err := f.do("syncdir", dir, 0); err != nil {
		return err
	}
	return f.files.SyncDir(dir)
}

type faultFile struct {
	file
	faults *faults
	path   string
}

func (f *faultFile) ReadAt(b []byte, off int64) (int, error) {
	if _, err := f.faults.do("read", f.path, len(b)); err != nil {
		return 0, err
	}
	return f.file.ReadAt(b, off)
}

func (f *faultFile) WriteAt(b []byte, off int64) (int, error) {
	n, err := f.faults.do("write", f.path, len(b))
	if err == nil {
		return f.file.WriteAt(b, off)
	}
	if n > 0 {
		if _, err := f.file.WriteAt(b[:n], off); err != nil {
			return 0, err
		}
	}
	return n, err
}

func (f *faultFile) Truncate(size int64) error {
	if _, err := f.faults.do("truncate", f.path, 0); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

func (f *faultFile) Sync() error {
	if _, err := f.faults.do("sync", f.path, 0); err != nil {
		if c, ok := f.file.(*content); ok {
			c.failSync()
		}
		return err
	}
	return f.file.Sync()
}

func segmentFile(name string) bool { return strings.HasSuffix(name, segmentSuffix) }

// readOnly fails like a disk that was remounted read-only.
func readOnly(op, _ string, _ int) (int, error) {
	if op == "read" || op == "openread" {
		return 0, nil
	}
	return 0, syscall.EROFS
}

// open opens a queue that the test closes at its end. What it logs is counted, unless the test has a log.
func open(t testing.TB, dir string, o Options) *Queue {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(&told{})
	}
	q, err := Open(dir, o)
	must.OK(t, err)
	t.Cleanup(func() { _ = q.Close() })
	return q
}

// told is a log that counts what a queue says of its files.
type told struct {
	mu            sync.Mutex
	damaged, kept int64 // bytes that are no records, and those of them that the quarantine has
	torn          int64 // bytes that were cut off
	cursorLost    bool
}

func (l *told) Enabled(context.Context, slog.Level) bool { return true }
func (l *told) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *told) WithGroup(string) slog.Handler            { return l }

func (l *told) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	attrs := make(map[string]slog.Value)
	r.Attrs(func(a slog.Attr) bool { attrs[a.Key] = a.Value; return true })
	switch {
	case r.Message == "spool: damaged bytes":
		l.damaged += attrs["bytes"].Int64()
		l.kept += attrs["kept"].Int64()
	case strings.Contains(r.Message, "ended within a record"):
		l.torn += attrs["bytes"].Int64()
	case strings.Contains(r.Message, "cursor is lost"):
		l.cursorLost = true
	}
	return nil
}

// seen is what a queue that open opened tells of itself.
type seen struct {
	Stats
	damaged, kept, torn int64
	cursorLost          bool
	segments            int
}

func look(q *Queue) seen {
	s := seen{Stats: q.Stats()}
	q.mu.Lock()
	s.segments = len(q.segments)
	q.mu.Unlock()
	l := q.log.Handler().(*told)
	l.mu.Lock()
	defer l.mu.Unlock()
	s.damaged, s.kept, s.torn, s.cursorLost = l.damaged, l.kept, l.torn, l.cursorLost
	return s
}

// site is where a queue's files are: a folder, or the disk in memory that can fail and lose power. What a queue does is the
// same on both.
type site struct {
	dir    string
	faults *faults
}

// onBoth runs a test, which may be one of several, on each.
func onBoth(t *testing.T, name string, test func(t *testing.T, s site)) {
	t.Helper()
	t.Run(name+"folder", func(t *testing.T) { test(t, site{filepath.Join(t.TempDir(), "new", "queue"), newFaults()}) })
	t.Run(name+"memory", func(t *testing.T) {
		test(t, site{"/queue", &faults{files: newDisk(rand.New(rand.NewPCG(1, 2))), counts: make(map[string]int)}})
	})
}

func (s site) open(t *testing.T, o Options) *Queue {
	t.Helper()
	o.files = s.faults
	return open(t, s.dir, o)
}

// killed returns what a process leaves that is killed now.
func (s site) killed(t *testing.T) site {
	t.Helper()
	if d, ok := s.faults.files.(*disk); ok {
		return site{s.dir, &faults{files: d.clone(), counts: make(map[string]int)}}
	}
	return site{copyDir(t, s.dir), newFaults()}
}

// segments returns how many segment files there are.
func (s site) segments(t *testing.T) (n int) {
	t.Helper()
	infos, err := s.faults.List(s.dir)
	must.OK(t, err)
	for _, info := range infos {
		if segmentFile(info.Name()) {
			n++
		}
	}
	return n
}

func closeQueue(t testing.TB, q *Queue) {
	t.Helper()
	if err := q.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// message returns record number i of a test: its content follows from i, so that a phantom is seen.
func message(i int) Record {
	id := fmt.Sprintf("press-1-5f3a-%d", i)
	return Record{
		Time: int64(i) * 1e9, Stream: "telemetry", ID: id,
		Payload: []byte(fmt.Sprintf(`{"v":1,"id":%q,"fill":"%s"}`, id, strings.Repeat(string(rune('a'+i%26)), 60+i%50))),
	}
}

// fill appends the messages from..to, one by one or as one batch.
func fill(t testing.TB, q *Queue, from, to int) {
	t.Helper()
	var records []Record
	for i := from; i <= to; i++ {
		records = append(records, message(i))
	}
	must.OK(t, q.Append(t.Context(), records...))
}

// ids peeks all that is in the queue, checks order and content, and returns the numbers of the messages.
func ids(t testing.TB, q *Queue) []int {
	t.Helper()
	var got []int
	var after uint64
	for {
		records, err := q.PeekAfter(after, 97, 1<<20)
		if err != nil {
			t.Fatalf("peek: %v", err)
		}
		if len(records) == 0 {
			return got
		}
		for _, r := range records {
			if r.Seq <= after {
				t.Fatalf("sequence number %d after %d", r.Seq, after)
			}
			after = r.Seq
			got = append(got, number1(t, r))
		}
	}
}

// number1 returns which message the record is, after a check of all its content.
func number1(t testing.TB, r Record) int {
	t.Helper()
	var i int
	if _, err := fmt.Sscanf(r.ID, "press-1-5f3a-%d", &i); err != nil {
		t.Fatalf("phantom record %+v", r)
	}
	want := message(i)
	if r.Time != want.Time || r.Stream != want.Stream || r.ID != want.ID ||
		string(r.Payload) != string(want.Payload) {
		t.Fatalf("record %+v, want %+v", r, want)
	}
	return i
}

// span returns from..to without the numbers that are left out.
func span(from, to int, without ...int) []int {
	var s []int
	for i := from; i <= to; i++ {
		if !slices.Contains(without, i) {
			s = append(s, i)
		}
	}
	return s
}

func equal(t testing.TB, what string, got, want []int) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	t.Fatalf("%s: %s, want %s", what, ranges(got), ranges(want))
}

// ranges writes numbers as 1-5 7 9-12.
func ranges(s []int) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		j := i
		for j+1 < len(s) && s[j+1] == s[j]+1 {
			j++
		}
		fmt.Fprintf(&b, "%d-%d ", s[i], s[j])
		i = j + 1
	}
	return fmt.Sprintf("%d records: %s", len(s), b.String())
}

// copyDir copies a queue's folder as it is: what a process leaves that is killed now.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	must.OK(t, os.CopyFS(to, os.DirFS(from)))
	return to
}

// segmentPaths returns the segments in a folder, oldest first.
func segmentPaths(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	must.OK(t, err)
	slices.Sort(paths)
	return paths
}

// edit changes a file's bytes.
func edit(t testing.TB, path string, change func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(b), 0o600)
	}
	must.OK(t, err)
}

// locate returns where record number i of a segment file begins and ends, from 0.
func locate(t testing.TB, path string, i int) (off, end int64) {
	t.Helper()
	s, ok := parseName(filepath.Base(path))
	if !ok {
		t.Fatalf("name of segment %s", path)
	}
	f, err := osFiles{}.Open(path, os.O_RDONLY)
	must.OK(t, err)
	defer func() { _ = f.Close() }()
	size, _ := f.Size()
	scan := scanner{file: f, salt: s.salt, pos: segmentHeader, limit: size, next: s.base, end: 1 << 62, chunk: scanChunk}
	for {
		it, err := scan.scan()
		if err != nil || it.kind != foundRecord {
			t.Fatalf("record %d of %s: %+v %v", i, path, it, err)
		}
		if i == 0 {
			return it.off, it.off + it.size
		}
		i--
	}
}

// snapshot returns the content of all files of a folder.
func snapshot(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	entries, err := os.ReadDir(dir)
	must.OK(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		files[e.Name()] = string(b)
	}
	return files
}
