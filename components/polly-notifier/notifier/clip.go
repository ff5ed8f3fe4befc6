package notifier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/polly"
	pollytypes "github.com/aws/aws-sdk-go-v2/service/polly/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// maxAudio bounds what is read of Polly's answer. Polly itself ends after ten minutes, which are some 4 MB of MP3.
const maxAudio = 10 << 20

// clip is stored audio.
type clip struct {
	key    string
	sha256 string // hexadecimal; empty: it is not known
	bytes  int64  // 0: the same
}

// metaSHA256 is the metadata that tells who does not fetch the audio what it has to be.
const metaSHA256 = "sha256"

// ensureClip makes sure that the audio of a is stored under key. It reports whether it was there already: a repeat
// costs no synthesis.
func (n *Notifier) ensureClip(ctx context.Context, log *slog.Logger, a alert, v Voice, key string) (c clip, existed bool, err error) {
	c, existed, err = n.find(ctx, key)
	if err != nil && isDenied(err, statusOf(err)) {
		// S3 also answers "forbidden" for an object that does not exist, to who may not list the bucket. Saying an
		// alert twice is better than not at all: go on.
		log.WarnContext(ctx, "it cannot be told whether the audio exists; it is made", "error", err)
		existed, err = false, nil
	}
	if err != nil || existed {
		return c, existed, err
	}
	audio, err := n.synthesize(ctx, log, a, v)
	if err != nil {
		return clip{}, false, err
	}
	return n.put(ctx, a, key, audio)
}

// find looks for an object of that key.
func (n *Notifier) find(ctx context.Context, key string) (c clip, found bool, err error) {
	out, err := n.store.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &n.config.Bucket, Key: &key, ChecksumMode: s3types.ChecksumModeEnabled})
	switch {
	case err == nil:
		c = clip{key: key, sha256: out.Metadata[metaSHA256], bytes: aws.ToInt64(out.ContentLength)}
		if sum, err := base64.StdEncoding.DecodeString(aws.ToString(out.ChecksumSHA256)); err == nil && len(sum) == sha256.Size {
			c.sha256 = hex.EncodeToString(sum) // S3's own word, which audio of an earlier version has, too
		}
		return c, true, nil
	case codeOf(err) == "NotFound", statusOf(err) == http.StatusNotFound:
		return clip{}, false, nil
	default:
		return clip{}, false, fail(opHead, fmt.Errorf("bucket %s: %w", n.config.Bucket, err))
	}
}

// put stores audio unless the key exists, which another execution may have created meanwhile.
func (n *Notifier) put(ctx context.Context, a alert, key string, audio []byte) (c clip, existed bool, err error) {
	sum := sha256.Sum256(audio)
	c = clip{key, hex.EncodeToString(sum[:]), int64(len(audio))}
	_, err = n.store.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &n.config.Bucket, Key: &key, Body: bytes.NewReader(audio), IfNoneMatch: aws.String("*"),
		ContentLength: aws.Int64(c.bytes), ContentType: aws.String(n.config.contentType()),
		// S3 refuses a damaged body. Given here, the sum is a header, which every S3 understands; the SDK's own is a trailer.
		ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum[:])),
		Metadata:       a.metadata(c),
	})
	if err == nil {
		return c, false, nil
	}
	switch status := statusOf(err); {
	case codeOf(err) == "PreconditionFailed", status == http.StatusPreconditionFailed:
		// The other one's audio need not be the same, byte for byte.
		if other, found, headErr := n.find(ctx, key); headErr == nil && found {
			return other, true, nil
		}
		return clip{key: key}, true, nil
	case codeOf(err) == "ConditionalRequestConflict", status == http.StatusConflict:
		// Two writers met. Only the object itself tells whether one of them won.
		if other, found, headErr := n.find(ctx, key); headErr == nil && found {
			return other, true, nil
		}
	}
	return clip{}, false, fail(opPut, fmt.Errorf("bucket %s: %w", n.config.Bucket, err))
}

// metadata says whose audio it was first: other alerts with the same words share it.
func (a alert) metadata(c clip) map[string]string {
	m := map[string]string{metaSHA256: c.sha256}
	if a.id != "" {
		m["alert-id"] = a.id
	}
	if a.thing != "" {
		m["thing"] = a.thing
	}
	return m
}

// synthesize returns the audio of an alert. SSML that a voice does not take is said as plain text.
func (n *Notifier) synthesize(ctx context.Context, log *slog.Logger, a alert, v Voice) ([]byte, error) {
	audio, err := n.speak(ctx, log, v, ssml(a), pollytypes.TextTypeSsml)
	if _, invalid := errors.AsType[*pollytypes.InvalidSsmlException](err); invalid {
		log.WarnContext(ctx, "Polly refuses the SSML; the alert is spoken as plain text", "error", err)
		return n.speak(ctx, log, v, plain(a), pollytypes.TextTypeText)
	}
	return audio, err
}

// maxSpeak is how often one text is synthesized when its audio breaks off. The SDK repeats a request, but reading the answer
// is not part of that: it breaks off now and then even where the network is sound, as the SDK closes the request's body
// while net/http may still be at it, which ends the connection.
const maxSpeak = 3

func (n *Notifier) speak(ctx context.Context, log *slog.Logger, v Voice, text string, kind pollytypes.TextType) ([]byte, error) {
	for attempt := 1; ; attempt++ {
		audio, err := n.speakOnce(ctx, v, text, kind)
		if _, broken := errors.AsType[*brokenAudio](err); !broken || attempt == maxSpeak || ctx.Err() != nil {
			return audio, err
		}
		log.WarnContext(ctx, "the audio broke off; the text is synthesized again", "attempt", attempt, "error", err)
	}
}

// brokenAudio means that audio did not arrive whole.
type brokenAudio struct{ err error }

func (e *brokenAudio) Error() string { return "read the audio: " + e.err.Error() }

func (e *brokenAudio) Unwrap() error { return e.err }

func (n *Notifier) speakOnce(ctx context.Context, v Voice, text string, kind pollytypes.TextType) ([]byte, error) {
	out, err := n.polly.SynthesizeSpeech(ctx, &polly.SynthesizeSpeechInput{
		Text: &text, TextType: kind,
		VoiceId: pollytypes.VoiceId(v.Name), Engine: pollytypes.Engine(v.Engine),
		OutputFormat: pollytypes.OutputFormat(n.config.Format), SampleRate: &n.config.SampleRate,
	})
	if err != nil {
		return nil, fail(opSynthesize, fmt.Errorf("voice %s, engine %s: %w", v.Name, v.Engine, err))
	}
	defer func() { _ = out.AudioStream.Close() }()
	audio, err := io.ReadAll(io.LimitReader(out.AudioStream, maxAudio+1))
	switch {
	case err != nil:
		return nil, fail(opSynthesize, &brokenAudio{err})
	case len(audio) > maxAudio:
		return nil, fmt.Errorf("synthesize speech: the audio is larger than %d bytes", maxAudio)
	case len(audio) == 0:
		return nil, errors.New("synthesize speech: the audio is empty")
	}
	return audio, nil
}
