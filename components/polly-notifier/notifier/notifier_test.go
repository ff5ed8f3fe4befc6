package notifier_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	pollytypes "github.com/aws/aws-sdk-go-v2/service/polly/types"

	"edgepdm/components/polly-notifier/notifier"
	"edgepdm/shared/event"
)

var (
	throttled   = apiError("ThrottlingException", http.StatusBadRequest)
	unavailable = apiError("ServiceUnavailable", http.StatusServiceUnavailable)
	denied      = apiError("AccessDenied", http.StatusForbidden)
	unreachable = &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	invalidSSML = &pollytypes.InvalidSsmlException{}
)

func TestHandle(t *testing.T) {
	pump := alertJSON("a-1", "pump-1", "Line 7: pump 1 is failing.")
	for _, c := range []struct {
		name   string
		bodies []string
		raw    string // the whole event, instead of bodies
		audio  []io.Reader
		errs   map[string][]error
		want   notifier.Result
		kind   notifier.Kind // of the error; "" = none
		detail string        // in the error, or in the log without one

		speeches, objects int
	}{
		{name: "an alert", bodies: []string{pump}, want: notifier.Result{Records: 1, Spoken: 1, Announced: 1}, speeches: 1, objects: 1},
		{name: "plain text", bodies: []string{"Faulty Part Found on Line 1."}, want: notifier.Result{Records: 1, Spoken: 1}, speeches: 1, objects: 1},
		{name: "wrapped, default", bodies: []string{`{"default":"Stop line 1.","email":"x"}`}, want: notifier.Result{Records: 1, Spoken: 1}, speeches: 1, objects: 1},
		{name: "the same twice", bodies: []string{pump, pump}, want: notifier.Result{Records: 2, Spoken: 1, Reused: 1, Announced: 2}, speeches: 1, objects: 1},
		{
			name: "a thing that is no topic level", bodies: []string{alertJSON("a-1", "pump/+", "Stop.")}, detail: "pump/+",
			want: notifier.Result{Records: 1, Spoken: 1}, speeches: 1, objects: 1,
		},

		// What is malformed is dropped, logged, and not returned.
		{name: "no JSON event", raw: `hello`, want: notifier.Result{Dropped: 1}, detail: "not an SNS event"},
		{name: "a null event", raw: `null`, want: notifier.Result{Dropped: 1}, detail: "no Records"},
		{name: "another event", raw: `{"key1":"value1"}`, want: notifier.Result{Dropped: 1}, detail: "no Records"},
		{name: "an empty event", raw: `{"Records":[]}`, want: notifier.Result{Dropped: 1}, detail: "no Records"},
		{
			name: "malformed records spoil no other", want: notifier.Result{Records: 10, Spoken: 1, Announced: 1, Dropped: 9}, speeches: 1, objects: 1,
			detail: "a record is dropped", bodies: []string{
				"RAW:null", "RAW:7", `RAW:{"EventSource":"aws:s3","Sns":{"Message":"x"}}`, `RAW:{"EventSource":"aws:sns"}`,
				`{"v":1,`, `{"v":2,"text":"x"}`, `{"AlarmName":"x"}`, " \t\n", pump, `{"default":"{\"default\":\"x\"}"}`,
			},
		},
		{name: "an alert without a text", bodies: []string{alertJSON("a", "p", " \x07 ")}, want: notifier.Result{Records: 1, Dropped: 1}, detail: "no text"},

		// What may pass is retryable.
		{
			name: "throttled", bodies: []string{pump}, errs: map[string][]error{"speak": {throttled}},
			want: notifier.Result{Records: 1}, kind: notifier.Retryable, detail: "synthesize speech", speeches: 1,
		},
		{
			name: "S3 answers 503", bodies: []string{pump}, errs: map[string][]error{"head": {unavailable}},
			want: notifier.Result{Records: 1}, kind: notifier.Retryable, detail: "look for the audio",
		},
		{
			name: "S3 is unreachable", bodies: []string{pump}, errs: map[string][]error{"head": {unreachable}},
			want: notifier.Result{Records: 1}, kind: notifier.Retryable, detail: "connection refused",
		},
		{
			name: "S3 fails at the end", bodies: []string{pump}, errs: map[string][]error{"put": {unreachable}},
			want: notifier.Result{Records: 1}, kind: notifier.Retryable, detail: "store the audio", speeches: 1,
		},
		{
			name: "credentials have expired", bodies: []string{pump}, errs: map[string][]error{"put": {apiError("ExpiredToken", 400)}},
			want: notifier.Result{Records: 1}, kind: notifier.Retryable, detail: "ExpiredToken", speeches: 1,
		},
		{
			name: "the announcement fails", bodies: []string{pump}, errs: map[string][]error{"publish": {unavailable}},
			want: notifier.Result{Records: 1}, kind: notifier.Retryable, detail: "announce the audio", speeches: 1, objects: 1,
		},
		{
			name: "audio breaks off each time", bodies: []string{pump}, audio: []io.Reader{brokenAudio(), brokenAudio(), brokenAudio()},
			want: notifier.Result{Records: 1}, kind: notifier.Retryable, detail: "unexpected EOF", speeches: 3,
		},
		{
			name: "audio is empty", bodies: []string{pump}, audio: []io.Reader{strings.NewReader("")},
			want: notifier.Result{Records: 1}, kind: notifier.Retryable, detail: "audio is empty", speeches: 1,
		},
		{
			name: "audio without end", bodies: []string{pump}, audio: []io.Reader{zeros{}},
			want: notifier.Result{Records: 1}, kind: notifier.Retryable, detail: "larger than", speeches: 1,
		},

		// What a person must repair says so.
		{
			name: "no right to speak", bodies: []string{pump}, errs: map[string][]error{"speak": {apiError("AccessDeniedException", 403)}},
			want: notifier.Result{Records: 1}, kind: notifier.Configuration, detail: "role needs polly:SynthesizeSpeech", speeches: 1,
		},
		{
			name: "no right to store", bodies: []string{pump}, errs: map[string][]error{"put": {denied}},
			want: notifier.Result{Records: 1}, kind: notifier.Configuration, detail: "role needs s3:PutObject", speeches: 1,
		},
		{
			name: "no right to announce", bodies: []string{pump}, errs: map[string][]error{"publish": {apiError("ForbiddenException", 403)}},
			want: notifier.Result{Records: 1}, kind: notifier.Configuration, detail: "role needs iot:Publish", speeches: 1, objects: 1,
		},
		{
			name: "no such bucket", bodies: []string{pump}, errs: map[string][]error{"put": {apiError("NoSuchBucket", 404)}},
			want: notifier.Result{Records: 1}, kind: notifier.Configuration, detail: "BUCKET_NAME names no bucket", speeches: 1,
		},
		{
			name: "bucket elsewhere", bodies: []string{pump}, errs: map[string][]error{"head": {apiError("MovedPermanently", 301)}},
			want: notifier.Result{Records: 1}, kind: notifier.Configuration, detail: "another region",
		},
		{
			name: "the engine refuses", bodies: []string{pump}, errs: map[string][]error{"speak": {apiError("EngineNotSupportedException", 400)}},
			want: notifier.Result{Records: 1}, kind: notifier.Configuration, detail: "voice Joanna, engine neural", speeches: 1,
		},
		{
			name: "one of each", bodies: []string{"One.", "Two.", "Three."}, errs: map[string][]error{"put": {denied, unavailable}},
			want: notifier.Result{Records: 3, Spoken: 1}, kind: notifier.Retryable, detail: "2 of 3 records failed", speeches: 3, objects: 1,
		},

		// The ways around.
		{
			name: "audio breaks off twice", bodies: []string{pump}, audio: []io.Reader{brokenAudio(), brokenAudio()},
			want: notifier.Result{Records: 1, Spoken: 1, Announced: 1}, detail: "synthesized again", speeches: 3, objects: 1,
		},
		{
			name: "SSML is refused", bodies: []string{pump}, errs: map[string][]error{"speak": {invalidSSML}},
			want: notifier.Result{Records: 1, Spoken: 1, Announced: 1}, detail: "plain text", speeches: 2, objects: 1,
		},
		{
			name: "SSML is refused, then throttled", bodies: []string{pump}, errs: map[string][]error{"speak": {invalidSSML, throttled}},
			want: notifier.Result{Records: 1}, kind: notifier.Retryable, detail: "ThrottlingException", speeches: 2,
		},
		{
			name: "no right to look", bodies: []string{pump}, errs: map[string][]error{"head": {apiError("Forbidden", 403)}}, detail: "s3:ListBucket",
			want: notifier.Result{Records: 1, Spoken: 1, Announced: 1}, speeches: 1, objects: 1,
		},
		{
			name: "another execution was faster", bodies: []string{pump}, errs: map[string][]error{"put": {apiError("PreconditionFailed", 412)}},
			want: notifier.Result{Records: 1, Reused: 1, Announced: 1}, speeches: 1,
		},
		{
			name: "another writer meets this one, and neither wins", bodies: []string{pump},
			errs: map[string][]error{"put": {apiError("ConditionalRequestConflict", 409)}},
			want: notifier.Result{Records: 1}, kind: notifier.Retryable, detail: "ConditionalRequestConflict", speeches: 1,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			cloud := newCloud()
			cloud.audio = c.audio
			for op, list := range c.errs {
				cloud.errs[op] = list
			}
			n, log := newNotifier(t, cloud)
			raw := json.RawMessage(c.raw)
			if c.raw == "" {
				raw = snsEvent(t, c.bodies...)
			}
			got, err := n.Handle(t.Context(), raw)
			if got != c.want {
				t.Errorf("result %+v, want %+v; error %v, log %s", got, c.want, err, log)
			}
			checkError(t, err, c.kind)
			if text := fmt.Sprint(err, log); !strings.Contains(text, c.detail) {
				t.Errorf("%q is not in %s", c.detail, text)
			}
			if len(cloud.speeches) != c.speeches || len(cloud.objects) != c.objects {
				t.Errorf("%d syntheses and %d objects, want %d and %d", len(cloud.speeches), len(cloud.objects), c.speeches, c.objects)
			}
		})
	}
}

