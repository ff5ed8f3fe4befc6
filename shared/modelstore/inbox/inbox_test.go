package inbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/disk"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
)

// deliver commits a delivery. No envelope: an unsigned one.
func deliver(t testing.TB, b Inbox, id string, sealed, archive []byte) Delivery {
	t.Helper()
	d, err := b.Begin(id)
	must.OK(t, err)
	if sealed != nil {
		modeltest.Write(t, d.Dir, envelope.EnvelopeFile, sealed)
	}
	modeltest.Write(t, d.Dir, ArchiveFile, archive)
	must.OK(t, d.Commit())
	return *d
}

func ids(deliveries []Delivery) []string {
	var out []string
	for _, d := range deliveries {
		out = append(out, d.ID)
	}
	return out
}

func ready(t testing.TB, b Inbox) []string {
	t.Helper()
	deliveries, err := b.Ready()
	must.OK(t, err)
	return ids(deliveries)
}

func TestDelivery(t *testing.T) {
	b := Inbox{Dir: filepath.Join(t.TempDir(), "inbox")}
	if got := ready(t, b); len(got) != 0 {
		t.Fatalf("an inbox that is not there has %v", got)
	}
	d, err := b.Begin("aa")
	must.OK(t, err)
	if err := d.Commit(); !disk.Missing(err) {
		t.Fatalf("without an archive: %v", err)
	}
	modeltest.Write(t, filepath.Dir(d.Path(ArchiveFile)), ArchiveFile+".part", []byte("half"))
	if got := ready(t, b); len(got) != 0 {
		t.Fatalf("ready before it was committed: %v", got)
	}

	// As after a restart: what was downloaded is there.
	d, err = b.Begin("aa")
	must.OK(t, err)
	if data, err := os.ReadFile(d.Path(ArchiveFile + ".part")); err != nil || string(data) != "half" {
		t.Fatalf("%s, %v", data, err)
	}
	if got, err := b.Incoming(); err != nil || !slices.Equal(got, []string{"aa"}) {
		t.Fatalf("incoming %v, %v", got, err)
	}
	modeltest.Write(t, d.Dir, ArchiveFile, []byte("archive"))
	modeltest.Write(t, d.Dir, envelope.EnvelopeFile, []byte("envelope"))
	modeltest.Write(t, d.Dir, "notes/etag", []byte("mine"))
	must.OK(t, d.Commit())
	if got, err := b.Incoming(); err != nil || len(got) != 0 {
		t.Fatalf("incoming %v, %v", got, err)
	}
	if got := ready(t, b); !slices.Equal(got, []string{"aa"}) {
		t.Fatalf("ready %v", got)
	}
	left, err := os.ReadDir(d.Dir)
	if err != nil || len(left) != 2 {
		t.Fatalf("the delivery has %v, %v", left, err)
	}
	if _, err := b.Begin("aa"); !errors.Is(err, ErrReady) {
		t.Fatalf("begun again: %v", err)
	}

	for range 2 {
		must.OK(t, b.Remove("aa"))
	}
	if got := ready(t, b); len(got) != 0 {
		t.Fatalf("ready after removal: %v", got)
	}
	if trash, err := os.ReadDir(filepath.Join(b.Dir, trashDir)); err != nil || len(trash) != 0 {
		t.Fatalf("trash has %v, %v", trash, err)
	}
}

// TestCommitTwice has two processes fill the same delivery.
func TestCommitTwice(t *testing.T) {
	b := Inbox{Dir: t.TempDir()}
	first, err := b.Begin("aa")
	must.OK(t, err)
	modeltest.Write(t, first.Dir, ArchiveFile, []byte("archive"))
	second, err := b.Begin("aa")
	must.OK(t, err)
	must.OK(t, first.Commit())
	if err := second.Commit(); !disk.Missing(err) {
		t.Fatalf("committed twice: %v", err)
	}
	modeltest.Write(t, second.Dir, ArchiveFile, []byte("archive"))
	if err := second.Commit(); !errors.Is(err, ErrReady) {
		t.Fatalf("committed twice: %v", err)
	}
}

