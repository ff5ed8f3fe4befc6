package forwarder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"

	"edgepdm/shared/cloud"
	"edgepdm/test/must"
)

// sdk publishes with AWS's own client, as publisher does.
func sdk(t *testing.T, config aws.Config, topic string, payload []byte) error {
	t.Helper()
	client := iotdataplane.NewFromConfig(config, func(o *iotdataplane.Options) { o.HTTPClient = cloud.OwnAnswers{Client: o.HTTPClient} })
	_, err := client.Publish(t.Context(), &iotdataplane.PublishInput{Topic: &topic, Payload: payload, Qos: 1})
	return err
}

func own(t *testing.T, config aws.Config, topic string, payload []byte) error {
	t.Helper()
	p, err := newPublisher(config, *config.BaseEndpoint)
	must.OK(t, err)
	return p.publish(t.Context(), topic, payload)
}

// An error means what that of AWS's own client does.
func TestPublisherFailsAsTheSDK(t *testing.T) {
	for _, c := range []struct {
		status    int
		kind, typ string
		body      string
	}{
		{400, "", "InvalidRequestException", `{"message":"no"}`},
		{400, "", "InvalidRequestException:http://internal.amazon.com/coral/", `{"message":"no","traceId":"x"}`},
		{403, "", "ForbiddenException", `{"message":null,"traceId":"x"}`},
		{403, "", "", `{"message":"Forbidden","traceId":"x"}`},
		{403, "", "", `no`},
		{403, "", "", ``},
		{413, "", "", `{"__type":"com.amazonaws#RequestEntityTooLargeException","message":"large"}`},
		{429, "", "ThrottlingException", `{"message":"Rate exceeded"}`},
		{500, "", "InternalFailureException", `{}`},
		{503, "", "", `{"code":"ServiceUnavailableException"}`},
		{302, "", "", ``},
		{502, "text/html", "", `<html>Bad gateway</html>`},
		{200, "text/html", "", `<html>Log in</html>`},
		{200, "application/json", "", `{"message":"hello"}`},
		{204, "", "", ``},
	} {
		t.Run(fmt.Sprintf("%d %s %s", c.status, c.typ, c.body), func(t *testing.T) {
			config := answers(t, c.status, http.Header{"X-Amzn-Errortype": {c.typ}, "Content-Type": {c.kind}, "Retry-After": {"7"}}, c.body)
			want, got := sdk(t, config, "a/b", []byte("{}")), own(t, config, "a/b", []byte("{}"))
			if want == nil || got == nil {
				t.Fatalf("%v, want %v", got, want)
			}
			kind, why := cloud.Classify(got)
			wantKind, wantWhy := cloud.Classify(want)
			wantWhy = strings.TrimSuffix(wantWhy, ": UnknownError") // the SDK's word for a message that is missing
			if kind != wantKind || why != wantWhy {
				t.Errorf("%d %q, want %d %q", kind, why, wantKind, wantWhy)
			}
			if isPoison(got) != isPoison(want) || cloud.Status(got) != cloud.Status(want) || retryAfter(got) != retryAfter(want) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

// A request is that of AWS's own client, but for what the client tells of itself.
func TestPublisherAsksAsTheSDK(t *testing.T) {
	type request struct {
		line, host, body string
		header           http.Header
	}
	var got []request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		for _, own := range []string{"User-Agent", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "Authorization", "X-Amz-Date"} {
			if r.Header.Get(own) == "" && !strings.HasPrefix(own, "Amz-Sdk") {
				t.Errorf("a request without %s", own)
			}
			r.Header.Del(own)
		}
		got = append(got, request{r.Method + " " + r.RequestURI, r.Host, string(body), r.Header})
		_, _ = io.WriteString(w, `{"message":"OK"}`)
	}))
	t.Cleanup(server.Close)
	config := answers(t, http.StatusOK, nil, "")
	config.BaseEndpoint = &server.URL
	for _, topic := range []string{"edgepdm/core-1/pdm/v1/prediction/press-1", "edgepdm/core 1/ü+%2F/~x"} {
		must.OK(t, sdk(t, config, topic, []byte(`{"id":"ä"}`)))
		must.OK(t, own(t, config, topic, []byte(`{"id":"ä"}`)))
		if sdk, own := fmt.Sprintf("%+v", got[0]), fmt.Sprintf("%+v", got[1]); sdk != own {
			t.Errorf("%s, want %s", own, sdk)
		}
		got = nil
	}
}

// What breaks off says what broke: no answer, or none in time.
func TestPublisherWithoutAnAnswer(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.RequestURI, "hang") {
			<-hang
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(hang) })
	config := answers(t, http.StatusOK, nil, "")
	config.BaseEndpoint = &server.URL
	if kind, why := cloud.Classify(own(t, config, "cut", nil)); kind != cloud.Cut || why != "EOF" {
		t.Errorf("%d %q", kind, why)
	}
	p, err := newPublisher(config, server.URL)
	must.OK(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if kind, why := cloud.Classify(p.publish(ctx, "hang", nil)); kind != cloud.Unreachable || why != "no answer in time" {
		t.Errorf("%d %q", kind, why)
	}
	config.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, &cloud.TokenExchangeError{Status: 400, Text: "none"}
	})
	err = own(t, config, "x", nil)
	if kind, _ := cloud.Classify(err); kind != cloud.NoCredentials || errors.Is(err, errPoison) {
		t.Errorf("%v", err)
	}
}
