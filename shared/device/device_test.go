package device_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/shared/device"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore/devices"
	"edgepdm/test/must"
)

const thing = "press-1"

// site is a cloud with discovery, and a core that takes client devices.
type site struct {
	t      *testing.T
	cloud  *localcloud.Cloud
	broker *devices.Broker
	config device.Config

	mu       sync.Mutex
	core     localcloud.DiscoveredCore
	refuse   bool     // the core takes no device
	names    []string // that the core's certificate is for; nil: where it is
	received []string
	arrived  chan struct{}
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{t: t, arrived: make(chan struct{}, 100_000)}
	var err error
	s.cloud, err = localcloud.New(localcloud.Options{Dir: filepath.Join(dir, "cloud"), Publish: func(string, []byte) error { return nil }})
	must.OK(t, err)
	must.OK(t, s.cloud.Start(t.Context()))
	t.Cleanup(func() { must.OK(t, s.cloud.Close(context.Background())) })
	cert, key, err := s.cloud.Devices().Create(thing, dir)
	must.OK(t, err)
	s.config = device.Config{
		Thing: thing, Certificate: cert, Key: key, Discovery: s.cloud.Endpoints().Discovery, Roots: s.cloud.Endpoints().CAFile,
		Cache: filepath.Join(dir, "discovery.json"), Timeout: 5 * time.Second,
	}
	s.open("127.0.0.1:0")
	s.cloud.Devices().Associate(thing, func() localcloud.DiscoveredCore {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.core
	})
	return s
}

// open starts the core's broker, and tells discovery of it.
func (s *site) open(addr string) {
	s.t.Helper()
	var err error
	s.broker, err = devices.Start(devices.Options{
		Core: "core-1", Addr: addr, Addresses: s.names, Roots: s.cloud.Devices().Roots(),
		Associated: func(string) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return !s.refuse
		},
		Publishable: []string{"pdm/v1/telemetry/${thing}", "$aws/things/${thing}/shadow/update"},
		Mapping:     map[string]devices.Mapping{"telemetry": {Topic: "pdm/v1/telemetry/+", Source: devices.LocalMQTT, Target: devices.Pubsub}},
		ToPubsub: func(_ string, payload []byte) {
			s.mu.Lock()
			s.received = append(s.received, string(payload))
			s.mu.Unlock()
			s.arrived <- struct{}{}
		},
	})
	must.OK(s.t, err)
	broker := s.broker
	s.t.Cleanup(func() { _ = broker.Close() })
	s.tell(localcloud.DiscoveredAddress{Host: "127.0.0.1", Port: s.broker.Port()})
}

// tell changes what discovery answers.
func (s *site) tell(addresses ...localcloud.DiscoveredAddress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.core = localcloud.DiscoveredCore{Thing: "core-1", CAs: []string{s.broker.CA()}, Addresses: addresses}
}

// run runs a device until the test ends.
func (s *site) run() *device.Device {
	s.t.Helper()
	d, err := device.New(s.config)
	must.OK(s.t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.Run(ctx)
	}()
	s.t.Cleanup(func() {
		stop()
		<-ended
	})
	return d
}

// await waits until the core has received n different messages, and returns them in the order of their first arrival.
func (s *site) await(n int) []string {
	s.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		var first []string
		for _, m := range s.received {
			if !slices.Contains(first, m) {
				first = append(first, m)
			}
		}
		s.mu.Unlock()
		if len(first) >= n {
			return first
		}
		select {
		case <-s.arrived:
		case <-deadline:
			s.t.Fatalf("received %d of %d messages: %q", len(first), n, first)
		}
	}
}

const topic = "pdm/v1/telemetry/" + thing

func publish(d *device.Device, from, to int) {
	for i := from; i <= to; i++ {
		d.Publish(topic, fmt.Appendf(nil, "%06d", i))
	}
}

func TestPublishesThroughTheCoreThatDiscoveryNames(t *testing.T) {
	for _, reference := range []bool{false, true} {
		s := newSite(t)
		s.cloud.Devices().SpellAsReference(reference)
		// The IP detector gives addresses that nobody reaches, too.
		s.tell(localcloud.DiscoveredAddress{Host: "127.0.0.1", Port: closedPort(t)}, localcloud.DiscoveredAddress{Host: "127.0.0.1", Port: s.broker.Port()})
		d := s.run()
		publish(d, 1, 500)
		if got := s.await(500); !slices.IsSorted(got) {
			t.Errorf("not in order: %q", got)
		}
	}
}

func TestOrderAndEveryMessageSurviveLostConnections(t *testing.T) {
	s := newSite(t)
	d := s.run()
	for i := range 10 {
		publish(d, 100*i+1, 100*i+100)
		s.await(100*i + 50)
		s.broker.Disconnect()
	}
	if got := s.await(1000); !slices.IsSorted(got) {
		t.Errorf("not in order: %q", got)
	}
	if status := d.Status(); status.Dropped != 0 {
		t.Errorf("%d messages were dropped", status.Dropped)
	}
}

