package cloud

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/smithy-go"

	"edgepdm/test/must"
)

const good = `{"AccessKeyId":"AKID","SecretAccessKey":"hush","Token":"session","Expiration":"2099-01-01T00:00:00Z"}`

// exchange is a token exchange service that gives one answer.
func exchange(t *testing.T, answer http.HandlerFunc) (getenv func(string) string) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	vars := map[string]string{EnvCredentialsURL: server.URL, EnvCredentialsToken: "token", EnvRegion: "eu-west-1"}
	return func(name string) string { return vars[name] }
}

func retrieve(t *testing.T, getenv func(string) string) (aws.Credentials, error) {
	t.Helper()
	a, err := New(Settings{Timeout: 5 * time.Second, Getenv: getenv})
	must.OK(t, err)
	t.Cleanup(a.Close)
	return a.Config.Credentials.Retrieve(t.Context())
}

// What a token exchange service answers when all is well, and when it is not: that of nucleus lite says null.
func TestCredentials(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   string // of the error; "" = credentials
	}{
		{"good", 200, good, ""},
		{"more members", 200, strings.Replace(good, "{", `{"AccountId":"1","New":[1,{}],`, 1), ""},
		{"null", 200, "null", "no credentials"},
		{"null and a newline", 200, " null\r\n", "no credentials"},
		{"nothing", 200, "", "no credentials"},
		{"an empty object", 200, "{}", "no credentials"},
		{"HTML", 200, "<html>Log in</html>", "not JSON"},
		{"a list", 200, "[]", "not JSON"},
		{"numbers", 200, `{"AccessKeyId":1}`, "not JSON"},
		{"cut", 200, good[:40], "not JSON"},
		{"no key", 200, strings.Replace(good, "AKID", "", 1), "lacks AccessKeyId"},
		{"no secret", 200, strings.Replace(good, "SecretAccessKey", "Secret", 1), "lacks SecretAccessKey"},
		{"no token", 200, strings.Replace(good, `"session"`, "null", 1), "lacks Token"},
		{"no end", 200, strings.Replace(good, "2099-01-01T00:00:00Z", "tomorrow", 1), "lacks Expiration"},
		{"too long", 200, `{"AccessKeyId":"` + strings.Repeat("x", maxCredentials) + `"}`, "more than 65536 bytes"},
		{"bad token", 403, "Authorization failed\n", "403 Authorization failed"},
		{"unknown token of lite", 404, "", "404 without a word"},
		{"no connection", 500, "Failed to get connection", "500 Failed to get connection"},
		{"elsewhere", 302, "", "302"},
		{"a long word", 504, strings.Repeat("ä", 4000), "504 ää"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := retrieve(t, exchange(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "token" {
					t.Errorf("Authorization %q", r.Header.Get("Authorization"))
				}
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			}))
			if c.want == "" {
				if err != nil || got.AccessKeyID != "AKID" || got.SecretAccessKey != "hush" || got.SessionToken != "session" || got.Expires.Year() != 2099 {
					t.Fatalf("%+v, %v", got, err)
				}
				return
			}
			told, ok := errors.AsType[*TokenExchangeError](err)
			if !ok || !strings.Contains(err.Error(), c.want) || told.HTTPStatusCode() != c.status || len(told.Text) > maxTokenExchange+3 {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "hush") {
				t.Error("a secret is told")
			}
		})
	}
}

// The token for the service is the one that the environment, or its file, has now.
func TestTokenForTheService(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	var got atomic.Value
	below := exchange(t, func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, good)
	})
	path := ""
	getenv := func(name string) string {
		if name == EnvCredentialsFile {
			return path
		}
		return below(name)
	}
	for _, c := range []struct{ path, text, want, problem string }{
		{"", "", "token", ""},
		{file, "first\n", "first", ""},
		{file, "renewed", "renewed", ""},
		{file, "", "", "has no token"},
		{file, "two\nlines", "", "has no token"},
		{file, strings.Repeat("x", maxToken+1), "", "has no token"},
		{file + ".gone", "", "", "no such file"},
		{dir, "", "", "is a directory"},
	} {
		must.OK(t, os.WriteFile(file, []byte(c.text), 0o600))
		path = c.path
		_, err := retrieve(t, getenv)
		if c.problem == "" && (err != nil || got.Load() != c.want) {
			t.Errorf("%+v: %v, %v", c, got.Load(), err)
		}
		if kind := Kind(0); c.problem != "" {
			if kind, _ = Classify(err); kind != NoCredentials || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%+v: kind %d, %v", c, kind, err)
			}
		}
	}
}

