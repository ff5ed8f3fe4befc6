package account

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/aws/smithy-go"

	"edgepdm/shared/cloud"
)

// Failure is a step that failed, and why, in words for a person.
type Failure struct {
	Step string // what was done: "create bucket pdm-code"
	Text string // AWS's reason, and what to do
	Err  error
}

func (f *Failure) Error() string { return f.Step + ": " + f.Text }

func (f *Failure) Unwrap() error { return f.Err }

// Code is the code of AWS's error; empty for any other error.
func Code(err error) string {
	if coded, ok := as[smithy.APIError](err); ok {
		return coded.ErrorCode()
	}
	return ""
}

// Missing tells whether err is AWS's word that a resource does not exist.
func Missing(err error) bool {
	switch Code(err) {
	case "ResourceNotFoundException", "NoSuchBucket", "NotFound", "NoSuchTagSet", "NoSuchKey", "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue":
		return true
	}
	return status(err) == 404 && Code(err) != "UnknownError"
}

// Forbidden tells whether err is AWS's word that a resource is none of this account's business.
func Forbidden(err error) bool {
	return status(err) == 403 && (Code(err) == "Forbidden" || Code(err) == "AccessDenied")
}

// Fail says that a request to AWS failed in a step.
func (a *Account) Fail(step string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	if failed, ok := as[*Failure](err); ok {
		return failed
	}
	return &Failure{Step: step, Text: a.explain(err), Err: err}
}

func (a *Account) explain(err error) string {
	if dns, ok := as[*net.DNSError](err); ok && dns.IsNotFound {
		return fmt.Sprintf("there is no host %s: region %s is misspelled, it lacks the service, or this machine has no network", dns.Name, a.Region)
	}
	kind, text := cloud.Classify(err)
	switch code := Code(err); {
	case code == "ExpiredToken" || code == "ExpiredTokenException" || code == "RequestExpired":
		return "the credentials have expired: sign in again, for example with `aws sso login` (" + text + ")"
	case code == "InvalidClientTokenId" || code == "UnrecognizedClientException" || code == "InvalidAccessKeyId":
		return fmt.Sprintf("AWS does not know the credentials, or region %s is not enabled for the account (%s)", a.Region, text)
	case code == "SignatureDoesNotMatch" || code == "InvalidSignatureException":
		return "the secret access key is wrong, or this machine's clock is (" + text + ")"
	case strings.HasPrefix(code, "AccessDenied") || code == "UnauthorizedException" || code == "UnauthorizedOperation":
		return "your credentials do not allow it (" + text + ")"
	}
	switch kind {
	case cloud.Throttled:
		return "AWS wants fewer requests, after all repeats: run the same command again in a minute (" + text + ")"
	case cloud.Busy:
		return "the service fails: run the same command again (" + text + ")"
	case cloud.Unreachable, cloud.Cut:
		return "AWS is not reached: " + text
	case cloud.NoCredentials, cloud.NotTheService, cloud.Refused:
	}
	return text
}

func noCredentials(step string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	text := "no credentials: run `aws configure` or `aws sso login`, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
	if err != nil {
		text += " (" + cloud.Text(err) + ")"
	}
	return &Failure{Step: step, Text: text, Err: err}
}

// as is errors.AsType, for a nil err, too.
func as[E error](err error) (E, bool) {
	if err == nil {
		var none E
		return none, false
	}
	return errors.AsType[E](err)
}
