package cloud

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/smithy-go"
)

// Kind is what an error of a request to AWS means for the next one.
type Kind int

// The kinds.
const (
	Unreachable   Kind = iota + 1 // no answer of the service came
	NoCredentials                 // the token exchange service gives none, and says so
	NotTheService                 // something on the way has answered
	Busy                          // the service fails, which passes
	Throttled                     // the service wants fewer requests
	Refused                       // the service does not want it for a reason that does not pass by itself
)

// Classify tells what an error of a request means, and says why in a text for a person, which is the same as long as the
// cause is.
func Classify(err error) (Kind, string) {
	if told, ok := errors.AsType[*TokenExchangeError](err); ok {
		if told.Status >= http.StatusInternalServerError { // so a classic nucleus answers without a network
			return Unreachable, Text(told)
		}
		return NoCredentials, Text(told)
	}
	if errors.Is(err, ErrNotTheService) {
		return NotTheService, ErrNotTheService.Error()
	}
	status := Status(err)
	coded, _ := errors.AsType[smithy.APIError](err)
	if coded != nil && coded.ErrorCode() == "UnknownError" { // so clients call what is no error of the service
		coded = nil
	}
	switch {
	case status == 0:
		return Unreachable, unreachable(err)
	case status/100 == 2:
		return NotTheService, ErrNotTheService.Error()
	case proxys(status):
		return NotTheService, bare(status)
	}
	text := bare(status)
	if coded != nil {
		text = withoutIDs(strings.Trim(coded.ErrorCode()+": "+coded.ErrorMessage(), ": \n"))
	}
	switch {
	case status == http.StatusTooManyRequests, coded != nil && throttles(coded.ErrorCode()):
		return Throttled, text
	case status/100 == 5, status == http.StatusRequestTimeout:
		return Busy, text
	}
	return Refused, text
}

func throttles(code string) bool {
	return strings.Contains(code, "Throttl") || strings.Contains(code, "TooManyRequests") || code == "SlowDown"
}

// proxys tells whether a status is one that only something on the way gives.
func proxys(status int) bool {
	switch status {
	case http.StatusFound, http.StatusSeeOther, http.StatusProxyAuthRequired, http.StatusNetworkAuthenticationRequired:
		return true
	}
	return false
}

func bare(status int) string {
	return fmt.Sprintf("the answer is %d %s", status, http.StatusText(status))
}

// Status returns the HTTP status of an answer, of AWS or of the token exchange service; 0 for none.
func Status(err error) int {
	if answer, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err); ok {
		return answer.HTTPStatusCode()
	}
	return 0
}

// unreachable is the innermost word on a request that got no answer.
func unreachable(err error) string {
	if inner, ok := errors.AsType[*net.OpError](err); ok {
		return withoutIDs(inner.Error())
	}
	if sent, ok := errors.AsType[*url.Error](err); ok && !errors.Is(err, context.DeadlineExceeded) {
		return withoutIDs(sent.Err.Error())
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return Text(err)
}

// Text is an error's text without what differs from one request to the next: the text stays the same while the cause does.
func Text(err error) string { return withoutIDs(err.Error()) }

var (
	ids     = regexp.MustCompile(`,? ?\b(RequestID|HostID|request id): [^,;)\s]*`)
	sources = regexp.MustCompile(`\S+:\d+->`) // a connection's own port
	times   = regexp.MustCompile(`\b\d{8}T\d{6}Z\b`)
)

func withoutIDs(text string) string {
	return times.ReplaceAllString(sources.ReplaceAllString(ids.ReplaceAllString(text, ""), ""), "<time>")
}
