package notifier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/polly"
	pollytypes "github.com/aws/aws-sdk-go-v2/service/polly/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// maxAudio bounds what is read of Polly's answer. Polly itself ends after ten minutes, which are some 4 MB of MP3.
const maxAudio = 10 << 20

// ensureClip makes sure that the audio of a is stored under key. It reports whether it was there already: a repeat
// costs no synthesis.
func (n *Notifier) ensureClip(ctx context.Context, log *slog.Logger, a alert, key string) (existed bool, err error) {
	existed, err = n.exists(ctx, key)
	if err != nil && isDenied(err, statusOf(err)) {
		// S3 also answers "forbidden" for an object that does not exist, to who may not list the bucket. Saying an
		// alert twice is better than not at all: go on.
		log.WarnContext(ctx, "it cannot be told whether the audio exists; it is made", "error", err)
		existed, err = false, nil
	}
	if err != nil || existed {
		return existed, err
	}
	audio, err := n.synthesize(ctx, log, a)
	if err != nil {
		return false, err
	}
	return n.put(ctx, a, key, audio)
}

// exists reports whether there is an object of that key.
func (n *Notifier) exists(ctx context.Context, key string) (bool, error) {
	_, err := n.store.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &n.config.Bucket, Key: &key})
	switch {
	case err == nil:
		return true, nil
	case codeOf(err) == "NotFound", statusOf(err) == http.StatusNotFound:
		return false, nil
	default:
		return false, fail(opHead, fmt.Errorf("bucket %s: %w", n.config.Bucket, err))
	}
}

// put stores audio unless the key exists, which another execution may have created meanwhile.
func (n *Notifier) put(ctx context.Context, a alert, key string, audio []byte) (existed bool, err error) {
	sum := sha256.Sum256(audio)
	_, err = n.store.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &n.config.Bucket, Key: &key, Body: bytes.NewReader(audio), IfNoneMatch: aws.String("*"),
		ContentLength: aws.Int64(int64(len(audio))), ContentType: aws.String(n.config.contentType()),
		// S3 refuses a damaged body. Given here, the sum is a header, which every S3 understands; the SDK's own is a trailer.
		ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum[:])),
		Metadata:       a.metadata(),
	})
	switch {
	case err == nil:
		return false, nil
	case codeOf(err) == "PreconditionFailed", statusOf(err) == http.StatusPreconditionFailed:
		return true, nil
	case codeOf(err) == "ConditionalRequestConflict", statusOf(err) == http.StatusConflict:
		// Two writers met. Only the object itself tells whether one of them won.
		if found, headErr := n.exists(ctx, key); headErr == nil && found {
			return true, nil
		}
	}
	return false, fail(opPut, fmt.Errorf("bucket %s: %w", n.config.Bucket, err))
}

// metadata says whose audio it was first: other alerts with the same words share it.
func (a alert) metadata() map[string]string {
	m := make(map[string]string, 2)
	if a.id != "" {
		m["alert-id"] = a.id
	}
	if a.thing != "" {
		m["thing"] = a.thing
	}
	return m
}

// synthesize returns the audio of an alert. SSML that a voice does not take is said as plain text.
func (n *Notifier) synthesize(ctx context.Context, log *slog.Logger, a alert) ([]byte, error) {
	audio, err := n.speak(ctx, log, ssml(a), pollytypes.TextTypeSsml)
	if _, invalid := errors.AsType[*pollytypes.InvalidSsmlException](err); invalid {
		log.WarnContext(ctx, "Polly refuses the SSML; the alert is spoken as plain text", "error", err)
		return n.speak(ctx, log, plain(a), pollytypes.TextTypeText)
	}
	return audio, err
}

// maxSpeak is how often one text is synthesized when its audio breaks off. The SDK repeats a request, but reading the answer
// is not part of that: it breaks off now and then even where the network is sound, as the SDK closes the request's body
// while net/http may still be at it, which ends the connection.
const maxSpeak = 3

func (n *Notifier) speak(ctx context.Context, log *slog.Logger, text string, kind pollytypes.TextType) ([]byte, error) {
	for attempt := 1; ; attempt++ {
		audio, err := n.speakOnce(ctx, text, kind)
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

func (n *Notifier) speakOnce(ctx context.Context, text string, kind pollytypes.TextType) ([]byte, error) {
	out, err := n.polly.SynthesizeSpeech(ctx, &polly.SynthesizeSpeechInput{
		Text: &text, TextType: kind,
		VoiceId: pollytypes.VoiceId(n.config.Voice), Engine: pollytypes.Engine(n.config.Engine),
		OutputFormat: pollytypes.OutputFormat(n.config.Format), SampleRate: &n.config.SampleRate,
	})
	if err != nil {
		return nil, fail(opSynthesize, fmt.Errorf("voice %s, engine %s: %w", n.config.Voice, n.config.Engine, err))
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
