package localcloud

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/polly"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"edgepdm/test/must"
)

// TestMain lets this test's program also be the function that the cloud runs.
func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		runFunction()
		return
	}
	os.Exit(m.Run())
}

const testTimeout = time.Minute

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// startCloud starts a cloud that is closed at the end of the test, which fails when a goroutine is left behind.
func startCloud(t *testing.T, opts Options, change ...func(*Cloud)) *Cloud {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	c, err := New(opts)
	must.OK(t, err)
	c.speaker = clip{} // unless the test is about espeak-ng
	for _, f := range change {
		f(c)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		noGoroutinesOf(t, ctx)
	})
	must.OK(t, c.Start(testContext(t)))
	return c
}

// noGoroutinesOf waits until no goroutine that the cloud started is left.
func noGoroutinesOf(t *testing.T, ctx context.Context) {
	t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	buf := make([]byte, 1<<20)
	for {
		stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
		left := slices.DeleteFunc(stacks, func(s string) bool {
			return !strings.Contains(s, "localcloud.(*") || strings.Contains(s, "testing.tRunner")
		})
		if len(left) == 0 {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Errorf("goroutines are left:\n%s", strings.Join(left, "\n\n"))
			return
		}
	}
}

// clients are SDK clients of one side.
type clients struct {
	iot   *iotdataplane.Client
	sns   *sns.Client
	s3    *s3.Client
	polly *polly.Client
	http  *http.Client
}

// newClients makes SDK clients for endpoints. They do not retry.
func newClients(t *testing.T, e Endpoints, provider aws.CredentialsProvider) clients {
	t.Helper()
	pem := must.Read(t, e.CAFile)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	return clientsOf(e, aws.Config{
		Region: e.Region, Credentials: provider, HTTPClient: client, Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	}, client)
}

func clientsOf(e Endpoints, cfg aws.Config, client *http.Client) clients {
	return clients{
		iot:   iotdataplane.NewFromConfig(cfg, func(o *iotdataplane.Options) { o.BaseEndpoint = &e.IoTData }),
		sns:   sns.NewFromConfig(cfg, func(o *sns.Options) { o.BaseEndpoint = &e.SNS }),
		s3:    s3.NewFromConfig(cfg, func(o *s3.Options) { o.BaseEndpoint = &e.S3 }),
		polly: polly.NewFromConfig(cfg, func(o *polly.Options) { o.BaseEndpoint = &e.Polly }),
		http:  client,
	}
}

// deviceClients have credentials as the token exchange gives them.
func deviceClients(t *testing.T, c *Cloud) clients {
	t.Helper()
	return newClients(t, c.Endpoints(), static(c.keys.temporary(time.Hour)))
}

func operatorClients(t *testing.T, c *Cloud) clients {
	t.Helper()
	return newClients(t, c.InternalEndpoints(), static(c.Credentials()))
}

func static(c aws.Credentials) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
}

// wantError checks an SDK error's HTTP status and code.
func wantError(t *testing.T, err error, status int, code string) {
	t.Helper()
	response, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok {
		t.Fatalf("error %v is no response, want %d %s", err, status, code)
	}
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || response.HTTPStatusCode() != status || api.ErrorCode() != code {
		t.Fatalf("error %v, want %d %s", err, status, code)
	}
}

// clock is set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func TestLifecycle(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("New without a directory: no error")
	}
	if _, err := New(Options{Dir: t.TempDir(), Notifier: "missing/bootstrap"}); err == nil {
		t.Error("New with a missing notifier: no error")
	}
	c := startCloud(t, Options{Bucket: "plant-data", Region: "eu-west-1"})
	if err := c.Start(t.Context()); err == nil {
		t.Error("second Start: no error")
	}
	e := c.Endpoints()
	if e.Bucket != "plant-data" || e.TopicARN != "arn:aws:sns:eu-west-1:123456789012:edgepdm-alerts" {
		t.Errorf("endpoints %+v", e)
	}
	for range 2 {
		if err := c.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	unstarted, err := New(Options{Dir: filepath.Join(t.TempDir(), "new", "folder")})
	must.OK(t, err)
	if len(unstarted.Journal())+len(unstarted.Mails())+len(unstarted.DeadLetters()) != 0 {
		t.Error("something arrived before the start")
	}
	if err := unstarted.Close(t.Context()); err != nil {
		t.Errorf("close before start: %v", err)
	}
	if err := unstarted.Start(t.Context()); err == nil {
		t.Error("start after close: no error")
	}
}

func TestThrottle(t *testing.T) {
	c := startCloud(t, Options{})
	d := deviceClients(t, c)
	ctx := testContext(t)
	e := c.Endpoints()
	for _, tc := range []struct {
		service string
		status  int
		code    string
		call    func(retryer aws.Retryer) error
	}{
		{"iotdata", 429, "ThrottlingException", func(r aws.Retryer) error {
			_, err := d.iot.Publish(ctx, &iotdataplane.PublishInput{Topic: aws.String("a")}, func(o *iotdataplane.Options) { o.Retryer = r })
			return err
		}},
		{"sns", 400, "Throttling", func(r aws.Retryer) error {
			_, err := d.sns.Publish(ctx, &sns.PublishInput{TopicArn: &e.TopicARN, Message: aws.String("a")}, func(o *sns.Options) { o.Retryer = r })
			return err
		}},
		{"s3", 503, "SlowDown", func(r aws.Retryer) error {
			_, err := d.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &e.Bucket}, func(o *s3.Options) { o.Retryer = r })
			return err
		}},
		{"polly", 400, "ThrottlingException", func(r aws.Retryer) error {
			_, err := d.polly.DescribeVoices(ctx, &polly.DescribeVoicesInput{}, func(o *polly.Options) { o.Retryer = r })
			return err
		}},
	} {
		t.Run(tc.service, func(t *testing.T) {
			must.OK(t, c.Throttle(tc.service, 3))
			wantError(t, tc.call(aws.NopRetryer{}), tc.status, tc.code)
			// The SDK knows the errors as ones to retry: the third attempt gets through.
			retryer := retry.NewStandard(func(o *retry.StandardOptions) {
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			})
			if err := tc.call(retryer); err != nil {
				t.Errorf("with retries: %v", err)
			}
		})
	}
	if err := c.Throttle("sqs", 1); err == nil {
		t.Error("throttle of an unknown service: no error")
	}
}
