package modelstore

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/modelstore/internal/disk"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
)

// An archive that is written to between its hash and its unpacking says nothing of the model: it is tried again.
func TestAnArchiveThatChangesWhileItIsRead(t *testing.T) {
	good := modeltest.Publish(t, modeltest.TinyModel, "1.2.0")
	other := modeltest.Publish(t, must.Replace(t, modeltest.TinyModel, "4E0", "4E0 "), "1.3.0")
	for name, content := range map[string][]byte{
		"garbage": []byte("garbage"), "nothing": nil, "another archive": other.Archive, "cut": good.Archive[:len(good.Archive)/2],
	} {
		for _, unsigned := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				b := newBench(t)
				b.options.AllowUnsigned = true
				b.open()
				manifest := &good.Manifest
				if unsigned {
					manifest = nil
				}
				d := b.deliver(manifest, good.Archive)
				b.store.disk.Before = func(op disk.Op, path, _ string) error {
					if op == disk.OpMkdir && filepath.Base(path) == stagingDir { // it was hashed, and will be unpacked
						return os.WriteFile(d.Path(inbox.ArchiveFile), content, 0o600)
					}
					return nil
				}
				_, err := b.store.Take(d)
				var r *RefusedError
				if modeltest.Wants(t, err, ErrDelivery, "changed while it was read"); !errors.As(err, &r) || r.Final {
					t.Fatalf("%+v", err)
				}
				b.store.disk.Before = nil
				must.OK(t, os.WriteFile(d.Path(inbox.ArchiveFile), good.Archive, 0o600))
				if _, err := b.store.Take(d); err != nil {
					t.Errorf("the good one: %v", err)
				}
			})
		}
	}
}

// A file that is replaced by a named pipe, or by a link, at any moment keeps nobody waiting and leads nowhere.
func TestOpenWhatIsReplaced(t *testing.T) {
	dir := t.TempDir()
	path, secret := modeltest.Write(t, dir, "file", []byte("x")), modeltest.Write(t, dir, "secret", []byte("y"))
	makers := []func(to string) error{
		func(to string) error { return syscall.Mkfifo(to, 0o600) },
		func(to string) error { return os.Symlink(secret, to) },
		func(to string) error { return os.WriteFile(to, []byte("x"), 0o600) },
	}
	stop := make(chan struct{})
	var replacing sync.WaitGroup
	replacing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			next := filepath.Join(dir, "next")
			if err := makers[i%3](next); err != nil {
				t.Error(err)
				return
			}
			if err := os.Rename(next, path); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 5000 {
		data, err := disk.ReadBounded(path, 10)
		if err != nil && !errors.Is(err, disk.ErrNotRegular) || err == nil && string(data) != "x" && len(data) > 0 {
			t.Errorf("read %q, %v", data, err)
			break
		}
	}
	close(stop)
	replacing.Wait()
}

// Deliveries whose files are replaced all the time leave the good model good.
func TestReplacedFilesQuarantineNothing(t *testing.T) {
	b := newBench(t)
	good := modeltest.Publish(t, modeltest.TinyModel, "1.2.0")
	other := modeltest.Publish(t, must.Replace(t, modeltest.TinyModel, "4E0", "4E0 "), "1.3.0")
	d := b.deliver(&good.Manifest, good.Archive)
	envelopes := [][]byte{modeltest.Sign(t, must.JSON(t, good.Manifest), b.key), modeltest.Sign(t, must.JSON(t, other.Manifest), b.key)}
	archives := [][]byte{good.Archive, other.Archive, good.Archive[:100], []byte("garbage")}
	stop := make(chan struct{})
	var replacing sync.WaitGroup
	replacing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			for name, content := range map[string][]byte{envelope.EnvelopeFile: envelopes[i%2], inbox.ArchiveFile: archives[i%4]} {
				if i%3 == 0 { // as a whole
					next := filepath.Join(b.dir, "next")
					if os.WriteFile(next, content, 0o600) == nil {
						_ = os.Rename(next, d.Path(name))
					}
					continue
				}
				_ = os.WriteFile(d.Path(name), content, 0o600) // in place
			}
		}
	})
	for range 300 {
		if c, err := b.store.Take(d); err == nil {
			if err := b.store.Drop(c); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	replacing.Wait()
	for _, e := range b.store.Quarantined() {
		if e.Final {
			t.Errorf("in quarantine: %+v", e)
		}
	}
	for name, content := range map[string][]byte{envelope.EnvelopeFile: envelopes[0], inbox.ArchiveFile: good.Archive} {
		must.OK(t, os.WriteFile(d.Path(name), content, 0o600))
	}
	if _, err := b.store.Take(d); err != nil {
		t.Errorf("the good one: %v", err)
	}
}
