package download_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/shared/durable"
	"edgepdm/test/must"
)

const mega = 1 << 20

// want wants content, whose size and hash are known.
func want(content []byte) download.Want {
	return download.Want{Bucket: "b", Key: "k", Size: int64(len(content)), SHA256: sha(content), MaxBytes: 64 * mega}
}

// checkWhole makes sure that the file has the content, and that nothing else is left.
func checkWhole(t *testing.T, path string, content []byte) {
	t.Helper()
	got := must.Read(t, path)
	if !bytes.Equal(got, content) {
		t.Errorf("the file has %d bytes, sha256 %.12s; want %d, %.12s", len(got), sha(got), len(content), sha(content))
	}
	if _, err := os.Stat(download.StatePath(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the state is left: %v", err)
	}
}

// checkNothing makes sure that nothing is left.
func checkNothing(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) > 0 {
		t.Errorf("left are %v, %v", entries, err)
	}
}

func TestADroppedLineCostsNoByteTwice(t *testing.T) {
	content := noise(t, 1, 3*mega+7)
	s := &store{versions: [][]byte{content}, cut: func(int64) int64 { return mega }}
	path := filepath.Join(t.TempDir(), "f")
	pauses := 0
	var reported int64
	d := download.Downloader{
		Source: s, Pause: func(context.Context) { pauses++ }, Report: func(p download.Progress) { reported += p.Received },
	}
	got, err := d.Fetch(t.Context(), want(content), path)
	must.OK(t, err)
	checkWhole(t, path, content)
	tag := etag(content)
	if wanted := []string{"0", "1048576 " + tag, "2097152 " + tag, "3145728 " + tag}; !slices.Equal(s.asked, wanted) {
		t.Errorf("asked for %q, want %q", s.asked, wanted)
	}
	if n := int64(len(content)); s.sent != n || reported != n || pauses != 3 {
		t.Errorf("%d bytes were sent, %d reported, of %d; %d pauses", s.sent, reported, n, pauses)
	}
	if (got != download.Got{Size: int64(len(content)), SHA256: sha(content), ETag: tag}) {
		t.Errorf("got %+v", got)
	}
}

func TestWhatCameIsKeptForTheNextProcess(t *testing.T) {
	content := noise(t, 2, 2*mega)
	drops := []int64{mega / 2, 0}
	s := &store{versions: [][]byte{content}, keepsVersions: true, cut: func(int64) int64 {
		if len(drops) == 0 {
			return 2 * mega
		}
		n := drops[0]
		drops = drops[1:]
		return n
	}}
	path := filepath.Join(t.TempDir(), "f")
	d := download.Downloader{Source: s}
	if _, err := d.Fetch(t.Context(), want(content), path); !errors.Is(err, errDropped) {
		t.Fatalf("after a request that brought nothing: %v", err)
	}
	if at, err := download.ReadStatus(path); err != nil || at != (download.Status{Key: "k", Bytes: mega / 2, Total: 2 * mega}) {
		t.Errorf("status %+v, %v", at, err)
	}
	resumed := false
	next := download.Downloader{Source: s, Report: func(p download.Progress) { resumed = resumed || p.Resumed && p.Done == mega/2 }}
	if got, err := next.Fetch(t.Context(), want(content), path); err != nil || got.VersionID != "1" {
		t.Fatalf("%+v, %v", got, err)
	}
	checkWhole(t, path, content)
	if last := s.asked[len(s.asked)-1]; last != "524288 "+etag(content)+" 1" || s.sent != 2*mega || !resumed {
		t.Errorf("asked %q, %d bytes sent, resumed %v", s.asked, s.sent, resumed)
	}
	if _, err := download.ReadStatus(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("status of a complete download: %v", err)
	}
}

