package cloud

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

// TrustAlso makes connections trust the authorities of a PEM file besides those that they trust already; "" adds none.
func TrustAlso(transport *http.Transport, caFile string) error {
	if caFile == "" {
		return nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if transport.TLSClientConfig != nil {
		trust = transport.TLSClientConfig.Clone()
	}
	pool := x509.NewCertPool()
	if trust.RootCAs != nil {
		pool = trust.RootCAs.Clone()
	} else if system, err := x509.SystemCertPool(); err == nil {
		pool = system
	}
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s has no certificate", caFile)
	}
	trust.RootCAs = pool
	transport.TLSClientConfig = trust
	return nil
}

// bounded ends answers that are too long with an error: the SDK reads those that are no success into memory as a whole.
// A page for people that something on the way answers is an error, which wraps ErrNotTheService.
type bounded struct {
	*http.Transport
	maxBody int64 // of a success; 0 = no limit
	rootCAs error // why fewer authorities are trusted than should be
}

// Do is RoundTrip: as an http.Client, and no redirect is followed.
func (b *bounded) Do(request *http.Request) (*http.Response, error) { return b.RoundTrip(request) }

func (b *bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := b.Transport.RoundTrip(request)
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted && b.rootCAs != nil {
		return nil, fmt.Errorf("%w (%w)", err, b.rootCAs)
	}
	if err != nil {
		return nil, err
	}
	if foreign(answer) {
		_ = answer.Body.Close()
		return nil, fmt.Errorf("%w: %d with %.40q", ErrNotTheService, answer.StatusCode, answer.Header.Get("Content-Type"))
	}
	limit := b.maxBody
	if answer.StatusCode >= http.StatusMultipleChoices {
		limit = maxErrorBody
	}
	if limit > 0 {
		answer.Body = &boundedBody{answer.Body, limit, limit}
	}
	return answer, nil
}

type boundedBody struct {
	io.ReadCloser
	left, limit int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		if n, err := b.ReadCloser.Read(make([]byte, 1)); n == 0 {
			return 0, err
		}
		return 0, fmt.Errorf("the answer has more than %d bytes", b.limit)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
