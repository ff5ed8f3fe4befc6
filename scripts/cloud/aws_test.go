package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"edgepdm/shared/cli"
	"edgepdm/test/moto"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/tools"
)

const region = "eu-west-1"

// testAWS is moto, and before it what moto lacks: AWS IoT Greengrass, the tags of AWS IoT, and a stack's thing group, secret and
// outputs.
type testAWS struct {
	t      *testing.T
	moto   string
	url    string
	python string
	root   string // of the repository: the tests go to another folder

	mu          sync.Mutex
	calls       []string
	answer      func(w http.ResponseWriter, r *http.Request, call string) bool // instead of moto, if it returns true
	after       func(n int)                                                    // of a call that was carried out
	tags        map[string]map[string]string                                   // by ARN
	devices     map[string]string                                              // health of core devices
	deployments map[string]string                                              // status
	deleted     []string                                                       // core devices
}

func newTestAWS(t *testing.T) *testAWS {
	t.Helper()
	a := &testAWS{t: t, moto: moto.Start(t), python: filepath.Join(need.Installed(t, tools.Moto), "bin", "python"), root: need.Root(t)}
	a.reset()
	to, err := url.Parse(a.moto)
	must.OK(t, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, proxy) }))
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

// reset empties the account.
func (a *testAWS) reset() {
	q, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, a.moto+"/moto-api/reset", nil)
	must.OK(a.t, err)
	response, err := http.DefaultClient.Do(q)
	must.OK(a.t, err)
	must.OK(a.t, response.Body.Close())
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls, a.answer, a.after, a.deleted = nil, nil, nil, nil
	a.tags, a.devices, a.deployments = make(map[string]map[string]string), make(map[string]string), make(map[string]string)
}

// name names a call: "s3 PUT /bucket", "cloudformation CreateChangeSet".
func name(r *http.Request, body []byte) string {
	service := "?"
	if _, scope, found := strings.Cut(r.Header.Get("Authorization"), "Credential="); found {
		if part := strings.Split(scope, "/"); len(part) > 3 {
			service = part[3]
		}
	}
	if form, err := url.ParseQuery(string(body)); err == nil && form.Get("Action") != "" {
		return service + " " + form.Get("Action")
	}
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		return service + " " + target[strings.LastIndexByte(target, '.')+1:]
	}
	return service + " " + r.Method + " " + r.URL.Path
}

func (a *testAWS) serve(w http.ResponseWriter, r *http.Request, proxy http.Handler) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	a.mu.Lock()
	call := name(r, body)
	a.calls = append(a.calls, call)
	n, answer, after := len(a.calls), a.answer, a.after
	a.mu.Unlock()
	if answer != nil && answer(w, r, call) {
		return
	}
	switch service, rest, _ := strings.Cut(call, " "); {
	case service == "greengrass":
		a.greengrass(w, r)
	case strings.HasPrefix(rest, "GET /tags"):
		a.listTags(w, r)
	case service == "s3" && r.Method == http.MethodPut && r.URL.Query().Has("policy"): // moto takes it without its condition
		w.WriteHeader(http.StatusNoContent)
	case call == "cloudformation DescribeStacks":
		answer := httptest.NewRecorder()
		proxy.ServeHTTP(answer, r)
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(answer.Code)
		_, _ = w.Write(bytes.Replace(answer.Body.Bytes(), []byte("</Parameters>"), []byte("</Parameters>"+outputs), 1))
	default:
		proxy.ServeHTTP(w, r)
		a.complete(r, call, body)
	}
	if after != nil {
		after(n)
	}
}

// outputs are those of the stack that are used here: in moto a stack that a change set made has none.
const outputs = "<Outputs><member><OutputKey>ThingGroupName</OutputKey><OutputValue>pdm-cores</OutputValue></member>" +
	"<member><OutputKey>CoreRoleAlias</OutputKey><OutputValue>pdm-core</OutputValue></member>" +
	"<member><OutputKey>SigningSecretArn</OutputKey><OutputValue>pdm/model-signing-key</OutputValue></member></Outputs>"

// complete does what moto leaves undone.
func (a *testAWS) complete(r *http.Request, call string, body []byte) {
	ctx, things, secrets := context.Background(), iot.NewFromConfig(a.direct()), secretsmanager.NewFromConfig(a.direct())
	group, secret := aws.String("pdm-cores"), aws.String("pdm/model-signing-key")
	switch {
	case call == "cloudformation ExecuteChangeSet": // again and again in an update, which does no harm
		_, _ = things.CreateThingGroup(ctx, &iot.CreateThingGroupInput{ThingGroupName: group})
		_, _ = secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: secret})
	case call == "cloudformation DeleteStack":
		_, _ = things.DeleteThingGroup(ctx, &iot.DeleteThingGroupInput{ThingGroupName: group})
		_, _ = secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: secret, ForceDeleteWithoutRecovery: aws.Bool(true)})
	case strings.HasPrefix(call, "iot POST /policies/") && strings.Count(r.URL.Path, "/") == 2:
		var request struct{ Tags []struct{ Key, Value string } }
		if err := json.Unmarshal(body, &request); err != nil {
			a.t.Error(err)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		arn := fmt.Sprintf("arn:aws:iot:%s:123456789012:policy/%s", region, strings.TrimPrefix(r.URL.Path, "/policies/"))
		if a.tags[arn] == nil {
			a.tags[arn] = make(map[string]string)
		}
		for _, tag := range request.Tags {
			a.tags[arn][tag.Key] = tag.Value
		}
	}
}

