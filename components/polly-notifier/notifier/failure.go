package notifier

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
)

// Kind tells who can repair a failure: time, or a person.
type Kind string

// The kinds. Both are returned to Lambda: it tries again, and then puts the event into the dead-letter queue, where a
// person finds it. What is malformed is neither: it is dropped.
const (
	Retryable     Kind = "retryable"     // throttling, 5xx, network, too little time
	Configuration Kind = "configuration" // a permission, a bucket, a voice: the service will refuse it again
)

// operation names a call in errors, with the permission that it needs.
type operation struct{ verb, action string }

var (
	opVoices     = operation{"describe voices", "polly:DescribeVoices"}
	opSynthesize = operation{"synthesize speech", "polly:SynthesizeSpeech"}
	opHead       = operation{"look for the audio", "s3:GetObject and s3:ListBucket"}
	opPut        = operation{"store the audio", "s3:PutObject"}
	opPublish    = operation{"announce the audio", "iot:Publish"}
)

// Failure is one call that failed.
type Failure struct {
	Kind Kind
	Hint string // what to do, when that is known
	op   operation
	err  error
}

func (f *Failure) Error() string {
	if f.Hint == "" {
		return fmt.Sprintf("%s: %v", f.op.verb, f.err)
	}
	return fmt.Sprintf("%s: %s: %v", f.op.verb, f.Hint, f.err)
}

func (f *Failure) Unwrap() error { return f.err }

// fail makes a Failure of what the SDK returned.
func fail(op operation, err error) *Failure {
	f := &Failure{Kind: Retryable, op: op, err: err}
	var api smithy.APIError
	var invalid *smithy.InvalidParamsError
	switch status := statusOf(err); {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		f.Hint = "no time is left"
	case isTransient(err, status):
	case isDenied(err, status):
		f.Kind, f.Hint = Configuration, "the function's role needs "+op.action
	case status == http.StatusMovedPermanently:
		f.Kind, f.Hint = Configuration, "the bucket is in another region"
	case errors.As(err, &api) && api.ErrorCode() == "NoSuchBucket":
		f.Kind, f.Hint = Configuration, "BUCKET_NAME names no bucket"
	case errors.As(err, &api), errors.As(err, &invalid), status >= 400:
		f.Kind = Configuration
	}
	return f
}

// isTransient reports whether time alone may repair err.
func isTransient(err error, status int) bool {
	if retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err) == aws.TrueTernary {
		return true
	}
	switch codeOf(err) {
	case "ServiceQuotaExceededException", "ConditionalRequestConflict",
		"ExpiredToken", "ExpiredTokenException", "RequestExpired": // Lambda renews the credentials
		return true
	}
	return status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout
}

// isDenied reports whether err is a missing permission, not a wrong signature.
func isDenied(err error, status int) bool {
	switch codeOf(err) {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedException", "ForbiddenException", "Forbidden":
		return true
	case "", "UnknownError":
		return status == http.StatusForbidden
	}
	return false
}

// codeOf returns the service's error code, "" without one.
func codeOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	return ""
}

// statusOf returns the HTTP status that a service answered, 0 without one.
func statusOf(err error) int {
	var response interface{ HTTPStatusCode() int }
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// EventError is returned to Lambda when at least one record of an event could not be handled.
type EventError struct {
	Kind    Kind // Retryable when one of the failures is
	Failed  int
	Records int
	err     error
}

func (e *EventError) Error() string {
	return fmt.Sprintf("%d of %d records failed (%s): %v", e.Failed, e.Records, e.Kind, e.err)
}

func (e *EventError) Unwrap() error { return e.err }

// eventError joins the failures of an event's records; nil without any.
func eventError(failures []error, records int) error {
	if len(failures) == 0 {
		return nil
	}
	e := &EventError{Kind: Configuration, Failed: len(failures), Records: records, err: errors.Join(failures...)}
	for _, err := range failures {
		if kindOf(err) == Retryable {
			e.Kind = Retryable
		}
	}
	return e
}

// kindOf returns the kind of a record's error. What no service returned, such as audio that breaks off, is retryable.
func kindOf(err error) Kind {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Kind
	}
	return Retryable
}
