package fetcher_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/components/model-fetcher/record"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/test/must"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// newFolderRig makes a rig that has a folder and no AWS at all, and looks into it all the time.
func newFolderRig(t *testing.T) (r *rig, dir string) {
	t.Helper()
	t.Parallel()
	r = newRigOn(t, "http://127.0.0.1:1", "unused", aws.Credentials{})
	clear(r.vars)
	r.configure(map[string]any{"bucket": "", "endpoints": map[string]any{"s3": ""}, "directory": "../com.edgepdm.Model", "poll": "1s"})
	return r, filepath.Join(filepath.Dir(r.env.WorkDir), "com.edgepdm.Model")
}

// lay writes what pack and sign leave, for a model, into a folder.
func (r *rig) lay(dir string, m envelope.Manifest, archive []byte) (sealed []byte) {
	r.t.Helper()
	sealed, err := envelope.Sign(m, r.key)
	must.OK(r.t, err)
	must.OK(r.t, os.MkdirAll(dir, 0o700))
	must.OK(r.t, os.WriteFile(filepath.Join(dir, inbox.ArchiveFile), archive, 0o600))
	must.OK(r.t, os.WriteFile(filepath.Join(dir, "manifest.json"), []byte("{}"), 0o600))
	must.OK(r.t, os.WriteFile(filepath.Join(dir, envelope.EnvelopeFile), sealed, 0o600))
	return sealed
}

func TestDirectory(t *testing.T) {
	r, dir := newFolderRig(t)
	r.start()
	r.state(event.StateDegraded, "is the model's component deployed, and the path right?")
	must.OK(t, os.MkdirAll(dir, 0o700))
	r.state(event.StateOK, "no model is published at "+dir)
	// The archive first, the manifest then, as a copy makes them.
	archive := noise(t, 1, mega)
	m := manifest("1.0.0", archive)
	sealed, err := envelope.Sign(m, r.key)
	must.OK(t, err)
	must.OK(t, os.WriteFile(filepath.Join(dir, inbox.ArchiveFile), archive, 0o600))
	must.OK(t, os.WriteFile(filepath.Join(dir, envelope.EnvelopeFile), sealed, 0o600))
	if e := r.delivered(); e.Version != "1.0.0" || e.SHA256 != sha(archive) {
		t.Errorf("event %+v", e)
	}
	r.take(sealed, archive)
	r.quiet(fetchNow)
	r.untouched()
	// The same files, copied once more, are nothing new.
	r.lay(dir, m, archive)
	r.quiet(fetchNow)
	r.untouched()
	// A share of the cores, and other keys, count as from S3.
	archive = noise(t, 2, mega)
	r.vars["AWS_IOT_THING_NAME"] = coreWith(rollout("1.1.0", archive, 10), false)
	r.stop()
	r.start()
	r.lay(dir, rollout("1.1.0", archive, 10), archive)
	r.next(event.ModelAvailable)
	sealed = r.lay(dir, rollout("1.1.0", archive, 60), archive)
	r.delivered()
	r.take(sealed, archive)
	old := noise(t, 3, 1000)
	r.lay(dir, manifest("1.0.1", old), old)
	if e := r.next(event.ModelRefused); !strings.HasPrefix(e.Detail, "version: ") {
		t.Errorf("event %+v", e)
	}
	r.untouched()
}

// What is copied half is refused, and delivered once it is whole, though the manifest does not change.
func TestDirectoryThatIsCopiedHalf(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, dir string, archive []byte){
		"archive cut": func(t *testing.T, dir string, archive []byte) {
			must.OK(t, os.WriteFile(filepath.Join(dir, inbox.ArchiveFile), archive[:mega/2], 0o600))
		},
		"archive of another version": func(t *testing.T, dir string, _ []byte) {
			must.OK(t, os.WriteFile(filepath.Join(dir, inbox.ArchiveFile), noise(t, 9, mega), 0o600))
		},
		"manifest cut": func(t *testing.T, dir string, _ []byte) {
			must.OK(t, os.Truncate(filepath.Join(dir, envelope.EnvelopeFile), 100))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, dir := newFolderRig(t)
			archive := noise(t, 1, mega)
			m := manifest("1.0.0", archive)
			r.lay(dir, m, archive)
			leave(t, dir, archive)
			r.start()
			for e := range r.steps() {
				if e.Event == event.ModelRefused {
					break
				}
			}
			if ready, err := r.inbox().Ready(); len(ready) > 0 || err != nil {
				t.Errorf("ready are %+v, %v", ready, err)
			}
			sealed := r.lay(dir, m, archive)
			r.delivered()
			r.take(sealed, archive)
		})
	}
}

// steps are the events as they come.
func (r *rig) steps() func(func(event.ModelEvent) bool) {
	return func(yield func(event.ModelEvent) bool) {
		for m := range r.events.Events() {
			e, err := event.DecodeModelEvent(m.Payload)
			must.OK(r.t, err)
			if !e.Replayed && !yield(e) {
				return
			}
		}
	}
}

