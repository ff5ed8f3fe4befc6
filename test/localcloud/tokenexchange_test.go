package localcloud

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"

	"edgepdm/test/must"
)

func TestTokenExchangeWithSDK(t *testing.T) {
	c := startCloud(t, Options{AcceptToken: func(token string) bool { return token == "component-token" }})
	e := c.Endpoints()
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", e.TokenExchange)
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "component-token")
	t.Setenv("AWS_CA_BUNDLE", e.CAFile)
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	cfg, err := config.LoadDefaultConfig(testContext(t), config.WithRegion(e.Region),
		config.WithSharedConfigFiles(nil), config.WithSharedCredentialsFiles(nil))
	must.OK(t, err)
	got, err := cfg.Credentials.Retrieve(testContext(t))
	must.OK(t, err)
	if left := time.Until(got.Expires); got.AccessKeyID[:4] != "ASIA" || got.SessionToken == "" || left > time.Hour || left < 50*time.Minute {
		t.Errorf("credentials %s, token %q, valid for %s", got.AccessKeyID, got.SessionToken, left)
	}
	d := clientsOf(e, cfg, nil)
	if _, err := d.iot.Publish(testContext(t), &iotdataplane.PublishInput{Topic: aws.String("a/b"), Qos: 1}); err != nil {
		t.Errorf("use of the credentials: %v", err)
	}
	cfg.HTTPClient.(*awshttp.BuildableClient).GetTransport().CloseIdleConnections()
}

func TestTokenExchange(t *testing.T) {
	now := &clock{now: time.Now()}
	c := startCloud(t, Options{Now: now.Now, CredentialLifetime: time.Hour})
	url := c.Endpoints().TokenExchange
	get := func(method, url, token string) (status int, key string) {
		t.Helper()
		q, err := http.NewRequestWithContext(testContext(t), method, url, nil)
		must.OK(t, err)
		q.Header.Set("Authorization", token)
		return fetch(t, q)
	}
	for _, tc := range []struct {
		name, method, url, token string
		status                   int
	}{
		{"right", "GET", url, "any", 200},
		{"no token", "GET", url, "", 403},
		{"not GET", "POST", url, "any", 405},
		{"wrong path", "GET", url + "role", "any", 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if status, _ := get(tc.method, tc.url, tc.token); status != tc.status {
				t.Errorf("status %d, want %d", status, tc.status)
			}
		})
	}
	_, first := get("GET", url, "any")
	now.advance(50 * time.Minute)
	if _, again := get("GET", url, "any"); again != first {
		t.Error("credentials that are still good were not kept")
	}
	c.SetUplink(false)
	now.advance(6 * time.Minute)
	if _, again := get("GET", url, "any"); again != first {
		t.Error("without the uplink, what was kept must do")
	}
	now.advance(5 * time.Minute)
	if status, _ := get("GET", url, "any"); status != 500 {
		t.Errorf("expired and without the uplink: status %d, want 500", status)
	}
	c.SetUplink(true)
	if status, fresh := get("GET", url, "any"); status != 200 || fresh == first {
		t.Errorf("with the uplink back: status %d, the same credentials %t", status, fresh == first)
	}
}

// TestTokenExchangeAnswers: without credentials each nucleus answers in its own way. The SDK's own client does not survive
// nucleus lite's.
func TestTokenExchangeAnswers(t *testing.T) {
	const token = "AAAAAAAAAAAAAAAA"
	known := func(s string) bool { return s == token }
	for _, c := range []struct {
		name    string
		lite    bool
		refusal int
		method  string
		path    string
		token   string
		status  int
		body    string // "": none; "*": anything
	}{
		{"classic", false, 0, "GET", "", token, 200, "*"},
		{"classic, not GET", false, 0, "POST", "", token, 405, ""},
		{"classic, wrong path", false, 0, "GET", "x", token, 400, ""},
		{"classic, unknown token", false, 0, "GET", "", "BBBBBBBBBBBBBBBB", 403, ""},
		{"classic, no token", false, 0, "GET", "", "", 403, ""},
		{"classic, no role alias", false, 403, "GET", "", token, 403, "TES responded with status code: 403. Caching response. "},
		{"classic, no connection", false, 500, "GET", "", token, 500, "Failed to get connection"},
		{"classic, too late", false, 504, "GET", "", token, 504, ""},
		{"lite", true, 0, "GET", "", token, 200, "*"},
		{"lite, not GET", true, 0, "POST", "", token, 200, "*"},
		{"lite, wrong path", true, 0, "GET", "x", token, 400, "Only /2016-11-01/credentialprovider/ uri is supported."},
		{"lite, no token", true, 0, "GET", "", "", 400, "Authorization header is needed to process the request."},
		{"lite, a short token", true, 0, "GET", "", "A", 400, "SVCUID length must be exactly 16."},
		{"lite, unknown token", true, 0, "GET", "", "BBBBBBBBBBBBBBBB", 404, "No such svcuid present."},
		{"lite, no role alias", true, 403, "GET", "", token, 200, "null"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cloud := startCloud(t, Options{AcceptToken: known, Lite: c.lite})
			cloud.RefuseCredentials(c.refusal)
			q, err := http.NewRequestWithContext(testContext(t), c.method, cloud.Endpoints().TokenExchange+c.path, nil)
			must.OK(t, err)
			if c.token != "" {
				q.Header.Set("Authorization", c.token)
			}
			status, body := fetchText(t, q)
			if status != c.status || c.body != "*" && body != c.body || c.body == "*" && !strings.Contains(body, `"AccessKeyId":"ASIA`) {
				t.Errorf("%d %q, want %d %q", status, body, c.status, c.body)
			}
		})
	}
}

// TestTokenExchangeLiteOffline: without an uplink nucleus lite answers null, and credentials when it is back.
func TestTokenExchangeLiteOffline(t *testing.T) {
	cloud := startCloud(t, Options{Lite: true})
	ask := func(want string) {
		t.Helper()
		q, err := http.NewRequestWithContext(testContext(t), http.MethodGet, cloud.Endpoints().TokenExchange, nil)
		must.OK(t, err)
		q.Header.Set("Authorization", "AAAAAAAAAAAAAAAA")
		if status, body := fetchText(t, q); status != 200 || !strings.HasPrefix(body, want) {
			t.Errorf("%d %q, want 200 %q", status, body, want)
		}
	}
	cloud.SetUplink(false)
	ask("null")
	cloud.SetUplink(true)
	ask(`{"AccessKeyId":"ASIA`)
}
