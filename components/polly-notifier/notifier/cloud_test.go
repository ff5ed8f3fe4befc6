package notifier_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/polly"
	pollytypes "github.com/aws/aws-sdk-go-v2/service/polly/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"edgepdm/components/polly-notifier/notifier"
	"edgepdm/shared/event"
)

// cloud is Polly, S3 and IoT in memory. Errors are scripted: each call takes the next one of its operation.
type cloud struct {
	mu     sync.Mutex
	voices []pollytypes.Voice
	audio  []io.Reader // what Polly says next; "mp3" by default
	hang   string      // a text that Polly never answers for
	errs   map[string][]error

	voiceCalls int
	speeches   []*polly.SynthesizeSpeechInput
	objects    map[string]*object
	announced  []announcement
}

type object struct {
	*s3.PutObjectInput
	body string
}

type announcement struct {
	topic string
	qos   int32
	event.Announcement
}

func newCloud() *cloud {
	return &cloud{
		voices: []pollytypes.Voice{
			{Id: "Joanna", LanguageCode: "en-US", SupportedEngines: []pollytypes.Engine{"neural", "standard"}},
			{Id: "Carmen", SupportedEngines: []pollytypes.Engine{"standard"}},
		},
		errs:    make(map[string][]error),
		objects: make(map[string]*object),
	}
}

// next takes the next scripted error of an operation.
func (c *cloud) next(op string) error {
	list := c.errs[op]
	if len(list) == 0 {
		return nil
	}
	c.errs[op] = list[1:]
	return list[0]
}

// DescribeVoices gives one voice a page.
func (c *cloud) DescribeVoices(_ context.Context, in *polly.DescribeVoicesInput, _ ...func(*polly.Options)) (*polly.DescribeVoicesOutput, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.voiceCalls++
	if err := c.next("voices"); err != nil {
		return nil, err
	}
	var matching []pollytypes.Voice
	for _, v := range c.voices {
		if in.Engine == "" || len(v.SupportedEngines) == 0 || strings.Contains(fmt.Sprint(v.SupportedEngines), string(in.Engine)) {
			matching = append(matching, v)
		}
	}
	page := 0
	if in.NextToken != nil {
		if _, err := fmt.Sscan(*in.NextToken, &page); err != nil {
			return nil, err
		}
	}
	out := &polly.DescribeVoicesOutput{}
	if page < len(matching) {
		out.Voices = matching[page : page+1]
	}
	if page+1 < len(matching) {
		token := fmt.Sprint(page + 1)
		out.NextToken = &token
	}
	return out, nil
}

func (c *cloud) SynthesizeSpeech(ctx context.Context, in *polly.SynthesizeSpeechInput, _ ...func(*polly.Options)) (*polly.SynthesizeSpeechOutput, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.speeches = append(c.speeches, in)
	if c.hang != "" && strings.Contains(*in.Text, c.hang) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if err := c.next("speak"); err != nil {
		return nil, err
	}
	var audio io.Reader = strings.NewReader("mp3")
	if len(c.audio) > 0 {
		audio, c.audio = c.audio[0], c.audio[1:]
	}
	return &polly.SynthesizeSpeechOutput{AudioStream: io.NopCloser(audio)}, nil
}

func (c *cloud) HeadObject(_ context.Context, in *s3.HeadObjectInput, _ ...func(*s3.Options)) (*s3.HeadObjectOutput, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.next("head"); err != nil {
		return nil, err
	}
	o := c.objects[*in.Key]
	if o == nil {
		return nil, apiError("NotFound", http.StatusNotFound)
	}
	size := int64(len(o.body))
	return &s3.HeadObjectOutput{ContentLength: &size, Metadata: o.Metadata, ChecksumSHA256: o.ChecksumSHA256}, nil
}

func (c *cloud) PutObject(_ context.Context, in *s3.PutObjectInput, _ ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.next("put"); err != nil {
		return nil, err
	}
	if *in.IfNoneMatch == "*" && c.objects[*in.Key] != nil {
		return nil, apiError("PreconditionFailed", http.StatusPreconditionFailed)
	}
	c.objects[*in.Key] = &object{in, string(body)}
	return &s3.PutObjectOutput{}, nil
}

func (c *cloud) Publish(_ context.Context, in *iotdataplane.PublishInput, _ ...func(*iotdataplane.Options)) (*iotdataplane.PublishOutput, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.next("publish"); err != nil {
		return nil, err
	}
	a := announcement{topic: *in.Topic, qos: in.Qos}
	if err := json.Unmarshal(in.Payload, &a.Announcement); err != nil {
		return nil, err
	}
	c.announced = append(c.announced, a)
	return &iotdataplane.PublishOutput{}, nil
}

// apiError is a service's error as the SDK returns it.
func apiError(code string, status int) error {
	return &smithy.OperationError{Err: &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}},
		Err:      &smithy.GenericAPIError{Code: code, Message: "refused by the test"},
	}}}
}

// logBuffer takes log lines from several goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// environment returns a getenv of a valid configuration with overrides in the form NAME=value.
func environment(overrides ...string) func(string) string {
	env := map[string]string{"BUCKET_NAME": "clips", "VoiceId": "Joanna", "AUDIO_TOPIC_PREFIX": "pdm/v1/audio"}
	for _, o := range overrides {
		name, value, _ := strings.Cut(o, "=")
		env[name] = value
	}
	return func(name string) string { return env[name] }
}

// newNotifier returns a notifier on c, and its log.
func newNotifier(t *testing.T, c *cloud, overrides ...string) (*notifier.Notifier, *logBuffer) {
	t.Helper()
	config, err := notifier.FromEnvironment(environment(overrides...))
	if err != nil {
		t.Fatal(err)
	}
	log := new(logBuffer)
	return notifier.New(config, c, c, c, slog.New(slog.NewJSONHandler(log, nil))), log
}

// snsEvent is the event of SNS messages; a body that begins with RAW: stands for a whole record.
func snsEvent(t *testing.T, bodies ...string) json.RawMessage {
	t.Helper()
	records := make([]any, len(bodies))
	for i, body := range bodies {
		if raw, ok := strings.CutPrefix(body, "RAW:"); ok {
			records[i] = json.RawMessage(raw)
			continue
		}
		records[i] = map[string]any{"EventSource": "aws:sns", "Sns": map[string]any{"MessageId": fmt.Sprint("m", i), "Message": body}}
	}
	raw, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// alertJSON is an alert as alarm-manager makes it, with a member of a later version.
func alertJSON(id, thing, text string) string {
	since := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	raw, err := json.Marshal(struct {
		event.Alert
		Later []int `json:"later"`
	}{event.Alert{
		V: event.Version, ID: id, Thing: thing, Line: "line-7", Fault: event.FaultMachine, State: event.AlarmUnacknowledged,
		Severity: event.SeverityHigh, Since: since, TS: since, Probability: 0.9, Text: text,
	}, []int{1}})
	if err != nil {
		return err.Error() // no test expects that
	}
	return string(raw)
}
