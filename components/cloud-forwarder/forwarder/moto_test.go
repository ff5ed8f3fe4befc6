package forwarder_test

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/test/moto"
)

// peer is an implementation of AWS that is not this project's.
type peer struct {
	t   *testing.T
	url string
}

// call calls an operation of a service with AWS's query protocol and decodes the answer.
func (m peer) call(service string, parameters map[string]string, answer any) {
	m.t.Helper()
	form := url.Values{}
	for name, value := range parameters {
		form.Set(name, value)
	}
	q, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, m.url+"/", strings.NewReader(form.Encode()))
	if err != nil {
		m.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// moto finds the service in the signature, which it does not verify.
	q.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=none")
	response, err := http.DefaultClient.Do(q)
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		m.t.Fatalf("%v: %s %s %v", parameters, response.Status, body, err)
	}
	if answer == nil {
		return
	}
	if err := xml.Unmarshal(body, answer); err != nil {
		m.t.Fatalf("%v in %s", err, body)
	}
}

// F2 and F7 with an independent peer: an alert for a topic that does not exist waits; once it does, a queue that is
// subscribed to the topic gets the alert with subject and text.
func TestSNSWithMoto(t *testing.T) {
	peer := peer{t, moto.Start(t)}
	const (
		topic = "arn:aws:sns:us-east-1:123456789012:alerts"
		queue = "arn:aws:sqs:us-east-1:123456789012:alerts"
	)
	r := newRig(t)
	r.configure(map[string]any{"alertTopicArn": topic, "endpoints": map[string]any{"sns": peer.url}})
	r.start()
	sent := r.alert("a-1", func(a *event.Alert) { a.TS = time.Now().UTC() })
	r.acks.await(t, "acknowledgement", has("a-1"))
	r.awaitState(event.StateDegraded, "alerts-sns deliver: NotFound")

	var created struct {
		URL string `xml:"CreateQueueResult>QueueUrl"`
	}
	peer.call("sqs", map[string]string{"Action": "CreateQueue", "QueueName": "alerts"}, &created)
	// The topic exists before the subscription: without a forwarder that tries, so that nothing slips between.
	r.stop()
	peer.call("sns", map[string]string{"Action": "CreateTopic", "Name": "alerts"}, nil)
	peer.call("sns", map[string]string{"Action": "Subscribe", "TopicArn": topic, "Protocol": "sqs", "Endpoint": queue}, nil)
	r.start()
	r.awaitCounter("stream.alerts-sns.sent", 1)
	r.awaitState(event.StateOK, "")

	var received struct {
		Bodies []string `xml:"ReceiveMessageResult>Message>Body"`
	}
	peer.call("sqs", map[string]string{"Action": "ReceiveMessage", "QueueUrl": created.URL, "MaxNumberOfMessages": "10"}, &received)
	if len(received.Bodies) != 1 {
		t.Fatalf("the queue has %d messages", len(received.Bodies))
	}
	var notification struct{ Type, TopicArn, Subject, Message string }
	if err := json.Unmarshal([]byte(received.Bodies[0]), &notification); err != nil {
		t.Fatal(err)
	}
	if notification.Type != "Notification" || notification.TopicArn != topic || notification.Subject != "[HIGH] machine-fault: press-1 on line-7" {
		t.Errorf("%+v", notification)
	}
	got, err := event.DecodeAlert([]byte(notification.Message))
	if err != nil || got.ID != sent.ID || got.Text != sent.Text {
		t.Errorf("%+v (%v), want %+v", got, err, sent)
	}
	if !strings.HasPrefix(notification.Message, `{"replayed":true,`) {
		t.Errorf("the alert was sent before, and has no mark: %s", notification.Message)
	}
}
