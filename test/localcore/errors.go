package localcore

import "fmt"

const serviceName = "aws.greengrass#GreengrassCoreIPC"

// The modelled errors that the core answers with.
const (
	serviceError           = "ServiceError"
	resourceNotFound       = "ResourceNotFoundError"
	invalidArguments       = "InvalidArgumentsError"
	unauthorized           = "UnauthorizedError"
	failedCondition        = "FailedUpdateConditionCheckError"
	internalServerErrorMsg = "InternalServerError"
)

// opError is an error on a stream; the dialect says how it is sent. Nucleus lite sends only the code and the message.
type opError struct {
	code    string  // "" is an unexpected exception: text/plain, without a service-model-type
	message *string // nil: the exception had no message, and Gson leaves the member out
	noArg   bool    // built by the no-argument constructor: "message" has the text and "_message" is empty
	details object  // resourceType, resourceName, context
}

func (e *opError) Error() string {
	if e.message == nil {
		return e.code
	}
	return e.code + ": " + *e.message
}

func errorf(code, format string, args ...any) *opError {
	text := fmt.Sprintf(format, args...)
	return &opError{code: code, message: &text}
}

// unexpected is what an exception outside of an operation's own code becomes, such as a request that does not parse.
func unexpected() *opError { return &opError{} }

// nullPointer is a Java NullPointerException inside an operation: a ServiceError without a text.
func nullPointer() *opError { return &opError{code: serviceError} }
