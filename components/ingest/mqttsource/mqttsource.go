// Package mqttsource reads values from an MQTT broker: of AWS IoT SiteWise's gateway, of any JSON, of Sparkplug B. It never
// publishes.
package mqttsource

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"edgepdm/components/ingest/mapping"
	"edgepdm/components/ingest/rows"
	"edgepdm/components/ingest/source"
)

const (
	timeout   = 10 * time.Second
	keepAlive = 20 * time.Second // a broker that is gone is noticed within twice as long
	qos       = 0                // the newest value counts
	// maxMessage bounds a packet; a larger message is counted and not read.
	maxMessage = 1 << 20
	// maxSamples bounds the values of a message that are collected before the table takes them.
	maxSamples = 1024
	// refresh is how often values that live are said to.
	refresh = time.Second
	// maxRetained is how old a retained value may be, by its own time.
	maxRetained = time.Minute
)

// Reasons for which a message is not used, besides those of package rows.
const (
	reasonOversized = "oversized"
	reasonMalformed = "malformed"
	reasonType      = "type"     // a value is no number and no truth value
	reasonRetained  = "retained" // a value that the broker kept, without a time or with one that is over a minute ago
)

// decoder reads the messages of one format, of one connection. It is called by one goroutine at a time.
type decoder interface {
	// decode hands a message's values to put. An error says that it cannot be read.
	decode(topic string, payload []byte, put func(rows.Sample)) error
	// alive gives the tags whose values are what they were, though no message says so.
	alive() []rows.Tag
}

// Check says whether the tags can be read from the topics.
func Check(c mapping.MQTT, tags []rows.Tag) error {
	for i, t := range c.Topics {
		if err := checkJSON(t); err != nil {
			return fmt.Errorf("topics[%d].%w", i, err)
		}
	}
	for _, t := range tags {
		if err := checkTag(c, t.Address); err != nil {
			return err
		}
	}
	return nil
}

// checkTag says whether one of the topics may have such a tag: SiteWise's are any alias.
func checkTag(c mapping.MQTT, tag string) (err error) {
	for _, t := range c.Topics {
		var levels []string
		switch t.Format {
		case mapping.JSON:
			var topic string
			if topic, _, err = splitJSONTag(tag); err != nil {
				continue
			}
			levels = strings.Split(topic, "/")
		case mapping.Sparkplug:
			var place string
			if place, _, err = splitSparkplugTag(tag); err != nil {
				continue
			}
			group, rest, _ := strings.Cut(place, "/")
			levels = append([]string{sparkplugNamespace, group, "+"}, strings.Split(rest, "/")...)
		default:
			return nil
		}
		if subscribed(strings.Split(t.Filter, "/"), levels) {
			return nil
		}
		err = fmt.Errorf("%q is of no topic that is subscribed to", tag)
	}
	return err
}

// subscribed says whether a filter has a topic, of which a level may be any: "+".
func subscribed(filter, topic []string) bool {
	if len(filter) > 2 && filter[0] == "$share" {
		filter = filter[2:]
	}
	for i, level := range filter {
		switch {
		case level == "#":
			return true
		case i >= len(topic) || level != "+" && topic[i] != "+" && level != topic[i]:
			return false
		}
	}
	return len(filter) == len(topic)
}

// Run reads values until ctx ends.
func Run(ctx context.Context, e *source.Env, c mapping.MQTT) {
	e.Keep(ctx, func(ctx context.Context, connected func()) error {
		s := &subscriber{env: e, config: c}
		defer s.end()
		return s.run(ctx, connected)
	})
}

func newDecoder(e *source.Env, t mapping.Topic) decoder {
	switch t.Format {
	case mapping.SiteWise:
		return newSiteWise(e)
	case mapping.Sparkplug:
		return newSparkplug(e)
	default:
		return newJSON(e, t)
	}
}

// subscriber reads over one connection.
type subscriber struct {
	env    *source.Env
	config mapping.MQTT

	mu       sync.Mutex
	ended    bool // the client may have a message still
	decoders []decoder
	samples  []rows.Sample // of the message under way
}

