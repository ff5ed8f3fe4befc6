package forwarder_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/test/need"
)

// motoVenv returns the folder of a Python environment with moto, which it makes when there is none that fits. What a
// machine cannot give skips the test.
func motoVenv(t *testing.T) string {
	t.Helper()
	python := need.Tool(t, "python3", "Debian: apt-get install python3 python3-venv")
	const pins = "testdata/moto-requirements.txt"
	requirements, err := os.ReadFile(pins)
	if err != nil {
		t.Fatal(err)
	}
	version, err := exec.Command(python, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(append(version, requirements...))
	wanted := hex.EncodeToString(sum[:])
	cache := filepath.Join(need.Root(t), ".cache")
	venv, stamp := filepath.Join(cache, "moto-venv"), filepath.Join(cache, "moto-venv", "stamp")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(venv+".lock", os.O_CREATE|os.O_RDWR, 0o600) // other tests may want it too
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if have, err := os.ReadFile(stamp); err == nil && string(have) == wanted {
		return venv
	}
	for _, command := range [][]string{
		{python, "-m", "venv", "--clear", venv},
		{filepath.Join(venv, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", pins},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			if os.Getenv("REQUIRE_ALL") == "1" {
				t.Fatalf("%v: %v\n%s", command, err, out)
			}
			t.Skipf("python3 cannot make the environment of %s: %v (Debian: apt-get install python3-venv; it needs PyPI)", pins, err)
		}
	}
	if err := os.WriteFile(stamp, []byte(wanted), 0o600); err != nil {
		t.Fatal(err)
	}
	return venv
}

// moto is a server of moto, an implementation of AWS that is not this project's.
type moto struct {
	t   *testing.T
	url string
}

func startMoto(t *testing.T) moto {
	t.Helper()
	cmd := exec.Command(filepath.Join(motoVenv(t), "bin", "python"), "-m", "moto.server", "-H", "127.0.0.1", "-p", "0")
	output, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(lines.Text()); address != "" {
			go func() { _, _ = io.Copy(io.Discard, output) }() // ends with the process
			return moto{t, address}
		}
	}
	t.Fatal("moto ended")
	return moto{}
}

// call calls an operation of a service with AWS's query protocol and decodes the answer.
func (m moto) call(service string, parameters map[string]string, answer any) {
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
	peer := startMoto(t)
	const (
		topic = "arn:aws:sns:us-east-1:123456789012:alerts"
		queue = "arn:aws:sqs:us-east-1:123456789012:alerts"
	)
	r := newRig(t)
	r.configure(map[string]any{"alertTopicArn": topic, "endpoints": map[string]any{"sns": peer.url}})
	r.start()
	sent := r.alert("a-1")
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
