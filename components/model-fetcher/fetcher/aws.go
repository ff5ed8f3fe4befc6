package fetcher

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Environment variables that a nucleus sets where the token exchange service runs.
const (
	envCredentialsURL   = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	envCredentialsToken = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
	envRegion           = "AWS_REGION"
)

// newStore prepares access to S3 with the credentials of the token exchange service. It does not use the network.
func newStore(c Config, getenv func(string) string) (client *s3.Client, release func(), err error) {
	region := c.Region
	if region == "" {
		region = getenv(envRegion)
	}
	if region == "" {
		return nil, nil, fmt.Errorf("region: neither the configuration nor %s names one", envRegion)
	}
	url := getenv(envCredentialsURL)
	if url == "" {
		return nil, nil, fmt.Errorf("%s is not set: deploy aws.greengrass.TokenExchangeService, which gives AWS credentials", envCredentialsURL)
	}
	transport, err := newTransport(c.Endpoints.CAFile, c.Timeout)
	if err != nil {
		return nil, nil, fmt.Errorf("endpoints.caFile: %w", err)
	}
	once := aws.NopRetryer{} // the poll repeats
	provider := endpointcreds.New(url, func(o *endpointcreds.Options) {
		o.AuthorizationToken = getenv(envCredentialsToken)
		o.HTTPClient = &http.Client{Transport: transport, Timeout: c.Timeout}
		o.Retryer = once
	})
	config := aws.Config{
		Region: region, Credentials: aws.NewCredentialsCache(provider), Retryer: func() aws.Retryer { return once },
		HTTPClient: &http.Client{ // no time limit: a download takes as long as it takes
			Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired, // the manifest's hash vouches for every byte
	}
	return s3.NewFromConfig(config, func(o *s3.Options) { UseEndpoint(o, c.Endpoints.S3) }), transport.CloseIdleConnections, nil
}

// UseEndpoint sends requests to another service than AWS, which need not know buckets by host name.
func UseEndpoint(o *s3.Options, endpoint string) {
	if endpoint != "" {
		o.BaseEndpoint = aws.String(endpoint)
		o.UsePathStyle = true
	}
}

// newTransport makes HTTP connections that trust the authorities of caFile besides the system's. A server that keeps a
// request's sender waiting for longer than the timeout is given up.
func newTransport(caFile string, timeout time.Duration) (*http.Transport, error) {
	transport := awshttp.NewBuildableClient().GetTransport()
	transport.ResponseHeaderTimeout = timeout
	transport.TLSHandshakeTimeout = timeout
	transport.DialContext = (&net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second}).DialContext
	return transport, TrustAlso(transport, caFile)
}

// TrustAlso makes connections trust the authorities of a PEM file besides those that they trust already.
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
