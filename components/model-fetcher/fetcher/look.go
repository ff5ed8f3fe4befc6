package fetcher

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"time"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/shared/cloud"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/wait"
	"github.com/aws/smithy-go"
)

// offer is a model that is published and acceptable so far.
type offer struct {
	id       string // of its delivery
	etag     string // of what was looked at: the envelope, or the archive if unsigned
	unsigned bool
	envelope []byte
	content  string           // modelstore.Signed.Content
	key      string           // id of the key that signed it
	created  time.Time        // of the manifest
	expires  time.Time        // of the manifest
	event    event.ModelEvent // says which model it is
	want     download.Want
}

// look looks at what is published, and brings what is new into the inbox. With again it does so with what was dealt with
// before, too.
func (r *run) look(ctx context.Context, again bool) error {
	if err := r.load(); err != nil {
		return err
	}
	if r.config.Bucket == "" {
		return nil
	}
	if err := inbox.Check(r.inboxDir); err != nil {
		return err
	}
	if err := r.connect(); err != nil {
		return err
	}
	known := ""
	if !again {
		known = r.record.settled(r.policy, false)
	}
	sealed, etag, err := r.loader.Get(ctx, r.config.Bucket, r.key(envelope.EnvelopeFile), known, envelope.MaxEnvelope)
	switch {
	case errors.Is(err, download.ErrUnchanged):
		return nil
	case errors.Is(err, download.ErrMissing) && r.config.AllowUnsigned:
		return r.lookUnsigned(ctx, again)
	case errors.Is(err, download.ErrMissing):
		return r.nothing()
	case errors.Is(err, download.ErrTooLarge):
		return r.settle(offer{etag: etag}, judge(err))
	case err != nil:
		return err
	}
	o := offer{id: hash(sealed), etag: etag, envelope: sealed}
	signed, err := envelope.VerifySigned(sealed, r.keys)
	if err != nil {
		err = judge(err)
		if r.doubtful(ctx, o, err) {
			return r.look(ctx, again)
		}
		return r.settle(o, err)
	}
	m := signed.Manifest
	o.content, o.key, o.created, o.expires = signed.Content, signed.Key, m.Created, m.Expires
	o.event = event.ModelEvent{Name: m.Name, Version: m.Version, SHA256: m.Archive.SHA256}
	if !again && r.record.has(o, r.inboxDir, r.Now()) {
		return r.resettle(o) // delivered before, under another policy or another ETag, or in another envelope
	}
	if err := r.check(m); err != nil {
		return r.settle(o, err)
	}
	o.want = download.Want{
		Bucket: r.config.Bucket, Key: r.key(m.Version, inbox.ArchiveFile),
		Size: m.Archive.Size, SHA256: m.Archive.SHA256, MaxBytes: r.config.MaxBytes,
	}
	o.event.Detail = fmt.Sprintf("%d bytes, expires %s", m.Archive.Size, m.Expires.UTC().Format(time.DateOnly))
	return r.deliver(ctx, o, again)
}

// check refuses a manifest that is signed, but not to be accepted now (promises M3 and M4).
func (r *run) check(m envelope.Manifest) error {
	last := r.record.bound(m.Name, r.keys)
	switch {
	case m.Archive.Size > r.config.MaxBytes:
		return refuse(ReasonOversized, "version %s has %d bytes, maxBytes is %d", m.Version, m.Archive.Size, r.config.MaxBytes)
	case r.config.AllowDowngrade:
		return nil
	case !r.Now().Before(m.Expires):
		return refuse(modelstore.ReasonExpired, "version %s expired at %s", m.Version, m.Expires.UTC().Format(time.RFC3339))
	case last != "" && envelope.Compare(m.Version, last) < 0:
		return refuse(modelstore.ReasonVersion, "version %s is lower than %s, which was delivered", m.Version, last)
	}
	return nil
}

