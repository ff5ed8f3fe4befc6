package forwarder

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/restjson"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/encoding/httpbinding"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"edgepdm/shared/cloud"
)

// Of the data plane of AWS IoT Core: the name that requests are signed for, and the ones that AWS's own client gives in errors.
const (
	iotDataService   = "iotdata"
	iotDataServiceID = "IoT Data Plane"
	iotDataPublish   = "Publish"
)

// publisher publishes messages over the data plane of AWS IoT Core. Request, signature and errors are those of AWS's own client,
// whose layers take most of the time of a message.
type publisher struct {
	endpoint    *url.URL
	region      string
	credentials aws.CredentialsProvider
	client      cloud.OwnAnswers // takes only the service's own success for one
	signer      *v4.Signer
	skew        atomic.Int64 // of the service's clock, as its last answer told it: nanoseconds ahead of this one's
}

func newPublisher(config aws.Config, endpoint string) (*publisher, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("read endpoint: %w", err)
	}
	return &publisher{
		endpoint: u, region: config.Region, credentials: config.Credentials, client: cloud.OwnAnswers{Client: config.HTTPClient}, signer: v4.NewSigner(),
	}, nil
}

// publish returns nil once the service has acknowledged the message.
func (p *publisher) publish(ctx context.Context, topic string, payload []byte) error {
	if err := p.exchange(ctx, topic, payload); err != nil {
		return &smithy.OperationError{ServiceID: iotDataServiceID, OperationName: iotDataPublish, Err: err}
	}
	return nil
}

func (p *publisher) exchange(ctx context.Context, topic string, payload []byte) error {
	request, err := p.request(ctx, topic, payload)
	if err != nil {
		return err
	}
	answer, err := p.client.Do(request)
	if err != nil {
		if ctx.Err() != nil { // what broke off then says nothing
			err = ctx.Err()
		}
		return &smithyhttp.RequestSendError{Err: err}
	}
	defer func() { _ = answer.Body.Close() }()
	p.hearClock(answer.Header)
	if answer.StatusCode/100 == 2 {
		return nil
	}
	return refusal(answer)
}

// request makes a signed request.
func (p *publisher) request(ctx context.Context, topic string, payload []byte) (*http.Request, error) {
	credentials, err := p.credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("get credentials: %w", err)
	}
	const path = "/topics/"
	u := *p.endpoint
	u.Path, u.RawPath, u.RawQuery = path+topic, path+httpbinding.EscapePath(topic, true), "qos=1"
	body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(payload)), nil }
	request := (&http.Request{
		Method: http.MethodPost, URL: &u, Host: u.Host, GetBody: body, ContentLength: int64(len(payload)),
		Header: http.Header{"Content-Type": {"application/octet-stream"}},
	}).WithContext(ctx)
	request.Body, _ = body()
	hash := sha256.Sum256(payload)
	at := time.Now().Add(time.Duration(p.skew.Load()))
	if err := p.signer.SignHTTP(ctx, credentials, request, hex.EncodeToString(hash[:]), iotDataService, p.region, at); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return request, nil
}

// hearClock notes what the service's clock says: one of the site that is wrong must not cost the signature.
func (p *publisher) hearClock(header http.Header) {
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil || header.Get("Age") != "" { // what a cache kept tells an old time
		return
	}
	p.skew.Store(int64(time.Until(date)))
}

// refusal is the error of an answer that is no success.
func refusal(answer *http.Response) error {
	body, err := io.ReadAll(answer.Body) // its length is bounded
	var code, message string
	if err == nil {
		code, message, err = restjson.GetErrorInfo(json.NewDecoder(bytes.NewReader(body)))
	}
	code = cmp.Or(restjson.SanitizeErrorCode(answer.Header.Get("X-Amzn-Errortype")), code, "UnknownError")
	var problem error = &smithy.GenericAPIError{Code: code, Message: message}
	if err != nil {
		problem = &smithy.DeserializationError{Err: fmt.Errorf("decode the answer: %w", err)}
	}
	return &awshttp.ResponseError{
		ResponseError: &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: answer}, Err: problem},
		RequestID:     strings.TrimSpace(answer.Header.Get("X-Amzn-Requestid")),
	}
}
