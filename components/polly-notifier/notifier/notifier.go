// Package notifier speaks alerts: it takes the records of an SNS event, has Amazon Polly say their texts, keeps the
// audio in S3, and tells the machine's site over AWS IoT where it is.
//
// SNS and Lambda deliver at least once, so everything can be repeated: a text has one key, an object is written once,
// and a receiver of announcements tells repeats by the alert's id.
package notifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/polly"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Polly is what the notifier uses of Amazon Polly.
type Polly interface {
	DescribeVoices(context.Context, *polly.DescribeVoicesInput, ...func(*polly.Options)) (*polly.DescribeVoicesOutput, error)
	SynthesizeSpeech(context.Context, *polly.SynthesizeSpeechInput, ...func(*polly.Options)) (*polly.SynthesizeSpeechOutput, error)
}

// Store is what the notifier uses of Amazon S3.
type Store interface {
	HeadObject(context.Context, *s3.HeadObjectInput, ...func(*s3.Options)) (*s3.HeadObjectOutput, error)
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// Broker is what the notifier uses of AWS IoT's data plane.
type Broker interface {
	Publish(context.Context, *iotdataplane.PublishInput, ...func(*iotdataplane.Options)) (*iotdataplane.PublishOutput, error)
}

// Notifier handles SNS events. Its methods may be called from several goroutines.
type Notifier struct {
	config Config
	polly  Polly
	store  Store
	broker Broker
	log    *slog.Logger

	mu           sync.Mutex
	voiceChecked bool   // guarded by mu
	language     string // of the voice of VoiceId, as Polly names it; guarded by mu
	spoken       spokenIDs
}

// New returns a Notifier.
func New(c Config, p Polly, s Store, b Broker, log *slog.Logger) *Notifier {
	return &Notifier{config: c, polly: p, store: s, broker: b, log: log}
}

// Result says what became of an event's records. Lambda shows it to who invokes the function by hand.
type Result struct {
	Records   int `json:"records"`
	Spoken    int `json:"spoken"`    // new audio was made
	Reused    int `json:"reused"`    // the audio was there already
	Announced int `json:"announced"` // of both
	Dropped   int `json:"dropped"`   // malformed
	Repeated  int `json:"repeated"`  // marked as repeats, and said before
}

// reportTime is what is kept of Lambda's time limit to log and return what happened.
const reportTime = 500 * time.Millisecond

// Handle handles every record of an SNS event. What is malformed is logged and dropped; the error, an *EventError,
// joins the failures that are worth another attempt or a person's eye. Lambda then repeats the whole event, which
// costs nothing for the records that are done.
func (n *Notifier) Handle(ctx context.Context, raw json.RawMessage) (Result, error) {
	log := n.log
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		log = log.With("requestId", lc.AwsRequestID)
	}
	records, err := decodeEvent(raw)
	if err != nil {
		log.ErrorContext(ctx, "the event is dropped", "error", err, "event", short(clean(string(raw))))
		return Result{Dropped: 1}, nil
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-reportTime))
		defer cancel()
	}
	result := Result{Records: len(records)}
	if err := n.CheckVoice(ctx); errors.Is(err, ErrVoice) {
		log.ErrorContext(ctx, "no alert can be spoken", "error", err)
		return result, &EventError{Kind: Configuration, Failed: len(records), Records: len(records), err: err}
	} else if err != nil {
		log.WarnContext(ctx, "the voice is not checked yet", "error", err)
	}
	var failures []error
	for i, raw := range records {
		log := log.With("record", i)
		a, err := decodeRecord(raw, n.config.Voices[0])
		if err != nil {
			log.ErrorContext(ctx, "a record is dropped", "error", err, "messageId", a.messageID, "message", short(a.text))
			result.Dropped++
			continue
		}
		if a.replayed && n.spoken.has(a.id) {
			log.InfoContext(ctx, "the alert was spoken before", "messageId", a.messageID, "alertId", a.id)
			result.Repeated++
			continue
		}
		existed, announced, err := n.withinShare(ctx, len(records)-i, log, a)
		switch {
		case err != nil:
			failures = append(failures, fmt.Errorf("record %d: %w", i, err))
			continue
		case existed:
			result.Reused++
		default:
			result.Spoken++
		}
		n.spoken.add(a.id)
		if announced {
			result.Announced++
		}
	}
	return result, eventError(failures, len(records))
}

// withinShare says an alert within its share of the time for the records that are left: one that hangs does not take
// the others' chance.
func (n *Notifier) withinShare(ctx context.Context, left int, log *slog.Logger, a alert) (existed, announced bool, err error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	return n.say(ctx, log, a)
}

// say has each voice that has something to say of an alert say it. existed: the audio of all of them was there already.
func (n *Notifier) say(ctx context.Context, log *slog.Logger, a alert) (existed, announced bool, err error) {
	existed = true
	for i, v := range n.config.Voices {
		if i > 0 {
			var speaks bool
			if a, speaks = a.by(v, false); !speaks {
				continue
			}
		}
		reused, told, err := n.sayBy(ctx, log, a, v)
		if err != nil {
			return false, false, err
		}
		existed, announced = existed && reused, announced || told
	}
	return existed, announced, nil
}

// sayBy makes sure that the audio of an alert exists in a voice, and announces it.
func (n *Notifier) sayBy(ctx context.Context, log *slog.Logger, a alert, v Voice) (existed, announced bool, err error) {
	key := n.config.key(a, v)
	log = log.With("messageId", a.messageID, "alertId", a.id, "thing", a.thing, "key", key, "text", short(a.text))
	if a.badThing != nil {
		log.WarnContext(ctx, "the alert will not be announced", "error", a.badThing)
	}
	if a.cut {
		log.WarnContext(ctx, "the text is too long and is cut")
	}
	c, existed, err := n.ensureClip(ctx, log, a, v, key)
	if err == nil {
		announced, err = n.announce(ctx, a, v, c)
	}
	if err != nil {
		log.ErrorContext(ctx, "the alert failed", "kind", string(kindOf(err)), "error", err)
		return false, false, err
	}
	log.InfoContext(ctx, "the alert is spoken", "reused", existed, "announced", announced)
	return existed, announced, nil
}