func (a *testAWS) listTags(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := []map[string]string{}
	for key, value := range a.tags[r.URL.Query().Get("resourceArn")] {
		list = append(list, map[string]string{"Key": key, "Value": value})
	}
	a.say(w, map[string]any{"tags": list})
}

func (a *testAWS) say(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // a client that was killed does not read it
}

// fail answers with an error, as the services that speak JSON do.
func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message, "Message": message, "__type": code})
}

// failXML answers with an error, as the services that speak XML do.
func failXML(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>r</RequestId></ErrorResponse>`, code, message)
}

// greengrass is AWS IoT Greengrass, as far as it is used.
func (a *testAWS) greengrass(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kind, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/greengrass/v2/"), "/")
	id, action, _ := strings.Cut(rest, "/")
	switch {
	case kind == "coreDevices" && rest == "":
		list := []map[string]any{}
		for name, health := range a.devices {
			list = append(list, map[string]any{"coreDeviceThingName": name, "status": health, "lastStatusUpdateTimestamp": 1_795_000_000})
		}
		a.say(w, map[string]any{"coreDevices": list})
	case kind == "coreDevices" && r.Method == http.MethodDelete:
		a.deleted = append(a.deleted, id)
		if a.devices[id] == "" {
			fail(w, http.StatusNotFound, "ResourceNotFoundException", "no such core device")
			return
		}
		delete(a.devices, id)
		a.say(w, map[string]any{})
	case kind == "deployments" && rest == "":
		list := []map[string]any{}
		for name, status := range a.deployments {
			list = append(list, map[string]any{"deploymentId": name, "deploymentStatus": status})
		}
		a.say(w, map[string]any{"deployments": list})
	case kind == "deployments" && action == "cancel":
		a.deployments[id] = "CANCELED"
		a.say(w, map[string]any{})
	case kind == "deployments" && r.Method == http.MethodDelete && a.deployments[id] == "ACTIVE":
		fail(w, http.StatusConflict, "ConflictException", "the deployment is active")
	case kind == "deployments" && r.Method == http.MethodDelete:
		delete(a.deployments, id)
		a.say(w, map[string]any{})
	default:
		fail(w, http.StatusNotFound, "ResourceNotFoundException", "there is no "+r.Method+" "+r.URL.Path)
	}
}

// direct reaches moto, past what stands before it.
func (a *testAWS) direct() aws.Config {
	return aws.Config{Region: region, BaseEndpoint: &a.moto, Credentials: credentials.NewStaticCredentialsProvider("key", "secret", "")}
}

func (a *testAWS) s3() *s3.Client {
	return s3.NewFromConfig(a.direct(), func(o *s3.Options) { o.UsePathStyle = true })
}

// inventory lists what is in the account.
func (a *testAWS) inventory() []string {
	a.t.Helper()
	script := filepath.Join(a.root, "scripts", "cloud", "testdata", "inventory.py")
	out, err := exec.CommandContext(a.t.Context(), a.python, script, a.moto, region).CombinedOutput()
	if err != nil {
		a.t.Fatalf("inventory: %v\n%s", err, out)
	}
	list := strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
	a.mu.Lock()
	defer a.mu.Unlock()
	for name := range a.devices {
		list = append(list, "greengrass coreDevices "+name)
	}
	for name := range a.deployments {
		list = append(list, "greengrass deployments "+name)
	}
	slices.Sort(list)
	return list
}

// environment is that of a program that reaches the test's AWS, and builds nothing.
func (a *testAWS) environment() environment {
	now := time.Now()
	return environment{
		config: func(context.Context, string) (aws.Config, error) {
			config := a.direct()
			config.BaseEndpoint = &a.url
			config.RetryMaxAttempts = 2
			return config, nil
		},
		build: func(_ context.Context, _ cli.Streams, f function, arch, _ string) ([]byte, error) {
			return zipOf(a.t, f.name+" "+arch), nil
		},
		sleep: func(ctx context.Context, d time.Duration) bool { now = now.Add(d); return ctx.Err() == nil },
		now:   func() time.Time { now = now.Add(time.Millisecond); return now },
	}
}

// run runs a command, and returns its exit code and all that it prints.
func (a *testAWS) run(args ...string) (int, string) {
	return runIn(a.t.Context(), a.environment(), "", args...)
}

func runIn(ctx context.Context, e environment, input string, args ...string) (int, string) {
	var out strings.Builder
	code := program(e).Main(ctx, args, cli.Streams{In: strings.NewReader(input), Out: &out, Err: &out})
	return code, out.String()
}

// do runs a command that must succeed.
func (a *testAWS) do(args ...string) string {
	a.t.Helper()
	code, out := a.run(args...)
	if code != cli.ExitOK {
		a.t.Fatalf("%q exits with %d:\n%s", args, code, out)
	}
	return out
}
