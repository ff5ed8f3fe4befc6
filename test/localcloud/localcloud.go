// Package localcloud is the embedded cloud of the demonstration and the tests: the AWS services that the suite uses, in
// one process, on loopback, reached by real AWS SDK clients through endpoint URLs. It runs the real polly-notifier under
// the Lambda Runtime API. It is strict where the programs depend on it: every request's signature is verified, and
// limits, conditions and errors are the services' own. It is never a product.
package localcloud

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const account = "123456789012"

// Options configure a Cloud. Only Dir is required.
type Options struct {
	// Dir is made when it is missing: ca.pem, journal.jsonl, polly-notifier.log.
	Dir    string
	Logger *slog.Logger // discards by default
	// Notifier is the path of polly-notifier's bootstrap. When it is empty, SNS delivers to nobody.
	Notifier string
	// NotifierEnv adds to the function's environment, and overrides it: VoiceId, AUDIO_TOPIC_PREFIX and so on.
	NotifierEnv map[string]string
	// Functions are further Lambda functions, which Invoke runs.
	Functions []Function
	// Secrets are what Secrets Manager holds, by name. Their ARN is not known to it.
	Secrets map[string]string
	// Publish feeds the MQTT broker that stands for IoT Core. Its error is the service's internal failure.
	Publish func(topic string, payload []byte) error
	Bucket  string           // "edgepdm-local" by default
	Region  string           // "us-east-1" by default
	Now     func() time.Time // the cloud's clock; clients sign with the real time, which it must be near
	// AcceptToken says whether the token exchange knows a component's token. By default it knows any that is not empty.
	AcceptToken func(token string) bool
	// Lite lets the token exchange answer as nucleus lite's does; otherwise it is a classic nucleus's.
	Lite bool
	// CredentialLifetime is how long credentials of the token exchange are valid. One hour by default.
	CredentialLifetime time.Duration
	// FunctionTimeout ends an invocation. 30 seconds by default.
	FunctionTimeout time.Duration
	// RetryDelay is the pause before the function is tried again; it doubles. One second by default, a minute at Lambda.
	RetryDelay time.Duration
}

// Endpoints says where the services are.
type Endpoints struct {
	IoTData       string // https with the device side's certificate, http within the cloud
	SNS           string
	S3            string
	Polly         string
	Secrets       string // Secrets Manager; within the cloud only
	TokenExchange string // the whole URL, as in AWS_CONTAINER_CREDENTIALS_FULL_URI
	Discovery     string // host and port of Greengrass discovery, https with a device's certificate
	CAFile        string // PEM of the authority that vouches for IoTData and Discovery
	TopicARN      string
	Bucket        string
	Region        string
}

// Cloud is one embedded cloud.
type Cloud struct {
	opts      Options
	log       *slog.Logger
	keys      *keyring
	journal   *recorder
	gate      *gatekeeper
	uplink    *uplink // between the device side and the services
	inside    *uplink // between the cloud's own programs and the services; cut by Close
	mails     mailbox
	store     *objectStore
	speaker   speaker
	function  *function
	functions map[string]*function // Options.Functions
	alerts    *subscription
	tokens    *tokenExchange
	devices   *Devices
	operator  aws.Credentials
	topicARN  string
	device    Endpoints
	internal  Endpoints

	switching sync.Mutex // orders calls of onUplink
	onUplink  []func(up bool)

	lifecycle sync.Mutex
	started   bool
	closed    bool
	stop      context.CancelFunc // ends delivery
	servers   []*http.Server
	tasks     sync.WaitGroup
}

