package nucleus

import "fmt"

// OperationPrefix begins the names of operations, shapes and errors.
const OperationPrefix = "aws.greengrass#"

// The modelled errors that the core answers with.
const (
	ServiceError     = "ServiceError"
	ResourceNotFound = "ResourceNotFoundError"
	InvalidArguments = "InvalidArgumentsError"
	Unauthorized     = "UnauthorizedError"
	failedCondition  = "FailedUpdateConditionCheckError"
)

// Error is an error on a stream; the dialect says how it is sent. Nucleus lite sends only the code and the message.
type Error struct {
	Code    string  // "" is an unexpected exception
	Message *string // nil: the exception had no message, and Gson leaves the member out
	NoArg   bool    // built by the no-argument constructor: "message" has the text and "_message" is empty
	Details Object  // resourceType, resourceName
}

func (e *Error) Error() string {
	if e.Message == nil {
		return e.Code
	}
	return e.Code + ": " + *e.Message
}

// Errorf makes an error with a text.
func Errorf(code, format string, args ...any) *Error {
	text := fmt.Sprintf(format, args...)
	return &Error{Code: code, Message: &text}
}
