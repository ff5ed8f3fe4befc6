// Package mqttsource reads values from an MQTT broker: of AWS IoT SiteWise's gateway, of any JSON, of Sparkplug B. It never
// publishes.
package mqttsource

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"edgepdm/components/ingest/mapping"
	"edgepdm/components/ingest/rows"
	"edgepdm/components/ingest/source"
)

const (
	timeout   = 10 * time.Second
	keepAlive = 20 * time.Second // a broker that is gone is noticed within twice as long
	qos       = 0                // the newest value counts
	// maxMessage bounds a message; a larger one is counted and not read.
	maxMessage = 4 << 20
)

// Reasons for which a message is not used, besides those of package rows.
const (
	reasonOversized = "oversized"
	reasonMalformed = "malformed"
	reasonType      = "type" // a value is no number and no truth value
)

// decoder reads the messages of one format. It is called by one goroutine.
type decoder interface {
	// decode hands a message's values to put. An error says that it cannot be read.
	decode(topic string, payload []byte, put func(rows.Sample)) error
	// reset forgets what earlier messages said: a new connection begins.
	reset()
}

// Check says whether the tags can be read from the topics.
func Check(c mapping.MQTT, tags []rows.Tag) error {
	formats := make(map[mapping.Format]bool)
	for _, t := range c.Topics {
		formats[t.Format] = true
	}
	for _, t := range tags {
		if err := checkTag(formats, t.Address); err != nil {
			return err
		}
	}
	return nil
}

// checkTag says whether one of the formats has such tags: SiteWise's are any alias.
func checkTag(formats map[mapping.Format]bool, tag string) error {
	if formats[mapping.SiteWise] {
		return nil
	}
	var err error
	if formats[mapping.JSON] {
		if _, _, err = splitJSONTag(tag); err == nil {
			return nil
		}
	}
	if formats[mapping.Sparkplug] {
		if _, _, err = splitSparkplugTag(tag); err == nil {
			return nil
		}
	}
	return err
}

// Run reads values until ctx ends.
func Run(ctx context.Context, e *source.Env, c mapping.MQTT) {
	decoders := make([]decoder, len(c.Topics))
	for i, t := range c.Topics {
		switch t.Format {
		case mapping.SiteWise:
			decoders[i] = newSiteWise(e)
		case mapping.JSON:
			decoders[i] = newJSON(e, t)
		case mapping.Sparkplug:
			decoders[i] = newSparkplug(e)
		}
	}
	e.Keep(ctx, func(ctx context.Context, connected func()) error {
		s := &subscriber{env: e, config: c, decoders: decoders}
		return s.run(ctx, connected)
	})
}

// subscriber reads over one connection.
type subscriber struct {
	env      *source.Env
	config   mapping.MQTT
	decoders []decoder
}

func (s *subscriber) run(ctx context.Context, connected func()) error {
	options, err := s.options()
	if err != nil {
		return err
	}
	lost := make(chan error, 1)
	options.SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost <- err })
	client := mqtt.NewClient(options)
	defer client.Disconnect(0)
	if err := await(ctx, client.Connect()); err != nil {
		return fmt.Errorf("connect to %s: %w", s.config.Broker, err)
	}
	for i, t := range s.config.Topics {
		d := s.decoders[i]
		d.reset()
		token := client.Subscribe(t.Filter, qos, func(_ mqtt.Client, m mqtt.Message) { s.take(d, m) })
		if err := await(ctx, token); err != nil {
			return fmt.Errorf("subscribe to %s: %w", t.Filter, err)
		}
		if result, ok := token.(*mqtt.SubscribeToken); ok && result.Result()[t.Filter] == 0x80 {
			return fmt.Errorf("the broker refuses the subscription to %s", t.Filter)
		}
	}
	connected()
	select {
	case <-ctx.Done():
		return nil
	case err := <-lost:
		return fmt.Errorf("connection to %s: %w", s.config.Broker, err)
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

func (s *subscriber) options() (*mqtt.ClientOptions, error) {
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
	if !strings.HasPrefix(s.config.Broker, "ssl:") {
		return o, nil
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
	return o.SetTLSConfig(t), nil
}

// take reads a message. Only when it is read, the next one is taken from the connection: a broker that floods waits.
func (s *subscriber) take(d decoder, m mqtt.Message) {
	payload := m.Payload()
	if len(payload) > maxMessage {
		s.env.Count(reasonOversized, 1)
		return
	}
	var samples []rows.Sample
	err := d.decode(m.Topic(), payload, func(sample rows.Sample) { samples = append(samples, sample) })
	s.env.Table.Put(samples...)
	if err != nil {
		s.env.Count(reasonMalformed, 1)
		s.env.Log.Debug("a message cannot be read", "source", s.env.Name, "topic", m.Topic(), "error", err)
	}
}
