package main

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"edgepdm/components/polly-notifier/notifier"
	"edgepdm/shared/event"
	"edgepdm/test/moto"
)

// TestS3OfMoto has an S3 that is not this project's keep the clips: the conditional write and the look for what is there
// already mean to it what they mean to the program.
func TestS3OfMoto(t *testing.T) {
	s3 := moto.Start(t)
	request := func(method, path string) (int, http.Header) {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), method, s3+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		// moto finds the service in the signature, which it does not verify.
		q.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none")
		response, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Header
	}
	bootstrap, api, cloud := buildBootstrap(t), startRuntimeAPI(t), newServices(t)
	p := startProcess(t, bootstrap, lambdaEnv(api, "AWS_ENDPOINT_URL_S3="+s3, "AWS_ENDPOINT_URL_POLLY="+cloud.listen("polly"),
		"AWS_ENDPOINT_URL_IOT_DATA_PLANE="+cloud.listen("iotdata")))

	// Without the bucket it is a failure to be tried again, or to land in the dead-letter queue, not a success.
	if kind, _ := api.invoke(t, p, snsEvent(t)).failure(t); kind != "EventError" {
		t.Errorf("without the bucket: %s", kind)
	}
	if status, _ := request(http.MethodPut, "/clips"); status != http.StatusOK {
		t.Fatalf("create bucket: %d", status)
	}
	checkResponse(t, api.invoke(t, p, snsEvent(t)), notifier.Result{Records: 2, Spoken: 2, Announced: 1})
	checkResponse(t, api.invoke(t, p, snsEvent(t)), notifier.Result{Records: 2, Reused: 2, Announced: 1})
	_, _, messages := cloud.seen()
	if len(messages) == 0 {
		t.Fatal("nothing is announced")
	}
	var a event.Announcement
	if err := json.Unmarshal([]byte(messages[0].body), &a); err != nil {
		t.Fatal(err)
	}
	status, header := request(http.MethodHead, "/clips/"+a.Key)
	if status != http.StatusOK || header.Get("Content-Type") != "audio/mpeg" || header.Get("X-Amz-Meta-Thing") != "pump-1" {
		t.Errorf("clip %s: %d %v", a.Key, status, header)
	}
}