// checkError checks that err is an EventError of that kind, or none.
func checkError(t *testing.T, err error, kind notifier.Kind) {
	t.Helper()
	e, ok := errors.AsType[*notifier.EventError](err)
	switch {
	case kind == "" && err != nil:
		t.Errorf("error %v", err)
	case kind != "" && (!ok || e.Kind != kind):
		t.Errorf("error %v, want one of kind %s", err, kind)
	}
}

// brokenAudio ends as a connection that is closed too early.
func brokenAudio() io.Reader {
	return io.MultiReader(strings.NewReader("m"), iotest.ErrReader(io.ErrUnexpectedEOF))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// What reaches the services for one alert.
func TestRequests(t *testing.T) {
	cloud := newCloud()
	n, _ := newNotifier(t, cloud, "KeyPrefix=clips/floor/")
	id := "pump-1-5f3a-7" + strings.Repeat("x", 400) + "é\n"
	if _, err := n.Handle(t.Context(), snsEvent(t, alertJSON(id, "pump-1", "Temperature > 90 °C\n\x00& rising"))); err != nil {
		t.Fatal(err)
	}
	speech := cloud.speeches[0]
	if want := `<speak>Alert!<break time="400ms"/> Temperature &gt; 90 °C &amp; rising</speak>`; *speech.Text != want || speech.TextType != "ssml" {
		t.Errorf("spoke %q as %s, want %q", *speech.Text, speech.TextType, want)
	}
	if speech.VoiceId != "Joanna" || speech.Engine != "neural" || speech.OutputFormat != "mp3" || *speech.SampleRate != "22050" {
		t.Errorf("speech %+v", speech)
	}
	for key, o := range cloud.objects {
		digest, ok := strings.CutPrefix(strings.TrimSuffix(key, ".mp3"), "clips/floor/")
		if !ok || len(digest) != 64 || *o.Bucket != "clips" || *o.ContentType != "audio/mpeg" || *o.IfNoneMatch != "*" || o.body != "mp3" {
			t.Errorf("object %q: %+v, body %q", key, o.PutObjectInput, o.body)
		}
		if m := o.Metadata; m["thing"] != "pump-1" || m["alert-id"] != id[:256] {
			t.Errorf("metadata %v", m)
		}
		want := announcement{"pdm/v1/audio/pump-1", 1, event.Announcement{
			V: 1, AlertID: id[:256], Thing: "pump-1", Bucket: "clips", Key: key, Format: "mp3", Text: "Temperature > 90 °C & rising",
			SampleRate: 22050, Language: "en-US", SHA256: mp3SHA256, Bytes: 3,
		}}
		if len(cloud.announced) != 1 || cloud.announced[0] != want {
			t.Errorf("announced %+v, want %+v", cloud.announced, want)
		}
	}
}

const mp3SHA256 = "27656ffd5a01dc640a8f9d96a8684be7372800bdd618fa2311b4b85478052613" // of "mp3"

// The site's own topic gets what it needs to fetch and check a clip, in each language that the alert has, also of clips that
// exist already.
func TestClipsAreAnnouncedToTheSite(t *testing.T) {
	cloud := newCloud()
	n, _ := newNotifier(t, cloud, "VoiceId=", "VOICES=en-US:Joanna,de-DE:Vicki,fr-FR:Lea", "OutputFormat=pcm", "SITE_TOPIC_PREFIX=edgepdm", "AUDIO_TOPIC_PREFIX=")
	cloud.voices = append(cloud.voices, pollytypes.Voice{Id: "Vicki"}, pollytypes.Voice{Id: "Lea"})
	body := `{"v":1,"id":"a-1","core":"core-1","thing":"press-1","state":"UNACKNOWLEDGED","text":"Fault on press 1.","reasons":["oil temperature high.",""],
		"texts":{"de":"Störung an Presse 1.","es":"x"}}`
	for range 2 {
		cloud.announced, cloud.audio = nil, []io.Reader{strings.NewReader("eins"), strings.NewReader("zwei!!")}
		if _, err := n.Handle(t.Context(), snsEvent(t, body)); err != nil {
			t.Fatal(err)
		}
		if len(cloud.announced) != 2 || len(cloud.objects) != 2 {
			t.Fatalf("announced %+v", cloud.announced)
		}
		for i, want := range []struct{ language, audio, text string }{
			{"en-US", "eins", "Fault on press 1. Points to it: oil temperature high."},
			{"de-DE", "zwei!!", "Störung an Presse 1. Darauf deutet hin: oil temperature high."},
		} {
			got, sum := cloud.announced[i], sha256.Sum256([]byte(want.audio))
			if got.topic != "edgepdm/core-1/pdm/v1/audio" || got.Language != want.language || got.Text != want.text || got.Format != "pcm" || got.SampleRate != 16000 ||
				got.SHA256 != hex.EncodeToString(sum[:]) || got.Bytes != int64(len(want.audio)) || !strings.HasSuffix(got.Key, ".pcm") {
				t.Errorf("announced %+v", got)
			}
		}
	}
	if text := *cloud.speeches[1].Text; !strings.Contains(text, "Achtung!") || cloud.speeches[1].VoiceId != "Vicki" {
		t.Errorf("Vicki says %s", text)
	}
	cloud.announced = nil
	for _, core := range []string{`"core":"a/#",`, `"core":"",`, `"core":7,`, ``} { // no topic can be made of it
		if _, err := n.Handle(t.Context(), snsEvent(t, `{"v":1,"id":"b",`+core+`"thing":"press-1","text":"Stop."}`)); err != nil || len(cloud.announced) != 0 {
			t.Errorf("%s: announced %+v, %v", core, cloud.announced, err)
		}
	}
}

// Lambda repeats an event whole: what is done costs nothing, what failed is made up for.
func TestRepeatedEvent(t *testing.T) {
	cloud := newCloud()
	cloud.errs["speak"] = []error{nil, throttled}
	cloud.errs["publish"] = []error{unavailable}
	n, _ := newNotifier(t, cloud)
	var bodies []string
	for i := range 10 {
		bodies = append(bodies, alertJSON(fmt.Sprint("a-", i), fmt.Sprint("pump-", i), fmt.Sprintf("Pump %d.", i)))
	}
	got, err := n.Handle(t.Context(), snsEvent(t, bodies...))
	checkError(t, err, notifier.Retryable)
	if want := (notifier.Result{Records: 10, Spoken: 8, Announced: 8}); got != want {
		t.Errorf("first: %+v, want %+v", got, want)
	}
	got, err = n.Handle(t.Context(), snsEvent(t, bodies...))
	checkError(t, err, "")
	if want := (notifier.Result{Records: 10, Spoken: 1, Reused: 9, Announced: 10}); got != want {
		t.Errorf("second: %+v, want %+v", got, want)
	}
	if len(cloud.speeches) != 11 || len(cloud.objects) != 10 || cloud.voiceCalls != 1 {
		t.Errorf("%d syntheses, %d objects, %d voice checks", len(cloud.speeches), len(cloud.objects), cloud.voiceCalls)
	}
}

// Executions that meet on the same new text store it once, whether S3 says 412 or 409.
func TestConflictWithAnotherWriter(t *testing.T) {
	cloud := newCloud()
	n, _ := newNotifier(t, cloud)
	event := snsEvent(t, alertJSON("a", "pump-1", "Stop."))
	if _, err := n.Handle(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	cloud.errs["head"] = []error{apiError("NotFound", 404)}
	cloud.errs["put"] = []error{apiError("ConditionalRequestConflict", 409)}
	if got, err := n.Handle(t.Context(), event); err != nil || got.Reused != 1 {
		t.Errorf("%+v, %v", got, err)
	}

	cloud = newCloud()
	n, _ = newNotifier(t, cloud)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := n.Handle(t.Context(), event); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if len(cloud.objects) != 1 || len(cloud.announced) != 8 {
		t.Errorf("%d objects, %d announcements", len(cloud.objects), len(cloud.announced))
	}
}

// A record that hangs ends in time for the others, and for Lambda to be told.
func TestTimeIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := newCloud()
		cloud.hang = "Hang"
		n, _ := newNotifier(t, cloud)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		got, err := n.Handle(ctx, snsEvent(t, "Hang.", "Two.", "Three."))
		checkError(t, err, notifier.Retryable)
		if got.Spoken != 2 || ctx.Err() != nil {
			t.Errorf("%+v, %v; context %v", got, err, ctx.Err())
		}
		if got, err = n.Handle(ctx, snsEvent(t, "Hang.")); err == nil || ctx.Err() != nil {
			t.Errorf("%+v, %v; context %v", got, err, ctx.Err())
		}
	})
}

