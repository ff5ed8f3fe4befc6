package cloud

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"edgepdm/test/must"
)

// object asks an S3 that gives one answer for an object.
func object(t *testing.T, credentials http.HandlerFunc, endpoint string) error {
	t.Helper()
	a, err := New(Settings{Timeout: 5 * time.Second, Getenv: exchange(t, credentials)})
	must.OK(t, err)
	defer a.Close()
	client := s3.NewFromConfig(a.Config, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = aws.String(endpoint), true })
	answer, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
	if err == nil {
		_ = answer.Body.Close()
	}
	return err
}

func gives(status int, header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if name, value, ok := strings.Cut(header, ": "); ok {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// One judgement of what an error means, and a text that stays the same while the cause does.
func TestClassify(t *testing.T) {
	const page, xml = "<html>Log in</html>", "<Error><Code>%s</Code><Message>%s</Message><RequestId>17AB</RequestId></Error>"
	for _, c := range []struct {
		name        string
		credentials http.HandlerFunc
		service     http.HandlerFunc // nil = none listens
		kind        Kind
		text        string
	}{
		{"page for success", gives(200, "", good), gives(200, "ETag: 1", page), NotTheService, "not the service's own answer"},
		{"page for nothing there", gives(200, "", good), gives(404, "", page), NotTheService, "not the service's own answer"},
		{"page for a refusal", gives(200, "", good), gives(403, "", page), NotTheService, "not the service's own answer"},
		{"page of XHTML", gives(200, "", good), gives(503, "Content-Type: application/xhtml+xml; charset=utf-8", page), NotTheService, "not the service's own answer"},
		{"an object that is a page", gives(200, "", good), gives(200, "x-amz-request-id: 1", page), 0, ""},
		{"redirect", gives(200, "", good), gives(302, "Location: http://127.0.0.1:1/", ""), NotTheService, "302"},
		{"proxy's password", gives(200, "", good), gives(407, "", ""), NotTheService, "407"},
		{"denied", gives(200, "", good), gives(403, "", fmt.Sprintf(xml, "AccessDenied", "no")), Refused, "AccessDenied: no"},
		{"clock", gives(200, "", good), gives(403, "", fmt.Sprintf(xml, "SignatureDoesNotMatch", "20261128T040000Z is later than 20261128T030000Z")), Refused, "SignatureDoesNotMatch: <time> is later than <time>"},
		{"throttled", gives(200, "", good), gives(503, "", fmt.Sprintf(xml, "SlowDown", "slowly")), Throttled, "SlowDown: slowly"},
		{"throttled by name", gives(200, "", good), gives(400, "", fmt.Sprintf(xml, "ThrottlingException", "slowly")), Throttled, "Throttling"},
		{"fails", gives(200, "", good), gives(500, "", fmt.Sprintf(xml, "InternalError", "oh")), Busy, "InternalError: oh"},
		{"fails without a word", gives(200, "", good), gives(500, "", ""), Busy, "InternalServerError"},
		{"nobody", gives(200, "", good), nil, Unreachable, "connection refused"},
		{"cut", gives(200, "", good), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Cut, "EOF"},
		{"lite's null", gives(200, "", "null"), nil, NoCredentials, "no credentials"},
		{"no role", gives(403, "", "Access Denied"), nil, NoCredentials, "403 Access Denied"},
		{"classic without a network", gives(500, "", "Failed to get connection"), nil, Unreachable, "500 Failed to get connection"},
	} {
		t.Run(c.name, func(t *testing.T) {
			endpoint := "http://127.0.0.1:1"
			if c.service != nil {
				server := httptest.NewServer(c.service)
				defer server.Close()
				endpoint = server.URL
			}
			err := object(t, c.credentials, endpoint)
			if (err == nil) != (c.kind == 0) {
				t.Fatal(err)
			}
			if err == nil {
				return
			}
			if kind, text := Classify(err); kind != c.kind || !strings.Contains(text, c.text) || strings.Contains(text, "17AB") {
				t.Errorf("kind %d, %q, of %v", kind, text, err)
			}
		})
	}
}

// Nobody who gives credentials is no network that is away.
func TestClassifyWithoutTokenExchange(t *testing.T) {
	vars := map[string]string{EnvCredentialsURL: "http://127.0.0.1:1", EnvRegion: "eu-west-1"}
	a, err := New(Settings{Timeout: 5 * time.Second, Getenv: func(name string) string { return vars[name] }})
	must.OK(t, err)
	_, err = a.Config.Credentials.Retrieve(t.Context())
	if kind, text := Classify(err); kind != NoCredentials || !strings.HasPrefix(text, "token exchange service: ") || !strings.Contains(text, "refused") {
		t.Errorf("kind %d, %q", kind, text)
	}
}

// A connection's own port differs each time.
func TestTextOfConnections(t *testing.T) {
	for _, port := range []string{"41234", "59876"} {
		if got := Text(errors.New("read tcp 10.0.0.7:" + port + "->1.2.3.4:443: connection reset by peer")); got != "read tcp 1.2.3.4:443: connection reset by peer" {
			t.Errorf("%q", got)
		}
	}
}
