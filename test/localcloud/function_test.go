package localcloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"edgepdm/test/must"
	"edgepdm/test/need"
)

// What the function of the tests writes to its directory.
const (
	eventsFile      = "events.jsonl"
	environmentFile = "environment"
	markerFile      = "marker"
)

// runFunction is the bootstrap of the tests, with the real client of the Runtime API.
func runFunction() {
	behaviour := os.Getenv("TEST_FUNCTION")
	switch behaviour {
	case "init-error":
		body := strings.NewReader(`{"errorMessage":"no voice","errorType":"Function.Configuration","stackTrace":[]}`)
		url := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/init/error"
		if _, err := http.Post(url, "application/json", body); err != nil { //nolint:noctx,bodyclose // it exits
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	}
	fmt.Println("function up as", os.Getpid())
	lambda.Start(func(ctx context.Context, event json.RawMessage) (string, error) {
		f, err := os.OpenFile(eventsFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return "", err
		}
		defer f.Close()
		if _, err := fmt.Fprintf(f, "%s\n", event); err != nil {
			return "", err
		}
		switch behaviour {
		case "fail":
			return "", errors.New("cannot speak")
		case "fail once":
			if _, err := os.Stat(markerFile); err != nil {
				return "", errors.Join(errors.New("not yet"), os.WriteFile(markerFile, nil, 0o600))
			}
		case "exit":
			os.Exit(3)
		case "hang":
			select {}
		case "environment":
			lc, _ := lambdacontext.FromContext(ctx)
			deadline, _ := ctx.Deadline()
			text := append(os.Environ(), "request="+lc.AwsRequestID, "arn="+lc.InvokedFunctionArn, "trace="+os.Getenv("_X_AMZN_TRACE_ID"),
				fmt.Sprintf("left=%d", int(time.Until(deadline).Seconds())))
			return "", os.WriteFile(environmentFile, []byte(strings.Join(text, "\n")), 0o600)
		}
		return "done", nil
	})
}

// functionOptions run this test's program as the function.
func functionOptions(t *testing.T, behaviour string) Options {
	t.Helper()
	program, err := os.Executable()
	must.OK(t, err)
	return Options{
		Dir: t.TempDir(), Notifier: program, NotifierEnv: map[string]string{"TEST_FUNCTION": behaviour}, RetryDelay: time.Millisecond,
	}
}

func publishAlert(t *testing.T, c *Cloud, message string) string {
	t.Helper()
	d := deviceClients(t, c)
	out, err := d.sns.Publish(testContext(t), &sns.PublishInput{TopicArn: aws.String(c.Endpoints().TopicARN), Message: &message})
	must.OK(t, err)
	return *out.MessageId
}

// waitForEvents waits until the function has noted n events.
func waitForEvents(t *testing.T, c *Cloud, n int) []events.SNSEvent {
	t.Helper()
	return waitUntil(t, c, func(list []events.SNSEvent) bool { return len(list) >= n })
}

// waitUntil waits until the events that the function has noted meet a condition.
func waitUntil(t *testing.T, c *Cloud, condition func([]events.SNSEvent) bool) []events.SNSEvent {
	t.Helper()
	ctx := testContext(t)
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		text, err := os.ReadFile(filepath.Join(c.opts.Dir, eventsFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		var list []events.SNSEvent
		for line := range bytes.Lines(text) {
			var e events.SNSEvent
			if !bytes.HasSuffix(line, []byte("\n")) {
				break // the rest is still to come
			}
			must.OK(t, json.Unmarshal(line, &e))
			list = append(list, e)
		}
		if condition(list) {
			return list
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain; events: %s", text)
		}
	}
}

func TestFunctionFailures(t *testing.T) {
	for _, tc := range []struct {
		behaviour string
		timeout   time.Duration
		tries     int // that reach the handler
		dead      string
	}{
		{behaviour: "note", tries: 1},
		{behaviour: "fail once", tries: 2},
		{behaviour: "fail", tries: 3, dead: "cannot speak"},
		{behaviour: "exit", tries: 3, dead: "Runtime.ExitError: Runtime exited with error: exit status 3"},
		{behaviour: "hang", timeout: 300 * time.Millisecond, dead: "task timed out after 300ms"},
		{behaviour: "init-error", dead: "Function.Configuration: no voice"},
	} {
		t.Run(tc.behaviour, func(t *testing.T) {
			opts := functionOptions(t, tc.behaviour)
			opts.FunctionTimeout = tc.timeout
			c := startCloud(t, opts)
			publishAlert(t, c, `{"id":"alert-1"}`)
			if tc.dead == "" {
				if n := len(waitForEvents(t, c, tc.tries)); n != tc.tries || len(c.DeadLetters()) != 0 {
					t.Errorf("%d tries, dead letters %v", n, c.DeadLetters())
				}
				return
			}
			err := c.Wait(testContext(t), func(j Journal) bool { return j.IDs(KindDeadLetter)["alert-1"] == 1 })
			must.OK(t, err)
			dead := c.DeadLetters()
			if len(dead) != 1 || dead[0].Tries != maxTries || !strings.Contains(dead[0].Err.Error(), tc.dead) || !bytes.Contains(dead[0].Event, []byte("alert-1")) {
				t.Errorf("dead letters %+v", dead)
			}
			if tc.tries > 0 {
				if n := len(waitForEvents(t, c, tc.tries)); n != tc.tries {
					t.Errorf("%d tries, want %d", n, tc.tries)
				}
			}
		})
	}
}

func TestFunctionEnvironment(t *testing.T) {
	t.Setenv("SECRET_OF_THE_USER", "1")
	opts := functionOptions(t, "environment")
	opts.NotifierEnv["VoiceId"] = "Matthew"
	c := startCloud(t, opts)
	publishAlert(t, c, "text")
	publishAlert(t, c, "more") // by then the first invocation has ended
	waitForEvents(t, c, 2)
	text := must.Read(t, filepath.Join(opts.Dir, environmentFile))
	got := make(map[string]string)
	for line := range strings.SplitSeq(string(text), "\n") {
		name, value, _ := strings.Cut(line, "=")
		got[name] = value
	}
	want := strings.Fields(`AUDIO_TOPIC_PREFIX AWS_ACCESS_KEY_ID AWS_DEFAULT_REGION AWS_ENDPOINT_URL_IOT_DATA_PLANE
		AWS_ENDPOINT_URL_POLLY AWS_ENDPOINT_URL_S3 AWS_LAMBDA_FUNCTION_MEMORY_SIZE AWS_LAMBDA_FUNCTION_NAME
		AWS_LAMBDA_FUNCTION_VERSION AWS_LAMBDA_INITIALIZATION_TYPE AWS_LAMBDA_LOG_GROUP_NAME AWS_LAMBDA_LOG_STREAM_NAME
		AWS_LAMBDA_RUNTIME_API AWS_REGION AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN BUCKET_NAME LAMBDA_RUNTIME_DIR
		LAMBDA_TASK_ROOT LANG PATH TEST_FUNCTION TZ VoiceId _HANDLER _X_AMZN_TRACE_ID arn left request trace`)
	var names []string
	for name := range got {
		names = append(names, name)
	}
	slices.Sort(names)
	names = slices.DeleteFunc(names, func(name string) bool { return name == "GOCOVERDIR" }) // of the race detector's build
	if !slices.Equal(names, want) {
		t.Errorf("variables %q\nwant %q", names, want)
	}
	if got["VoiceId"] != "Matthew" || !strings.HasPrefix(got["trace"], "Root=1-") || got["left"] != "29" ||
		got["arn"] != "arn:aws:lambda:us-east-1:123456789012:function:polly-notifier" {
		t.Errorf("values %v", got)
	}
	log, err := os.ReadFile(filepath.Join(opts.Dir, "polly-notifier.log"))
	if err != nil || bytes.Count(log, []byte("function up as")) != 1 {
		t.Errorf("log %q, %v", log, err)
	}
}

func TestFunctionRestart(t *testing.T) {
	c := startCloud(t, functionOptions(t, "note"))
	publishAlert(t, c, "before")
	waitForEvents(t, c, 1)
	first := c.function.process()
	must.OK(t, first.kill())
	publishAlert(t, c, "after")
	waitUntil(t, c, func(list []events.SNSEvent) bool { return list[len(list)-1].Records[0].SNS.Message == "after" })
	if c.function.process() == first {
		t.Error("it is the same process")
	}
}

func TestDeliverTwice(t *testing.T) {
	c := startCloud(t, functionOptions(t, "note"))
	c.DeliverTwice(1)
	id := publishAlert(t, c, "one")
	publishAlert(t, c, "two")
	var got []string
	for _, e := range waitForEvents(t, c, 3) {
		got = append(got, e.Records[0].SNS.Message)
		if m := e.Records[0].SNS; m.Message == "one" && m.MessageID != id {
			t.Errorf("message id %s, want %s", m.MessageID, id)
		}
	}
	if !slices.Equal(got, []string{"one", "one", "two"}) {
		t.Errorf("events %q", got)
	}
}

// TestCloseKills a function that ignores SIGTERM, and one that hangs.
func TestCloseKills(t *testing.T) {
	for _, behaviour := range []string{"stubborn", "hang"} {
		t.Run(behaviour, func(t *testing.T) {
			c := startCloud(t, functionOptions(t, behaviour))
			publishAlert(t, c, "text")
			waitForEvents(t, c, 1)
			ctx, cancel := context.WithCancel(testContext(t))
			cancel() // no patience
			if err := c.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			select {
			case <-c.function.process().exited:
			default:
				t.Error("the process is still there")
			}
		})
	}
}

func TestRuntimeAPIRefusals(t *testing.T) {
	c := startCloud(t, functionOptions(t, "note"))
	call := func(method, path string) int {
		t.Helper()
		env := c.function.environment()
		i := slices.IndexFunc(env, func(v string) bool { return strings.HasPrefix(v, "AWS_LAMBDA_RUNTIME_API=") })
		_, host, _ := strings.Cut(env[i], "=")
		q, err := http.NewRequestWithContext(testContext(t), method, "http://"+host+"/2018-06-01/runtime/"+path, strings.NewReader("{}"))
		must.OK(t, err)
		status, _ := fetch(t, q)
		return status
	}
	for _, tc := range []struct {
		method, path string
		status       int
	}{
		{"GET", "invocation/next", 403}, // nothing was started
		{"POST", "invocation/unknown/response", 400},
		{"POST", "invocation/unknown/error", 400},
		{"POST", "init/error", 403},
		{"GET", "init/error", 405},
		{"GET", "other", 404},
	} {
		if got := call(tc.method, tc.path); got != tc.status {
			t.Errorf("%s %s: status %d, want %d", tc.method, tc.path, got, tc.status)
		}
	}
}

// buildNotifier builds the real polly-notifier.
func buildNotifier(t *testing.T) string {
	t.Helper()
	root := need.Root(t)
	tool := need.Tool(t, "go", "https://go.dev/dl")
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.CommandContext(t.Context(), tool, "build", "-trimpath", "-tags", "lambda.norpc", "-o", bootstrap, "./components/"+notifierName)
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build polly-notifier: %v\n%s", err, out)
	}
	return bootstrap
}

// TestNotifier runs the real function from SNS to the announcement of the audio.
func TestNotifier(t *testing.T) {
	b := &broker{}
	c := startCloud(t, Options{Notifier: buildNotifier(t), Publish: b.publish, RetryDelay: time.Millisecond})
	const alert = `{"v":1,"id":"alert-7","thing":"mill-2","text":"Fault found on Mill 2. Immediate attention required."}`
	publishAlert(t, c, alert)
	announced := func(clips, n int) {
		t.Helper()
		done := func(j Journal) bool { return j.Count(KindAudio) == clips && j.Count(KindIoTCloud) >= n }
		if err := c.Wait(testContext(t), done); err != nil {
			log, _ := os.ReadFile(filepath.Join(c.opts.Dir, "polly-notifier.log"))
			t.Fatalf("%v\ndead letters %v\n%s", err, c.DeadLetters(), log)
		}
	}
	announced(1, 1)
	j := c.Journal()
	audio := j[slices.IndexFunc(j, func(e Entry) bool { return e.Kind == KindAudio })]
	content, contentType, err := c.Object(audio.Name)
	if err != nil || contentType != "audio/mpeg" || !bytes.Equal(content, alertClip) {
		t.Errorf("object %s: %d bytes of %s, %v", audio.Name, len(content), contentType, err)
	}
	if !strings.HasPrefix(b.messages[0], "pdm/v1/audio/mill-2 {") || !strings.Contains(b.messages[0], audio.Name) {
		t.Errorf("announcement %s", b.messages[0])
	}

	// A repeat costs nothing; a killed function comes back; a throttled Polly is asked again.
	spoken := j.Count(KindSpeech) // more than 1 when a failed attempt was made again
	c.DeliverTwice(1)
	publishAlert(t, c, alert)
	announced(1, 3)
	if j := c.Journal(); j.Count(KindSpeech) != spoken {
		t.Errorf("a repeat was spoken again: %v", j)
	}
	must.OK(t, c.function.process().kill())
	must.OK(t, c.Throttle("polly", 2))
	publishAlert(t, c, strings.ReplaceAll(alert, "Mill 2", "Press 1 & 3"))
	announced(2, 4)
	if j := c.Journal(); j.Count(KindSpeech) <= spoken || len(c.DeadLetters()) != 0 {
		t.Errorf("journal %v, dead letters %v", j, c.DeadLetters())
	}
}