func (s *subscriber) run(ctx context.Context, connected func()) error {
	options, err := s.options(ctx)
	if err != nil {
		return err
	}
	lost := make(chan error, 1)
	options.SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost <- err })
	client := mqtt.NewClient(options)
	defer client.Disconnect(0)
	if err := await(ctx, client.Connect()); err != nil {
		return fmt.Errorf("connect to %s: %w", s.config.Broker, explain(err))
	}
	for _, t := range s.config.Topics {
		d := newDecoder(s.env, t)
		s.mu.Lock()
		s.decoders = append(s.decoders, d)
		s.mu.Unlock()
		token := client.Subscribe(t.Filter, qos, func(_ mqtt.Client, m mqtt.Message) { s.take(d, m) })
		if err := await(ctx, token); err != nil {
			return fmt.Errorf("subscribe to %s: %w", t.Filter, err)
		}
		if result, ok := token.(*mqtt.SubscribeToken); ok && result.Result()[t.Filter] == 0x80 {
			return fmt.Errorf("the broker refuses the subscription to %s", t.Filter)
		}
	}
	connected()
	ticker := time.NewTicker(refresh)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-lost:
			return fmt.Errorf("connection to %s: %w", s.config.Broker, err)
		case <-ticker.C:
			s.refresh()
		}
	}
}

// explain says what a broker's refusal may come from.
func explain(err error) error {
	if errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword) || errors.Is(err, packets.ErrorRefusedNotAuthorised) {
		return fmt.Errorf("the broker refuses the user name, the password or the client's certificate: %w", err)
	}
	return err
}

// refresh keeps values from getting stale whose source tells changes only.
func (s *subscriber) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.decoders {
		s.env.Table.Refresh(d.alive())
	}
}

// await waits for an answer of the broker.
func await(ctx context.Context, token mqtt.Token) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-token.Done():
		return token.Error()
	case <-timer.C:
		return errors.New("no answer")
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *subscriber) options(ctx context.Context) (*mqtt.ClientOptions, error) {
	password, err := source.Secret(s.config.PasswordFile)
	if err != nil {
		return nil, err
	}
	o := mqtt.NewClientOptions().AddBroker(s.config.Broker).SetClientID(s.config.ClientID).SetProtocolVersion(4).
		SetCleanSession(true).SetAutoReconnect(false).SetConnectRetry(false).SetOrderMatters(true).
		SetKeepAlive(keepAlive).SetPingTimeout(timeout).SetConnectTimeout(timeout).SetWriteTimeout(timeout)
	if s.config.Username != "" {
		o.SetUsername(s.config.Username).SetPassword(password)
	}
	oversized := func() { s.env.Count(reasonOversized, 1) }
	if !strings.HasPrefix(s.config.Broker, "ssl:") {
		return o.SetCustomOpenConnectionFn(func(broker *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
			return dial(ctx, broker, nil, oversized)
		}), nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.config.CAFile != "" {
		pem, err := os.ReadFile(s.config.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read the CAs: %w", err)
		}
		if t.RootCAs, err = x509.SystemCertPool(); err != nil {
			t.RootCAs = x509.NewCertPool()
		}
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate", s.config.CAFile)
		}
	}
	if s.config.CertFile != "" {
		certificate, err := tls.LoadX509KeyPair(s.config.CertFile, s.config.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read the client's certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{certificate}
	}
	return o.SetCustomOpenConnectionFn(func(broker *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
		return dial(ctx, broker, t, oversized)
	}), nil
}

// end makes the client's last messages be passed over: the connection is lost, and its values are missing.
func (s *subscriber) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

// take reads a message. Only when it is read, the next one is taken from the connection: a broker that floods waits.
func (s *subscriber) take(d decoder, m mqtt.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	old := 0
	err := d.decode(m.Topic(), m.Payload(), func(sample rows.Sample) {
		if m.Retained() && sample.Good && time.Since(sample.TS) > maxRetained { // a value without time may be of any age
			old++
			return
		}
		if s.samples = append(s.samples, sample); len(s.samples) == maxSamples {
			s.flush()
		}
	})
	s.flush()
	if old > 0 {
		s.env.Count(reasonRetained, old)
	}
	if err != nil {
		s.env.Count(reasonMalformed, 1)
		s.env.Log.Debug("a message cannot be read", "source", s.env.Name, "topic", m.Topic(), "error", err)
	}
}

func (s *subscriber) flush() {
	s.env.Table.Put(s.samples...)
	s.samples = s.samples[:0]
}
