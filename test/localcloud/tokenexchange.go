package localcloud

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	tokenExchangePath = "/2016-11-01/credentialprovider/"
	// refreshBefore is how long before they expire the nucleus asks the cloud for new credentials.
	refreshBefore = 5 * time.Minute
)

// tokenExchange is the credentials endpoint of a classic nucleus. It is on the device: a cut uplink does not cut it, but
// then it has only the credentials that it got before.
type tokenExchange struct {
	keys     *keyring
	uplink   *uplink
	accept   func(token string) bool
	lifetime time.Duration

	mu      sync.Mutex
	current aws.Credentials
}

func (t *tokenExchange) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet:
		http.Error(w, "Only GET requests are supported", http.StatusMethodNotAllowed)
		return
	case r.URL.Path != tokenExchangePath && r.URL.Path+"/" != tokenExchangePath:
		http.Error(w, "Only the path "+tokenExchangePath+" is supported", http.StatusBadRequest)
		return
	case !t.accept(r.Header.Get("Authorization")):
		http.Error(w, "Authorization failed", http.StatusForbidden)
		return
	}
	c, ok := t.credentials()
	if !ok {
		http.Error(w, "Failed to get connection", http.StatusInternalServerError)
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

// credentials returns what is cached, after a refresh if that is due and possible.
func (t *tokenExchange) credentials() (aws.Credentials, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	left := t.current.Expires.Sub(t.keys.now())
	if left < min(refreshBefore, t.lifetime/2) && t.uplink.isUp() {
		t.current = t.keys.temporary(t.lifetime)
		left = t.lifetime
	}
	return t.current, left > 0
}
