package forwarder

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go"

	"edgepdm/shared/cloud"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

// sink delivers messages. It returns nil once the receiver has acknowledged: each sink says what that means.
type sink interface {
	send(ctx context.Context, m message) error
}

// batchSink delivers many messages at once. It returns nil once the receiver has acknowledged all of them.
type batchSink interface {
	sendBatch(ctx context.Context, messages []message) error
}

// Errors that callers branch on.
var (
	// errPoison marks a message that the sink will never take: it goes to the dead letters instead of stopping its stream.
	errPoison = errors.New("refused for good")
	// errLocal marks a message that was not sent: that says nothing of the way to the cloud.
	errLocal = errors.New("not sent")
)

// iotDataSink publishes over AWS IoT Core's HTTPS data plane: acknowledged by the service's 200.
type iotDataSink struct {
	publisher *publisher
	prefix    string
	access    *cloud.Access
}

func (s *iotDataSink) send(ctx context.Context, m message) error {
	if err := event.IoTCoreHTTPS.Check(m.payload); err != nil {
		return fmt.Errorf("%w: %w: %w", errLocal, errPoison, err)
	}
	err := s.publisher.publish(ctx, &iotdataplane.PublishInput{Topic: aws.String(s.prefix + "/" + m.topic), Payload: m.body(), Qos: 1})
	s.access.Denied(err)
	return classify("publish to AWS IoT Core", err)
}

// snsSink publishes alerts to SNS topics: acknowledged by the service's 200.
type snsSink struct {
	topics       []snsTopic // that of alarms, and those of the steps of their escalation
	core, prefix string     // of this site, and of its cloud topics
	access       *cloud.Access
	status       func(event.Alert) alertStatus // what has happened to the alarm
}

type snsTopic struct {
	arn    string
	client *sns.Client
}

func (s *snsSink) send(ctx context.Context, m message) error {
	n, err := newNotice(m, s.core, s.prefix, s.status)
	if err != nil {
		return fmt.Errorf("%w: %w: %w", errLocal, errPoison, err)
	}
	to := s.topics[min(max(n.step, 0), len(s.topics)-1)] // where a step has no topic, those of the step before are told again
	answer, err := to.client.Publish(ctx, &sns.PublishInput{
		TopicArn: aws.String(to.arn), Subject: aws.String(n.subject), Message: aws.String(n.text), MessageStructure: aws.String("json"),
		MessageAttributes: n.attributes,
	})
	if err == nil && aws.ToString(answer.MessageId) == "" {
		err = fmt.Errorf("%w: it has no MessageId", cloud.ErrNotTheService)
	}
	s.access.Denied(err)
	return classify("publish to SNS", err)
}

// iotCoreSink hands messages to the nucleus: acknowledged when it has taken them, which is not delivery (promise F2).
type iotCoreSink struct {
	client func() *ipc.Client
	prefix string
}

func (s *iotCoreSink) send(ctx context.Context, m message) error {
	// The mark of a repeated message has room between this limit and that of the nucleus.
	if err := event.IoTCoreIPC.Check(m.payload); err != nil {
		return fmt.Errorf("%w: %w: %w", errLocal, errPoison, err)
	}
	request := ipc.PublishToIoTCoreRequest{TopicName: s.prefix + "/" + m.topic, Payload: m.body(), QoS: ipc.AtLeastOnce}
	err := s.client().PublishToIoTCore(ctx, request)
	if _, invalid := errors.AsType[*ipc.InvalidArgumentsError](err); invalid {
		return fmt.Errorf("%w: %w", errPoison, err)
	}
	return err
}

// classify marks as poison what the service refuses because of the message itself. Missing permissions, keys and topics,
// throttling, the service's own errors, and what a proxy on the way answers may pass: those are tried again.
func classify(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case isPoison(err):
		return fmt.Errorf("%s: %w: %w", what, errPoison, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// isPoison goes by the service's error codes. The status alone will not do: SNS answers 400 also for a key that is
// disabled, for throttling and for a topic of another region, and any proxy answers 400 or 413.
func isPoison(err error) bool {
	coded, ok := errors.AsType[smithy.APIError](err)
	if !ok || cloud.Status(err)/100 != 4 {
		return false
	}
	switch coded.ErrorCode() {
	case "InvalidParameter": // SNS
		return !strings.Contains(coded.ErrorMessage(), "TopicArn")
	case "InvalidParameterValue", "ParameterValueInvalid", "ValidationError", "ValidationException": // SNS
		return true
	case "InvalidRequestException", "RequestEntityTooLargeException": // IoT
		return true
	}
	return false
}

// judge tells what an error means, and why.
func judge(err error) (cloud.Kind, string) {
	if refused, ok := errors.AsType[*ipc.OperationError](err); ok {
		return cloud.Refused, refused.Error()
	}
	return cloud.Classify(err)
}

// reached tells what an attempt says of the uplink, if anything: it works when the service itself has answered.
func reached(to sink, err error) (up, known bool) {
	if _, local := to.(*iotCoreSink); local || errors.Is(err, errLocal) {
		return false, false
	}
	if err == nil {
		return true, true
	}
	kind, _ := cloud.Classify(err)
	return kind == cloud.Busy || kind == cloud.Throttled || kind == cloud.Refused, true
}

// retryAfter returns how long a service that is busy asks to be left alone.
func retryAfter(err error) time.Duration {
	answer, ok := errors.AsType[*awshttp.ResponseError](err)
	if !ok || answer.Response == nil || answer.Response.Response == nil {
		return 0
	}
	header := answer.Response.Header
	if seconds, err := strconv.ParseUint(header.Get("Retry-After"), 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	// A date counts from the answer's own: the clock of the site may be wrong.
	until, err := http.ParseTime(header.Get("Retry-After"))
	date, dateErr := http.ParseTime(header.Get("Date"))
	if err != nil || dateErr != nil {
		return 0
	}
	return min(max(until.Sub(date), 0), maxRetryAfter)
}

// maxRetryAfter bounds what a service asks for: it is as long as an outage that nobody would explain.
const maxRetryAfter = time.Hour