func TestLogNamesTheRequestAndCutsTheText(t *testing.T) {
	n, log := newNotifier(t, newCloud())
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "request-1"})
	if _, err := n.Handle(ctx, snsEvent(t, strings.Repeat("word ", 1000))); err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines([]byte(log.String())) {
		var entry map[string]any
		if err := json.Unmarshal(line, &entry); err != nil || entry["requestId"] != "request-1" || len(fmt.Sprint(entry["text"])) > 130 {
			t.Errorf("%s: %v", line, err)
		}
	}
	if !strings.Contains(log.String(), "too long") || !strings.Contains(log.String(), "spoken") {
		t.Errorf("log %s", log)
	}
}

// The sample that aws-lambda-go ships is an event as AWS documents it.
func TestSampleEvent(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-lambda-go").Output()
	if err != nil {
		t.Fatalf("find the module: %v", err)
	}
	raw, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "events", "testdata", "sns-event.json"))
	if err != nil {
		t.Fatal(err)
	}
	cloud := newCloud()
	n, _ := newNotifier(t, cloud)
	if got, err := n.Handle(t.Context(), raw); err != nil || got.Spoken != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	if !strings.Contains(*cloud.speeches[0].Text, "Hello from SNS!") {
		t.Errorf("spoke %q", *cloud.speeches[0].Text)
	}
}
