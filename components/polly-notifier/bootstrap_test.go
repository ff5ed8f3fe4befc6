package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/polly-notifier/notifier"
	"edgepdm/shared/event"
)

// buildBootstrap builds the program as it is deployed, for this machine.
func buildBootstrap(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "lambda.norpc", "-ldflags", "-X main.version=1.2.3", "-o", path, ".")
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// process is the running bootstrap.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer // read after done is closed
	done           chan struct{}
}

// startProcess runs the program with that environment and nothing else. It ends with the test.
func startProcess(t testing.TB, path string, env []string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(t.Context(), path), done: make(chan struct{})}
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() { p.stop() })
	return p
}

func (p *process) stop() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// output returns what an ended program has written.
func (p *process) output() string {
	<-p.done
	return p.stdout.String() + p.stderr.String()
}

// lambdaEnv is what Lambda gives to the function, with the settings of the case.
func lambdaEnv(api *runtimeAPI, settings ...string) []string {
	return append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + api.address(), "AWS_REGION=eu-west-1",
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=dummy-secret", "AWS_SESSION_TOKEN=dummy-token",
		"AWS_MAX_ATTEMPTS=1", // Lambda's own repeats are what is tested
		"BUCKET_NAME=clips", "VoiceId=Joanna", "AUDIO_TOPIC_PREFIX=pdm/v1/audio",
	}, settings...)
}

