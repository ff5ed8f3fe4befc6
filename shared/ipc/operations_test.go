package ipc_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"edgepdm/shared/ipc"
	"edgepdm/shared/ipc/eventstream"
)

// operationCase is a request with its JSON, and an answer of the nucleus with what the caller gets of it.
type operationCase struct {
	operation string
	do        func(context.Context, *ipc.Client) (any, error)
	request   string
	answer    string // the response, or the event that follows an empty response
	want      any
}

// unary is a case of an operation with a response.
func unary[Q, R any](call func(*ipc.Client, context.Context, Q) (*R, error), request Q, wire, answer string, want R) operationCase {
	return operationCase{strings.TrimSuffix(reflect.TypeFor[Q]().Name(), "Request"), func(ctx context.Context, c *ipc.Client) (any, error) {
		response, err := call(c, ctx, request)
		if err != nil {
			return nil, err
		}
		return *response, nil
	}, wire, answer, want}
}

// done is a case of an operation whose response says no more than that there was no error.
func done[Q any](call func(*ipc.Client, context.Context, Q) error, request Q, wire, answer string) operationCase {
	return operationCase{strings.TrimSuffix(reflect.TypeFor[Q]().Name(), "Request"), func(ctx context.Context, c *ipc.Client) (any, error) {
		return nil, call(c, ctx, request)
	}, wire, answer, nil}
}

// stream is a case of a subscription.
func stream[Q, E any](call func(*ipc.Client, context.Context, Q) (*ipc.Subscription[E], error), request Q, wire, event string, want E) operationCase {
	return operationCase{strings.TrimSuffix(reflect.TypeFor[Q]().Name(), "Request"), func(ctx context.Context, c *ipc.Client) (any, error) {
		sub, err := call(c, ctx, request)
		if err != nil {
			return nil, err
		}
		event, open := <-sub.Events()
		if !open {
			return nil, errors.Join(errors.New("the subscription ended"), sub.Err())
		}
		return event, sub.Close()
	}, wire, event, want}
}

func allCases() []operationCase {
	return slices.Concat(messageCases(), configurationCases(), componentCases(), cloudCases())
}

// operationNames returns the operations that Client has: its methods whose last parameter is a request.
func operationNames() []string {
	var names []string
	client := reflect.TypeFor[*ipc.Client]()
	for i := range client.NumMethod() {
		m := client.Method(i)
		if m.Type.NumIn() == 3 && m.Type.In(2).Name() == m.Name+"Request" {
			names = append(names, m.Name)
		}
	}
	return names
}

func TestEveryOperationHasCases(t *testing.T) {
	names := operationNames()
	if len(names) != 35 {
		t.Errorf("%d operations, want 34 of the model and a later one", len(names))
	}
	for _, name := range names {
		n := 0
		for _, c := range allCases() {
			if c.operation == name {
				n++
			}
		}
		empty := slices.Contains([]string{"SubscribeToValidateConfigurationUpdates", "SubscribeToComponentUpdates", "ListComponents",
			"ListLocalDeployments", "CreateDebugPassword", "SubscribeToIoTCoreConnectionStatus"}, name)
		if n < 2 && !empty {
			t.Errorf("%s has %d cases, want a full and a minimal request", name, n)
		}
		if n == 0 {
			t.Errorf("%s has no case", name)
		}
	}
}

func TestOperationsOnTheWire(t *testing.T) {
	for _, c := range allCases() {
		t.Run(c.operation, func(t *testing.T) {
			var got eventstream.Message
			client := dial(t, listen(t, true, func(p *peer, m *eventstream.Message) {
				if m.Operation == "" {
					return // the end of a subscription
				}
				got = *m
				got.Payload = slices.Clone(m.Payload)
				if strings.HasPrefix(c.operation, "SubscribeTo") {
					p.respond(m, "{}", 0)
					p.event(m.StreamID, c.answer)
				} else {
					p.respond(m, c.answer, eventstream.TerminateStream)
				}
			}))
			result, err := c.do(t.Context(), client)
			if err != nil {
				t.Fatal(err)
			}
			if got.Operation != "aws.greengrass#"+c.operation || got.ServiceModelType != got.Operation+"Request" ||
				got.ContentType != "application/json" || got.Flags != 0 || got.Type != eventstream.ApplicationMessage {
				t.Errorf("message %+v", got)
			}
			if string(got.Payload) != c.request {
				t.Errorf("request %s\nwant    %s", got.Payload, c.request)
			}
			if !reflect.DeepEqual(result, c.want) {
				t.Errorf("result %#v\nwant   %#v", result, c.want)
			}
		})
	}
}

func TestOperationsRefused(t *testing.T) {
	for _, c := range allCases() {
		t.Run(c.operation, func(t *testing.T) {
			client := dial(t, listen(t, true, func(p *peer, m *eventstream.Message) {
				p.send(eventstream.Message{
					Type: eventstream.ApplicationError, Flags: eventstream.TerminateStream, StreamID: m.StreamID,
					ServiceModelType: "aws.greengrass#UnauthorizedError", ContentType: eventstream.ContentTypeJSON,
					Payload: []byte(`{"_message":"IPC Operation not authorized.","_errorCode":"UnauthorizedError"}`),
				})
			}))
			_, err := c.do(t.Context(), client)
			unauthorized, is := errors.AsType[*ipc.UnauthorizedError](err)
			if !is || unauthorized.Operation != c.operation || unauthorized.Message != "IPC Operation not authorized." {
				t.Errorf("%#v", err)
			}
			if base, is := errors.AsType[*ipc.OperationError](err); !is || base.Code != "UnauthorizedError" || errors.Is(err, ipc.ErrNotSupported) {
				t.Errorf("as an OperationError: %#v", base)
			}
		})
	}
}
