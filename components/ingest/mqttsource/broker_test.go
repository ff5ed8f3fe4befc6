package mqttsource

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"edgepdm/components/ingest/mapping"
	"edgepdm/components/ingest/rows"
	"edgepdm/shared/event"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/plantpeers"
)

const patience = 40 * time.Second

// run reads until the test ends.
func (w *world) run(c mapping.MQTT) (stop func()) {
	c.ClientID = "ingest-test"
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Run(ctx, w.env, c)
	}()
	stop = func() {
		cancel()
		<-done
	}
	w.t.Cleanup(stop)
	return stop
}

// until waits for what is asked for again and again.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	for !is() {
		select {
		case <-w.told:
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.t.Fatalf("never: %s; counted %v, problem %v", what, w.counts, w.problem)
		}
	}
}

// value waits until rows have a sensor's value; missing: until they have not.
func (w *world) value(sensor int, want float32) {
	w.t.Helper()
	w.until(fmt.Sprintf("sensor %d is %v", sensor, want), func() bool {
		x, ok := w.row()[fmt.Sprintf("s%d", sensor)]
		return ok && x == want
	})
}

// row is the machine's next row; nil without one.
func (w *world) row() event.Readings {
	if due := w.table.Due(nil); len(due) > 0 {
		return due[0].Readings
	}
	return nil
}

// connected waits until all is subscribed to.
func (w *world) connected() {
	w.t.Helper()
	w.until("no problem", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.problem == nil })
}

func (w *world) problemWith(text string) {
	w.t.Helper()
	w.until("a problem with "+text, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return contains(w.problem, text)
	})
}

func brokerURL(port int) string { return fmt.Sprintf("tcp://127.0.0.1:%d", port) }

// publisher is the plant.
type publisher struct {
	t testing.TB
	mqtt.Client
}

func newPublisher(t testing.TB, port int) publisher {
	t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(brokerURL(port)).SetClientID("plant"))
	p := publisher{t, c}
	p.await(c.Connect())
	t.Cleanup(func() { c.Disconnect(0) })
	return p
}

func (p publisher) await(token mqtt.Token) {
	p.t.Helper()
	if !token.WaitTimeout(patience) {
		p.t.Fatal("the broker does not answer")
	}
	must.OK(p.t, token.Error())
}

func (p publisher) send(topic, payload string, retain bool) {
	p.t.Helper()
	p.await(p.Publish(topic, 1, retain, payload))
}

const values = "plant/press-1/values"

func jsonTopic() []mapping.Topic {
	return []mapping.Topic{{Filter: "plant/+/values", Format: mapping.JSON}}
}

func TestEachFormatThroughABroker(t *testing.T) {
	port, _ := plantpeers.Mosquitto(t, "allow_anonymous true")
	w := newWorld(t, values+"#temp", "site1/line1/compressor1/temperature", oil)
	w.run(mapping.MQTT{Broker: brokerURL(port), Topics: append(jsonTopic(),
		mapping.Topic{Filter: "site1/#", Format: mapping.SiteWise}, mapping.Topic{Filter: "spBv1.0/#", Format: mapping.Sparkplug})})
	p := newPublisher(t, port)
	w.connected()
	p.send(values, `{"temp":1}`, false)
	p.send("site1/line1/compressor1/temperature", string(must.Read(t, "testdata/sitewise-entry.json")), false)
	m := sparkplugMessages(t)
	p.send(m["birth"].Topic, m["birth"].Payload, false)
	w.value(0, 1)
	w.value(1, 23.5)
	w.value(2, 70.5)
	p.send(values, `{"temp":"?"}`, false)
	p.send(values, `{"temp`, false)
	w.until("malformed", func() bool { return w.counted(reasonMalformed) == 1 })
}

func TestABrokerThatIsKilledComesBack(t *testing.T) {
	port, kill := plantpeers.Mosquitto(t, "allow_anonymous true")
	w := newWorld(t, values+"#temp")
	w.run(mapping.MQTT{Broker: brokerURL(port), Topics: jsonTopic()})
	feed := func(value string) func() bool {
		p := newPublisher(t, port)
		return func() bool { p.send(values, `{"temp":`+value+`}`, false); return w.row() != nil }
	}
	w.until("a value", feed("1"))
	kill()
	w.problemWith(fmt.Sprint(port))
	if row := w.row(); row != nil {
		t.Errorf("a row of a broker that is away: %v", row)
	}
	plantpeers.MosquittoAt(t, port, "allow_anonymous true")
	w.until("a value again", feed("2"))
	w.connected()
}

// A broker keeps the last value of a topic, and gives it as if it were new.
func TestRetainedValuesAreUsedWhileTheyAreYoung(t *testing.T) {
	port, _ := plantpeers.Mosquitto(t, "allow_anonymous true")
	p := newPublisher(t, port)
	message := func(temp int, age time.Duration) string {
		return fmt.Sprintf(`{"temp":%d,"t":%d}`, temp, time.Now().Add(-age).UnixMilli())
	}
	p.send("plant/old/values", message(1, time.Hour), true)
	p.send("plant/young/values", message(2, time.Second), true)
	p.send("untimed/values", `{"temp":3}`, true)
	w := newWorld(t, "plant/old/values#temp", "plant/young/values#temp", "untimed/values#temp")
	timed := jsonTopic()
	timed[0].TimePath, timed[0].TimeFormat = "t", "ms"
	w.run(mapping.MQTT{Broker: brokerURL(port), Topics: append(timed, mapping.Topic{Filter: "untimed/values", Format: mapping.JSON})})
	w.connected()
	w.value(1, 2)
	w.until("retained values counted", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.counts[reasonRetained] == 2 })
	if row := w.row(); row["s0"] == 1 || row["s2"] == 3 {
		t.Errorf("row %v", row)
	}
	p.send("untimed/values", `{"temp":4}`, true) // to one who is there it is new
	w.value(2, 4)
}

