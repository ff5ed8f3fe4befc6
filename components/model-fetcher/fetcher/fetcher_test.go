package fetcher_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/components/model-fetcher/record"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/wait"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

func TestAModelIsDeliveredOnce(t *testing.T) {
	r := newRig(t)
	archive := noise(t, 1, mega)
	m := manifest("1.0.0", archive)
	sealed := r.publish(m, archive, r.key)
	r.start()
	e := r.delivered()
	if e.Name != m.Name || e.Version != "1.0.0" || e.SHA256 != sha(archive) {
		t.Errorf("event %+v", e)
	}
	r.take(sealed, archive)
	h := r.state(event.StateOK, "")
	if h.Counters[fetcher.CounterDelivered] != 1 || h.Counters[fetcher.CounterBytes] != mega {
		t.Errorf("counters %v", h.Counters)
	}
	// Nothing new: the manifest is not sent again, and the archive is not asked for.
	r.line.asked(inbox.ArchiveFile)
	r.line.asked(envelope.EnvelopeFile)
	r.quiet(fetchNow)
	for _, q := range r.line.asked(envelope.EnvelopeFile) {
		if q.ifNone == "" {
			t.Errorf("asked for the manifest without a condition")
		}
	}
	r.untouched()
	// Not after a restart either, nor when the same manifest is uploaded again under another ETag.
	r.stop()
	r.start()
	r.state(event.StateOK, "")
	r.quiet(fetchNow)
	r.publish(m, archive, r.key)
	r.quiet(fetchNow)
	r.untouched()
	if n := len(r.line.asked(inbox.ArchiveFile)); n > 0 {
		t.Errorf("%d requests for the archive", n)
	}
	// An operator may ask for it again.
	r.command(`{"v":1,"again":true}`)
	r.delivered()
	r.take(sealed, archive)
	// The next version.
	archive = noise(t, 2, mega)
	sealed = r.publish(manifest("1.1.0", archive), archive, r.key)
	r.command(fetchNow)
	if e := r.delivered(); e.Version != "1.1.0" {
		t.Errorf("event %+v", e)
	}
	r.take(sealed, archive)
	// And one that is not acceptable, so that every grant of the recipe was used.
	r.put(envelope.EnvelopeFile, []byte("{}"))
	r.command(fetchNow)
	r.next(event.ModelRefused)
	for _, g := range r.core.Grants() {
		if g.Component == event.ModelFetcher && !g.Used {
			t.Errorf("the recipe grants what is not used: %+v", g)
		}
	}
	if denials := r.core.Denials(); len(denials) > 0 {
		t.Errorf("the recipe does not grant %+v", denials)
	}
}

