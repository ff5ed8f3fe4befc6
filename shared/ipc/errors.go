package ipc

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"edgepdm/shared/ipc/eventstream"
)

// Errors of the connection itself.
var (
	// ErrConnectionLost ends every call and subscription when the connection breaks. Nothing of it survives:
	// connect and subscribe again, or exit when the nucleus refuses the token.
	ErrConnectionLost = errors.New("connection to the nucleus is lost")
	// ErrRefused means that the nucleus did not accept the authentication token. Tokens die with the nucleus
	// process: exit, and be restarted with a new one.
	ErrRefused = errors.New("the nucleus refused the connection")
	// ErrClosed is returned for calls on a Client or Subscription that was closed.
	ErrClosed = errors.New("closed")
	// ErrSlowReader is why events are dropped that wait for a slow reader: Options.Queue of them wait.
	ErrSlowReader = errors.New("the reader is slower than the events come")
	// ErrEnded is why a Subscription ended that the nucleus ended without an error: subscribe again.
	ErrEnded = errors.New("the nucleus ended the subscription")
)

// Errors of an operation.
var (
	// ErrNotSupported means that this nucleus does not have the operation: nucleus lite lacks it, or the component
	// that serves it is not deployed. It will not pass by itself.
	ErrNotSupported = errors.New("not supported by this nucleus")
	// ErrInvalidRequest means that a request lacks a member or has one that no nucleus takes. Nothing was sent.
	ErrInvalidRequest = errors.New("invalid request")
)

// OperationError is an error that the nucleus returned for an operation. The connection stays usable. errors.As finds it
// under each of the typed errors, too.
type OperationError struct {
	Operation string `json:"-"` // such as PublishToTopic
	Code      string `json:"-"` // such as UnauthorizedError; empty where the nucleus names none
	Message   string `json:"-"` // the nucleus's text; empty on nucleus lite for some errors

	notSupported bool
}

func (e *OperationError) Error() string {
	text := e.Message
	switch {
	case text == "" && e.notSupported:
		text = ErrNotSupported.Error()
	case text == "":
		text = "the nucleus gave no reason"
	}
	if e.Code == "" {
		return fmt.Sprintf("%s: %s", e.Operation, text)
	}
	return fmt.Sprintf("%s: %s: %s", e.Operation, e.Code, text)
}

// Is reports whether target is ErrNotSupported and the nucleus does not have the operation.
func (e *OperationError) Is(target error) bool { return target == ErrNotSupported && e.notSupported }

// As lets errors.As find the OperationError that each of the typed errors has in it.
func (e *OperationError) As(target any) bool {
	base, is := target.(**OperationError)
	if is {
		*base = e
	}
	return is
}

// errorBody is the payload of an APPLICATION_ERROR.
type errorBody struct {
	Message  string  `json:"message"`  // classic
	Message2 string  `json:"_message"` // lite; classic has it in addition
	Service  *string `json:"_service"` // classic
	Code     string  `json:"_errorCode"`
	Error    string  `json:"error"` // classic, for an operation that it does not know
}

// operationError reads an APPLICATION_ERROR. The shape's name stands in service-model-type, else in _errorCode; the
// text in message (classic) or _message (lite). A classic nucleus also sends a bare "InternalServerError" as
// text/plain, and {"error":…,"message":…} without a shape for an operation that it does not know.
func operationError(operation string, m *eventstream.Message) error {
	var body errorBody
	err := json.Unmarshal(m.Payload, &body)
	e := OperationError{Operation: operation, Code: strings.TrimPrefix(m.ServiceModelType, modelPrefix)}
	if e.Code == "" {
		e.Code = body.Code
	}
	for _, text := range []string{body.Message, body.Message2, body.Error} {
		if text != "" {
			e.Message = text
			break
		}
	}
	if e.Message == "" && err != nil {
		e.Message = string(m.Payload)
	}
	e.notSupported = meansNotSupported(e, body)
	return typedError(e, m.Payload)
}

// meansNotSupported reports whether the nucleus lacks the operation. A classic one knows it and has no component that
// serves it, or does not know it. Nucleus lite sends an empty text, which it also does for a request that it cannot
// read: there the operation's name decides.
func meansNotSupported(e OperationError, body errorBody) bool {
	switch e.Code {
	case "":
		return body.Error == "Unsupported Operation"
	case "ServiceError":
		if e.Message == "" {
			return body.Service == nil && lacksOnLite(e.Operation)
		}
		return strings.HasPrefix(e.Message, "Operation "+modelPrefix+e.Operation+" is not supported by Greengrass")
	default:
		return false
	}
}
