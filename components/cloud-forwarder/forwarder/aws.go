package forwarder

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"edgepdm/shared/ipc"
)

// Environment variables that a nucleus sets where the token exchange service runs.
const (
	envCredentialsURL   = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	envCredentialsToken = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
	envRegion           = "AWS_REGION"
)

// nucleusComponent keeps the core's own configuration; nucleus lite answers to this name too.
const nucleusComponent = "aws.greengrass.Nucleus"

// cloud makes AWS clients.
type cloud struct {
	config aws.Config
	ends   Endpoints
	client *http.Client
}

// newCloud prepares access to AWS with the credentials of the token exchange service. It does not use the network.
func newCloud(c Config, getenv func(string) string) (*cloud, error) {
	region := c.Region
	if region == "" {
		region = getenv(envRegion)
	}
	if region == "" {
		return nil, fmt.Errorf("region: neither the configuration nor %s names one", envRegion)
	}
	url := getenv(envCredentialsURL)
	if url == "" {
		return nil, fmt.Errorf("%s is not set: deploy aws.greengrass.TokenExchangeService, which gives AWS credentials", envCredentialsURL)
	}
	client, err := httpClient(c)
	if err != nil {
		return nil, err
	}
	once := aws.NopRetryer{} // the streams repeat
	provider := endpointcreds.New(url, func(o *endpointcreds.Options) {
		o.AuthorizationToken = getenv(envCredentialsToken)
		o.HTTPClient = client
		o.Retryer = once
	})
	return &cloud{ends: c.Endpoints, client: client, config: aws.Config{
		Region: region, HTTPClient: client, Credentials: aws.NewCredentialsCache(provider),
		Retryer: func() aws.Retryer { return once },
	}}, nil
}

// close closes the connections that are kept. A cloud that is nil has none.
func (c *cloud) close() {
	if c != nil {
		c.client.CloseIdleConnections()
	}
}

// httpClient trusts the authorities of caFile besides the system's, and keeps connections for the next message.
func httpClient(c Config) (*http.Client, error) {
	transport := awshttp.NewBuildableClient().GetTransport()
	// An attempt that gets no answer costs its connection. With HTTP/2 all attempts would go on with the connection of an
	// uplink that went away without a word, until TCP gives it up after a quarter of an hour.
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	transport.MaxIdleConnsPerHost = max(transport.MaxIdleConnsPerHost, c.Parallel)
	client := &http.Client{
		Transport: transport, Timeout: c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // no service redirects
	}
	if c.Endpoints.CAFile == "" {
		return client, nil
	}
	pem, err := os.ReadFile(c.Endpoints.CAFile)
	if err != nil {
		return nil, fmt.Errorf("endpoints.caFile: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("endpoints.caFile: %s has no certificate", c.Endpoints.CAFile)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return client, nil
}

// sns makes a client of the topic's own region.
func (c *cloud) sns(topicARN string) *sns.Client {
	return sns.NewFromConfig(c.config, func(o *sns.Options) {
		o.Region = strings.Split(topicARN, ":")[3] // Validate has seen it
		if c.ends.SNS != "" {
			o.BaseEndpoint = aws.String(c.ends.SNS)
		}
	})
}

// iotData makes a client of the account's own data endpoint: the configured one, or that of the nucleus.
func (c *cloud) iotData(ctx context.Context, client *ipc.Client) (*iotdataplane.Client, error) {
	endpoint := c.ends.IoTData
	if endpoint == "" {
		value, err := client.ComponentConfiguration(ctx, nucleusComponent, "iotDataEndpoint")
		if _, missing := errors.AsType[*ipc.ResourceNotFoundError](err); err != nil && !missing {
			return nil, fmt.Errorf("read the nucleus's iotDataEndpoint: %w", err)
		}
		host, _ := value["iotDataEndpoint"].(string)
		if host == "" {
			return nil, errors.New("endpoints.iotData: not configured, and the nucleus has no iotDataEndpoint")
		}
		endpoint = "https://" + host
	}
	return iotdataplane.NewFromConfig(c.config, func(o *iotdataplane.Options) { o.BaseEndpoint = aws.String(endpoint) }), nil
}
