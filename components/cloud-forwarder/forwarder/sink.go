package forwarder

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
)

// message is what a sink sends.
type message struct {
	topic   string // local
	payload []byte
}

// sink delivers messages. It returns nil once the receiver has acknowledged: each sink says what that means.
type sink interface {
	send(ctx context.Context, m message) error
}

// errPoison marks a message that the sink will never take: it goes to the dead letters instead of stopping its stream.
var errPoison = errors.New("refused for good")

// iotDataSink publishes over AWS IoT Core's HTTPS data plane: acknowledged by the service's 200.
type iotDataSink struct {
	client *iotdataplane.Client
	prefix string
}

func (s *iotDataSink) send(ctx context.Context, m message) error {
	if err := event.IoTCoreHTTPS.Check(m.payload); err != nil {
		return fmt.Errorf("%w: %w", errPoison, err)
	}
	_, err := s.client.Publish(ctx, &iotdataplane.PublishInput{Topic: aws.String(s.prefix + "/" + m.topic), Payload: m.payload, Qos: 1})
	return classify("publish to AWS IoT Core", err)
}

// snsSink publishes alerts to an SNS topic: acknowledged by the service's 200.
type snsSink struct {
	client *sns.Client
	arn    string
}

func (s *snsSink) send(ctx context.Context, m message) error {
	subjectLine, text, err := snsMessage(m.payload)
	if err != nil {
		return fmt.Errorf("%w: %w", errPoison, err)
	}
	_, err = s.client.Publish(ctx, &sns.PublishInput{
		TopicArn: aws.String(s.arn), Subject: aws.String(subjectLine), Message: aws.String(text), MessageStructure: aws.String("json"),
	})
	return classify("publish to SNS", err)
}

// iotCoreSink hands messages to the nucleus: acknowledged when it has taken them, which is not delivery (promise F2).
type iotCoreSink struct {
	client func() *ipc.Client
	prefix string
}

func (s *iotCoreSink) send(ctx context.Context, m message) error {
	if err := event.IoTCoreIPC.Check(m.payload); err != nil {
		return fmt.Errorf("%w: %w", errPoison, err)
	}
	err := s.client().PublishToIoTCore(ctx, ipc.IoTCoreMessage{TopicName: s.prefix + "/" + m.topic, Payload: m.payload, QoS: ipc.AtLeastOnce})
	if ipc.HasCode(err, ipc.CodeInvalidArguments) {
		return fmt.Errorf("%w: %w", errPoison, err)
	}
	return err
}

// classify marks as poison what the service refuses because of the message itself. Missing permissions, unknown topics,
// throttling and the service's own errors may pass: those are tried again.
func classify(what string, err error) error {
	if err == nil {
		return nil
	}
	if response, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		switch response.HTTPStatusCode() {
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
			if !isThrottle(err) {
				return fmt.Errorf("%s: %w: %w", what, errPoison, err)
			}
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// isThrottle tells throttling, which some services answer with 400, from a bad request.
func isThrottle(err error) bool {
	var coded interface{ ErrorCode() string }
	if !errors.As(err, &coded) {
		return false
	}
	switch coded.ErrorCode() {
	case "Throttling", "ThrottlingException", "Throttled", "ThrottledException", "TooManyRequestsException", "RequestThrottled",
		"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId":
		return true
	}
	return false
}

// reached reports whether the error came from the service itself, so that the uplink works. An error of the connection
// is a ResponseError too, without a status.
func reached(err error) bool {
	response, ok := errors.AsType[*awshttp.ResponseError](err)
	return ok && response.HTTPStatusCode() != 0
}
