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
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"

	"edgepdm/shared/cloud"
	"edgepdm/test/must"
)

func publishing(topic string, payload []byte) *iotdataplane.PublishInput {
	return &iotdataplane.PublishInput{Topic: &topic, Payload: payload, Qos: 1}
}

// sdk publishes with AWS's own client, as publisher does.
func sdk(t *testing.T, access *cloud.Access, topic string, payload []byte) error {
	t.Helper()
	client := iotdataplane.NewFromConfig(access.Config, func(o *iotdataplane.Options) { o.HTTPClient = cloud.OwnAnswers{Client: o.HTTPClient} })
	_, err := client.Publish(t.Context(), publishing(topic, payload))
	return err
}

func own(t *testing.T, access *cloud.Access, topic string, payload []byte) error {
	t.Helper()
	p, err := newPublisher(access, *access.Config.BaseEndpoint)
	must.OK(t, err)
	return p.publish(t.Context(), publishing(topic, payload))
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
			access := answers(t, c.status, http.Header{"X-Amzn-Errortype": {c.typ}, "Content-Type": {c.kind}, "Retry-After": {"7"}}, c.body)
			want, got := sdk(t, access, "a/b", []byte("{}")), own(t, access, "a/b", []byte("{}"))
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
	access := answers(t, http.StatusOK, nil, "")
	access.Config.BaseEndpoint = &server.URL
	for _, topic := range []string{"edgepdm/core-1/pdm/v1/prediction/press-1", "edgepdm/core 1/ü+%2F/~x"} {
		must.OK(t, sdk(t, access, topic, []byte(`{"id":"ä"}`)))
		must.OK(t, own(t, access, topic, []byte(`{"id":"ä"}`)))
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
	access := answers(t, http.StatusOK, nil, "")
	access.Config.BaseEndpoint = &server.URL
	if kind, why := cloud.Classify(own(t, access, "cut", []byte("{}"))); kind != cloud.Cut || why != "EOF" {
		t.Errorf("%d %q", kind, why)
	}
	p, err := newPublisher(access, server.URL)
	must.OK(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if kind, why := cloud.Classify(p.publish(ctx, publishing("hang", []byte("{}")))); kind != cloud.Unreachable || why != "no answer in time" {
		t.Errorf("%d %q", kind, why)
	}
	access.Config.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, &cloud.TokenExchangeError{Status: 400, Text: "none"}
	})
	err = own(t, access, "x", []byte("{}"))
	if kind, _ := cloud.Classify(err); kind != cloud.NoCredentials || errors.Is(err, errPoison) {
		t.Errorf("%v", err)
	}
}

// A signature is that of AWS's own signer, on the next day and with the next credentials too.
func TestSignature(t *testing.T) {
	s := signer{region: "eu-west-1", service: iotDataService}
	day := time.Date(2026, 11, 28, 23, 59, 59, 0, time.UTC)
	first := aws.Credentials{AccessKeyID: "ASIA1", SecretAccessKey: "secret 1", SessionToken: "token/+=="}
	second := aws.Credentials{AccessKeyID: "AKIA2", SecretAccessKey: "secret 2"}
	for _, c := range []struct {
		topic string
		with  aws.Credentials
		at    time.Time
	}{
		{"edgepdm/core-1/pdm/v1/prediction/press-1", first, day},
		{"edgepdm/core 1/ü+%2F/~x", first, day},
		{"a", first, day.Add(time.Second)},
		{"a", second, day.Add(time.Second)},
		{"a", second, day.In(time.FixedZone("", 3600))},
	} {
		access := answers(t, http.StatusOK, nil, "")
		access.Config.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c.with, nil })
		p, err := newPublisher(access, "https://abc-ats.iot.eu-west-1.amazonaws.com:443")
		must.OK(t, err)
		body := []byte(`{"id":"1"}`)
		request, err := p.request(t.Context(), publishing(c.topic, body))
		must.OK(t, err)
		s.sign(request, body, c.with, c.at)
		got := request.Header.Get("Authorization")
		request.Header.Del("Authorization")
		must.OK(t, v4.NewSigner().SignHTTP(t.Context(), c.with, request, hash(body), s.service, s.region, c.at))
		if want := request.Header.Get("Authorization"); got != want || request.Host != "abc-ats.iot.eu-west-1.amazonaws.com" {
			t.Errorf("%s: %s, want %s", c.topic, got, want)
		}
	}
}