func TestWhatIsNotAcceptableIsRefusedOnce(t *testing.T) {
	need.Long(t)
	r := newRig(t)
	r.configure(map[string]any{"maxBytes": 2 * mega})
	other, err := envelope.GenerateKey(nil)
	must.OK(t, err)
	first := noise(t, 1, 1000)
	sealed := r.publish(manifest("2.0.0", first), first, r.key)
	r.start()
	r.delivered()
	r.take(sealed, first)

	archive := noise(t, 2, mega)
	good := manifest("2.1.0", archive)
	expired := good
	expired.Expires = expired.Created.Add(1)
	large := noise(t, 3, 2*mega+1)
	tampered, err := envelope.Sign(good, r.key)
	must.OK(t, err)
	tampered = []byte(strings.Replace(string(tampered), `"payload":"eyJm`, `"payload":"fyJm`, 1))
	for _, c := range []struct {
		reason   modelstore.Reason
		publish  func()
		archives int // requests for them
	}{
		{modelstore.ReasonUntrusted, func() { r.publish(good, archive, other) }, 0},
		{modelstore.ReasonSignature, func() { r.put(envelope.EnvelopeFile, tampered) }, 0},
		{modelstore.ReasonSignature, func() { r.put(envelope.EnvelopeFile, []byte("not even JSON")) }, 0},
		{modelstore.ReasonExpired, func() { r.publish(expired, archive, r.key) }, 0},
		{modelstore.ReasonVersion, func() { r.publish(manifest("1.9.9", archive), archive, r.key) }, 0},
		{fetcher.ReasonOversized, func() { r.publish(manifest("2.1.1", large), large, r.key) }, 0},
		{fetcher.ReasonOversized, func() { r.put(envelope.EnvelopeFile, noise(t, 4, envelope.MaxEnvelope+1)) }, 0},
		{modelstore.ReasonDelivery, func() { r.publish(manifest("2.1.2", archive), archive[:mega/2], r.key) }, 3},  // truncated
		{modelstore.ReasonDelivery, func() { r.publish(manifest("2.1.3", archive), noise(t, 5, mega), r.key) }, 3}, // other bytes
	} {
		c.publish()
		r.line.asked(inbox.ArchiveFile)
		r.command(fetchNow)
		if c.archives > 0 {
			r.next(event.ModelAvailable)
			r.next(event.ModelDownloading)
		}
		if e := r.next(event.ModelRefused); !strings.HasPrefix(e.Detail, string(c.reason)+": ") {
			t.Errorf("refused with %q, want %s", e.Detail, c.reason)
		}
		h := r.state(event.StateDegraded, "refused: "+string(c.reason))
		if h.Counters[fetcher.CounterRefused+"."+string(c.reason)] == 0 {
			t.Errorf("%s: counters %v", c.reason, h.Counters)
		}
		r.quiet(fetchNow)
		r.untouched()
		if n := len(r.line.asked(inbox.ArchiveFile)); n != c.archives {
			t.Errorf("%s: %d requests for the archive", c.reason, n)
		}
	}
	// Not after a restart either.
	r.stop()
	r.start()
	r.state(event.StateDegraded, "refused: delivery")
	r.quiet(fetchNow)
	// It is over when what is published changes.
	sealed = r.publish(good, archive, r.key)
	r.command(fetchNow)
	r.delivered()
	r.take(sealed, archive)
	r.state(event.StateOK, "")
}

func TestAChangedConfigurationJudgesAnew(t *testing.T) {
	r := newRig(t)
	other, err := envelope.GenerateKey(nil)
	must.OK(t, err)
	archive := noise(t, 1, 1000)
	r.start()
	r.state(event.StateOK, "no model is published at s3://")
	envelope := r.publish(manifest("2.0.0", archive), archive, other)
	r.command(fetchNow)
	r.next(event.ModelRefused)
	r.configure(map[string]any{"publicKeys": []any{publicText(r.key), publicText(other)}})
	r.delivered()
	r.take(envelope, archive)
	// What was delivered stays so.
	looks := r.state(event.StateOK, "").Counters[fetcher.CounterLooks]
	r.configure(map[string]any{"maxBytes": mega})
	r.await("a look under the new configuration", func(h event.Health) bool { return h.Counters[fetcher.CounterLooks] > looks })
	r.quiet(fetchNow)
	// A version that is lower, and has expired.
	m := manifest("1.0.0", archive)
	m.Expires = m.Created.Add(1)
	envelope = r.publish(m, archive, r.key)
	r.command(fetchNow)
	r.next(event.ModelRefused)
	r.configure(map[string]any{"allowDowngrade": true})
	r.delivered()
	r.take(envelope, archive)
	// Another inbox gets the model, too: perhaps the engine never saw the first.
	r.configure(map[string]any{"inbox": filepath.Join(r.env.WorkDir, "other")})
	r.delivered()
	ready, err := inbox.Inbox{Dir: filepath.Join(r.env.WorkDir, "other")}.Ready()
	if len(ready) != 1 || err != nil {
		t.Errorf("the other inbox has %v, %v", ready, err)
	}
}

