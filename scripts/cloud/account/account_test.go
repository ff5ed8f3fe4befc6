package account

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/greengrassv2"
	"github.com/aws/aws-sdk-go-v2/service/iot"
)

func TestCheckEmail(t *testing.T) {
	for _, right := range []string{"", "you@example.com", "a.b+c@sub.example.co.uk", "you@gmail.com", "you@example.community"} {
		if err := CheckEmail(right); err != nil {
			t.Errorf("%q: %v", right, err)
		}
	}
	for wrong, want := range map[string]string{
		"you":                   "has one @",
		"you@@example.com":      "has one @",
		"you@example":           `"example" is not a domain`,
		"you@example..com":      "not an address",
		"you@.example.com":      "not an address",
		"you@-example.com":      "is not a domain",
		"you @example.com":      "not an address",
		" you@example.com":      "not an address",
		"You <you@example.com>": "not an address",
		"you@example.com,":      "not an address",
		"you@example.c":         "is not a domain",
		"you@192.168.0.1":       "is not a domain",
		"you@gmial.com":         "did you mean you@gmail.com?",
		"you@GMAIL.CON":         "did you mean you@gmail.com?",
		"you@example.cmo":       "did you mean you@example.com?",
		"you@hotmal.com":        "did you mean you@hotmail.com?",
		strings.Repeat("a", 255) + "@example.com": "not an address",
	} {
		if err := CheckEmail(wrong); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", wrong, err, want)
		}
	}
}

// without answers as AWS does in a region that lacks the services of some hosts.
type without []string

func (w without) RoundTrip(r *http.Request) (*http.Response, error) {
	for _, host := range w {
		if strings.HasPrefix(r.URL.Host, host+".") {
			return nil, &net.DNSError{Err: "no such host", Name: r.URL.Host, IsNotFound: true}
		}
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: http.NoBody, Request: r}, nil
}

func (w without) lookup(_ context.Context, host string) ([]string, error) {
	for _, name := range w {
		if strings.HasPrefix(host, name+".") {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
	}
	return []string{"192.0.2.1"}, nil
}

func TestCheckServices(t *testing.T) {
	for _, c := range []struct {
		lacks without
		want  string
	}{
		{nil, ""},
		{without{"iot"}, "region eu-north-7 lacks AWS IoT Core (there is no host iot.eu-north-7.amazonaws.com): take another region"},
		{without{"greengrass"}, "region eu-north-7 lacks AWS IoT Greengrass"},
		{without{"polly"}, "region eu-north-7 lacks Amazon Polly: take another region"},
		{without{"api.sagemaker"}, "region eu-north-7 lacks Amazon SageMaker"},
		{without{"cloudformation", "polly"}, ""}, // names that only a proxy knows
	} {
		config := aws.Config{
			Region: "eu-north-7", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
			HTTPClient: &http.Client{Transport: c.lacks}, RetryMaxAttempts: 1,
		}
		a := &Account{Region: config.Region, Partition: "aws", IoT: iot.NewFromConfig(config), Greengrass: greengrassv2.NewFromConfig(config)}
		err := a.CheckServices(t.Context(), c.lacks.lookup)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("without %v: %v, want %q", c.lacks, err, c.want)
		}
	}
}

func TestFail(t *testing.T) {
	a := &Account{Region: "eu-west-1"}
	if err := a.Fail("step", context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupt became %v", err)
	}
	inner := a.Fail("make bucket", errors.New("why"))
	if outer := a.Fail("bring up", inner); outer.Error() != inner.Error() {
		t.Errorf("the step that failed is lost: %v", outer)
	}
}
