// Package device is a Greengrass client device: it finds its core by Greengrass discovery, connects to it with its own X.509
// certificate over MQTT 3.1.1, and publishes. It works from what discovery said last when the internet is away, and keeps
// messages while the core is. Client devices take a classic nucleus: nucleus lite has none.
package device

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/wait"
)

// Config says who the device is and whom it asks. Durations of 0 stand for the defaults.
type Config struct {
	Thing       string        // its name, which is its MQTT client id, too
	Certificate string        // PEM file
	Key         string        // PEM file
	Discovery   string        // host of the Greengrass data plane, such as greengrass-ats.iot.eu-central-1.amazonaws.com; its port is 8443
	Roots       string        // PEM file of the CAs that may sign its certificate; empty: the system's
	Cache       string        // file that keeps the last answer; empty: none is kept
	Queue       int           // messages that wait at most; default 10,000
	Timeout     time.Duration // of each step; default 10 s
	Refresh     time.Duration // between two questions while all is well; default 1 h
	Log         *slog.Logger  // default: none
}

// Defaults.
const (
	DefaultQueue   = 10_000
	defaultTimeout = 10 * time.Second
	defaultRefresh = time.Hour
)

// Device publishes messages through a Greengrass core.
type Device struct {
	config   Config
	identity tls.Certificate
	roots    *x509.CertPool
	queue    *queue
	cache    durable.State[cached]
	backoff  wait.Backoff

	published atomic.Uint64
	mu        sync.Mutex
	at        string // core and endpoint; "" = not connected
	problem   error
}

// cached is the content of the cache.
type cached struct {
	Format int    `json:"format"`
	Thing  string `json:"thing"`
	Cores  []Core `json:"cores"`
}

// Status says how a device is.
type Status struct {
	Core      string // that it is connected to, with the address; "" = none
	Published uint64 // messages that a core acknowledged
	Waiting   int
	UnderWay  int    // published, and not acknowledged yet
	Dropped   uint64 // because too many waited
	Problem   error  // of the last attempt to connect; nil while connected. StepOf tells the step
}

// New reads the device's certificate. The error is an *Error of StepCertificate.
func New(c Config) (*Device, error) {
	if c.Queue == 0 {
		c.Queue = DefaultQueue
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Refresh == 0 {
		c.Refresh = defaultRefresh
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Thing == "" || c.Discovery == "" || c.Queue < 1 {
		return nil, errors.New("device: Thing and Discovery are needed, and Queue is not below 1")
	}
	d := &Device{
		config: c, queue: newQueue(c.Queue), cache: durable.State[cached]{Path: c.Cache, Format: 1, Limit: 2 * maxAnswer},
		backoff: wait.Backoff{Min: 500 * time.Millisecond, Max: 30 * time.Second},
	}
	var err error
	if d.identity, err = tls.LoadX509KeyPair(c.Certificate, c.Key); err != nil {
		return nil, failed(StepCertificate, err)
	}
	if now := time.Now(); d.identity.Leaf != nil && now.After(d.identity.Leaf.NotAfter) {
		return nil, failed(StepCertificate, fmt.Errorf("%s expired on %s", c.Certificate, d.identity.Leaf.NotAfter.Format(time.DateOnly)))
	}
	if c.Roots == "" {
		return d, nil
	}
	pem, err := os.ReadFile(c.Roots)
	if err != nil {
		return nil, failed(StepCertificate, err)
	}
	if d.roots = x509.NewCertPool(); !d.roots.AppendCertsFromPEM(pem) {
		return nil, failed(StepCertificate, fmt.Errorf("%s has no certificate", c.Roots))
	}
	return d, nil
}

// Publish takes a message, which Run publishes. It reports false if an older message was dropped for it.
func (d *Device) Publish(topic string, payload []byte) bool {
	return d.queue.add(message{topic, payload})
}

// Status says how the device is.
func (d *Device) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Status{Core: d.at, Published: d.published.Load(), Dropped: d.queue.lost(), Problem: d.problem}
	s.Waiting, s.UnderWay = d.queue.length()
	return s
}

// Run connects and publishes until ctx ends; it does not give up. What waits at the end is lost.
func (d *Device) Run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		cores, err := d.cores(ctx)
		if err == nil {
			err = d.serve(ctx, cores, func() { failures = 0 })
		}
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, errMoved) {
			continue
		}
		failures = min(failures+1, maxTries)
		d.say("", err)
		d.backoff.Wait(ctx, failures)
	}
}