func TestUnsignedModels(t *testing.T) {
	r := newRig(t)
	archive := noise(t, 1, mega)
	r.put(inbox.ArchiveFile, archive)
	r.start()
	r.state(event.StateOK, "no model is published")
	r.quiet(fetchNow)
	r.untouched()
	r.configure(map[string]any{"allowUnsigned": true, "maxBytes": 2 * mega})
	e := r.delivered()
	if e.Name != "" || e.Version != "" || e.SHA256 != sha(archive) || !strings.Contains(e.Detail, "unsigned") {
		t.Errorf("event %+v", e)
	}
	r.take(nil, archive)
	r.quiet(fetchNow)
	r.untouched()
	archive = noise(t, 2, mega)
	r.put(inbox.ArchiveFile, archive)
	r.command(fetchNow)
	r.delivered()
	r.take(nil, archive)
	r.put(inbox.ArchiveFile, noise(t, 3, 2*mega+1))
	r.command(fetchNow)
	if e := r.next(event.ModelRefused); !strings.HasPrefix(e.Detail, string(fetcher.ReasonOversized)) {
		t.Errorf("event %+v", e)
	}
	r.quiet(fetchNow)
	// A manifest comes before an archive without one, and is verified.
	sealed := r.publish(manifest("1.0.0", archive), archive, r.key)
	r.command(fetchNow)
	r.delivered()
	r.take(sealed, archive)
	r.put(envelope.EnvelopeFile, []byte("{}"))
	r.command(fetchNow)
	r.next(event.ModelRefused)
	r.delete(envelope.EnvelopeFile)
	r.delete(inbox.ArchiveFile)
	r.command(fetchNow)
	r.state(event.StateOK, "no model is published")
}

// fullDisk is a file on a disk that has no room.
type fullDisk struct{ download.File }

func (fullDisk) Write(p []byte) (int, error) { return 0, syscall.ENOSPC }

func TestAFullDiskLeavesNothingInTheInbox(t *testing.T) {
	r := newRig(t)
	archive := noise(t, 1, mega)
	envelope := r.publish(manifest("1.0.0", archive), archive, r.key)
	var room atomic.Bool
	makeOne := r.make
	r.make = func() *fetcher.Fetcher {
		f := makeOne()
		f.Open = func(name string, flag int, perm os.FileMode) (download.File, error) {
			file, err := os.OpenFile(name, flag, perm)
			if room.Load() {
				return file, err
			}
			return fullDisk{file}, err
		}
		f.Retry = wait.Backoff{Max: time.Hour, Rand: func(n int64) int64 { return n - 1 }} // not before it is told to
		return f
	}
	r.start()
	h := r.state(event.StateDegraded, "disk is full")
	if h.Counters[fetcher.CounterDiskFull] == 0 || h.Counters[fetcher.CounterRefused] > 0 {
		t.Errorf("counters %v", h.Counters)
	}
	r.untouched()
	r.next(event.ModelAvailable)
	r.next(event.ModelDownloading)
	room.Store(true)
	r.command(fetchNow)
	r.next(event.ModelDelivered)
	r.take(envelope, archive)
	r.state(event.StateOK, "")
}

func TestCommandsThatAreNotUnderstood(t *testing.T) {
	r := newRig(t)
	r.start()
	h := r.state(event.StateOK, "")
	for _, text := range []string{"", "fetch!", "{}", `{"v":2}`, `{"v":1,"again":3}`, `{"v":1,"by":"` + strings.Repeat("x", 6500) + `"}`} {
		r.command(text)
	}
	after := r.await("six invalid messages", func(h event.Health) bool { return h.Counters[fetcher.CounterInvalid] == 6 })
	if after.Counters[fetcher.CounterLooks] != h.Counters[fetcher.CounterLooks] {
		t.Errorf("it looked: %v, %v", h.Counters, after.Counters)
	}
	r.quiet(fetchNow)
}

func TestDecisionsAreAnnouncedUntilTheyGetThrough(t *testing.T) {
	r := newRig(t)
	e := event.ModelEvent{V: 1, ID: "model-1", Event: event.ModelDelivered, Version: "1.0.0", TS: manifest("1.0.0", nil).Created}
	text := string(must.JSON(t, record.Record{Format: 1, Announce: []event.ModelEvent{e}}))
	must.OK(t, os.WriteFile(filepath.Join(r.env.WorkDir, record.File), []byte(text), 0o600))
	r.start()
	if got := r.next(event.ModelDelivered); got != e {
		t.Errorf("announced %+v", got)
	}
	r.quiet(fetchNow)
	if record := r.record(); len(record.Announce) > 0 {
		t.Errorf("still waiting: %+v", record.Announce)
	}
}