// A service that does not answer costs the timeout, and no more.
func TestCredentialsThatDoNotCome(t *testing.T) {
	hang := make(chan struct{})
	getenv := exchange(t, func(http.ResponseWriter, *http.Request) { <-hang })
	t.Cleanup(func() { close(hang) }) // before the server waits for its handlers
	a, err := New(Settings{Timeout: 50 * time.Millisecond, Getenv: getenv})
	must.OK(t, err)
	if c, err := a.Config.Credentials.Retrieve(t.Context()); err == nil {
		t.Errorf("%+v", c)
	}
}

func TestWhatNewNeeds(t *testing.T) {
	whole := map[string]string{EnvCredentialsURL: "http://localhost:1", EnvRegion: "eu-west-1"}
	for missing, want := range map[string]string{EnvCredentialsURL: "TokenExchangeService", EnvRegion: "region: neither"} {
		_, err := New(Settings{Getenv: func(name string) string {
			if name == missing {
				return ""
			}
			return whole[name]
		}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}

// Credentials that a service refuses are asked for again, though not at each denial.
func TestDenied(t *testing.T) {
	var asked atomic.Int32
	getenv := exchange(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, good)
	})
	now := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	a, err := New(Settings{Timeout: 5 * time.Second, Getenv: getenv, Now: func() time.Time { return now }})
	must.OK(t, err)
	defer a.Close()
	use := func(code string) int32 {
		if code != "" {
			a.Denied(fmt.Errorf("publish: %w", &smithy.GenericAPIError{Code: code}))
		}
		if _, err := a.Config.Credentials.Retrieve(t.Context()); err != nil {
			t.Fatal(err)
		}
		return asked.Load()
	}
	for i, step := range []struct {
		code  string
		after time.Duration
		asked int32
	}{
		{"", 0, 1}, {"", 0, 1}, {"ExpiredToken", 0, 2}, {"ExpiredToken", time.Second, 2}, {"InvalidClientTokenId", 5 * time.Second, 3},
		{"NotFound", time.Minute, 3}, {"ForbiddenException", 0, 4}, {"Throttling", time.Minute, 4},
	} {
		now = now.Add(step.after)
		if got := use(step.code); got != step.asked {
			t.Errorf("step %d, %s: asked %d times, want %d", i, step.code, got, step.asked)
		}
	}
	if a.Denied(errors.New("no answer")) || (*Access)(nil).Denied(&smithy.GenericAPIError{Code: "ExpiredToken"}) {
		t.Error("dropped")
	}
}

// get asks a server that has the roots in a file of the nucleus, and one in a file of the configuration, for its protocol.
func get(t *testing.T, url, roots, caFile string) (string, error) {
	t.Helper()
	vars := map[string]string{EnvCredentialsURL: "http://localhost:1", EnvRegion: "eu-west-1", EnvRootCA: roots}
	a, err := New(Settings{Timeout: 5 * time.Second, CAFile: caFile, Getenv: func(name string) string { return vars[name] }})
	if err != nil {
		return "", err
	}
	defer a.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must.OK(t, err)
	answer, err := a.Config.HTTPClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

// The nucleus's root certificates are trusted without a word in the configuration, and so are those of the configuration;
// a missing file of the nucleus is no reason to stop. A connection over which no answer comes is not used again,
// whatever the server can do: HTTP/2 is not used.
func TestTrust(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = fmt.Fprint(w, "HTTP/", q.ProtoMajor)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	roots, empty := filepath.Join(t.TempDir(), "rootCA.pem"), filepath.Join(t.TempDir(), "empty.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	must.OK(t, os.WriteFile(roots, append(block, block...), 0o600))
	must.OK(t, os.WriteFile(empty, nil, 0o600))
	for _, c := range []struct{ roots, caFile, problem string }{
		{roots, "", ""}, {"", roots, ""}, {roots, roots, ""}, {roots + ".gone", roots, ""}, {empty, roots, ""},
		{"", "", "certificate"}, {roots + ".gone", "", "GG_ROOT_CA_PATH: open"}, {empty, "", "GG_ROOT_CA_PATH: "},
		{roots, empty, "endpoints.caFile"}, {roots, roots + ".gone", "endpoints.caFile"},
	} {
		got, err := get(t, server.URL, c.roots, c.caFile)
		switch {
		case c.problem == "" && (err != nil || got != "HTTP/1"):
			t.Errorf("%+v: %q, %v", c, got, err)
		case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// endless writes until the other side has had enough.
func endless(w http.ResponseWriter) (written int64) {
	chunk := make([]byte, 32<<10)
	for written < 1<<30 {
		n, err := w.Write(chunk)
		written += int64(n)
		if err != nil {
			break
		}
	}
	return written
}

// An answer without an end is not read into memory, whatever its status.
func TestAnswersAreBounded(t *testing.T) {
	for _, status := range []int{200, 400, 403, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			written := make(chan int64, 1)
			service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				written <- endless(w)
			}))
			defer service.Close()
			a, err := New(Settings{
				Timeout: 5 * time.Second, Whole: 20 * time.Second, MaxBody: 1 << 20,
				Getenv: exchange(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, good) }),
			})
			must.OK(t, err)
			defer a.Close()
			client := iotdataplane.NewFromConfig(a.Config, func(o *iotdataplane.Options) {
				o.BaseEndpoint = aws.String(service.URL)
				o.HTTPClient = OwnAnswers{o.HTTPClient}
			})
			if _, err := client.Publish(t.Context(), &iotdataplane.PublishInput{Topic: aws.String("t")}); err == nil {
				t.Error("taken for an acknowledgement")
			}
			a.Close()
			if n := <-written; n > 64<<20 {
				t.Errorf("%d bytes were read", n)
			}
		})
	}
}

