package device_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"edgepdm/shared/device"
	"edgepdm/test/localcloud"
	"edgepdm/test/must"
	"edgepdm/test/plantpeers"
)

// mosquitto makes a site whose core's broker is mosquitto: it wants certificates of devices, and lets each publish under its name.
func mosquitto(t *testing.T) (s *site, core *plantpeers.Authority) {
	t.Helper()
	s, core = newSite(t), plantpeers.NewAuthority(t)
	devices, acl := core.File("devices.pem"), core.File("acl")
	must.OK(t, os.WriteFile(devices, s.cloud.Devices().Authority(), 0o600))
	must.OK(t, os.WriteFile(acl, []byte("pattern write pdm/v1/telemetry/%u\nuser listener\ntopic read #\n"), 0o600))
	lines := append(slices.DeleteFunc(core.Server(), func(line string) bool { return strings.HasPrefix(line, "cafile ") }),
		"cafile "+devices, "require_certificate true", "use_identity_as_username true", "allow_anonymous false", "acl_file "+acl)
	port, _ := plantpeers.Mosquitto(t, lines...)
	s.discovered(core, port)
	return s, core
}

// discovered has discovery name a broker on loopback.
func (s *site) discovered(core *plantpeers.Authority, port int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.core = localcloud.DiscoveredCore{
		Thing: "core-1", CAs: []string{string(must.Read(s.t, core.File("ca.pem")))}, Addresses: []localcloud.DiscoveredAddress{{Host: "127.0.0.1", Port: port}},
	}
}

// unconnected makes a client of the core under a device's certificate.
func (s *site) unconnected(name string) mqtt.Client {
	s.t.Helper()
	cert, key, err := s.cloud.Devices().Create(name, s.t.TempDir())
	must.OK(s.t, err)
	pair, err := tls.LoadX509KeyPair(cert, key)
	must.OK(s.t, err)
	s.mu.Lock()
	core := s.core
	s.mu.Unlock()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(core.CAs[0]))
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(fmt.Sprintf("ssl://127.0.0.1:%d", core.Addresses[0].Port)).SetClientID(name).
		SetAutoReconnect(false).SetTLSConfig(&tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}))
	return c
}

// client is connected.
func (s *site) client(name string) mqtt.Client {
	s.t.Helper()
	c := s.unconnected(name)
	must.OK(s.t, answered(c.Connect()))
	return c
}

// answered waits for the broker's answer.
func answered(token mqtt.Token) error {
	if !token.WaitTimeout(30 * time.Second) {
		return errors.New("the broker does not answer")
	}
	return token.Error()
}

// listen puts what arrives at the broker where await finds it. A broker that has just begun to listen may end the first connections.
func (s *site) listen() {
	s.t.Helper()
	heard := func(_ mqtt.Client, m mqtt.Message) {
		s.mu.Lock()
		s.received = append(s.received, string(m.Payload()))
		s.mu.Unlock()
		s.arrived <- struct{}{}
	}
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		c := s.unconnected("listener")
		if err = answered(c.Connect()); err == nil {
			err = answered(c.Subscribe("pdm/v1/telemetry/+", 1, heard))
		}
		if err == nil {
			s.t.Cleanup(func() { c.Disconnect(0) })
			return
		}
		c.Disconnect(0)
	}
	s.t.Fatalf("the broker takes no subscription: %v", err)
}

// A broker ends a device's connection when its name connects again; nothing is lost, and the order is kept.
func TestMosquittoAsTheCoresBroker(t *testing.T) {
	s, _ := mosquitto(t)
	s.survive()
}

// Moquette is the broker of Greengrass's own cores.
func TestMoquetteAsTheCoresBroker(t *testing.T) {
	s, core := newSite(t), plantpeers.NewAuthority(t)
	devices := core.File("devices.pem")
	must.OK(t, os.WriteFile(devices, s.cloud.Devices().Authority(), 0o600))
	s.discovered(core, plantpeers.Moquette(t, core, devices))
	s.survive()
}

// survive publishes through lost connections.
func (s *site) survive() {
	s.t.Helper()
	s.listen()
	d := s.run()
	for i := range 5 {
		publish(d, 100*i+1, 100*i+100)
		s.await(100*i + 50)
		s.client(thing).Disconnect(0)
	}
	if got := s.await(500); !slices.IsSorted(got) {
		s.t.Errorf("not in order: %q", got)
	}
	if status := d.Status(); status.Dropped != 0 {
		s.t.Errorf("%+v", status)
	}
}

func TestMosquittoRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(s *site)
		step device.Step
	}{
		"another CA": {func(s *site) {
			s.core.CAs = []string{string(must.Read(t, plantpeers.NewAuthority(t).File("ca.pem")))}
		}, device.StepTrust},
		"another name": {func(s *site) { s.core.Addresses[0].Host = "localhost" }, device.StepName},
		"a device of another authority": {func(s *site) {
			dir := t.TempDir()
			other, err := localcloud.New(localcloud.Options{Dir: filepath.Join(dir, "other"), Publish: func(string, []byte) error { return nil }})
			must.OK(t, err)
			cert, key, err := other.Devices().Create(thing, dir)
			must.OK(t, err)
			d, err := device.New(s.config) // the cache is filled with the right certificate
			must.OK(t, err)
			_, err = d.Probe(t.Context())
			must.OK(t, err)
			s.cloud.SetUplink(false)
			s.config.Certificate, s.config.Key = cert, key
		}, device.StepPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := mosquitto(t)
			test.do(s)
			d, err := device.New(s.config)
			must.OK(t, err)
			if at, err := d.Probe(t.Context()); device.StepOf(err) != test.step {
				t.Errorf("%q, %v; want step %s", at, err, test.step)
			}
		})
	}
}
