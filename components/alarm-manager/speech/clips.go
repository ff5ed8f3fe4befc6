package speech

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"edgepdm/components/alarm-manager/voice"
	"edgepdm/shared/cloud"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/wait"
)

const (
	phraseRate   = 16_000 // samples a second of phrases, the highest that Polly has as PCM
	phraseEvery  = 24 * time.Hour
	clipTimeout  = 10 * time.Second // without an answer
	clipWhole    = time.Minute      // for an object
	maxClipBytes = 2 * 16_000 * int64(voice.MaxClip/time.Second)
	maxFetches   = 32 // clips that wait to be fetched
	clipTries    = 5

	placeClips = "clips of the cloud"
)

// phraseClasses are the classes of alarms of which there may be a phrase.
func phraseClasses() []event.Fault {
	return []event.Fault{
		event.FaultMachine, event.FaultSilence, event.FaultNoData, event.FaultQuality, event.FaultEngineDown, event.FaultUplinkDown,
		event.FaultTest, event.FaultLine, event.FaultSummary, event.FaultDrift,
	}
}

// errWrong marks a clip that is not what was announced, or cannot be used: it is not fetched again.
var errWrong = errors.New("refused")

// fetcher brings clips from the cloud into the library. Nobody waits for it.
type fetcher struct {
	*Announcer
	topic   string
	wanted  chan event.Announcement
	backoff wait.Backoff

	mu     sync.Mutex
	access *cloud.Access
	store  *s3.Client
}

func newFetcher(a *Announcer) *fetcher {
	return &fetcher{
		Announcer: a, topic: a.site.TopicPrefix + "/" + a.site.Core + "/" + event.TopicAudio, wanted: make(chan event.Announcement, maxFetches),
		backoff: wait.Backoff{Min: time.Second, Max: 10 * time.Minute},
	}
}

// run listens for clips, and fetches them and the phrases, until ctx ends.
func (f *fetcher) run(ctx context.Context) {
	defer func() { f.access.Close() }()
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { f.listen(ctx) })
	work.Go(func() { f.fetchPhrases(ctx) })
	for {
		select {
		case a := <-f.wanted:
			f.fetch(ctx, a)
		case <-ctx.Done():
			return
		}
	}
}

// listen hears of new clips until ctx ends. What the nucleus refuses or ends is tried again.
func (f *fetcher) listen(ctx context.Context) {
	place := "SubscribeToIoTCore " + f.topic
	for attempt := 1; ctx.Err() == nil; attempt++ {
		sub, err := f.rt.IPC().SubscribeToIoTCore(ctx, ipc.SubscribeToIoTCoreRequest{TopicName: f.topic, QoS: ipc.AtLeastOnce})
		if ctx.Err() != nil {
			return
		}
		var refused, failed error
		if _, unauthorized := errors.AsType[*ipc.UnauthorizedError](err); unauthorized {
			refused = err
		} else {
			failed = err
		}
		f.rt.Conditions().Set(event.CodeNotAuthorized, place, refused)
		f.rt.Conditions().Set(event.CodeVoice, place, failed)
		if err == nil {
			attempt = 1
			f.hear(ctx, sub)
		}
		f.backoff.Wait(ctx, attempt)
	}
}

func (f *fetcher) hear(ctx context.Context, sub *ipc.Subscription[ipc.IoTCoreMessage]) {
	defer func() { _ = sub.Close() }()
	for {
		select {
		case m, open := <-sub.Events():
			if !open {
				return
			}
			if m.Message != nil {
				f.announced(m.Message.Payload)
			}
		case <-ctx.Done():
			return
		}
	}
}

// announced takes the announcement of a clip, if it is one that can be used.
func (f *fetcher) announced(payload []byte) {
	a, err := event.DecodeAnnouncement(payload)
	if err == nil {
		err = f.check(a)
	}
	if err != nil {
		f.refuse(a, err)
		return
	}
	if _, spoken := f.config.speaks(a.Language); !spoken {
		return
	}
	select {
	case f.wanted <- a:
	default:
		f.rt.Log.Warn("a clip is not fetched: too many wait", "key", a.Key)
	}
}