// Probe connects once, and says where to, or which step failed.
func (d *Device) Probe(ctx context.Context) (string, error) {
	cores, err := d.cores(ctx)
	if err != nil {
		return "", err
	}
	s, core, at, err := d.first(ctx, cores)
	if err != nil {
		return "", err
	}
	s.client.Disconnect(uint(time.Second.Milliseconds()))
	return core.Thing + " at " + at.String(), nil
}

// cores asks where the cores are. Without an answer it takes the last one.
func (d *Device) cores(ctx context.Context) ([]Core, error) {
	cores, err := discover(ctx, d.config.Discovery, d.config.Thing, d.identity, d.roots, d.config.Timeout)
	if err == nil {
		d.keep(cores)
		return cores, nil
	}
	if d.config.Cache == "" {
		return nil, err
	}
	last, cacheErr := d.cache.Load()
	if cacheErr != nil || last.Thing != d.config.Thing || len(last.Cores) == 0 {
		return nil, err
	}
	d.config.Log.Warn("discovery has no answer: its last one is used", "error", err)
	return last.Cores, nil
}

func (d *Device) keep(cores []Core) {
	if d.config.Cache == "" {
		return
	}
	if err := d.cache.Save(cached{Format: 1, Thing: d.config.Thing, Cores: cores}); err != nil {
		d.config.Log.Warn("the answer of discovery is not kept", "error", err)
	}
}

// first connects to the first endpoint that takes the device.
func (d *Device) first(ctx context.Context, cores []Core) (*session, Core, Endpoint, error) {
	var problems []error
	for _, core := range cores {
		for _, at := range core.Endpoints {
			s, err := d.connect(ctx, core, at)
			if err == nil {
				return s, core, at, nil
			}
			if ctx.Err() != nil {
				return nil, core, at, ctx.Err()
			}
			d.config.Log.Debug("an endpoint of the core does not work", "core", core.Thing, "endpoint", at.String(), "error", err)
			problems = append(problems, fmt.Errorf("%s at %s: %w", core.Thing, at, err))
		}
	}
	return nil, Core{}, Endpoint{}, worst(problems)
}

// worst joins what is wrong with several endpoints. It begins with the one that came furthest, which says most: of the
// addresses that the IP detector finds, some are never reached.
func worst(problems []error) error {
	order := map[Step]int{StepNetwork: 1, StepTrust: 2, StepName: 3, StepPolicy: 4}
	for i, p := range problems {
		if order[StepOf(p)] > order[StepOf(problems[0])] {
			problems[0], problems[i] = problems[i], problems[0]
		}
	}
	return errors.Join(problems...)
}

// serve publishes over one connection until it ends.
func (d *Device) serve(ctx context.Context, cores []Core, connected func()) error {
	s, core, at, err := d.first(ctx, cores)
	if err != nil {
		return err
	}
	connected()
	d.say(core.Thing+" at "+at.String(), nil)
	watching, stop := context.WithCancel(ctx)
	changed := make(chan struct{}, 1)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		d.watch(watching, core, at, changed)
	}()
	defer func() {
		stop()
		<-watched
	}()
	return d.send(ctx, s, changed)
}

// watch asks from time to time whether the core is still where it was.
func (d *Device) watch(ctx context.Context, core Core, at Endpoint, changed chan<- struct{}) {
	for wait.For(ctx, d.config.Refresh) {
		cores, err := discover(ctx, d.config.Discovery, d.config.Thing, d.identity, d.roots, d.config.Timeout)
		if err != nil {
			d.config.Log.Debug("discovery has no answer", "error", err)
			continue
		}
		d.keep(cores)
		if !has(cores, core, at) {
			changed <- struct{}{}
			return
		}
	}
}

// has reports whether an answer still has a core at an endpoint, with the same CAs.
func has(cores []Core, core Core, at Endpoint) bool {
	for _, c := range cores {
		if c.Thing != core.Thing || !reflect.DeepEqual(c.CAs, core.CAs) {
			continue
		}
		for _, e := range c.Endpoints {
			if e == at {
				return true
			}
		}
	}
	return false
}

// say tells where the device is connected, or why it is not.
func (d *Device) say(at string, problem error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at != "" {
		d.config.Log.Info("connected to the core", "core", at)
	} else if problem != nil && (d.problem == nil || StepOf(d.problem) != StepOf(problem)) {
		d.config.Log.Warn("not connected to a core", "step", string(StepOf(problem)), "error", problem)
	}
	d.at, d.problem = at, problem
}
