package localcloud

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"

	"edgepdm/test/must"
)

// broker records what is published.
type broker struct {
	mu       sync.Mutex
	messages []string
	err      error
}

func (b *broker) publish(topic string, payload []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	b.messages = append(b.messages, topic+" "+string(payload))
	return nil
}

func TestIoTPublish(t *testing.T) {
	b := &broker{}
	c := startCloud(t, Options{Publish: b.publish})
	d := deviceClients(t, c)
	large := strings.Repeat("x", maxIoTPayload)
	for _, tc := range []struct {
		name, topic, payload string
		qos                  int32
		status               int
		code                 string
	}{
		{name: "slashes", topic: "site/pdm/v1/alert/mill-1", payload: `{"id":"a-1"}`, qos: 1},
		{name: "characters to escape", topic: "a b/ü?c%2F/=&", payload: "text"},
		{name: "empty payload", topic: "a"},
		{name: "basic ingest", topic: "$aws/rules/telemetry/1/2/3/4/5/6/7/8", payload: "x"},
		{name: "largest", topic: "large", payload: large},
		{name: "too large", topic: "large", payload: large + "x", status: 413, code: "RequestEntityTooLargeException"},
		{name: "wildcard", topic: "a/#", status: 400, code: "InvalidRequestException"},
		{name: "long topic", topic: strings.Repeat("t", 257), status: 400, code: "InvalidRequestException"},
		{name: "deep topic", topic: "1/2/3/4/5/6/7/8/9", status: 400, code: "InvalidRequestException"},
		{name: "wrong qos", topic: "a", qos: 2, status: 400, code: "InvalidRequestException"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before, published := len(c.Journal()), len(b.messages)
			_, err := d.iot.Publish(testContext(t), &iotdataplane.PublishInput{Topic: &tc.topic, Payload: []byte(tc.payload), Qos: tc.qos})
			if tc.status != 0 {
				wantError(t, err, tc.status, tc.code)
				if len(c.Journal()) != before || len(b.messages) != published {
					t.Error("a refused message was taken")
				}
				return
			}
			must.OK(t, err)
			last := c.Journal()[before]
			if last.Kind != KindIoT || last.Name != tc.topic || last.Size != len(tc.payload) {
				t.Errorf("journal %+v", last)
			}
			if got := b.messages[published]; got != tc.topic+" "+tc.payload {
				t.Errorf("published %.200q", got)
			}
		})
	}
	if ids := c.Journal().IDs(KindIoT); ids["a-1"] != 1 || len(ids) != 1 {
		t.Errorf("ids %v", ids)
	}
	b.err = errors.New("broker is full")
	_, err := d.iot.Publish(testContext(t), &iotdataplane.PublishInput{Topic: aws.String("a")})
	wantError(t, err, 500, "InternalFailureException")
}

// TestIoTPlainTopic sends the topic with its slashes as they are, as curl does, with a signature of its own.
func TestIoTPlainTopic(t *testing.T) {
	c := startCloud(t, Options{})
	d := deviceClients(t, c)
	key := c.keys.temporary(time.Hour)
	q, err := http.NewRequestWithContext(testContext(t), http.MethodPost, c.Endpoints().IoTData+"/topics/a/b%2Fc?qos=1", strings.NewReader("x"))
	must.OK(t, err)
	const sumOfX = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
	must.OK(t, v4.NewSigner().SignHTTP(t.Context(), key, q, sumOfX, "iotdata", "us-east-1", time.Now()))
	response, err := d.http.Do(q)
	must.OK(t, err)
	response.Body.Close()
	if response.StatusCode != http.StatusOK || c.Journal()[0].Name != "a/b/c" {
		t.Errorf("status %d, journal %v", response.StatusCode, c.Journal())
	}
}

func TestIoTAuthentication(t *testing.T) {
	now := &clock{now: time.Now()}
	c := startCloud(t, Options{Now: now.Now})
	good := c.keys.temporary(time.Hour)
	change := func(f func(*aws.Credentials)) aws.Credentials {
		changed := good
		f(&changed)
		return changed
	}
	for _, tc := range []struct {
		name string
		key  aws.Credentials
		ok   bool
	}{
		{"token exchange", good, true},
		{"operator", c.Credentials(), true},
		{"expired", c.keys.temporary(0), false},
		{"unknown key", change(func(k *aws.Credentials) { k.AccessKeyID = "ASIAUNKNOWN" }), false},
		{"wrong secret", change(func(k *aws.Credentials) { k.SecretAccessKey += "x" }), false},
		{"wrong token", change(func(k *aws.Credentials) { k.SessionToken += "x" }), false},
		{"no token", change(func(k *aws.Credentials) { k.SessionToken = "" }), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := newClients(t, c.Endpoints(), static(tc.key))
			_, err := d.iot.Publish(testContext(t), &iotdataplane.PublishInput{Topic: aws.String("a"), Payload: []byte("x")})
			if tc.ok && err != nil {
				t.Errorf("refused: %v", err)
			}
			if !tc.ok {
				wantError(t, err, 403, "ForbiddenException")
			}
		})
	}
	d := newClients(t, c.Endpoints(), static(good))
	t.Run("tampered", func(t *testing.T) {
		_, err := d.iot.Publish(testContext(t), &iotdataplane.PublishInput{Topic: aws.String("a"), Payload: []byte("x")},
			func(o *iotdataplane.Options) {
				o.HTTPClient = doer(func(q *http.Request) (*http.Response, error) {
					q.URL.RawPath = ""
					q.URL.Path = "/topics/other"
					return d.http.Do(q)
				})
			})
		wantError(t, err, 403, "ForbiddenException")
	})
	t.Run("unsigned", func(t *testing.T) {
		response, err := d.http.Post(c.Endpoints().IoTData+"/topics/a", "", bytes.NewReader(nil)) //nolint:noctx // a test
		must.OK(t, err)
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("status %d", response.StatusCode)
		}
	})
	t.Run("clock", func(t *testing.T) {
		now.advance(maxSkew + time.Minute)
		_, err := d.iot.Publish(testContext(t), &iotdataplane.PublishInput{Topic: aws.String("a")})
		wantError(t, err, 403, "ForbiddenException")
	})
	if n := c.Journal().Count(KindIoT); n != 2 {
		t.Errorf("%d messages were taken, want 2", n)
	}
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(q *http.Request) (*http.Response, error) { return d(q) }

// TestConcurrentPublish is for the race detector.
func TestConcurrentPublish(t *testing.T) {
	b := &broker{}
	c := startCloud(t, Options{Publish: b.publish})
	d := deviceClients(t, c)
	const n = 50
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			_, err := d.iot.Publish(testContext(t), &iotdataplane.PublishInput{
				Topic: aws.String("a"), Payload: fmt.Appendf(nil, `{"id":"r-%d"}`, i),
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	err := c.Wait(testContext(t), func(j Journal) bool { return len(j.IDs(KindIoT)) == n })
	wg.Wait()
	if err != nil || len(b.messages) != n || len(slices.Compact(slices.Sorted(slices.Values(b.messages)))) != n {
		t.Errorf("%d messages, %v", len(b.messages), err)
	}
}
