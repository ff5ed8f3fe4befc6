package cloud

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// ErrNotTheService says that something on the way has answered and not the service: a proxy, or the page on which a guest
// network asks people to log in.
var ErrNotTheService = errors.New("not the service's own answer")

// OwnAnswers is an HTTP client for a service whose success removes what was sent: one that something else gives on its
// way is an error, which wraps ErrNotTheService. The service's own has status 200 and the id that AWS gives to a request
// (the header x-amzn-RequestId), or a JSON body with the message OK, as the data plane of AWS IoT sends it.
type OwnAnswers struct{ Client aws.HTTPClient }

// Do sends the request.
func (o OwnAnswers) Do(request *http.Request) (*http.Response, error) {
	answer, err := o.Client.Do(request)
	if err != nil || answer.StatusCode/100 != 2 {
		return answer, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxErrorBody))
	_ = answer.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK || answer.Header.Get("X-Amzn-Requestid") == "" && !saysOK(body) {
		return nil, fmt.Errorf("%w: %d with %d bytes of %.40q", ErrNotTheService, answer.StatusCode, len(body), answer.Header.Get("Content-Type"))
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}

func saysOK(body []byte) bool {
	var answer struct {
		Message string `json:"message"`
	}
	return json.Unmarshal(body, &answer) == nil && answer.Message == "OK"
}

// foreign tells whether something on the way has answered: a page for people. The services speak XML and JSON, and give
// each answer an id.
func foreign(answer *http.Response) bool {
	if answer.Header.Get("X-Amzn-Requestid") != "" || answer.Header.Get("X-Amz-Request-Id") != "" {
		return false
	}
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	return kind == "text/html" || kind == "application/xhtml+xml"
}