// TestReadyOrder commits deliveries that have the same time, and one from the future.
func TestReadyOrder(t *testing.T) {
	b := Inbox{Dir: t.TempDir()}
	want := []string{"z", "c", "a", "b"}
	for i, id := range want {
		d := deliver(t, b, id, nil, []byte("x"))
		if i == 1 {
			future := modeltest.Time.AddDate(50, 0, 0)
			must.OK(t, os.Chtimes(d.Dir, future, future))
		}
	}
	modeltest.Write(t, filepath.Join(b.Dir, readyDir), "file", nil)
	modeltest.Write(t, filepath.Join(b.Dir, readyDir, ".hidden"), ArchiveFile, nil)
	if got := ready(t, b); !slices.Equal(got, want) {
		t.Errorf("ready %v, want %v", got, want)
	}
}

func TestReadyIsBounded(t *testing.T) {
	b := Inbox{Dir: t.TempDir()}
	for i := range maxReady + 10 {
		must.OK(t, os.MkdirAll(filepath.Join(b.Dir, readyDir, strings.Repeat("x", i+1)), 0o700))
	}
	if got := ready(t, b); len(got) != maxReady {
		t.Errorf("%d deliveries", len(got))
	}
}

func TestIDs(t *testing.T) {
	b := Inbox{Dir: t.TempDir()}
	for _, id := range []string{"a", "0", "1.2.0-9f86d081884c", strings.Repeat("f", 128), "a..b"} {
		if _, err := b.Begin(id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	for _, id := range []string{"", ".", "..", "../x", "a/b", "A", "a b", "-a", ".a", "a_b", "ä", "a\x00", strings.Repeat("f", 129)} {
		_, err := b.Begin(id)
		modeltest.Wants(t, err, ErrID, "")
		modeltest.Wants(t, b.Remove(id), ErrID, "")
	}
}

// TestInboxSteps stops the fetcher, and then the engine, after each step: a delivery is ready whole or not at all.
func TestInboxSteps(t *testing.T) {
	for _, removing := range []bool{false, true} {
		for stop := 0; ; stop++ {
			b := Inbox{Dir: filepath.Join(t.TempDir(), "inbox")}
			if removing {
				deliver(t, b, "aa", []byte("envelope"), []byte("archive"))
			}
			dying := b
			k := &modeltest.Killer{At: stop}
			dying.disk.Before = k.Before
			var err error
			if removing {
				err = dying.Remove("aa")
			} else {
				var d *Delivery
				if d, err = dying.Begin("aa"); err == nil {
					modeltest.Write(t, d.Dir, envelope.EnvelopeFile, []byte("envelope"))
					modeltest.Write(t, d.Dir, ArchiveFile, []byte("archive"))
					modeltest.Write(t, d.Dir, "part", nil)
					err = d.Commit()
				}
			}
			for _, id := range ready(t, b) {
				left, _ := os.ReadDir(filepath.Join(b.Dir, readyDir, id))
				if len(left) != 2 {
					t.Fatalf("removing %v, stopped at step %d: half a delivery is ready: %v", removing, stop, left)
				}
			}
			must.OK(t, Check(b.Dir)) // the next process clears what was left
			if trash, _ := os.ReadDir(filepath.Join(b.Dir, trashDir)); len(trash) != 0 {
				t.Fatalf("trash has %v", trash)
			}
			if !k.Dead {
				must.OK(t, err)
				break
			}
			if !errors.Is(err, modeltest.ErrKilled) {
				t.Fatalf("stopped at step %d: %v", stop, err)
			}
			// The next process finishes.
			if removing {
				err = b.Remove("aa")
			} else if d, beginning := b.Begin("aa"); beginning == nil {
				modeltest.Write(t, d.Dir, ArchiveFile, []byte("archive"))
				modeltest.Write(t, d.Dir, envelope.EnvelopeFile, []byte("envelope"))
				err = d.Commit()
			} else if !errors.Is(beginning, ErrReady) {
				err = beginning
			} else {
				err = nil
			}
			if err != nil {
				t.Fatalf("stopped at step %d, then: %v", stop, err)
			}
			if got := ready(t, b); (len(got) == 1) == removing {
				t.Fatalf("stopped at step %d, then ready: %v", stop, got)
			}
		}
	}
}

// What is begun under the id of a delivery that is being removed stays: the fetcher may be that quick.
func TestRemoveLeavesWhatIsBegunMeanwhile(t *testing.T) {
	b := Inbox{Dir: t.TempDir()}
	deliver(t, b, "aa", []byte("envelope"), []byte("archive"))
	slow := b
	begun := false
	slow.disk.Before = func(disk.Op, string, string) error {
		if !begun {
			_, err := b.Begin("aa")
			begun = err == nil
		}
		return nil
	}
	must.OK(t, slow.Remove("aa"))
	if incoming, err := b.Incoming(); err != nil || !begun || len(incoming) != 1 {
		t.Errorf("begun %v, there is %q (%v)", begun, incoming, err)
	}
}

// TestReadersAndWriters fills, looks at and removes deliveries at the same time.
func TestReadersAndWriters(t *testing.T) {
	b := Inbox{Dir: t.TempDir()}
	var wg sync.WaitGroup
	for _, id := range []string{"a", "b", "c"} {
		wg.Go(func() {
			for range 10 {
				deliver(t, b, id, []byte("envelope"), []byte("archive"))
				if err := b.Remove(id); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 50 {
			if _, err := b.Ready(); err != nil {
				t.Error(err)
			}
			if err := Check(b.Dir); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	if got := ready(t, b); len(got) != 0 {
		t.Errorf("ready %v", got)
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	if err := Check(filepath.Join(dir, "com.edgepdm.ModelFetcher", "inbox")); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "ModelFetcher deployed") {
		t.Errorf("no fetcher: %v", err)
	}
	if err := Check(filepath.Join(dir, "inbox")); err != nil {
		t.Error(err)
	}
	file := modeltest.Write(t, dir, "file", nil)
	if err := Check(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file: %v", err)
	}
	if os.Geteuid() != 0 {
		closed := filepath.Join(dir, "closed")
		must.OK(t, os.Mkdir(closed, 0o500))
		if err := Check(closed); err == nil || !strings.Contains(err.Error(), "mode 0500") {
			t.Errorf("read only: %v", err)
		}
		return
	}
	// As root, another user's folder can be had, and the message about it is what is tested.
	theirs := filepath.Join(dir, "theirs")
	must.OK(t, os.Mkdir(theirs, 0o700))
	if err := os.Chown(theirs, 12345, 12345); err != nil {
		t.Skip(err)
	}
	err := unusable(filepath.Join(theirs, "ready"), &os.PathError{Op: "mkdir", Path: "ready", Err: syscall.EACCES})
	modeltest.Wants(t, err, syscall.EACCES, "user 12345 and this process runs as user 0: give inference-engine and model-fetcher the same posixUser")
}

// TestSyncOrder wants everything synced that a loss of power must not take.
func TestInboxSyncOrder(t *testing.T) {
	w := modeltest.NewWitness(t, "")
	b := Inbox{Dir: t.TempDir(), disk: disk.Disk{Before: w.Before}}
	d, err := b.Begin("aa")
	must.OK(t, err)
	for _, name := range []string{ArchiveFile, envelope.EnvelopeFile} { // as the fetcher writes them: not synced
		if _, err := b.disk.Create(d.Path(name), strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	must.OK(t, d.Commit())
	w.Clean("is left", b.Dir)
}

// Two processes, or two looks of one, check an inbox at the same time: neither finds fault with what the other does.
func TestChecksAtTheSameTime(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "inbox")
	errs := make(chan error)
	for range 4 {
		go func() {
			var err error
			for range 200 {
				err = errors.Join(err, Check(dir))
			}
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}
