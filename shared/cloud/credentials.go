package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"edgepdm/shared/event"
)

const (
	maxCredentials     = 64 << 10 // bytes of an answer; a session token has one or two thousand
	maxToken           = 16 << 10 // bytes of the token for the service
	maxTokenExchange   = 200      // bytes of what the service says that a person reads
	providerName       = "TokenExchangeService"
	tokenExchangeError = "token exchange service"
)

// tokenExchange gets the credentials that the token exchange service of a nucleus gives. The SDK's own client of such
// endpoints cannot be used: it dereferences a nil pointer in a goroutine of its own when the answer is the JSON text null, which is
// what nucleus lite answers while it has no credentials.
type tokenExchange struct {
	url    string
	token  func() (string, error)
	client *http.Client
}

// TokenExchangeError is what the token exchange service says when it gives no credentials. It is a smithy.APIError, as
// those of AWS's services are.
type TokenExchangeError struct {
	Status int    // of HTTP; 200 when the answer has no credentials, 0 when there is none
	Text   string // for a person
}

func (e *TokenExchangeError) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("%s: %s", tokenExchangeError, e.Text)
	}
	return fmt.Sprintf("%s: %d %s", tokenExchangeError, e.Status, e.Text)
}

// HTTPStatusCode returns the status of the answer.
func (e *TokenExchangeError) HTTPStatusCode() int { return e.Status }

// ErrorCode returns "": the service has no codes.
func (e *TokenExchangeError) ErrorCode() string { return "" }

// ErrorMessage returns the whole error: a classic nucleus refuses with a status and nothing else.
func (e *TokenExchangeError) ErrorMessage() string { return e.Error() }

// ErrorFault says whose fault it is.
func (e *TokenExchangeError) ErrorFault() smithy.ErrorFault { return smithy.FaultUnknown }

// Retrieve asks for credentials. The error wraps a *TokenExchangeError.
func (t *tokenExchange) Retrieve(ctx context.Context) (aws.Credentials, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("%s: %w", EnvCredentialsURL, err)
	}
	token, err := t.token()
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("%w: %w", &TokenExchangeError{0, err.Error()}, err)
	}
	if token != "" {
		request.Header.Set("Authorization", token)
	}
	answer, err := t.client.Do(request)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("%w: %w", &TokenExchangeError{0, unreachable(err)}, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxCredentials+1))
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("read the answer: %w: %w", &TokenExchangeError{0, unreachable(err)}, err)
	}
	if answer.StatusCode != http.StatusOK {
		return aws.Credentials{}, &TokenExchangeError{answer.StatusCode, plain(body)}
	}
	c, problem := parseCredentials(body)
	if problem != "" {
		return aws.Credentials{}, &TokenExchangeError{answer.StatusCode, problem}
	}
	return c, nil
}

// authorization returns the token for the token exchange service, as it is now: a nucleus renews it.
func authorization(getenv func(string) string) (string, error) {
	path := getenv(EnvCredentialsFile)
	if path == "" {
		return getenv(EnvCredentialsToken), nil
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", EnvCredentialsFile, err)
	}
	defer func() { _ = file.Close() }()
	token, err := io.ReadAll(io.LimitReader(file, maxToken+1))
	switch token = bytes.TrimSpace(token); {
	case err != nil:
		return "", fmt.Errorf("%s: %w", EnvCredentialsFile, err)
	case len(token) == 0 || len(token) > maxToken || bytes.ContainsAny(token, "\r\n"):
		return "", fmt.Errorf("%s: %s has no token: one line of at most %d bytes", EnvCredentialsFile, path, maxToken)
	}
	return string(token), nil
}

// parseCredentials reads an answer. The problem, if there is one, never quotes it: it may have half of a secret.
func parseCredentials(body []byte) (c aws.Credentials, problem string) {
	if len(body) > maxCredentials {
		return c, fmt.Sprintf("the answer has more than %d bytes", maxCredentials)
	}
	switch strings.TrimSpace(string(body)) {
	case "", "null", "{}":
		return c, "no credentials: the core has none while it cannot reach AWS, or has no role alias"
	}
	var answer struct {
		AccessKeyID     string `json:"AccessKeyId"`
		SecretAccessKey string
		Token           *string // "" for the keys of a server that is not AWS
		Expiration      string
	}
	if json.Unmarshal(body, &answer) != nil {
		return c, "the answer is not JSON with credentials"
	}
	expires, err := time.Parse(time.RFC3339, answer.Expiration)
	for _, member := range []struct {
		name    string
		missing bool
	}{
		{"AccessKeyId", answer.AccessKeyID == ""}, {"SecretAccessKey", answer.SecretAccessKey == ""},
		{"Token", answer.Token == nil}, {"Expiration", err != nil},
	} {
		if member.missing {
			return c, "the answer lacks " + member.name
		}
	}
	return aws.Credentials{
		AccessKeyID: answer.AccessKeyID, SecretAccessKey: answer.SecretAccessKey, SessionToken: *answer.Token,
		Source: providerName, CanExpire: true, Expires: expires,
	}, ""
}

// plain makes a text for a person of what a service answers: one line of bounded length.
func plain(body []byte) string {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(body), "")), " ")
	switch {
	case text == "":
		return "without a word"
	case len(text) > maxTokenExchange:
		return event.Cut(text, maxTokenExchange) + "…"
	}
	return text
}
