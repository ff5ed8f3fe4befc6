package publisher

import (
	"context"
	"errors"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// Types of the errors that the state machine tells apart: what passes by itself, and what a person has to repair.
const (
	Retryable = "Publisher.Retryable"
	Refused   = "Publisher.Refused"
)

// fail gives an error its type.
func fail(err error) error {
	kind := Refused
	if errors.Is(err, context.DeadlineExceeded) || retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) == aws.TrueTernary {
		kind = Retryable
	}
	return messages.InvokeResponse_Error{Message: err.Error(), Type: kind}
}
