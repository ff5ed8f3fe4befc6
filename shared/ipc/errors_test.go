package ipc_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"edgepdm/shared/ipc"
	"edgepdm/shared/ipc/eventstream"
)

// refusing returns a client of a nucleus that answers every request with an error.
func refusing(t *testing.T, modelType, contentType, payload string) *ipc.Client {
	t.Helper()
	return dial(t, listen(t, true, func(p *peer, m *eventstream.Message) {
		p.send(eventstream.Message{
			Type: eventstream.ApplicationError, Flags: eventstream.TerminateStream, StreamID: m.StreamID,
			ServiceModelType: modelType, ContentType: contentType, Payload: []byte(payload),
		})
	}))
}

// as reports whether err is a T that has the given base.
func as[T error](err error, code, message string) bool {
	_, typed := errors.AsType[T](err)
	base, is := errors.AsType[*ipc.OperationError](err)
	return typed && is && base.Code == code && base.Message == message
}

func TestTypedErrors(t *testing.T) {
	for code, is := range map[string]func(error, string, string) bool{
		"UnauthorizedError":                  as[*ipc.UnauthorizedError],
		"ResourceNotFoundError":              as[*ipc.ResourceNotFoundError],
		"InvalidArgumentsError":              as[*ipc.InvalidArgumentsError],
		"ServiceError":                       as[*ipc.ServiceError],
		"ConflictError":                      as[*ipc.ConflictError],
		"FailedUpdateConditionCheckError":    as[*ipc.FailedUpdateConditionCheckError],
		"ComponentNotFoundError":             as[*ipc.ComponentNotFoundError],
		"InvalidRecipeDirectoryPathError":    as[*ipc.InvalidRecipeDirectoryPathError],
		"InvalidArtifactsDirectoryPathError": as[*ipc.InvalidArtifactsDirectoryPathError],
		"InvalidTokenError":                  as[*ipc.InvalidTokenError],
		"InvalidCredentialError":             as[*ipc.InvalidCredentialError],
		"InvalidClientDeviceAuthTokenError":  as[*ipc.InvalidClientDeviceAuthTokenError],
		"AnErrorOfALaterModel":               as[*ipc.OperationError],
	} {
		for name, c := range map[string]struct{ modelType, payload string }{
			"classic":              {"aws.greengrass#" + code, `{"message":"why","_service":"aws.greengrass#GreengrassCoreIPC","_message":"","_errorCode":"Other"}`},
			"lite":                 {"aws.greengrass#" + code, `{"_message":"why","_errorCode":"Other"}`},
			"no model type":        {"", `{"_message":"why","_errorCode":"` + code + `"}`},
			"not even JSON":        {"aws.greengrass#" + code, `why`},
			"odd member":           {"aws.greengrass#" + code, `{"message":"why","resourceType":5,"_errorCode":[]}`},
			"absent as null":       {"aws.greengrass#" + code, `{"message":"why","resourceType":null,"context":null}`},
			"text under \"error\"": {"aws.greengrass#" + code, `{"error":"why"}`},
		} {
			t.Run(code+", "+name, func(t *testing.T) {
				_, err := refusing(t, c.modelType, eventstream.ContentTypeJSON, c.payload).GetSecretValue(t.Context(), ipc.GetSecretValueRequest{SecretID: "s"})
				if !is(err, code, "why") {
					t.Errorf("%#v", err)
				}
				if want := "GetSecretValue: " + code + ": why"; err.Error() != want {
					t.Errorf("text %q, want %q", err, want)
				}
				if errors.Is(err, ipc.ErrNotSupported) {
					t.Error("it is ErrNotSupported")
				}
			})
		}
	}
}

func TestErrorsWithMembers(t *testing.T) {
	client := refusing(t, "aws.greengrass#ResourceNotFoundError", eventstream.ContentTypeJSON,
		`{"message":"m","Code":"X","Operation":"Y","resourceType":"Component","resourceName":"C","_errorCode":"ResourceNotFoundError"}`)
	_, err := client.GetComponentDetails(t.Context(), ipc.GetComponentDetailsRequest{ComponentName: "C"})
	missing, is := errors.AsType[*ipc.ResourceNotFoundError](err)
	if !is || missing.ResourceType != "Component" || missing.ResourceName != "C" || missing.Operation != "GetComponentDetails" || missing.Code != "ResourceNotFoundError" {
		t.Errorf("%#v", err)
	}
	client = refusing(t, "aws.greengrass#ServiceError", eventstream.ContentTypeJSON, `{"message":"m","context":{"reasonCode":135}}`)
	_, err = client.SubscribeToIoTCore(t.Context(), ipc.SubscribeToIoTCoreRequest{TopicName: "t", QoS: ipc.AtLeastOnce})
	service, is := errors.AsType[*ipc.ServiceError](err)
	if !is || string(service.Context) != `{"reasonCode":135}` {
		t.Errorf("%#v", err)
	}
}