// Only the service's own success is one.
func TestOwnAnswers(t *testing.T) {
	for _, c := range []struct {
		status       int
		header, body string
		own          bool
	}{
		{200, "", `{"message":"OK","traceId":"1-2"}`, true},
		{200, "id", "", true},
		{200, "id", `{"message":"OK"}`, true},
		{200, "", "<html>Log in</html>", false},
		{200, "", "", false},
		{200, "", `{"message":"welcome"}`, false},
		{202, "", "", false},
		{204, "", "", false},
		{202, "id", "", false},
	} {
		service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if c.header != "" {
				w.Header().Set("x-amzn-RequestId", c.header)
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.body)
		}))
		request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, service.URL, nil)
		must.OK(t, err)
		answer, err := OwnAnswers{http.DefaultClient}.Do(request) //nolint:bodyclose // closed below, where there is one
		if (err == nil) != c.own || err != nil && !errors.Is(err, ErrNotTheService) {
			t.Errorf("%+v: %v", c, err)
		}
		if err == nil {
			if body, _ := io.ReadAll(answer.Body); string(body) != c.body {
				t.Errorf("%+v: the body is %q", c, body)
			}
			_ = answer.Body.Close()
		}
		service.Close()
	}
}

func TestText(t *testing.T) {
	err := errors.New("operation error S3: GetObject, https response error StatusCode: 403, RequestID: 17AB, HostID: x/y==, api error AccessDenied: no")
	if got, want := Text(err), "operation error S3: GetObject, https response error StatusCode: 403, api error AccessDenied: no"; got != want {
		t.Errorf("%q", got)
	}
}

func TestCheckEndpoint(t *testing.T) {
	for text, ok := range map[string]bool{"": true, "https://host": true, "http://127.0.0.1:80/": true, "host": false, "ftp://host": false, "https://host/path": false} {
		if err := CheckEndpoint(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