// check says whether an announced clip can be used. Nothing is fetched from another place than the configured one, whoever asks.
func (f *fetcher) check(a event.Announcement) error {
	sum, err := hex.DecodeString(a.SHA256)
	switch {
	case a.Format != event.FormatPCM:
		return fmt.Errorf("%w: its format is %.20q, not pcm: set OutputFormat of the notifier", errWrong, a.Format)
	case a.SampleRate != 8000 && a.SampleRate != phraseRate:
		return fmt.Errorf("%w: it has %d samples a second, not 8000 or 16000", errWrong, a.SampleRate)
	case err != nil || len(sum) != sha256.Size:
		return fmt.Errorf("%w: it was announced without a SHA-256", errWrong)
	case a.Bytes < 2 || a.Bytes > maxClipBytes:
		return fmt.Errorf("%w: it has %d bytes, may have 2 to %d", errWrong, a.Bytes, maxClipBytes)
	case a.Bucket != f.config.Clips.Bucket || !strings.HasPrefix(a.Key, f.config.Clips.Prefix+"/"):
		return fmt.Errorf("%w: it is not in the bucket %s below %s/", errWrong, f.config.Clips.Bucket, f.config.Clips.Prefix)
	case strings.TrimSpace(a.Text) == "":
		return fmt.Errorf("%w: it was announced without its text", errWrong)
	}
	return nil
}

func (f *fetcher) refuse(a event.Announcement, err error) {
	f.rt.Counter(CounterRefused).Add(1)
	f.rt.Log.Warn("a clip is not used", "bucket", event.Cut(a.Bucket, 100), "key", event.Cut(a.Key, 300), "error", err)
}

// fetch keeps an announced clip. A cloud that is away is tried again a few times: without the clip another source speaks.
func (f *fetcher) fetch(ctx context.Context, a event.Announcement) {
	for attempt := 1; !f.library.HasText(a.Language, a.Text); attempt++ {
		err := f.keep(ctx, a)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			f.fetched(nil)
			f.rt.Counter(CounterClips).Add(1)
			return
		case errors.Is(err, errWrong):
			f.refuse(a, err)
			return
		case attempt == clipTries:
			f.fetched(err)
			return
		}
		f.backoff.Wait(ctx, attempt)
	}
}

func (f *fetcher) keep(ctx context.Context, a event.Announcement) error {
	data, err := f.get(ctx, a.Key, a.Bytes)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(data); int64(len(data)) != a.Bytes || !strings.EqualFold(hex.EncodeToString(sum[:]), a.SHA256) {
		return fmt.Errorf("%w: it has %d bytes and SHA-256 %x, announced were %d and %s", errWrong, len(data), sum, a.Bytes, a.SHA256)
	}
	clip, err := voice.DecodePCM(data, a.SampleRate)
	if err != nil {
		return fmt.Errorf("%w: %w", errWrong, err)
	}
	return f.library.PutText(a.Language, a.Text, clip)
}

// fetchPhrases keeps the phrases up to date until ctx ends.
func (f *fetcher) fetchPhrases(ctx context.Context) {
	for attempt := 1; ctx.Err() == nil; attempt++ {
		err := f.phrases(ctx)
		if ctx.Err() != nil {
			return
		}
		f.fetched(err)
		if err != nil {
			f.backoff.Wait(ctx, attempt)
			continue
		}
		attempt = 0
		wait.For(ctx, phraseEvery)
	}
}

// phrases fetches those that there are: <prefix>/phrases/<language>/<fault>.pcm, with their sums in <prefix>/phrases/SHA256SUMS. One that
// cannot be used does not keep others away.
func (f *fetcher) phrases(ctx context.Context) error {
	index, err := f.get(ctx, path.Join(f.config.Clips.Prefix, "phrases", sumsName), maxSums)
	if err != nil && !errors.Is(err, errMissing) {
		return fmt.Errorf("%s of phrases: %w", sumsName, err)
	}
	sums := readSums(index)
	var problems []error
	for _, language := range f.languages() {
		for _, class := range phraseClasses() {
			err := f.phrase(ctx, language, string(class), sums)
			switch {
			case ctx.Err() != nil, errors.Is(err, errAway):
				return err
			case err == nil:
				f.rt.Counter(CounterClips).Add(1)
			case !errors.Is(err, errMissing):
				problems = append(problems, fmt.Errorf("phrase %s in %s: %w", class, language, err))
			}
		}
	}
	return errors.Join(problems...)
}