// lookUnsigned looks for an archive without a manifest, as SageMaker leaves it (promise M11).
func (r *run) lookUnsigned(ctx context.Context, again bool) error {
	key := r.key(inbox.ArchiveFile)
	etag, size, err := r.loader.Find(ctx, r.config.Bucket, key)
	switch {
	case errors.Is(err, download.ErrMissing):
		return r.nothing()
	case err != nil:
		return err
	case !again && etag == r.record.settled(r.policy, true):
		return nil
	}
	o := offer{
		id: "unsigned-" + hash([]byte(r.config.Bucket + "/" + key + " " + etag))[:32], etag: etag, unsigned: true,
		event: event.ModelEvent{Detail: fmt.Sprintf("%d bytes, unsigned", size)},
		want:  download.Want{Bucket: r.config.Bucket, Key: key, MaxBytes: r.config.MaxBytes},
	}
	if size > r.config.MaxBytes {
		return r.settle(o, refuse(ReasonOversized, "%s has %d bytes, maxBytes is %d", key, size, r.config.MaxBytes))
	}
	return r.deliver(ctx, o, again)
}

// nothing notes that no model is published.
func (r *run) nothing() error {
	r.detail = fmt.Sprintf("no model is published at s3://%s/%s", r.config.Bucket, r.config.Prefix)
	if r.record.ETag == "" {
		return nil
	}
	r.record.forget()
	r.unsaved = true
	return r.save()
}

// connect prepares access to S3.
func (r *run) connect() error {
	if r.loader != nil {
		return nil
	}
	store, access, err := r.newStore()
	if err != nil {
		return err
	}
	r.rt.Conditions().Set(event.CodeConfiguration, placeRootCAs, access.RootCAs)
	pause := r.Retry
	if pause.Max == 0 {
		pause = wait.Backoff{Min: retryMin, Max: retryMax}
	}
	r.access = access
	r.loader = &download.Downloader{
		Source: store, Log: r.rt.Log, Timeout: r.config.Timeout, Report: r.report, Open: r.Open,
		Pause: func(ctx context.Context) { pause.Wait(ctx, 1) },
	}
	return nil
}

// key returns the key of something below the prefix.
func (r *run) key(names ...string) string {
	return path.Join(append([]string{r.config.Prefix}, names...)...)
}

// load reads the record, once.
func (r *run) load() error {
	if r.record != nil {
		return nil
	}
	record, err := openRecord(r.rt.WorkDir, r.Now())
	if err != nil {
		return err
	}
	if record.Damage != nil {
		r.rt.Log.Error("the record of what was fetched was damaged", "error", record.Damage.Text)
	}
	for _, e := range record.Announce { // a version before 0.2 kept them here
		r.tellNews(e)
	}
	r.unsaved = r.unsaved || len(record.Announce) > 0 || record.Damage != nil
	record.Announce = nil
	r.record = &record
	return r.save()
}

// save writes the record, if it has changed.
func (r *run) save() error {
	if !r.unsaved {
		return nil
	}
	if err := r.record.write(r.rt.WorkDir); err != nil {
		return err
	}
	r.unsaved = false
	return nil
}

// tellNews hands an event on: it is published until the forwarder has it (promise M12).
func (r *run) tellNews(e event.ModelEvent) {
	dropped, err := r.news.Add(e)
	r.rt.Counter(CounterLost).Add(uint64(dropped))
	if err != nil {
		r.rt.Log.Warn("an event is not on disk; it is published all the same", "event", e.Event, "error", err)
	}
}

func hash(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// explain says why AWS has not served, and what to do about it where that is known, in front of the whole error.
func explain(c Config, err error) string {
	text := cloud.Text(err)
	if _, asked := errors.AsType[*smithy.OperationError](err); !asked || errors.Is(err, context.Canceled) { // a wait that was ended has its own reason
		return text
	}
	kind, why := cloud.Classify(err)
	if refused, ok := errors.AsType[smithy.APIError](err); ok && kind == cloud.Refused {
		why = hint(c, refused.ErrorCode()) + why
	}
	return why + ": " + text
}

// hint says what to do about a refusal; "" where that is not known.
func hint(c Config, code string) string {
	switch code {
	case "AccessDenied", "Forbidden":
		return fmt.Sprintf("the token exchange role needs s3:GetObject on s3://%s/%s/*, and s3:ListBucket, without which S3 denies "+
			"what is not there: ", c.Bucket, c.Prefix)
	case "NoSuchBucket":
		return fmt.Sprintf("bucket: there is no %s in this region: ", c.Bucket)
	case "RequestTimeTooSkewed":
		return "the core's clock is wrong: "
	}
	return ""
}
