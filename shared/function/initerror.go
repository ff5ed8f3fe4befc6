package function

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const initErrorTimeout = 2 * time.Second

// reportInitError tells Lambda why the function cannot start, so that the reason stands in the error of an invocation
// and in the dead-letter queue, not only in the log. aws-lambda-go has no call for it.
func reportInitError(ctx context.Context, api string, reason error) error {
	const errorType = "Function.Configuration"
	ctx, cancel := context.WithTimeout(ctx, initErrorTimeout)
	defer cancel()
	body, err := json.Marshal(struct {
		Message string   `json:"errorMessage"`
		Type    string   `json:"errorType"`
		Stack   []string `json:"stackTrace"`
	}{reason.Error(), errorType, []string{}})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+api+"/2018-06-01/runtime/init/error", bytes.NewReader(body)) //nolint:gosec // the address is Lambda's own
	if err != nil {
		return fmt.Errorf("report the failed start: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Lambda-Runtime-Function-Error-Type", errorType)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // never through a proxy
	response, err := client.Do(request)                                        //nolint:gosec // as above
	if err != nil {
		return fmt.Errorf("report the failed start: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusAccepted {
		return fmt.Errorf("report the failed start: %s", response.Status)
	}
	return nil
}
