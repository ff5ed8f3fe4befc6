package fetcher

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"time"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/components/model-fetcher/record"
	"edgepdm/shared/cloud"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/wait"
	"github.com/aws/smithy-go"
)

// offer is a model that is published and acceptable so far.
type offer struct {
	record.Offer
	envelope []byte
	want     download.Want
}

// looker looks at what is published. A look has a goroutine of its own, and there is one at a time.
type looker struct {
	*Fetcher
	*memory
	rt       *component.Runtime
	role     event.Role
	config   Config // of the role
	core     string // its thing's name; "" where the nucleus does not tell
	keys     []ed25519.PublicKey
	policy   string
	inboxDir string
	inbox    inbox.Inbox
	progress func(text string)    // tells those who wait for the look
	say      func(text string)    // what the state tells of this role
	own      func(id string) bool // whether a delivery is of this role

	loader  *download.Downloader // nil until AWS can be used
	access  *cloud.Access        // nil until AWS can be used
	detail  string               // what the last look found, where that needs a word
	headway headway              // of this look
	noted   time.Time            // when a download's progress was logged last
}

// memory is what looks keep from one Run to the next.
type memory struct {
	again   bool           // a command asks for what was dealt with before; until a look has obeyed
	record  *record.Record // nil until it was read
	unsaved bool           // the record in memory is newer than the file
	wrong   int            // fetches whose bytes were wrong, since the last decision
	seen    string         // delivery whose finding was told
}

// headway says whether a look that failed got further all the same.
type headway struct {
	bytes bool // of an archive came
	over  bool // a download started over, or is to: its bytes were not worth their transfer
}

// failures counts a look that failed after others. One that got further is the first.
func (h headway) failures(before int) int {
	if h.bytes && !h.over {
		return 1
	}
	return before + 1
}

// look looks at what is published, and brings what is new into the inbox. With again it does so with what was dealt with
// before, too.
func (l *looker) look(ctx context.Context, again bool) error {
	if err := l.load(); err != nil {
		return err
	}
	if l.config.source() == "" {
		return nil
	}
	if err := inbox.Check(l.inboxDir); err != nil {
		return err
	}
	if err := l.connect(); err != nil {
		return err
	}
	known := ""
	if !again {
		known = l.record.Settled(l.policy, false, l.Now())
	}
	sealed, etag, err := l.loader.Get(ctx, l.config.Bucket, path.Join(l.config.Prefix, envelope.EnvelopeFile), known, envelope.MaxEnvelope)
	switch {
	case errors.Is(err, download.ErrUnchanged):
		return nil
	case errors.Is(err, download.ErrMissing) && l.config.AllowUnsigned:
		return l.lookUnsigned(ctx, again)
	case errors.Is(err, download.ErrMissing):
		return l.nothing()
	case errors.Is(err, download.ErrTooLarge):
		return l.settle(offer{Offer: record.Offer{ETag: etag}}, judge(err))
	case err != nil:
		return err
	}
	o := offer{Offer: record.Offer{ID: hash(sealed), ETag: etag}, envelope: sealed}
	if l.role == event.RoleLife {
		o.ID = lifeID + o.ID
	}
	signed, err := envelope.VerifySigned(sealed, l.keys)
	if err != nil {
		err = judge(err)
		if l.doubtful(ctx, err) {
			return l.look(ctx, again)
		}
		return l.settle(o, err)
	}
	m := signed.Manifest
	o.Content, o.Key, o.Created, o.Expires = signed.Content, signed.Key, m.Created, m.Expires
	o.Event = event.ModelEvent{Name: m.Name, Version: m.Version, SHA256: m.Archive.SHA256}
	if !again && l.record.Has(o.Offer, l.inboxDir, l.Now()) {
		return l.resettle(o) // delivered before, under another policy or another ETag, or in another envelope
	}
	if err := l.check(m); err != nil {
		return l.settle(o, err)
	}
	if !m.Reaches(l.core) {
		return l.leave(o, m)
	}
	o.want = download.Want{
		Bucket: l.config.Bucket, Key: l.archiveKey(m),
		Size: m.Archive.Size, SHA256: m.Archive.SHA256, MaxBytes: l.config.MaxBytes,
	}
	o.Event.Detail = fmt.Sprintf("%d bytes, expires %s", m.Archive.Size, m.Expires.UTC().Format(time.DateOnly))
	return l.deliver(ctx, o, again)
}

// check refuses a manifest that is signed, but not to be accepted here, or now (promises M3 and M4).
func (l *looker) check(m envelope.Manifest) error {
	last := l.record.Bound(m.Name, l.keys)
	switch {
	case m.ForLife() != (l.role == event.RoleLife):
		return refuse(modelstore.ReasonRole, "version %s of %s is of the role %s, and below %s are models of the role %s", m.Version, m.Name,
			cmp.Or(m.Role, event.RoleFault), cmp.Or(l.config.Prefix, l.config.Directory), l.role)
	case m.Archive.Size > l.config.MaxBytes:
		return refuse(ReasonOversized, "version %s has %d bytes, maxBytes is %d", m.Version, m.Archive.Size, l.config.MaxBytes)
	case l.config.AllowDowngrade:
		return nil
	case !l.Now().Before(m.Expires):
		return refuse(modelstore.ReasonExpired, "version %s expired at %s", m.Version, m.Expires.UTC().Format(time.RFC3339))
	case last != "" && envelope.Compare(m.Version, last) < 0:
		return refuse(modelstore.ReasonVersion, "version %s is lower than %s, which was delivered", m.Version, last)
	}
	return nil
}