func (f *fetcher) phrase(ctx context.Context, language, class string, sums map[string]string) error {
	name := path.Join(language, class+".pcm")
	data, err := f.get(ctx, path.Join(f.config.Clips.Prefix, "phrases", name), maxClipBytes)
	if err != nil {
		return err
	}
	switch sum := sha256.Sum256(data); sums[name] {
	case hex.EncodeToString(sum[:]):
	case "":
		f.rt.Counter(CounterRefused).Add(1)
		return fmt.Errorf("%w: phrases/%s has no SHA-256 of it", errWrong, sumsName)
	default:
		f.rt.Counter(CounterRefused).Add(1)
		return fmt.Errorf("%w: its SHA-256 is %x, not that of phrases/%s", errWrong, sum, sumsName)
	}
	clip, err := voice.DecodePCM(data, phraseRate)
	if err != nil {
		return err
	}
	return f.library.PutPhrase(language, class, clip)
}

const (
	sumsName = "SHA256SUMS"
	maxSums  = 64 << 10
)

// readSums reads what sha256sum writes: a sum and a file's name a line.
func readSums(index []byte) map[string]string {
	sums := make(map[string]string)
	for line := range strings.Lines(string(index)) {
		if sum, name, found := strings.Cut(strings.TrimRight(line, "\r\n"), " "); found {
			sums[path.Clean(strings.TrimLeft(name, " *"))] = strings.ToLower(sum)
		}
	}
	return sums
}

// languages are those of phrases.
func (f *fetcher) languages() []string {
	if f.config.Language != "" {
		return []string{f.config.Language}
	}
	return f.site.Languages
}

// fetched says whether clips can be had. That the cloud is away is no fault of the voice, which then speaks by itself.
func (f *fetcher) fetched(err error) {
	if errors.Is(err, errAway) {
		f.rt.Log.Debug("no clips are fetched", "error", err)
		return
	}
	f.condition(placeClips, err)
}

var (
	errMissing = errors.New("there is no such clip")
	errAway    = errors.New("the cloud is not reached")
)

// get gets an object of at most limit bytes.
func (f *fetcher) get(ctx context.Context, key string, limit int64) ([]byte, error) {
	store, err := f.open()
	if err != nil {
		return nil, err
	}
	answer, err := store.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(f.config.Clips.Bucket), Key: aws.String(key)})
	if err != nil {
		return nil, f.failed(err)
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err != nil {
		return nil, f.failed(err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: it has more than the %d bytes that it may have", errWrong, limit)
	}
	return data, nil
}

// failed says why a request failed, in a text that is the same as long as the cause is.
func (f *fetcher) failed(err error) error {
	if coded, _ := errors.AsType[smithy.APIError](err); cloud.Status(err) == http.StatusNotFound && (coded == nil || coded.ErrorCode() != "NoSuchBucket") {
		return errMissing
	}
	f.access.Denied(err)
	kind, why := cloud.Classify(err)
	if kind == cloud.Unreachable || kind == cloud.Cut {
		return fmt.Errorf("%w: %s", errAway, why)
	}
	return fmt.Errorf("get clips from %s: %s", f.config.Clips.Bucket, why)
}

// open gives access to S3, which does not need the network.
func (f *fetcher) open() (*s3.Client, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.store != nil {
		return f.store, nil
	}
	c := f.config.Clips
	access, err := cloud.New(cloud.Settings{
		Region: c.Region, CAFile: c.CAFile, Timeout: clipTimeout, Whole: clipWhole, MaxBody: maxClipBytes + 1, Getenv: f.rt.Getenv(f.site.Getenv),
	})
	if err != nil {
		return nil, err
	}
	f.access = access
	f.store = s3.NewFromConfig(access.Config, func(o *s3.Options) {
		if c.Endpoint != "" {
			o.BaseEndpoint, o.UsePathStyle = aws.String(c.Endpoint), true
		}
	})
	return f.store, nil
}
