// Package cloud is how components reach AWS: credentials of the token exchange service, trusted authorities, endpoints
// that stand for AWS's own, and answers of bounded size.
package cloud

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// Environment variables that a nucleus sets.
const (
	EnvCredentialsURL   = "AWS_CONTAINER_CREDENTIALS_FULL_URI" // where the token exchange service runs
	EnvCredentialsToken = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
	EnvCredentialsFile  = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" // has the token, and goes before it
	EnvRegion           = "AWS_REGION"
	EnvRootCA           = "GG_ROOT_CA_PATH"
)

const (
	maxHeaderBytes = 64 << 10
	// maxErrorBody bounds the answers that are no success. Those of AWS have a few hundred bytes.
	maxErrorBody = 64 << 10
	// renewEvery is the least time between two times that credentials are dropped because a service refuses them.
	renewEvery = 5 * time.Second
)

// Settings say how AWS is reached.
type Settings struct {
	Region  string        // empty = that of the environment
	CAFile  string        // PEM file of authorities that are trusted besides the system's and the nucleus's; "" = none
	Timeout time.Duration // of connecting, and of waiting for the answer's header
	Answer  time.Duration // of waiting for the answer's header, where that takes longer; 0 = Timeout
	Whole   time.Duration // of a request as a whole; 0 = no limit
	MaxBody int64         // bytes of an answer that is a success; 0 = no limit
	Idle    int           // connections to a host that are kept for the next request; 0 = as the SDK does

	Getenv func(string) string
	Now    func() time.Time // nil = time.Now
}

// Access makes AWS clients, from Config. Requests are sent once: the components repeat.
type Access struct {
	Config  aws.Config
	RootCAs error // what is wrong with the nucleus's root certificates, which are then not used; the system's may do

	transport   *http.Transport
	direct      *bounded
	credentials *aws.CredentialsCache
	now         func() time.Time

	mu      sync.Mutex
	dropped time.Time // when credentials were dropped last
}

// New prepares access to AWS. It does not use the network.
func New(s Settings) (*Access, error) {
	region := s.Region
	if region == "" {
		region = s.Getenv(EnvRegion)
	}
	if region == "" {
		return nil, fmt.Errorf("region: neither the configuration nor %s names one", EnvRegion)
	}
	address := s.Getenv(EnvCredentialsURL)
	if address == "" {
		return nil, fmt.Errorf("%s is not set: deploy aws.greengrass.TokenExchangeService, which gives AWS credentials", EnvCredentialsURL)
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	transport := newTransport(s)
	a := &Access{transport: transport, now: s.Now}
	rootCAs := TrustAlso(transport, s.Getenv(EnvRootCA))
	if rootCAs != nil {
		rootCAs = fmt.Errorf("%s: %w", EnvRootCA, rootCAs)
	}
	if !errors.Is(rootCAs, os.ErrNotExist) { // a core that was never set up for AWS has none
		a.RootCAs = rootCAs
	}
	if err := TrustAlso(transport, s.CAFile); err != nil {
		return nil, fmt.Errorf("endpoints.caFile: %w", err)
	}
	provider := &tokenExchange{
		url: address, token: func() (string, error) { return authorization(s.Getenv) },
		client: &http.Client{Transport: localTransport(s.Timeout), Timeout: s.Timeout, CheckRedirect: noRedirect},
	}
	a.credentials = aws.NewCredentialsCache(provider)
	a.direct = &bounded{transport, s.MaxBody, rootCAs}
	a.Config = aws.Config{
		Region: region, Credentials: a.credentials, Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		HTTPClient: &http.Client{Transport: a.direct, Timeout: s.Whole, CheckRedirect: noRedirect},
	}
	return a, nil
}

// noRedirect keeps clients from following redirects: no service redirects, and a token must not go elsewhere.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// newTransport makes connections to AWS. A server that keeps a request waiting for longer than the timeout is given up.
func newTransport(s Settings) *http.Transport {
	transport := awshttp.NewBuildableClient().GetTransport()
	// An attempt that gets no answer costs its connection. With HTTP/2 all attempts would go on with the connection of an
	// uplink that went away without a word, until TCP gives it up after a quarter of an hour.
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	transport.MaxResponseHeaderBytes = maxHeaderBytes
	transport.ResponseHeaderTimeout = max(s.Answer, s.Timeout)
	transport.TLSHandshakeTimeout = s.Timeout
	transport.DialContext = (&net.Dialer{Timeout: s.Timeout, KeepAlive: 30 * time.Second}).DialContext
	transport.MaxIdleConnsPerHost = max(transport.MaxIdleConnsPerHost, s.Idle)
	return transport
}

// localTransport makes connections to the nucleus on this device, which never go through a proxy.
func localTransport(timeout time.Duration) *http.Transport {
	return &http.Transport{
		MaxResponseHeaderBytes: maxHeaderBytes, ResponseHeaderTimeout: timeout, DisableKeepAlives: true,
		DialContext: (&net.Dialer{Timeout: timeout}).DialContext,
	}
}

// Direct returns what sends the requests of Config's client, without what that does besides: a request's context bounds its time.
func (a *Access) Direct() aws.HTTPClient { return a.direct }

// Close closes the connections that are kept. An Access that is nil has none.
func (a *Access) Close() {
	if a != nil {
		a.transport.CloseIdleConnections()
	}
}

// Denied drops the credentials when err is a service's word that it does not know them, or that they have expired: the
// token exchange service is asked again by the next request, at most every few seconds. It reports whether it dropped them.
func (a *Access) Denied(err error) bool {
	coded, ok := errors.AsType[smithy.APIError](err)
	if !ok || a == nil {
		return false
	}
	switch coded.ErrorCode() {
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidClientTokenId", "InvalidAccessKeyId",
		"UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature", "MissingAuthenticationToken":
	case "ForbiddenException", "UnauthorizedException": // all that the IoT data plane says
	default:
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if !a.dropped.IsZero() && now.Sub(a.dropped).Abs() < renewEvery {
		return false
	}
	a.dropped = now
	a.credentials.Invalidate()
	return true
}

var regionPattern = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// CheckRegion says whether s can be an AWS region, of which host names are made, or is empty.
func CheckRegion(s string) error {
	if s != "" && !regionPattern.MatchString(s) {
		return fmt.Errorf("%.40q is not an AWS region such as eu-west-1", s)
	}
	return nil
}

// CheckEndpoint says whether s is the URL of a service, or empty.
func CheckEndpoint(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("%q is not a URL such as https://host", s)
	}
	return nil
}