// What is in a folder that no model's component leaves there is not read, and said.
func TestDirectoryWithWhatIsNoFile(t *testing.T) {
	archive := noise(t, 1, 1000)
	for name, test := range map[string]struct {
		harm func(t *testing.T, dir string)
		says string
	}{
		"manifest is a link": {func(t *testing.T, dir string) {
			swap(t, dir, envelope.EnvelopeFile, func(name string) error { return os.Symlink("/etc/passwd", name) })
		}, envelope.EnvelopeFile + " is not a regular file"},
		"archive is a link": {func(t *testing.T, dir string) {
			swap(t, dir, inbox.ArchiveFile, func(name string) error { return os.Symlink("/dev/zero", name) })
		}, inbox.ArchiveFile + " is not a regular file"},
		"archive is a pipe": {func(t *testing.T, dir string) {
			swap(t, dir, inbox.ArchiveFile, func(name string) error { return syscall.Mkfifo(name, 0o600) })
		}, inbox.ArchiveFile + " is not a regular file"},
		"manifest is a folder": {func(t *testing.T, dir string) {
			swap(t, dir, envelope.EnvelopeFile, func(name string) error { return os.Mkdir(name, 0o700) })
		}, envelope.EnvelopeFile + " is not a regular file"},
		"archive is missing": {func(t *testing.T, dir string) {
			must.OK(t, os.Remove(filepath.Join(dir, inbox.ArchiveFile)))
		}, inbox.ArchiveFile + ": no such file or directory"},
		"folder is a file": {func(t *testing.T, dir string) {
			must.OK(t, os.RemoveAll(dir))
			must.OK(t, os.WriteFile(dir, nil, 0o600))
		}, "is no folder"},
	} {
		t.Run(name, func(t *testing.T) {
			r, dir := newFolderRig(t)
			m := manifest("1.0.0", archive)
			r.lay(dir, m, archive)
			test.harm(t, dir)
			r.start()
			h := r.state(event.StateDegraded, test.says)
			if len(h.Conditions) != 1 || h.Conditions[0].Code != event.CodeModelStore {
				t.Errorf("conditions %+v", h.Conditions)
			}
			must.OK(t, os.RemoveAll(dir))
			sealed := r.lay(dir, m, archive)
			for e := range r.steps() {
				if e.Event == event.ModelDelivered {
					break
				}
			}
			r.take(sealed, archive)
			r.state(event.StateOK, "")
		})
	}
}

func swap(t *testing.T, dir, name string, by func(name string) error) {
	t.Helper()
	path := filepath.Join(dir, name)
	must.OK(t, os.Remove(path))
	must.OK(t, by(path))
}

// A folder that is a link may be turned over to another one; a model of remaining life has a folder of its own.
func TestDirectories(t *testing.T) {
	r, dir := newFolderRig(t)
	first, second := filepath.Join(t.TempDir(), "1.0.0"), filepath.Join(t.TempDir(), "1.1.0")
	archive := noise(t, 1, 1000)
	sealed := r.lay(first, manifest("1.0.0", archive), archive)
	must.OK(t, os.Symlink(first, dir))
	r.start()
	r.delivered()
	r.take(sealed, archive)
	next := noise(t, 2, 1000)
	sealed = r.lay(second, manifest("1.1.0", next), next)
	must.OK(t, os.Symlink(second, dir+".next"))
	must.OK(t, os.Rename(dir+".next", dir))
	r.delivered()
	r.take(sealed, next)
	life := t.TempDir()
	r.lay(life, manifest("1.2.0", next), next)
	r.configure(map[string]any{"lifeDirectory": life})
	for e := range r.steps() {
		if e.Event == event.ModelRefused {
			if !strings.HasPrefix(e.Detail, "role: ") || !strings.Contains(e.Detail, life) {
				t.Errorf("event %+v", e)
			}
			break
		}
	}
	known, err := record.Read(r.env.WorkDir, event.RoleLife)
	must.OK(t, err)
	if known.Outcome != record.OutcomeRefused {
		t.Errorf("record %+v", known)
	}
}

// A model of a role comes from one place.
func TestConfigHasOneSource(t *testing.T) {
	key, err := envelope.GenerateKey(nil)
	must.OK(t, err)
	for name, test := range map[string]struct {
		change func(c *fetcher.Config)
		field  string // "" = it is good
	}{
		"directory":                  {func(c *fetcher.Config) { c.Directory = "/models" }, ""},
		"bucket and directory":       {func(c *fetcher.Config) { c.Bucket, c.Directory = "models-1", "/models" }, "directory"},
		"life from the bucket":       {func(c *fetcher.Config) { c.Bucket, c.Directory, c.LifePrefix = "models-1", "/models", "life" }, ""},
		"faults from the bucket":     {func(c *fetcher.Config) { c.Bucket, c.LifeDirectory = "models-1", "/models" }, ""},
		"life from both":             {func(c *fetcher.Config) { c.Bucket, c.LifePrefix, c.LifeDirectory = "models-1", "life", "/models" }, "lifeDirectory"},
		"one folder for both":        {func(c *fetcher.Config) { c.Directory, c.LifeDirectory = "/models/", "/models" }, "lifeDirectory"},
		"no keys":                    {func(c *fetcher.Config) { c.Directory, c.PublicKeys = "/models", nil }, "publicKeys"},
		"no keys, unsigned":          {func(c *fetcher.Config) { c.Directory, c.PublicKeys, c.AllowUnsigned = "/models", nil, true }, ""},
		"no keys, unsigned for life": {func(c *fetcher.Config) { c.LifeDirectory, c.PublicKeys, c.AllowUnsigned = "/models", nil, true }, "publicKeys"},
	} {
		c := fetcher.Default()
		c.PublicKeys = []string{publicText(key)}
		test.change(&c)
		if err := c.Validate(); (err == nil) != (test.field == "") || err != nil && !strings.HasPrefix(err.Error(), test.field+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