func TestWhatStandsInTheWayIsNamed(t *testing.T) {
	r := newRig(t)
	path := filepath.Join(r.env.WorkDir, record.File)
	newer := `{"format":2,"models":{}}`
	must.OK(t, os.WriteFile(path, []byte(newer), 0o600))
	r.start()
	r.state(event.StateDegraded, "format 2: written by a newer version")
	if text, err := os.ReadFile(path); string(text) != newer {
		t.Errorf("the newer record became %s, %v", text, err)
	}
	must.OK(t, os.Remove(path))
	r.state(event.StateOK, "no model is published")
	file := filepath.Join(r.env.WorkDir, "file")
	must.OK(t, os.WriteFile(file, nil, 0o600))
	r.configure(map[string]any{"inbox": "file"})
	r.state(event.StateDegraded, "not a directory")
	r.configure(map[string]any{"inbox": "inbox", "endpoints": map[string]any{"caFile": "nowhere.pem"}})
	r.state(event.StateDegraded, "endpoints.caFile: open nowhere.pem")
	r.configure(map[string]any{"bucket": "no-such-bucket", "endpoints": map[string]any{"caFile": ""}})
	r.state(event.StateDegraded, "bucket: there is no no-such-bucket")
	r.configure(map[string]any{"bucket": ""})
	r.state(event.StateNotConfigured, "bucket: not configured")
	r.stop()
	delete(r.vars, "AWS_CONTAINER_CREDENTIALS_FULL_URI")
	r.configure(map[string]any{"bucket": r.bucket})
	r.start()
	r.state(event.StateDegraded, "deploy aws.greengrass.TokenExchangeService")
}

func TestConfigNamesTheField(t *testing.T) {
	key, err := envelope.GenerateKey(nil)
	must.OK(t, err)
	good := func() fetcher.Config {
		c := fetcher.Default()
		c.Bucket, c.PublicKeys = "models-1", []string{publicText(key)}
		return c
	}
	if err := errors.Join(good().Validate(), fetcher.Default().Validate()); err != nil {
		t.Errorf("good ones: %v", err)
	}
	for field, harm := range map[string]func(c *fetcher.Config){
		"bucket":        func(c *fetcher.Config) { c.Bucket = "s3://models" },
		"prefix":        func(c *fetcher.Config) { c.Prefix = "models/../x" },
		"poll":          func(c *fetcher.Config) { c.Poll = 1 },
		"maxBytes":      func(c *fetcher.Config) { c.MaxBytes = 0 },
		"publicKeys":    func(c *fetcher.Config) { c.PublicKeys = nil },
		"publicKeys[1]": func(c *fetcher.Config) { c.PublicKeys = append(c.PublicKeys, "secret") },
		"inbox":         func(c *fetcher.Config) { c.Inbox = "" },
		"timeout":       func(c *fetcher.Config) { c.Timeout = 0 },
		"endpoints.s3":  func(c *fetcher.Config) { c.Endpoints.S3 = "s3.example.com" },
		"region":        func(c *fetcher.Config) { c.Region = "eu west" },
	} {
		c := good()
		harm(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), field+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, prefix := range []string{"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/./b", "a b", "ä"} {
		if download.CheckPrefix(prefix) == nil {
			t.Errorf("the prefix %q is accepted", prefix)
		}
	}
}

// A kill between the delivery and the note of it: the delivery that waits is not made twice.
func TestADeliveryThatWasNotNotedIsNotMadeTwice(t *testing.T) {
	r := newRig(t)
	archive := noise(t, 1, 1000)
	envelope := r.publish(manifest("1.0.0", archive), archive, r.key)
	r.start()
	r.delivered()
	r.state(event.StateOK, "")
	r.stop()
	must.OK(t, os.Remove(filepath.Join(r.env.WorkDir, record.File)))
	r.line.asked(inbox.ArchiveFile)
	r.start()
	if e := r.next(event.ModelDelivered); e.Version != "1.0.0" {
		t.Errorf("event %+v", e)
	}
	r.take(envelope, archive)
	r.quiet(fetchNow)
	r.untouched()
	if n := len(r.line.asked(inbox.ArchiveFile)); n > 0 {
		t.Errorf("%d requests for the archive", n)
	}
}