// snsEvent is an SNS event with an alert and a plain text.
func snsEvent(t testing.TB) string {
	t.Helper()
	alert := `{"v":1,"id":"pump-1-5f3a-7","thing":"pump-1","line":"line-7","state":"UNACKNOWLEDGED","text":"Line 7: pump 1 & its motor run hot."}`
	type sns struct{ MessageId, Message string }
	type record struct {
		EventSource string
		Sns         sns
	}
	raw, err := json.Marshal(map[string][]record{"Records": {
		{"aws:sns", sns{"m-1", alert}}, {"aws:sns", sns{"m-2", "Faulty Part Found on Line 1. Immediate attention required."}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// checkResponse checks that an invocation succeeded with that result.
func checkResponse(t testing.TB, a answer, want notifier.Result) {
	t.Helper()
	var got notifier.Result
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.kind != "response" || got != want {
		t.Errorf("%s %s, want %+v", a.kind, a.body, want)
	}
}

// BenchmarkColdStart is what the first alert waits for beside the services: the program's start until it asks for an event, and
// the first invocation. Lambda adds the time to fetch the program and to start the machine.
func BenchmarkColdStart(b *testing.B) {
	bootstrap := buildBootstrap(b)
	var start, first time.Duration
	n := 0
	for b.Loop() {
		api, cloud := startRuntimeAPI(b), newServices(b)
		settings := lambdaEnv(api, "AWS_ENDPOINT_URL="+cloud.listen("s3", "polly", "iotdata"))
		begun := time.Now()
		p := startProcess(b, bootstrap, settings)
		api.started(b, p)
		started := time.Now()
		checkResponse(b, api.invoke(b, p, snsEvent(b)), notifier.Result{Records: 2, Spoken: 2, Announced: 1})
		start, first = start+started.Sub(begun), first+time.Since(started)
		n++
		p.stop()
	}
	b.ReportMetric(float64(start.Microseconds())/1000/float64(n), "init-ms")
	b.ReportMetric(float64(first.Microseconds())/1000/float64(n), "first-invocation-ms")
}

// TestBootstrap runs the program that is deployed against the APIs that it meets there.
func TestBootstrap(t *testing.T) {
	bootstrap := buildBootstrap(t)

	t.Run("an alert from SNS to S3 and IoT", func(t *testing.T) {
		api, cloud := startRuntimeAPI(t), newServices(t)
		p := startProcess(t, bootstrap, lambdaEnv(api,
			"AWS_ENDPOINT_URL_S3="+cloud.listen("s3"), "AWS_ENDPOINT_URL_POLLY="+cloud.listen("polly"),
			"AWS_ENDPOINT_URL_IOT_DATA_PLANE="+cloud.listen("iotdata")))
		checkResponse(t, api.invoke(t, p, snsEvent(t)), notifier.Result{Records: 2, Spoken: 2, Announced: 1})

		objects, speeches, messages := cloud.seen()
		want := speech{
			Engine: "neural", OutputFormat: "mp3", SampleRate: "22050", TextType: "ssml", VoiceId: "Joanna",
			Text: `<speak>Alert!<break time="400ms"/> Line 7: pump 1 &amp; its motor run hot.</speak>`,
		}
		if len(speeches) != 2 || speeches[0] != want {
			t.Errorf("speeches %+v", speeches)
		}
		if len(messages) != 1 || messages[0].path != "/topics/pdm/v1/audio/pump-1" || messages[0].query != "qos=1" {
			t.Fatalf("announced %+v", messages)
		}
		var a event.Announcement
		if err := json.Unmarshal([]byte(messages[0].body), &a); err != nil || a.AlertID != "pump-1-5f3a-7" || a.Bucket != "clips" {
			t.Errorf("announced %s: %v", messages[0].body, err)
		}
		o, ok := objects["/clips/"+a.Key]
		if !ok || !strings.HasPrefix(a.Key, "audio/") || !strings.HasSuffix(a.Key, ".mp3") || o.body != "ID3 "+want.Text {
			t.Errorf("key %s, objects %v", a.Key, objects)
		}
		if o.header.Get("Content-Type") != "audio/mpeg" || o.header.Get("X-Amz-Meta-Alert-Id") != "pump-1-5f3a-7" || o.header.Get("X-Amz-Meta-Thing") != "pump-1" {
			t.Errorf("object headers %v", o.header)
		}

		// SNS delivers it again; then S3 does not find what another execution is writing.
		checkResponse(t, api.invoke(t, p, snsEvent(t)), notifier.Result{Records: 2, Reused: 2, Announced: 1})
		cloud.fail("HEAD s3", fault{http.StatusNotFound, ""})
		checkResponse(t, api.invoke(t, p, snsEvent(t)), notifier.Result{Records: 2, Reused: 2, Announced: 1})
		if objects, speeches, _ := cloud.seen(); len(speeches) != 3 || len(objects) != 2 {
			t.Errorf("%d syntheses and %d objects after repeats", len(speeches), len(objects))
		}

		p.stop()
		for line := range strings.Lines(p.stdout.String()) {
			var entry struct{ Timestamp, Level, Message string }
			if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Timestamp == "" || entry.Level == "" || entry.Message == "" {
				t.Errorf("log line %s: %v", line, err)
			}
		}
		for _, secret := range []string{"dummy-secret", "dummy-token", "AKIDEXAMPLE"} {
			if strings.Contains(p.output(), secret) {
				t.Errorf("%s is logged", secret)
			}
		}
		if !strings.Contains(p.stdout.String(), `"requestId":"request-1"`) {
			t.Errorf("log %s", p.output())
		}
	})

	t.Run("errors as the services write them", func(t *testing.T) {
		api, cloud := startRuntimeAPI(t), newServices(t)
		// The check of the voice does not get through, which must not keep the function from starting.
		cloud.fail("GET polly", fault{http.StatusServiceUnavailable, "ServiceFailureException"})
		// One endpoint for all, but the announcements'.
		p := startProcess(t, bootstrap, lambdaEnv(api, "AWS_ENDPOINT_URL="+cloud.listen("s3", "polly"), "IOT_DATA_ENDPOINT="+cloud.listen("iotdata")))
		for _, c := range []struct {
			what   string
			fault  fault
			detail string // in the error; "" = the invocation succeeds
		}{
			{"POST polly", fault{http.StatusBadRequest, "ThrottlingException"}, "1 of 2 records failed (retryable): record 0: synthesize speech"},
			{"HEAD s3", fault{http.StatusServiceUnavailable, ""}, "(retryable): record 0: look for the audio"},
			{"PUT s3", fault{http.StatusServiceUnavailable, "SlowDown"}, "(retryable): record 0: store the audio"},
			{"PUT s3", fault{http.StatusForbidden, "AccessDenied"}, "(configuration): record 0: store the audio: the function's role needs s3:PutObject"},
			{"PUT s3", fault{http.StatusNotFound, "NoSuchBucket"}, "BUCKET_NAME names no bucket"},
			{"POST iotdata", fault{http.StatusForbidden, "ForbiddenException"}, "(configuration): record 0: announce the audio: the function's role needs iot:Publish"},
			{"POST iotdata", fault{http.StatusInternalServerError, "InternalFailureException"}, "(retryable): record 0: announce the audio"},
		} {
			cloud.fail(c.what, c.fault)
			a := api.invoke(t, p, snsEvent(t))
			if kind, message := a.failure(t); a.kind != "error" || kind != "EventError" || !strings.Contains(message, c.detail) {
				t.Errorf("%s %s: %s %s", c.what, c.fault.code, a.kind, a.body)
			}
		}
		checkResponse(t, api.invoke(t, p, snsEvent(t)), notifier.Result{Records: 2, Reused: 2, Announced: 1})

		cloud.fail("POST polly", fault{http.StatusBadRequest, "InvalidSsmlException"})
		checkResponse(t, api.invoke(t, p, strings.ReplaceAll(snsEvent(t), "Line", "Hall")), notifier.Result{Records: 2, Spoken: 2, Announced: 1})
		if _, speeches, _ := cloud.seen(); speeches[len(speeches)-2].TextType != "text" || speeches[len(speeches)-2].Text != "Alert! Hall 7: pump 1 & its motor run hot." {
			t.Errorf("speeches %+v", speeches)
		}
		checkResponse(t, api.invoke(t, p, `{"key1":"value1"}`), notifier.Result{Dropped: 1})
	})

	t.Run("audio that breaks off is made again in the same invocation", func(t *testing.T) {
		api, cloud := startRuntimeAPI(t), newServices(t)
		p := startProcess(t, bootstrap, lambdaEnv(api, "AWS_ENDPOINT_URL="+cloud.listen("s3", "polly", "iotdata")))
		cloud.breakAudio(2)
		checkResponse(t, api.invoke(t, p, snsEvent(t)), notifier.Result{Records: 2, Spoken: 2, Announced: 1})
		objects, speeches, _ := cloud.seen()
		if len(speeches) != 4 || len(objects) != 2 {
			t.Errorf("%d syntheses, %d objects", len(speeches), len(objects))
		}
		for key, o := range objects {
			if !strings.HasSuffix(o.body, "</speak>") {
				t.Errorf("%s holds half of the audio: %q", key, o.body)
			}
		}
		cloud.breakAudio(3) // each attempt of the first record
		a := api.invoke(t, p, strings.ReplaceAll(snsEvent(t), "Line", "Hall"))
		if kind, message := a.failure(t); a.kind != "error" || kind != "EventError" || !strings.Contains(message, "1 of 2 records failed (retryable): record 0: synthesize speech: read the audio") {
			t.Errorf("%s %s", a.kind, a.body)
		}
	})

	t.Run("what cannot start says why", func(t *testing.T) {
		for _, c := range []struct {
			setting string
			details []string
		}{
			{"Engine=generative", []string{`VoiceId "Joanna"`, `Engine "generative"`, "neural, standard"}},
			{"VoiceId=Nobody", []string{`VoiceId "Nobody"`, "no such voice"}},
			{"BUCKET_NAME=", []string{"BUCKET_NAME is not set"}},
			{"AWS_REGION=", []string{"AWS_REGION is not set"}},
		} {
			api, cloud := startRuntimeAPI(t), newServices(t)
			p := startProcess(t, bootstrap, lambdaEnv(api, "AWS_ENDPOINT_URL="+cloud.listen("s3", "polly", "iotdata"), c.setting))
			a := api.answer(t, p)
			kind, message := a.failure(t)
			if a.kind != "init/error" || kind != "Function.Configuration" {
				t.Errorf("%s: %s %s", c.setting, a.kind, a.body)
			}
			for _, want := range c.details {
				if !strings.Contains(message, want) || !strings.Contains(p.output(), want) {
					t.Errorf("%s: %q is not in %q", c.setting, want, message)
				}
			}
			<-p.done
			if code := p.cmd.ProcessState.ExitCode(); code != 1 {
				t.Errorf("%s: exit code %d", c.setting, code)
			}
		}
	})

	t.Run("by hand", func(t *testing.T) {
		for _, c := range []struct {
			args        []string
			code        int
			out, errOut string
			lines       int // on stderr
		}{
			{nil, 2, "", "polly-notifier: AWS_LAMBDA_RUNTIME_API is not set: this program must be started by AWS Lambda\n", 1},
			{[]string{"-version"}, 0, "polly-notifier 1.2.3\n", "", 0},
			{[]string{"-help"}, 0, "  BUCKET_NAME ", "", 0},
			{[]string{"-x"}, 2, "", "polly-notifier: flag provided but not defined", 2},
		} {
			cmd := exec.CommandContext(t.Context(), bootstrap, c.args...)
			cmd.Env = []string{}
			var out, errOut bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errOut
			err := cmd.Run()
			if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
				t.Fatal(err)
			}
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Errorf("%q: exit code %d, want %d", c.args, code, c.code)
			}
			if !strings.Contains(out.String(), c.out) || !strings.Contains(errOut.String(), c.errOut) || strings.Count(errOut.String(), "\n") != c.lines {
				t.Errorf("%q: stdout %s, stderr %s", c.args, out.String(), errOut.String())
			}
		}
	})
}