// New checks the options and makes the directory.
func New(opts Options) (*Cloud, error) {
	if opts.Dir == "" {
		return nil, errors.New("a directory is required")
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("find directory: %w", err)
	}
	if opts.Notifier != "" { // the function runs in the directory
		if opts.Notifier, err = filepath.Abs(opts.Notifier); err != nil {
			return nil, fmt.Errorf("find notifier: %w", err)
		}
		if _, err := os.Stat(opts.Notifier); err != nil {
			return nil, fmt.Errorf("find notifier: %w", err)
		}
	}
	opts.Dir = dir
	setDefault(&opts.Bucket, "edgepdm-local")
	setDefault(&opts.Region, "us-east-1")
	setDefault(&opts.CredentialLifetime, time.Hour)
	setDefault(&opts.FunctionTimeout, 30*time.Second)
	setDefault(&opts.RetryDelay, time.Second)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.AcceptToken == nil {
		opts.AcceptToken = func(token string) bool { return token != "" }
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	c := &Cloud{
		opts: opts, log: opts.Logger, keys: newKeyring(opts.Now), journal: newRecorder(opts.Now, opts.Logger),
		uplink: newUplink(), inside: newUplink(), speaker: newSpeaker(),
		topicARN: fmt.Sprintf("arn:aws:sns:%s:%s:edgepdm-alerts", opts.Region, account),
	}
	c.gate = &gatekeeper{keys: c.keys, throttled: make(map[string]int)}
	c.operator = c.keys.permanent()
	c.tokens = &tokenExchange{
		lite: opts.Lite, keys: c.keys, uplink: c.uplink, accept: opts.AcceptToken, lifetime: opts.CredentialLifetime,
	}
	if c.store, err = newObjectStore(opts.Bucket, c.journal, opts.Now); err != nil {
		return nil, err
	}
	if c.devices, err = newDevices(opts.Now, c.log); err != nil {
		return nil, err
	}
	c.function = newFunction(notifierName, opts.Notifier, opts, c.log)
	c.functions = make(map[string]*function, len(opts.Functions))
	for _, f := range opts.Functions {
		path, err := filepath.Abs(f.Path)
		if err != nil {
			return nil, fmt.Errorf("find function %s: %w", f.Name, err)
		}
		c.functions[f.Name] = newFunction(f.Name, path, opts, c.log)
	}
	c.alerts = &subscription{
		arn: c.topicARN + ":" + newID(), topic: c.topicARN, invoke: c.invokeNotifier, retryDelay: opts.RetryDelay,
		now: opts.Now, journal: c.journal, log: c.log, wake: make(chan struct{}, 1),
	}
	return c, nil
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Devices is what client devices need of the cloud.
func (c *Cloud) Devices() *Devices { return c.devices }

// Start opens the services. A cloud that failed to start must be closed, too.
func (c *Cloud) Start(ctx context.Context) error {
	c.lifecycle.Lock()
	defer c.lifecycle.Unlock()
	if c.started || c.closed {
		return errors.New("the cloud was started before")
	}
	c.started = true
	caFile := filepath.Join(c.opts.Dir, "ca.pem")
	identity, err := newAuthority(caFile, c.opts.Now())
	if err != nil {
		return err
	}
	if err := c.journal.open(filepath.Join(c.opts.Dir, "journal.jsonl")); err != nil {
		return err
	}
	deliver := func(notification) {}
	if c.opts.Notifier != "" {
		deliver = c.alerts.enqueue
	}
	iot := func(kind Kind) http.Handler {
		return c.gate.handler((&iotData{kind: kind, publish: c.opts.Publish, journal: c.journal, log: c.log}).service())
	}
	sns := c.gate.handler((&topic{arn: c.topicARN, journal: c.journal, now: c.opts.Now, mail: c.mails.put, deliver: deliver}).service())
	s3 := c.gate.handler(c.store.service())
	polly := c.gate.handler((&synthesizer{speaker: c.speaker, journal: c.journal, log: c.log}).service())
	common := Endpoints{CAFile: caFile, TopicARN: c.topicARN, Bucket: c.opts.Bucket, Region: c.opts.Region}
	c.device, c.internal = common, common
	secrets := c.gate.handler((&secretStore{secrets: c.opts.Secrets}).service())
	var runtimeURL string
	for _, s := range []struct {
		url     *string
		line    *uplink
		tls     *tls.Config
		handler http.Handler
	}{
		{&c.device.IoTData, c.uplink, identity, iot(KindIoT)},
		{&c.device.SNS, c.uplink, nil, sns},
		{&c.device.S3, c.uplink, nil, s3},
		{&c.device.Polly, c.uplink, nil, polly},
		{&c.device.TokenExchange, c.inside, nil, c.tokens},
		{&c.device.Discovery, c.uplink, c.devices.identity(identity), c.devices},
		{&c.internal.IoTData, c.inside, nil, iot(KindIoTCloud)},
		{&c.internal.SNS, c.inside, nil, sns},
		{&c.internal.S3, c.inside, nil, s3},
		{&c.internal.Polly, c.inside, nil, polly},
		{&c.internal.Secrets, c.inside, nil, secrets},
		{&runtimeURL, c.inside, nil, c.function.runtimeHandler()},
	} {
		if *s.url, err = c.serve(ctx, s.line, s.tls, s.handler); err != nil {
			return err
		}
	}
	c.device.Discovery = strings.TrimPrefix(c.device.Discovery, "https://")
	c.device.TokenExchange += tokenExchangePath
	c.internal.TokenExchange = c.device.TokenExchange
	c.function.environment = func() []string { return c.environmentOf(notifierName, runtimeURL, c.notifierSettings()) }
	for _, f := range c.opts.Functions {
		function := c.functions[f.Name]
		url, err := c.serve(ctx, c.inside, nil, function.runtimeHandler())
		if err != nil {
			return err
		}
		function.environment = func() []string { return c.environmentOf(f.Name, url, c.settingsOf(f)) }
	}
	delivery, stop := context.WithCancel(context.WithoutCancel(ctx))
	c.stop = stop
	if c.opts.Notifier != "" {
		c.tasks.Go(func() { c.alerts.run(delivery) })
	}
	return nil
}

// invokeNotifier runs the notifier on an event of SNS, which takes no answer.
func (c *Cloud) invokeNotifier(ctx context.Context, event []byte) error {
	_, err := c.function.invoke(ctx, event)
	return err
}

// serve opens a listener on loopback and serves it until Close. It returns its URL.
func (c *Cloud) serve(ctx context.Context, line *uplink, identity *tls.Config, handler http.Handler) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}
	url := "http://" + l.Addr().String()
	l = lineListener{l, line}
	if identity != nil {
		url = "https" + url[len("http"):]
		l = tls.NewListener(l, identity)
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(c.log.Handler(), slog.LevelDebug), // mostly connections that were cut
	}
	c.servers = append(c.servers, server)
	c.tasks.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.log.Error("serve", "url", url, "err", err)
		}
	})
	return url, nil
}

// Close stops the function, then the services, and waits for everything. When ctx ends first, what still runs is cut off
// at once.
func (c *Cloud) Close(ctx context.Context) error {
	c.lifecycle.Lock()
	defer c.lifecycle.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	if c.stop != nil {
		c.stop()
	}
	c.function.close(ctx)
	for _, f := range c.functions {
		f.close(ctx)
	}
	c.uplink.set(false)
	c.inside.set(false)
	var errs []error
	for _, s := range c.servers {
		if err := s.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("shut down server: %w", err), s.Close())
		}
	}
	c.tasks.Wait()
	return errors.Join(append(errs, c.journal.close())...)
}
