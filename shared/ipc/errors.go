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
)

// Codes of OperationError that callers branch on: names of error shapes in the Greengrass IPC model.
const (
	CodeUnauthorized     = "UnauthorizedError"
	CodeResourceNotFound = "ResourceNotFoundError"
	CodeInvalidArguments = "InvalidArgumentsError"
	CodeService          = "ServiceError"
)

// OperationError is an error that the nucleus returned for an operation. The connection stays usable.
type OperationError struct {
	Operation string // e.g. "PublishToTopic"
	Code      string // e.g. "UnauthorizedError"; empty where the nucleus names none
	Message   string // the nucleus's text; empty on nucleus lite for some errors
}

func (e *OperationError) Error() string {
	text := e.Message
	if text == "" {
		text = "the nucleus gave no reason"
	}
	if e.Code == "" {
		return fmt.Sprintf("%s: %s", e.Operation, text)
	}
	return fmt.Sprintf("%s: %s: %s", e.Operation, e.Code, text)
}

// HasCode reports whether err is an OperationError with that code.
func HasCode(err error, code string) bool {
	var e *OperationError
	return errors.As(err, &e) && e.Code == code
}

// operationError reads an APPLICATION_ERROR. The shape's name stands in service-model-type, else in _errorCode; the
// text in message (classic) or _message (lite). A classic nucleus also sends a bare "InternalServerError" as
// text/plain, and {"error":…,"message":…} without a shape for an operation that it does not know.
func operationError(operation string, m *eventstream.Message) *OperationError {
	e := &OperationError{Operation: operation, Code: strings.TrimPrefix(m.ServiceModelType, modelPrefix)}
	var body struct {
		Message  string `json:"message"`
		Message2 string `json:"_message"`
		Code     string `json:"_errorCode"`
		Error    string `json:"error"`
	}
	if err := json.Unmarshal(m.Payload, &body); err != nil {
		e.Message = string(m.Payload)
		return e
	}
	if e.Code == "" {
		e.Code = body.Code
	}
	for _, text := range []string{body.Message, body.Message2, body.Error} {
		if text != "" {
			e.Message = text
			break
		}
	}
	return e
}
