package localcloud

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"edgepdm/test/must"
)

// fetch sends a plain request. It returns the status and the access key, if there is one in the answer.
func fetch(t *testing.T, q *http.Request) (status int, key string) {
	t.Helper()
	status, body := fetchText(t, q)
	var answer struct {
		Key string `json:"AccessKeyId"`
	}
	_ = json.Unmarshal([]byte(body), &answer) // errors are text
	return status, answer.Key
}

// fetchText sends a plain request and returns the answer's status and body.
func fetchText(t *testing.T, q *http.Request) (status int, text string) {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(q)
	must.OK(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must.OK(t, err)
	return response.StatusCode, string(body)
}