func TestNotSupported(t *testing.T) {
	secret := func(ctx context.Context, c *ipc.Client) error {
		_, err := c.GetSecretValue(ctx, ipc.GetSecretValueRequest{SecretID: "s"})
		return err
	}
	updates := func(ctx context.Context, c *ipc.Client) error {
		_, err := c.SubscribeToComponentUpdates(ctx, ipc.SubscribeToComponentUpdatesRequest{})
		return err
	}
	restart := func(ctx context.Context, c *ipc.Client) error {
		_, err := c.RestartComponent(ctx, ipc.RestartComponentRequest{ComponentName: "C"})
		return err
	}
	const shape = "aws.greengrass#ServiceError"
	for _, c := range []struct {
		name, modelType, payload string
		call                     func(context.Context, *ipc.Client) error
		want                     bool
	}{
		{"classic, unknown operation", "", `{ "error": "Unsupported Operation", "message": "X is an unsupported operation." }`, secret, true},
		{"classic, component absent", shape, `{"message":"Operation aws.greengrass#GetSecretValue is not supported by Greengrass","_service":"s","_errorCode":"ServiceError"}`, secret, true},
		{"classic, subscription", shape, `{"_service":"s","_message":"Operation aws.greengrass#SubscribeToComponentUpdates is not supported by Greengrass"}`, updates, true},
		{"classic, exception without text", shape, `{"_service":"aws.greengrass#GreengrassCoreIPC","_errorCode":"ServiceError"}`, secret, false},
		{"classic, another text", shape, `{"message":"Secret is not supported by Greengrass"}`, secret, false},
		{"classic, unexpected exception", "", `InternalServerError`, secret, false},
		{"lite lacks it", shape, `{"_message":"","_errorCode":"ServiceError"}`, secret, true},
		{"lite lacks the subscription", shape, `{"_message":"","_errorCode":"ServiceError"}`, updates, true},
		{"lite has it and cannot read the request", shape, `{"_message":"","_errorCode":"ServiceError"}`, restart, false},
		{"lite, with a text", shape, `{"_message":"Failed.","_errorCode":"ServiceError"}`, secret, false},
		{"another error without a text", "aws.greengrass#UnauthorizedError", `{"_message":""}`, secret, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.call(t.Context(), refusing(t, c.modelType, eventstream.ContentTypeJSON, c.payload))
			if _, is := errors.AsType[*ipc.OperationError](err); !is {
				t.Fatalf("%#v is no OperationError", err)
			}
			if errors.Is(err, ipc.ErrNotSupported) != c.want {
				t.Errorf("not supported: %v, want %v: %v", !c.want, c.want, err)
			}
		})
	}
}

// The three answers of a classic nucleus, and of the AWS common runtime in it, that are not as the model says.
func TestNonConformingAnswers(t *testing.T) {
	err := refusing(t, "", "text/plain", "InternalServerError").Publish(t.Context(), "t", nil)
	if !as[*ipc.OperationError](err, "", "InternalServerError") || err.Error() != "PublishToTopic: InternalServerError" {
		t.Errorf("unexpected exception: %#v", err)
	}
	err = refusing(t, "", eventstream.ContentTypeJSON, `{ "error": "Unsupported Operation", "message": "X is an unsupported operation." }`).Publish(t.Context(), "t", nil)
	if !as[*ipc.OperationError](err, "", "X is an unsupported operation.") || !errors.Is(err, ipc.ErrNotSupported) {
		t.Errorf("unknown operation: %#v", err)
	}
	client := dial(t, listen(t, true, func(p *peer, _ *eventstream.Message) {
		p.send(eventstream.Message{Type: eventstream.ProtocolError, Payload: []byte(`{ "message": "stream_id is invalid"; }`)})
	}))
	if err := client.Publish(t.Context(), "t", nil); !errors.Is(err, ipc.ErrConnectionLost) || !strings.Contains(err.Error(), "stream_id is invalid") {
		t.Errorf("connection error: %v", err)
	}
}
