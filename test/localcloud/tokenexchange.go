package localcloud

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	tokenExchangePath = "/2016-11-01/credentialprovider/"
	// refreshBefore is how long before they expire the nucleus asks the cloud for new credentials.
	refreshBefore = 5 * time.Minute
	// liteTokenLength is of nucleus lite's tokens, in characters.
	liteTokenLength = 16
)

// tokenExchange is the credentials endpoint of a nucleus. It is on the device: a cut uplink does not cut it, but then it
// has only the credentials that it got before.
type tokenExchange struct {
	lite     bool // it answers as nucleus lite's tes-serverd does
	keys     *keyring
	uplink   *uplink
	accept   func(token string) bool
	lifetime time.Duration

	mu      sync.Mutex
	current aws.Credentials
	refusal int // the status with which the cloud answers the nucleus; 0: with credentials
}

// RefuseCredentials lets the cloud refuse the nucleus credentials with a status, such as 403 without a role alias, until
// it is called with 0. What the nucleus has is forgotten. A classic nucleus passes the status on; 504 is its own answer
// when the cloud takes too long. Nucleus lite answers 200 with the body null, as it does without an uplink.
func (c *Cloud) RefuseCredentials(status int) {
	t := c.tokens
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refusal = status
	t.current = aws.Credentials{}
}

func (t *tokenExchange) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	check := t.checkClassic
	if t.lite {
		check = t.checkLite
	}
	if status, text := check(r); status != http.StatusOK {
		answer(w, status, text)
		return
	}
	c, status := t.credentials()
	switch {
	case status == http.StatusOK:
	case t.lite:
		answer(w, http.StatusOK, "null")
		return
	case status == http.StatusInternalServerError:
		answer(w, status, "Failed to get connection")
		return
	case status == http.StatusGatewayTimeout:
		answer(w, status, "")
		return
	default:
		answer(w, status, fmt.Sprintf("TES responded with status code: %d. Caching response. ", status))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	//nolint:errcheck // a client that has gone away asks again
	json.NewEncoder(w).Encode(struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Expiration      time.Time
		Token           string
	}{c.AccessKeyID, c.SecretAccessKey, c.Expires, c.SessionToken})
}

// answer sends a text as it is.
func answer(w http.ResponseWriter, status int, text string) {
	w.WriteHeader(status)
	//nolint:errcheck // a client that has gone away asks again
	io.WriteString(w, text)
}

// checkClassic refuses as CredentialRequestHandler.java does: without a word.
func (t *tokenExchange) checkClassic(r *http.Request) (status int, text string) {
	switch {
	case r.Method != http.MethodGet:
		return http.StatusMethodNotAllowed, ""
	case r.URL.Path != tokenExchangePath:
		return http.StatusBadRequest, ""
	case !t.accept(r.Header.Get("Authorization")):
		return http.StatusForbidden, ""
	}
	return http.StatusOK, ""
}

// checkLite refuses as http_server.c does; any method will do.
func (t *tokenExchange) checkLite(r *http.Request) (status int, text string) {
	token := r.Header.Get("Authorization")
	switch {
	case r.URL.Path != tokenExchangePath:
		return http.StatusBadRequest, "Only " + tokenExchangePath + " uri is supported."
	case r.Header["Authorization"] == nil:
		return http.StatusBadRequest, "Authorization header is needed to process the request."
	case len(token) != liteTokenLength:
		return http.StatusBadRequest, "SVCUID length must be exactly 16."
	case !t.accept(token):
		return http.StatusNotFound, "No such svcuid present."
	}
	return http.StatusOK, ""
}

// credentials returns what is cached, after a refresh if that is due and possible; or the status that tells why not.
func (t *tokenExchange) credentials() (aws.Credentials, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refusal != 0 {
		return aws.Credentials{}, t.refusal
	}
	left := t.current.Expires.Sub(t.keys.now())
	if left < min(refreshBefore, t.lifetime/2) && t.uplink.isUp() {
		t.current = t.keys.temporary(t.lifetime)
		left = t.lifetime
	}
	if left <= 0 {
		return aws.Credentials{}, http.StatusInternalServerError
	}
	return t.current, http.StatusOK
}