func TestAMessageThatIsTooLargeIsCountedAndOthersCome(t *testing.T) {
	port, _ := plantpeers.Mosquitto(t, "allow_anonymous true")
	p := newPublisher(t, port)
	p.send(values, strings.Repeat("x", 50<<20), true) // it comes with each connection
	w := newWorld(t, values+"#temp")
	w.run(mapping.MQTT{Broker: brokerURL(port), Topics: jsonTopic()})
	w.until("oversized", func() bool { return w.counted(reasonOversized) == 1 })
	w.connected()
	p.send(values, `{"temp":5}`, false)
	w.value(0, 5)
	w.nothingElse()
}

// What a broker floods with is read as it comes: nothing piles up here.
func TestAFloodNeedsNoMemory(t *testing.T) {
	port, _ := plantpeers.Mosquitto(t, "allow_anonymous true", "max_queued_messages 0")
	p := newPublisher(t, port)
	w := newWorld(t, values+"#temp")
	w.run(mapping.MQTT{Broker: brokerURL(port), Topics: append(jsonTopic(), mapping.Topic{Filter: "flood", Format: mapping.JSON})})
	w.connected()
	payload := `{"temp":` + strings.Repeat(" ", 10_000) + `2}`
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const messages = 20_000 // 200 MB
	for i := range messages {
		token := p.Publish("flood", 0, false, payload)
		if i%100 == 0 {
			p.await(token)
		}
	}
	p.send(values, `{"temp":3}`, false)
	w.value(0, 3)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	if n := w.counted(rows.ReasonNoTag); n == 0 || n > messages {
		t.Errorf("%d of %d counted", n, messages)
	}
}

// A source of changes only tells a value once: it does not get stale while its node lives.
func TestSparkplugValuesDoNotGetStale(t *testing.T) {
	port, _ := plantpeers.Mosquitto(t, "allow_anonymous true")
	w := newAging(t, 2*time.Second, oil)
	w.run(mapping.MQTT{Broker: brokerURL(port), Topics: []mapping.Topic{{Filter: "spBv1.0/#", Format: mapping.Sparkplug}}})
	p, m := newPublisher(t, port), sparkplugMessages(t)
	w.connected()
	p.send(m["birth"].Topic, m["birth"].Payload, false)
	w.value(0, 70.5)
	born := time.Now()
	w.until("three times the age of a stale value", func() bool { return time.Since(born) > 6*time.Second })
	w.value(0, 70.5)
	p.send(m["death"].Topic, m["death"].Payload, false)
	w.until("dead", func() bool { return w.counted(rows.ReasonQuality) == 1 })
	if row := w.row(); row != nil {
		t.Errorf("a row of what is dead: %v", row)
	}
}

func TestClientCertificates(t *testing.T) {
	a := plantpeers.NewAuthority(t)
	port, _ := plantpeers.Mosquitto(t, append(a.Server(), "require_certificate true", "use_identity_as_username true", "allow_anonymous false")...)
	a.Issue("client", &x509.Certificate{Subject: pkix.Name{CommonName: "ingest"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	c := mapping.MQTT{Broker: fmt.Sprintf("ssl://127.0.0.1:%d", port), Topics: jsonTopic()}
	for what, test := range map[string]struct {
		set  func(c *mapping.MQTT)
		want string // of the problem; empty: it connects
	}{
		"certificate": {func(c *mapping.MQTT) {
			c.CAFile, c.CertFile, c.KeyFile = a.File("ca.pem"), a.File("client.pem"), a.File("client.key")
		}, ""},
		"none":          {func(c *mapping.MQTT) { c.CAFile = a.File("ca.pem") }, "tls: certificate required"},
		"not trusted":   {func(*mapping.MQTT) {}, "unknown authority"},
		"no CA":         {func(c *mapping.MQTT) { c.CAFile = a.File("ca.key") }, "has no certificate"},
		"another's key": {func(c *mapping.MQTT) { c.CertFile, c.KeyFile = a.File("client.pem"), a.File("server.key") }, "client's certificate"},
		"no file":       {func(c *mapping.MQTT) { c.CAFile = a.File("none") }, "no such file"},
	} {
		t.Run(what, func(t *testing.T) {
			w, c := newWorld(t, values+"#temp"), c
			test.set(&c)
			w.run(c)
			if test.want != "" {
				w.problemWith(test.want)
				return
			}
			w.connected()
		})
	}
}

func TestUserAndPassword(t *testing.T) {
	a := plantpeers.NewAuthority(t)
	passwords := a.File("passwords")
	out, err := exec.Command(need.Tool(t, "mosquitto_passwd", "Debian: apt-get install mosquitto"), "-b", "-c", passwords, "ingest", "s3cret").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	port, _ := plantpeers.Mosquitto(t, append(a.Server(), "allow_anonymous false", "password_file "+passwords)...)
	secret := a.File("secret")
	w := newWorld(t, values+"#temp")
	must.OK(t, os.WriteFile(secret, []byte("wr0ng\n"), 0o600))
	w.run(mapping.MQTT{Broker: fmt.Sprintf("ssl://127.0.0.1:%d", port), Topics: jsonTopic(), CAFile: a.File("ca.pem"), Username: "ingest", PasswordFile: secret})
	w.problemWith("refuses the user name, the password")
	w.mu.Lock()
	if contains(w.problem, "wr0ng") {
		t.Errorf("the password is told: %v", w.problem)
	}
	w.mu.Unlock()
	must.OK(t, os.WriteFile(secret, []byte("s3cret\r\n"), 0o600)) // it is read again for each connection
	w.connected()
}
