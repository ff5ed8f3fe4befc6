package localcloud

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"edgepdm/test/must"
)

func TestUplink(t *testing.T) {
	c := startCloud(t, Options{})
	d, inside := deviceClients(t, c), operatorClients(t, c)
	e := c.Endpoints()
	calls := func(d clients) map[string]error {
		_, iot := d.iot.Publish(testContext(t), &iotdataplane.PublishInput{Topic: aws.String("a")})
		_, topic := d.sns.Publish(testContext(t), &sns.PublishInput{TopicArn: &e.TopicARN, Message: aws.String("a")})
		_, list := d.s3.ListObjectsV2(testContext(t), &s3.ListObjectsV2Input{Bucket: &e.Bucket})
		return map[string]error{"iot": iot, "sns": topic, "s3": list}
	}
	check := func(when string, d clients, up bool) {
		t.Helper()
		for service, err := range calls(d) {
			if (err == nil) != up {
				t.Errorf("%s: %s: %v", when, service, err)
			}
		}
	}
	var hooks []bool
	c.OnUplink(func(up bool) { hooks = append(hooks, up) })
	check("at first", d, true)
	for range 3 {
		c.SetUplink(false)
		n := len(c.Journal())
		check("down", d, false)
		if len(c.Journal()) != n {
			t.Error("something got through")
		}
		check("down, inside", inside, true)
		c.SetUplink(true)
		check("up again", d, true)
	}
	if c.Endpoints() != e || !slices.Equal(hooks, []bool{false, true, false, true, false, true}) {
		t.Errorf("endpoints %+v, hooks %v", c.Endpoints(), hooks)
	}
	if c.Unanswered() != 0 {
		t.Errorf("%d requests without an answer", c.Unanswered())
	}
}

// TestCutBeforeAnswer cuts the uplink when a message was taken and its answer is not sent yet.
func TestCutBeforeAnswer(t *testing.T) {
	var c *Cloud
	var cut atomic.Bool
	cut.Store(true)
	c = startCloud(t, Options{Publish: func(string, []byte) error {
		if cut.Swap(false) {
			c.SetUplink(false)
		}
		return nil
	}})
	d := deviceClients(t, c)
	publish := func() error {
		_, err := d.iot.Publish(testContext(t), &iotdataplane.PublishInput{Topic: aws.String("a"), Payload: []byte(`{"id":"r-1"}`)})
		return err
	}
	if err := publish(); err == nil {
		t.Fatal("the answer arrived")
	}
	must.OK(t, c.Wait(testContext(t), func(j Journal) bool { return j.Count(KindIoT) == 1 }))
	c.SetUplink(true)
	must.OK(t, publish()) // as a forwarder does
	if got := c.Journal().IDs(KindIoT); !maps.Equal(got, map[string]int{"r-1": 2}) {
		t.Errorf("ids %v", got)
	}
	must.OK(t, c.Close(testContext(t))) // waits for the handlers: the first may count after its client has gone
	if c.Unanswered() != 1 {
		t.Errorf("%d requests without an answer", c.Unanswered())
	}
}

// TestCutInBody cuts the uplink when half of a request has arrived.
func TestCutInBody(t *testing.T) {
	c := startCloud(t, Options{})
	u, err := url.Parse(c.Endpoints().S3)
	must.OK(t, err)
	var dialer net.Dialer
	conn, err := dialer.DialContext(testContext(t), "tcp", u.Host)
	must.OK(t, err)
	defer conn.Close()
	// The server says "continue" when it begins to read the body.
	fmt.Fprintf(conn, "PUT /%s/key HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n", c.Endpoints().Bucket, u.Host)
	answer := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(conn, answer); err != nil || !strings.Contains(string(answer), "100 Continue") {
		t.Fatalf("answer %q, %v", answer, err)
	}
	fmt.Fprint(conn, strings.Repeat("x", 500))
	c.SetUplink(false)
	if n, err := conn.Read(answer); err == nil || n > 0 {
		t.Errorf("after the cut: %q, %v", answer[:n], err)
	}
	if len(c.Journal()) != 0 {
		t.Errorf("journal %v", c.Journal())
	}
}

// TestCutInAnswer cuts the uplink when half of an answer has been read.
func TestCutInAnswer(t *testing.T) {
	c := startCloud(t, Options{})
	d := deviceClients(t, c)
	bucket := c.Endpoints().Bucket
	const size = 16 << 20 // more than the sockets hold
	content := strings.Repeat("0123456789abcdef", size/16)
	out := put(t, d, bucket, "model", content)
	object, err := d.s3.GetObject(testContext(t), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("model")})
	must.OK(t, err)
	first := make([]byte, 1<<20)
	if _, err := io.ReadFull(object.Body, first); err != nil {
		t.Fatal(err)
	}
	c.SetUplink(false)
	if _, err := io.Copy(io.Discard, object.Body); err == nil {
		t.Fatal("the whole object arrived")
	}
	object.Body.Close()
	c.SetUplink(true)
	object, err = d.s3.GetObject(testContext(t), &s3.GetObjectInput{
		Bucket: &bucket, Key: aws.String("model"), IfMatch: out.ETag, Range: aws.String(fmt.Sprintf("bytes=%d-", len(first))),
	})
	must.OK(t, err)
	defer object.Body.Close()
	rest, err := io.ReadAll(object.Body)
	if err != nil || string(first)+string(rest) != content {
		t.Errorf("%d bytes more, %v", len(rest), err)
	}
}

// TestUplinkUnderLoad cuts the uplink again and again while many publish and send again what was not answered: all
// arrives, some of it twice.
func TestUplinkUnderLoad(t *testing.T) {
	const publishers, each = 4, 25
	var c *Cloud
	var published atomic.Int64
	c = startCloud(t, Options{Publish: func(string, []byte) error {
		if published.Add(1)%10 == 0 {
			c.SetUplink(false)
			c.SetUplink(true)
		}
		return nil
	}})
	d := deviceClients(t, c)
	ctx := testContext(t)
	var load sync.WaitGroup
	for p := range publishers {
		load.Go(func() {
			for i := range each {
				in := &iotdataplane.PublishInput{Topic: aws.String("a"), Payload: fmt.Appendf(nil, `{"id":"r-%d-%d"}`, p, i)}
				_, err := d.iot.Publish(ctx, in)
				for err != nil && ctx.Err() == nil {
					_, err = d.iot.Publish(ctx, in)
				}
			}
		})
	}
	load.Wait()
	ids := c.Journal().IDs(KindIoT)
	if total := c.Journal().Count(KindIoT); len(ids) != publishers*each || total <= len(ids) || c.Unanswered() == 0 {
		t.Errorf("%d ids in %d messages, %d without an answer", len(ids), total, c.Unanswered())
	}
}