// leave leaves a model to other cores, until it is signed once more for more of them. That is no fault.
func (l *looker) leave(o offer, m envelope.Manifest) error {
	o.Event.Detail = fmt.Sprintf("for %d %% of the cores, and %s is not one of them", m.Rollout.Percent, l.core)
	if l.core == "" {
		o.Event.Detail = fmt.Sprintf("for %d %% of the cores, and AWS_IOT_THING_NAME, by which they are chosen, is not set here: it is taken at 100 %%", m.Rollout.Percent)
	}
	e := l.happened(event.ModelAvailable, o)
	l.rt.Log.Info("the published model is for other cores", "role", l.role, "name", e.Name, "version", e.Version, "detail", e.Detail)
	l.record.Leave(l.policy, o.Offer, e)
	l.seen, l.unsaved, l.wrong = "", true, 0
	saveErr := l.save()
	l.tellNews(e)
	return errors.Join(saveErr, l.sweep(""))
}

// lookUnsigned looks for an archive without a manifest, as SageMaker leaves it (promise M11).
func (l *looker) lookUnsigned(ctx context.Context, again bool) error {
	key := path.Join(l.config.Prefix, inbox.ArchiveFile)
	etag, size, err := l.loader.Find(ctx, l.config.Bucket, key)
	switch {
	case errors.Is(err, download.ErrMissing):
		return l.nothing()
	case err != nil:
		return err
	case !again && etag == l.record.Settled(l.policy, true, l.Now()):
		return nil
	}
	o := offer{
		Offer: record.Offer{
			ID: "unsigned-" + hash([]byte(l.config.Directory + l.config.Bucket + "/" + key + " " + etag))[:32], ETag: etag, Unsigned: true,
			Event: event.ModelEvent{Detail: fmt.Sprintf("%d bytes, unsigned", size)},
		},
		want: download.Want{Bucket: l.config.Bucket, Key: key, MaxBytes: l.config.MaxBytes},
	}
	if size > l.config.MaxBytes {
		return l.settle(o, refuse(ReasonOversized, "%s has %d bytes, maxBytes is %d", key, size, l.config.MaxBytes))
	}
	return l.deliver(ctx, o, again)
}

// nothing notes that no model is published.
func (l *looker) nothing() error {
	l.detail = "no model is published at " + l.config.source()
	if l.record.ETag == "" {
		return nil
	}
	l.record.Forget()
	l.unsaved = true
	return l.save()
}

// connect prepares access to where the models come from.
func (l *looker) connect() error {
	if l.loader != nil {
		return nil
	}
	var source download.Source = download.Directory{Path: l.config.Directory, Belong: []string{envelope.EnvelopeFile, inbox.ArchiveFile}}
	if l.config.Directory == "" {
		store, access, err := l.newStore()
		if err != nil {
			return err
		}
		l.rt.Conditions().Set(event.CodeConfiguration, placeRootCAs, access.RootCAs)
		source, l.access = store, access
	}
	pause := l.Retry
	if pause.Max == 0 {
		pause = wait.Backoff{Min: retryMin, Max: retryMax}
	}
	l.loader = &download.Downloader{
		Source: source, Log: l.rt.Log, Timeout: l.config.Timeout, Report: l.report, Open: l.Open,
		Pause: func(ctx context.Context) { pause.Wait(ctx, 1) },
	}
	return nil
}

// archiveKey is where a manifest's archive is: in S3 in a folder of its version, so that it is never replaced; in a directory
// beside the manifest, as pack and sign leave both.
func (l *looker) archiveKey(m envelope.Manifest) string {
	if l.config.Directory != "" {
		return inbox.ArchiveFile
	}
	return path.Join(l.config.Prefix, m.Version, inbox.ArchiveFile)
}

// load reads the record, once. What could not be written of it is written now.
func (l *looker) load() error {
	if l.record != nil {
		return l.save()
	}
	known, err := record.Open(l.rt.WorkDir, l.role, l.Now())
	if err != nil {
		return err
	}
	if known.Damage != nil {
		l.rt.Log.Error("the fetch record was damaged", "role", l.role, "error", known.Damage.Text)
	}
	for _, e := range known.Announce { // a version before 0.2 kept them here
		l.tellNews(e)
	}
	l.unsaved = l.unsaved || len(known.Announce) > 0 || known.Damage != nil
	known.Announce = nil
	l.record = &known
	return l.save()
}

// save writes the record, if it has changed.
func (l *looker) save() error {
	if !l.unsaved {
		return nil
	}
	if err := l.record.Write(l.rt.WorkDir, l.role); err != nil {
		return err
	}
	l.unsaved = false
	return nil
}

// happened makes the event of a step of an offer.
func (l *looker) happened(step event.ModelStep, o offer) event.ModelEvent {
	if l.role == event.RoleLife { // an older receiver knows none
		o.Event.Role = l.role
	}
	return event.NewModelEvent(step, o.Event, l.Now())
}

// tellNews hands an event on: it is published until the forwarder has it (promise M12).
func (l *looker) tellNews(e event.ModelEvent) {
	dropped, err := l.news.Add(e)
	l.rt.Counter(CounterLost).Add(uint64(dropped))
	if err != nil {
		l.rt.Log.Warn("the model event could not be written to disk: it is published anyway", "event", e.Event, "error", err)
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
