package forwarder

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/encoding/httpbinding"
)

// signer signs requests with AWS's Signature Version 4. The key of a day is kept.
type signer struct {
	region, service string

	mu     sync.Mutex
	day    string
	secret string // that key is of
	key    []byte
}

// sign signs a request that has an escaped path, a body that is not empty and a Content-Type.
func (s *signer) sign(request *http.Request, body []byte, c aws.Credentials, at time.Time) {
	at = at.UTC()
	date := at.Format("20060102T150405Z")
	day := date[:8]
	scope := day + "/" + s.region + "/" + s.service + "/aws4_request"
	names, token := "content-length;content-type;host;x-amz-date", ""
	request.Header["X-Amz-Date"] = []string{date}
	if c.SessionToken != "" {
		request.Header["X-Amz-Security-Token"] = []string{c.SessionToken}
		names, token = names+";x-amz-security-token", "x-amz-security-token:"+c.SessionToken+"\n"
	}
	canonical := sha256.Sum256([]byte(strings.Join([]string{
		request.Method, httpbinding.EscapePath(request.URL.EscapedPath(), false), request.URL.RawQuery,
		"content-length:" + strconv.FormatInt(request.ContentLength, 10), "content-type:" + request.Header.Get("Content-Type"),
		"host:" + request.Host, "x-amz-date:" + date, token, names, hash(body),
	}, "\n")))
	signature := mac(s.keyOf(day, c.SecretAccessKey), "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+hex.EncodeToString(canonical[:]))
	request.Header["Authorization"] = []string{
		"AWS4-HMAC-SHA256 Credential=" + c.AccessKeyID + "/" + scope + ", SignedHeaders=" + names + ", Signature=" + hex.EncodeToString(signature),
	}
}

// keyOf returns the key of a day.
func (s *signer) keyOf(day, secret string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.day != day || s.secret != secret {
		s.day, s.secret = day, secret
		s.key = mac(mac(mac(mac([]byte("AWS4"+secret), day), s.region), s.service), "aws4_request")
	}
	return s.key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
