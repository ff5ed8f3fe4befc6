package device

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"edgepdm/shared/wait"
)

const (
	// window bounds the messages whose PUBACK is outstanding.
	window = 16
	// stopGrace is how long messages under way may take at the end.
	stopGrace = 2 * time.Second
	qos       = 1
	keepAlive = 30 * time.Second
	maxTries  = 1 << 20
)

// session is a connection to a core's broker.
type session struct {
	client mqtt.Client
	ended  chan error // has an item when the connection is lost
}

// connect opens a session with MQTT 3.1.1, which is what Moquette, Greengrass's broker, speaks.
func (d *Device) connect(ctx context.Context, core Core, at Endpoint) (*session, error) {
	roots := x509.NewCertPool()
	for _, pem := range core.CAs {
		roots.AppendCertsFromPEM([]byte(pem))
	}
	ctx, cancel := context.WithTimeout(ctx, d.config.Timeout)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{Certificates: []tls.Certificate{d.identity}, RootCAs: roots, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return nil, failed(tlsStep(err, StepNetwork), err)
	}
	s := &session{ended: make(chan error, 1)}
	s.client = mqtt.NewClient(mqtt.NewClientOptions().AddBroker("ssl://" + at.String()).SetClientID(d.config.Thing).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return conn, nil }).
		SetProtocolVersion(4).SetCleanSession(true).SetAutoReconnect(false).SetConnectRetry(false).SetKeepAlive(keepAlive).
		SetConnectTimeout(d.config.Timeout).SetWriteTimeout(d.config.Timeout).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { s.ended <- err }))
	token := s.client.Connect()
	select {
	case <-token.Done():
		err = token.Error()
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		s.client.Disconnect(0)
		return nil, failed(StepPolicy, fmt.Errorf("the core does not let %s in: %w", d.config.Thing, err))
	}
	return s, nil
}

// sent is a message whose PUBACK is outstanding.
type sent struct {
	message
	token mqtt.Token
}

// send publishes what waits until ctx or the session ends, or changed has an item. What has no PUBACK by then waits again.
func (d *Device) send(ctx context.Context, s *session, changed <-chan struct{}) (err error) {
	var underWay []sent
	stopping, release := wait.Outlive(ctx, stopGrace)
	defer release()
	defer func() {
		back := make([]message, len(underWay))
		for i := range underWay {
			back[i] = underWay[i].message
		}
		d.queue.putBack(back)
		s.client.Disconnect(uint(time.Second.Milliseconds()))
	}()
	unanswered := time.NewTimer(d.config.Timeout)
	defer unanswered.Stop()
	over := ctx.Done()
	for {
		if over != nil { // else only what is under way is waited for
			for _, m := range d.queue.take(window - len(underWay)) {
				underWay = append(underWay, sent{m, s.client.Publish(m.topic, qos, false, m.payload)})
			}
		}
		var first <-chan struct{}
		var late <-chan time.Time
		more := d.queue.ready
		switch {
		case len(underWay) > 0:
			first, late = underWay[0].token.Done(), unanswered.C
		case over == nil:
			return nil
		}
		if len(underWay) == window || over == nil {
			more = nil
		}
		select {
		case <-first:
			if err := underWay[0].token.Error(); err != nil {
				return failed(StepNetwork, err)
			}
			underWay = underWay[1:]
			d.published.Add(1)
			d.queue.acknowledge()
			unanswered.Reset(d.config.Timeout)
		case <-late:
			return failed(StepPolicy, fmt.Errorf("the core does not acknowledge what is published on %s: client device auth has to allow mqtt:publish on it", underWay[0].topic))
		case <-more:
			if len(underWay) == 0 {
				unanswered.Reset(d.config.Timeout)
			}
		case err := <-s.ended:
			return failed(StepNetwork, err)
		case <-changed:
			return errMoved
		case <-over:
			over = nil
		case <-stopping.Done():
			return nil
		}
	}
}

// errMoved says that the core is elsewhere now.
var errMoved = errors.New("discovery gives another core or CA")
