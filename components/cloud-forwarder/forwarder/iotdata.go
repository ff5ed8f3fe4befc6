package forwarder

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/restjson"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
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

// publisher publishes messages over the data plane of AWS IoT Core. Requests and errors are those of AWS's own client, whose
// layers take more time than all the rest of a message.
type publisher struct {
	endpoint *url.URL
	access   *cloud.Access
	client   cloud.OwnAnswers // takes only the service's own success for one
	signer   signer
	skew     atomic.Int64 // of the service's clock, as its last answer told it: nanoseconds ahead of this one's
}

func newPublisher(access *cloud.Access, endpoint string) (*publisher, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, fmt.Errorf("read endpoint: %w", err)
	}
	u.Host = strings.TrimSuffix(u.Host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme]) // as the SDK signs it
	return &publisher{
		endpoint: u, access: access, client: cloud.OwnAnswers{Client: access.Direct()}, signer: signer{region: access.Config.Region, service: iotDataService},
	}, nil
}

// publish returns nil once the service has acknowledged the message. Of the input it takes the topic, the payload and the QoS.
func (p *publisher) publish(ctx context.Context, in *iotdataplane.PublishInput) error {
	if err := p.exchange(ctx, in); err != nil {
		return &smithy.OperationError{ServiceID: iotDataServiceID, OperationName: iotDataPublish, Err: err}
	}
	return nil
}

func (p *publisher) exchange(ctx context.Context, in *iotdataplane.PublishInput) error {
	request, err := p.request(ctx, in)
	if err != nil {
		return err
	}
	answer, err := p.client.Do(request)
	switch {
	case ctx.Err() != nil && err != nil: // what broke off then says nothing
		return &smithyhttp.RequestSendError{Err: ctx.Err()}
	case err != nil:
		return &smithyhttp.RequestSendError{Err: &url.Error{Op: "Post", URL: request.URL.String(), Err: err}}
	}
	defer func() { _ = answer.Body.Close() }()
	p.hearClock(answer.Header)
	if answer.StatusCode/100 == 2 {
		return nil
	}
	return refusal(answer)
}

// request makes a signed request.
func (p *publisher) request(ctx context.Context, in *iotdataplane.PublishInput) (*http.Request, error) {
	credentials, err := p.access.Config.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("get credentials: %w", err)
	}
	const path = "/topics/"
	u, topic := *p.endpoint, aws.ToString(in.Topic)
	u.Path, u.RawPath, u.RawQuery = path+topic, path+httpbinding.EscapePath(topic, true), "qos="+strconv.Itoa(int(in.Qos))
	body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(in.Payload)), nil }
	request := (&http.Request{
		Method: http.MethodPost, URL: &u, Host: u.Host, GetBody: body, ContentLength: int64(len(in.Payload)),
		Header: http.Header{"Content-Type": {"application/octet-stream"}},
	}).WithContext(ctx)
	request.Body, _ = body()
	p.signer.sign(request, in.Payload, credentials, time.Now().Add(time.Duration(p.skew.Load())))
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