func TestWorksFromTheCacheWithoutInternet(t *testing.T) {
	s := newSite(t)
	d, err := device.New(s.config)
	must.OK(t, err)
	if at, err := d.Probe(t.Context()); err != nil || !strings.HasPrefix(at, "core-1 at 127.0.0.1:") {
		t.Fatalf("connected to %q, %v", at, err)
	}
	s.cloud.SetUplink(false)
	publish(s.run(), 1, 3)
	s.await(3)
}

func TestTheCoresCAIsRotatedWhileTheDeviceRuns(t *testing.T) {
	s := newSite(t)
	d := s.run()
	publish(d, 1, 1)
	s.await(1)
	must.OK(t, s.broker.Rotate())
	s.tell(localcloud.DiscoveredAddress{Host: "127.0.0.1", Port: s.broker.Port()})
	s.broker.Disconnect()
	publish(d, 2, 2)
	s.await(2)
}

func TestAFullQueueDropsTheOldest(t *testing.T) {
	s := newSite(t)
	s.config.Queue = 10
	d, err := device.New(s.config)
	must.OK(t, err)
	publish(d, 1, 25)
	if status := d.Status(); status.Dropped != 15 || status.Waiting != 10 {
		t.Fatalf("%+v", status)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.Run(ctx)
	}()
	if got := s.await(10); got[0] != "000016" || got[9] != "000025" {
		t.Errorf("received %q", got)
	}
	stop()
	<-ended
}

func TestErrorsSayWhichStepFailed(t *testing.T) {
	tests := []struct {
		name string
		do   func(s *site)
		step device.Step
		says string
	}{
		{"no certificate", func(s *site) { s.config.Certificate = filepath.Join(t.TempDir(), "none") }, device.StepCertificate, "no such file"},
		{"another's key", func(s *site) {
			_, s.config.Key, _ = s.cloud.Devices().Create("other", t.TempDir())
		}, device.StepCertificate, "does not match"},
		{"discovery is not trusted", func(s *site) { s.config.Roots = "" }, device.StepTrust, "authority"},
		{"discovery is away", func(s *site) { s.config.Discovery = fmt.Sprintf("127.0.0.1:%d", closedPort(t)) }, device.StepDiscovery, "refused"},
		{"no policy", func(s *site) { s.cloud.Devices().Deny(thing, true) }, device.StepPolicy, "greengrass:Discover"},
		{"not associated", func(s *site) { s.cloud.Devices().Associate(thing, nil) }, device.StepPolicy, "associate"},
		{"no address", func(s *site) { s.tell() }, device.StepDiscovery, "IP detector"},
		{"core away", func(s *site) { s.tell(localcloud.DiscoveredAddress{Host: "127.0.0.1", Port: closedPort(t)}) }, device.StepNetwork, "refused"},
		{"core's certificate is for another name", func(s *site) {
			s.names = []string{"10.1.2.3"}
			s.open("127.0.0.1:0")
		}, device.StepName, "127.0.0.1"},
		{"core's CA is another", func(s *site) { must.OK(t, s.broker.Rotate()) }, device.StepTrust, "authority"},
		{"core refuses the device", func(s *site) { s.refuse = true }, device.StepPolicy, "does not let press-1 in"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t)
			test.do(s)
			d, err := device.New(s.config)
			if err == nil {
				_, err = d.Probe(t.Context())
			}
			if device.StepOf(err) != test.step || !strings.Contains(fmt.Sprint(err), test.says) {
				t.Errorf("step %q, error %v; want %q with %q", device.StepOf(err), err, test.step, test.says)
			}
		})
	}
}

func TestStepOfAnotherError(t *testing.T) {
	if step := device.StepOf(errors.New("x")); step != "" {
		t.Errorf("step %q", step)
	}
}

func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.OK(t, err)
	defer func() { must.OK(t, l.Close()) }()
	return l.Addr().(*net.TCPAddr).Port
}

// A cache that cannot be written, or is damaged, stops no device that reaches discovery.
func TestTheCacheIsNoCondition(t *testing.T) {
	s := newSite(t)
	s.config.Cache = filepath.Join(t.TempDir(), "none", "discovery.json")
	publish(s.run(), 1, 1)
	s.await(1)

	damaged := newSite(t)
	must.OK(t, os.WriteFile(damaged.config.Cache, []byte(`{"format":1,"cores":[{`), 0o600))
	publish(damaged.run(), 1, 1)
	damaged.await(1)

	offline := newSite(t)
	must.OK(t, os.WriteFile(offline.config.Cache, []byte(`{"format":1,"cores":[{`), 0o600))
	offline.cloud.SetUplink(false)
	d, err := device.New(offline.config)
	must.OK(t, err)
	if _, err := d.Probe(t.Context()); device.StepOf(err) != device.StepDiscovery {
		t.Errorf("%v", err)
	}
}
