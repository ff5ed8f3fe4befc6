package forwarder

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"edgepdm/shared/cloud"
)

// answers is access to a server that gives one answer.
func answers(t *testing.T, status int, header http.Header, body string) *cloud.Access {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name := range header {
			w.Header().Set(name, header.Get(name))
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	access, err := cloud.New(cloud.Settings{
		Region: "us-east-1", Timeout: 5 * time.Second, Getenv: func(name string) string {
			return map[string]string{cloud.EnvCredentialsURL: "http://127.0.0.1:1"}[name]
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(access.Close)
	access.Config.BaseEndpoint, access.Config.Credentials = &server.URL, credentials.NewStaticCredentialsProvider("key", "secret", "")
	return access
}

// F7: poison is what a service refuses because of the message. What may pass, with other rights, keys, topics, clocks,
// proxies or in another hour, is not; and what does not pass by itself is told to the operator.
func TestWhatIsPoison(t *testing.T) {
	payload, err := json.Marshal(raised())
	if err != nil {
		t.Fatal(err)
	}
	m := message{topic: "pdm/v1/alert/press-1", payload: payload}
	for _, c := range []struct {
		service       string
		status        int
		code, message string
		poison        bool
		refused       string // what the operator is told at once; "" = that it may pass
	}{
		{"sns", 400, "InvalidParameter", "Invalid parameter: Message too long", true, "InvalidParameter"},
		{"sns", 400, "InvalidParameter", "Invalid parameter: Subject", true, "InvalidParameter"},
		{"sns", 400, "ParameterValueInvalid", "x", true, "ParameterValueInvalid"},
		{"sns", 400, "InvalidParameter", "Invalid parameter: TopicArn", false, "TopicArn"}, // of another region
		{"sns", 404, "NotFound", "Topic does not exist", false, "NotFound: Topic does not exist"},
		{"sns", 403, "AuthorizationError", "not authorized to perform: SNS:Publish", false, "AuthorizationError"},
		{"sns", 400, "KMSAccessDenied", "x", false, "KMSAccessDenied"},
		{"sns", 400, "KMSDisabled", "x", false, "KMSDisabled"},
		{"sns", 400, "KMSThrottling", "x", false, ""},
		{"sns", 400, "Throttling", "Rate exceeded", false, ""},
		{"sns", 403, "ExpiredToken", "x", false, "ExpiredToken"},
		{"sns", 403, "SignatureDoesNotMatch", "x", false, "SignatureDoesNotMatch"},
		{"sns", 400, "IncompleteSignature", "x", false, "IncompleteSignature"},
		{"sns", 500, "InternalFailure", "x", false, ""},
		{"sns", 503, "ServiceUnavailable", "x", false, ""},
		{"iot", 400, "InvalidRequestException", "x", true, "InvalidRequestException"},
		{"iot", 413, "RequestEntityTooLargeException", "x", true, "RequestEntityTooLargeException"},
		{"iot", 403, "ForbiddenException", "x", false, "ForbiddenException"},
		{"iot", 401, "UnauthorizedException", "x", false, "UnauthorizedException"},
		{"iot", 429, "ThrottlingException", "x", false, ""},
		{"iot", 500, "InternalFailureException", "x", false, ""},
		// A proxy on the way, which is not AWS.
		{"iot", 400, "", "<html>Bad Request</html>", false, "not the service"},
		{"iot", 413, "", "<html>Too large</html>", false, "not the service"},
		{"iot", 502, "", "<html>Bad gateway</html>", false, "not the service"},
		{"sns", 400, "", "<html>Bad Request</html>", false, "not the service"},
		{"sns", 200, "", "<html>Log in</html>", false, "not the service"},
		{"iot", 200, "", "<html>Log in</html>", false, "not the service"},
		{"sns", 200, "", "hello", false, "not the service"},
		{"sns", 200, "", "", false, "not the service"},
		{"sns", 200, "", "<PublishResponse><PublishResult></PublishResult></PublishResponse>", false, "not the service"},
		{"iot", 200, "", "", false, "not the service"},
		{"sns", 302, "", "<html>Log in</html>", false, "not the service"},
		{"iot", 302, "", "", false, "302"},
		{"iot", 407, "", "", false, "407"},
		{"iot", 403, "", "no", false, "the answer is 403"},
	} {
		t.Run(fmt.Sprintf("%s %d %s", c.service, c.status, c.code), func(t *testing.T) {
			header := http.Header{}
			body := c.message
			var to sink
			switch {
			case c.service == "iot" && c.code != "":
				header.Set("X-Amzn-ErrorType", c.code)
				body = `{"message":"` + c.message + `"}`
			case c.code != "":
				body = "<ErrorResponse><Error><Code>" + c.code + "</Code><Message>" + c.message + "</Message></Error></ErrorResponse>"
			}
			access := answers(t, c.status, header, body)
			publisher, err := newPublisher(access, *access.Config.BaseEndpoint)
			if err != nil {
				t.Fatal(err)
			}
			if to = (&iotDataSink{publisher: publisher, prefix: "p"}); c.service == "sns" {
				to = &snsSink{topics: []snsTopic{{"arn:aws:sns:us-east-1:123456789012:alerts", sns.NewFromConfig(access.Config)}}, status: punctual}
			}
			err = to.send(t.Context(), m)
			if err == nil || errors.Is(err, errPoison) != c.poison {
				t.Errorf("poison is %v, want %v: %v", errors.Is(err, errPoison), c.poison, err)
			}
			kind, why := judge(err)
			if (kind == cloud.Busy || kind == cloud.Throttled) != (c.refused == "") || !strings.Contains(why, c.refused) {
				t.Errorf("kind %d, and the operator is told %q, want %q", kind, why, c.refused)
			}
			if up, known := reached(to, err); up == (kind == cloud.NotTheService) || !known {
				t.Errorf("uplink %v %v", up, known)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "86400": time.Hour, "soon": 0,
		"Mon, 23 Nov 2026 10:00:30 GMT": 30 * time.Second, "Mon, 23 Nov 2026 09:00:00 GMT": 0, "Wed, 25 Nov 2026 10:00:00 GMT": time.Hour,
	} {
		header := http.Header{"Retry-After": {value}, "Date": {"Mon, 23 Nov 2026 10:00:00 GMT"}}
		access := answers(t, http.StatusServiceUnavailable, header, "")
		_, err := sns.NewFromConfig(access.Config).Publish(t.Context(), &sns.PublishInput{Message: aws.String("x")})
		if got := retryAfter(err); got != want || err == nil {
			t.Errorf("%q is %v, want %v", value, got, want)
		}
	}
	if retryAfter(errors.New("x")) != 0 {
		t.Error("an error without an answer has a time")
	}
}