// A process that is killed has only what is on disk. The copy of its folder, taken in the middle, is what it leaves.
func TestAKilledProcessGoesOnWhereItWasOnDisk(t *testing.T) {
	content := noise(t, 3, 11*mega)
	dir, copied := t.TempDir(), t.TempDir()
	s := &store{versions: [][]byte{content}}
	s.body = func(b []byte, _ int64) io.Reader {
		return io.MultiReader(bytes.NewReader(b[:9*mega]), readerFunc(func([]byte) (int, error) { // killed here
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Error(err)
			}
			return 0, errDropped
		}))
	}
	d := download.Downloader{Source: s, Pause: func(context.Context) { s.body = func([]byte, int64) io.Reader { return failing{errDropped} } }}
	if _, err := d.Fetch(t.Context(), want(content), filepath.Join(dir, "f")); !errors.Is(err, errDropped) {
		t.Fatal(err)
	}
	s.body, s.sent = nil, 0
	path := filepath.Join(copied, "f")
	if _, err := (&download.Downloader{Source: s}).Fetch(t.Context(), want(content), path); err != nil {
		t.Fatal(err)
	}
	checkWhole(t, path, content)
	if s.sent > 6*mega {
		t.Errorf("%d bytes were sent once more; 4 MB may be lost", s.sent-2*mega)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestBytesOfTwoObjectsAreNeverMixed(t *testing.T) {
	before, after := noise(t, 4, 2*mega), noise(t, 5, 2*mega)
	anything := download.Want{Bucket: "b", Key: "k", MaxBytes: 64 * mega}
	replace := func(s *store, in *s3.GetObjectInput) {
		if in.IfMatch != nil && len(s.versions) == 1 {
			s.put(after)
		}
	}
	for _, c := range []struct {
		name    string
		store   *store
		want    download.Want
		content []byte // nil: not wanted
		again   bool
	}{
		{"replaced", &store{}, anything, after, true},
		{"replaced by what is not wanted", &store{}, want(before), nil, true},
		{"replaced by what is wanted", &store{}, want(after), after, true},
		{"versions are kept", &store{keepsVersions: true}, want(before), before, false},
		{"versions may not be read", &store{keepsVersions: true, hidesVersions: true}, anything, after, true},
		{"If-Match is ignored", &store{ignoresIfMatch: true}, anything, after, true},
		{"Range is ignored", &store{ignoresRange: true}, anything, after, true},
		{"both are ignored", &store{ignoresIfMatch: true, ignoresRange: true}, anything, after, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.store
			s.versions, s.before = [][]byte{before}, replace
			s.cut = func(offset int64) int64 {
				if offset == 0 && len(s.versions) == 1 {
					return mega
				}
				return 2 * mega
			}
			path := filepath.Join(t.TempDir(), "f")
			again := false
			d := download.Downloader{Source: s, Report: func(p download.Progress) { again = again || p.Restarted }}
			got, err := d.Fetch(t.Context(), c.want, path)
			if again != c.again {
				t.Errorf("started over: %v; asked %q", again, s.asked)
			}
			if c.content == nil {
				if !errors.Is(err, download.ErrNotWanted) {
					t.Errorf("%v", err)
				}
				checkNothing(t, path)
				return
			}
			must.OK(t, err)
			checkWhole(t, path, c.content)
			if got.ETag != etag(c.content) || got.SHA256 != sha(c.content) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestAServiceThatIgnoresRangeSendsTheObjectAgain(t *testing.T) {
	content := noise(t, 6, 2*mega)
	cuts := []int64{mega, 2 * mega}
	s := &store{versions: [][]byte{content}, ignoresRange: true, cut: func(int64) int64 {
		n := cuts[0]
		cuts = cuts[1:]
		return n
	}}
	path := filepath.Join(t.TempDir(), "f")
	if _, err := (&download.Downloader{Source: s}).Fetch(t.Context(), want(content), path); err != nil {
		t.Fatal(err)
	}
	checkWhole(t, path, content)
}

// A service that ignores Range, over a line that drops a little later each time, is not asked for the same bytes without end.
func TestAServiceThatIgnoresRangeIsTriedLater(t *testing.T) {
	content, come := noise(t, 6, mega), int64(0)
	s := &store{versions: [][]byte{content}, ignoresRange: true, cut: func(int64) int64 {
		come += 1000
		return come
	}}
	restarts := 0
	d := download.Downloader{Source: s, Report: func(p download.Progress) {
		if p.Restarted {
			restarts++
		}
	}}
	_, err := d.Fetch(t.Context(), want(content), filepath.Join(t.TempDir(), "f"))
	if !errors.Is(err, errDropped) || len(s.asked) > 5 || restarts != len(s.asked)-1 {
		t.Errorf("%v after %d requests, %d restarts", err, len(s.asked), restarts)
	}
}

func TestAnObjectThatChangesAllTheTimeIsTriedLater(t *testing.T) {
	s := &store{versions: [][]byte{noise(t, 7, mega)}, cut: func(int64) int64 { return 1000 }}
	s.before = func(s *store, in *s3.GetObjectInput) {
		if in.IfMatch != nil {
			s.put(noise(t, uint64(8+len(s.versions)), mega))
		}
	}
	path := filepath.Join(t.TempDir(), "f")
	_, err := (&download.Downloader{Source: s}).Fetch(t.Context(), download.Want{Bucket: "b", Key: "k", MaxBytes: mega}, path)
	if err == nil || !strings.Contains(err.Error(), "changed") || len(s.asked) > 10 {
		t.Errorf("%v after %d requests", err, len(s.asked))
	}
}

func TestWhatIsNotWantedIsRefusedBeforeItIsDownloaded(t *testing.T) {
	content := noise(t, 9, mega)
	for _, c := range []struct {
		name string
		want download.Want
		kind error
		sent int64
	}{
		{"too large, by the manifest", download.Want{Size: 65 * mega, MaxBytes: 64 * mega}, download.ErrTooLarge, 0},
		{"too large, by the answer", download.Want{MaxBytes: mega - 1}, download.ErrTooLarge, 0},
		{"truncated", download.Want{Size: mega + 1, MaxBytes: 64 * mega}, download.ErrNotWanted, 0},
		{"longer", download.Want{Size: mega - 1, MaxBytes: 64 * mega}, download.ErrNotWanted, 0},
		{"other bytes", download.Want{Size: mega, SHA256: sha(nil), MaxBytes: 64 * mega}, download.ErrNotWanted, mega},
	} {
		s := &store{versions: [][]byte{content}}
		path := filepath.Join(t.TempDir(), "f")
		if _, err := (&download.Downloader{Source: s}).Fetch(t.Context(), c.want, path); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v", c.name, err)
		}
		if s.sent != c.sent {
			t.Errorf("%s: %d bytes were sent", c.name, s.sent)
		}
		checkNothing(t, path)
	}
	if _, err := (&download.Downloader{Source: &store{}}).Fetch(t.Context(), want(content), filepath.Join(t.TempDir(), "f")); !errors.Is(err, download.ErrMissing) {
		t.Errorf("no object: %v", err)
	}
}

// half leaves the first half of content at path, as an interrupted download does.
func half(t *testing.T, path string, content []byte) {
	t.Helper()
	n := int64(len(content) / 2)
	s := &store{versions: [][]byte{content}, cut: func(offset int64) int64 { return n - offset }}
	if _, err := (&download.Downloader{Source: s}).Fetch(t.Context(), want(content), path); !errors.Is(err, errDropped) {
		t.Fatal(err)
	}
}

func TestAPartialFileThatIsNotWhatItWasIsNotUsed(t *testing.T) {
	content := noise(t, 10, mega)
	for name, harm := range map[string]func(path string) error{
		"a bit has changed": func(path string) error {
			b, err := os.ReadFile(path)
			b[1000] ^= 1
			return errors.Join(err, os.WriteFile(path, b, 0o600))
		},
		"shorter":           func(path string) error { return os.Truncate(path, 1000) },
		"the file is gone":  os.Remove,
		"the state is gone": func(path string) error { return os.Remove(download.StatePath(path)) },
		"the state is damaged": func(path string) error {
			return os.WriteFile(download.StatePath(path), []byte("{"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			half(t, path, content)
			must.OK(t, harm(path))
			s := &store{versions: [][]byte{content}}
			if _, err := (&download.Downloader{Source: s}).Fetch(t.Context(), want(content), path); err != nil {
				t.Fatal(err)
			}
			checkWhole(t, path, content)
			if s.asked[0] != "0" {
				t.Errorf("asked %q", s.asked)
			}
		})
	}
	t.Run("longer", func(t *testing.T) { // a loss of power: the file has grown, and its blocks were not written
		path := filepath.Join(t.TempDir(), "f")
		half(t, path, content)
		must.OK(t, os.Truncate(path, mega-5))
		s := &store{versions: [][]byte{content}}
		if _, err := (&download.Downloader{Source: s}).Fetch(t.Context(), want(content), path); err != nil {
			t.Fatal(err)
		}
		checkWhole(t, path, content)
		if s.sent != mega/2 {
			t.Errorf("%d bytes were sent", s.sent)
		}
	})
}

func TestADownloadOfANewerVersionIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	newer := []byte(`{"format":2,"chunks":[1,2]}`)
	must.OK(t, errors.Join(os.WriteFile(path, []byte("bytes"), 0o600), os.WriteFile(download.StatePath(path), newer, 0o600)))
	_, err := (&download.Downloader{Source: &store{versions: [][]byte{{1}}}}).Fetch(t.Context(), want([]byte{1}), path)
	if !errors.Is(err, durable.ErrNewerFormat) {
		t.Errorf("%v", err)
	}
	file, err1 := os.ReadFile(path)
	state, err2 := os.ReadFile(download.StatePath(path))
	if string(file) != "bytes" || !bytes.Equal(state, newer) || err1 != nil || err2 != nil {
		t.Errorf("%q, %s, %v, %v", file, state, err1, err2)
	}
}

// fullDisk is a file on a disk that has room for some bytes.
type fullDisk struct {
	download.File
	room int
}

func (f *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), f.room)
	f.room -= n
	if m, err := f.File.Write(p[:n]); err != nil || n == len(p) {
		return m, err
	}
	return n, syscall.ENOSPC
}

func TestAFullDiskLeavesNothing(t *testing.T) {
	content := noise(t, 11, mega)
	for name, d := range map[string]download.Downloader{
		"it becomes full": {Open: func(name string, flag int, perm os.FileMode) (download.File, error) {
			f, err := os.OpenFile(name, flag, perm)
			return &fullDisk{f, mega / 2}, err
		}},
		"it has no room": {Free: func(string) (int64, error) { return mega - 1, nil }},
	} {
		path := filepath.Join(t.TempDir(), "f")
		s := &store{versions: [][]byte{content}}
		d.Source = s
		if _, err := d.Fetch(t.Context(), want(content), path); !errors.Is(err, download.ErrDiskFull) {
			t.Errorf("%s: %v", name, err)
		}
		checkNothing(t, path)
		if d.Free != nil && s.sent > 0 {
			t.Errorf("%s: %d bytes were sent", name, s.sent)
		}
		if _, err := (&download.Downloader{Source: s}).Fetch(t.Context(), want(content), path); err != nil {
			t.Errorf("%s: once there is room: %v", name, err)
		}
	}
}
