package localcloud

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// maxSkew is how far a client's clock may be from the cloud's: 5 minutes for most services, 15 for S3.
const (
	maxSkew   = 5 * time.Minute
	maxSkewS3 = 15 * time.Minute
)

// denial is why a request is not authenticated.
type denial int

const (
	granted denial = iota
	unsigned
	unknownKey
	expiredToken
	wrongSignature
	clockSkewed
	wrongPayload
)

// keyring knows the credentials that the cloud gave out.
type keyring struct {
	now    func() time.Time
	signer *v4.Signer

	mu   sync.Mutex
	keys map[string]aws.Credentials // by access key id
}

func newKeyring(now func() time.Time) *keyring {
	return &keyring{now: now, signer: v4.NewSigner(), keys: make(map[string]aws.Credentials)}
}

// permanent returns credentials like those of a user.
func (k *keyring) permanent() aws.Credentials {
	return k.add(aws.Credentials{AccessKeyID: "AKIA" + rand.Text()[:16], SecretAccessKey: rand.Text() + rand.Text()})
}

// temporary returns credentials like those of a role. Those that expired an hour ago are forgotten.
func (k *keyring) temporary(lifetime time.Duration) aws.Credentials {
	return k.add(aws.Credentials{
		AccessKeyID: "ASIA" + rand.Text()[:16], SecretAccessKey: rand.Text() + rand.Text(),
		SessionToken: rand.Text() + rand.Text() + rand.Text(),
		CanExpire:    true, Expires: k.now().Add(lifetime).UTC().Truncate(time.Second),
	})
}

func (k *keyring) add(c aws.Credentials) aws.Credentials {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, old := range k.keys {
		if old.CanExpire && k.now().Sub(old.Expires) > time.Hour {
			delete(k.keys, id)
		}
	}
	k.keys[c.AccessKeyID] = c
	return c
}

// verify checks a request's Signature Version 4 by signing the request again.
func (k *keyring) verify(r *http.Request, service string, body []byte) denial {
	header, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return unsigned
	}
	fields := make(map[string]string)
	for field := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/") // key, date, region, service, aws4_request
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || len(scope) != 5 {
		return unsigned
	}
	k.mu.Lock()
	key, ok := k.keys[scope[0]]
	k.mu.Unlock()
	skew, allowed := k.now().Sub(at).Abs(), maxSkew
	if service == serviceS3 {
		allowed = maxSkewS3
	}
	switch {
	case !ok, r.Header.Get("X-Amz-Security-Token") != key.SessionToken:
		return unknownKey
	case key.CanExpire && !k.now().Before(key.Expires):
		return expiredToken
	case skew > allowed:
		return clockSkewed
	case scope[3] != service:
		return wrongSignature
	}
	sum := sha256.Sum256(body)
	payload := hex.EncodeToString(sum[:])
	if service == serviceS3 {
		switch claimed := r.Header.Get("X-Amz-Content-Sha256"); {
		case claimed == "UNSIGNED-PAYLOAD", strings.HasPrefix(claimed, "STREAMING-"):
			payload = claimed
		case claimed != payload:
			return wrongPayload
		}
	}
	want, err := k.sign(r, service, scope[2], payload, key, at, strings.Split(fields["SignedHeaders"], ";"))
	if err != nil || subtle.ConstantTimeCompare([]byte(want), []byte(fields["Signature"])) != 1 {
		return wrongSignature
	}
	return granted
}

// sign returns the signature that r should have with only the given headers signed.
func (k *keyring) sign(r *http.Request, service, region, payload string, key aws.Credentials, at time.Time, signed []string) (string, error) {
	again := &http.Request{
		Method: r.Method, Host: r.Host, Header: make(http.Header),
		URL: &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
	}
	for _, name := range signed {
		if values := r.Header.Values(name); len(values) > 0 {
			again.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
		}
	}
	if slices.Contains(signed, "content-length") {
		length, err := strconv.ParseInt(r.Header.Get("Content-Length"), 10, 64)
		if err != nil {
			return "", fmt.Errorf("read content length: %w", err)
		}
		again.ContentLength = length
	}
	err := k.signer.SignHTTP(context.Background(), key, again, payload, service, region, at, func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = service == serviceS3
	})
	if err != nil {
		return "", fmt.Errorf("sign request: %w", err)
	}
	_, signature, _ := strings.Cut(again.Header.Get("Authorization"), "Signature=")
	return signature, nil
}

// newID returns a random UUID.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
