// Package localcore is a small, strict Greengrass core for development, demonstrations and tests: it deploys a staged
// tree as greengrass-cli and ggl-cli do, runs each component as a process with the environment that the nucleus gives and nothing
// more, and serves Greengrass IPC on a Unix socket. It behaves as a classic nucleus or as nucleus lite; dialect says in
// what they differ. Where a nucleus is lenient it refuses, so that what passes here passes there. It is never a product:
// production is the real nucleus.
//
// Where it differs from a nucleus on purpose (in lite mode see also the function lite):
//   - Recipes: only what works on both nuclei is accepted, with exact upper and lower case, and every unknown key is an
//     error that names its place. No step runs as root, and archives are not unpacked.
//   - A token lives as long as its process; a nucleus keeps it for a component's restarts.
//   - A component that does not read its socket is disconnected with a warning; a nucleus queues without a bound.
//   - An object onto a configuration leaf, or a leaf onto an object, is refused; newer nuclei replace one by the other.
//   - A new configuration key is one change event; a nucleus sends two.
//   - A restart of a HARD dependency does not restart what depends on it.
//   - Nothing comes from the cloud: what a deployment needs must have been handed over, but for a classic nucleus's own
//     parts (aws.greengrass.*), which every core has that is not Offline.
//   - There is one group of roots, of local deployments; a deployment FromCloud belongs to it, too.
//   - A change of configuration of a component that is not there is refused; a nucleus drops it.
//   - Components run as the core's user. Permissions of files hold for them, though that is root (startUnprivileged).
//   - Configuration and packages/ are not kept over a restart of the core: each run begins with the recipes' defaults.
package localcore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/recipe"
)

// Mode says which nucleus the core behaves as.
type Mode int

// The modes.
const (
	Classic Mode = iota
	Lite
)

// Options configure a Core. Only Root is required.
type Options struct {
	// Root is made when it is missing: ipc.socket, packages/, work/<Name>/, logs/<Name>.log, env/<NAME>.env, config/.
	Root string
	// Stage holds recipes/<Name>-<version>.yaml and artifacts/<Name>/<version>/<file>.
	Stage string
	Mode  Mode
	// ShadowManager says that the deployment has aws.greengrass.ShadowManager, which only a classic nucleus runs.
	ShadowManager bool
	// ErrorReset is the window of the BROKEN rule: errors further apart do not add up. One hour by default.
	ErrorReset time.Duration
	// RestartDelay is the time between an error and the next start: one second by default in lite mode, none in classic.
	RestartDelay time.Duration
	// StopTimeout is the time between SIGTERM and SIGKILL: five seconds by default, 120 in lite mode.
	StopTimeout time.Duration
	// MergeRestartDelay is how long after a merge by the cloud nucleus lite restarts the component. Ten seconds by default.
	MergeRestartDelay time.Duration
	// StopGap is the time between the end of IPC and the first SIGTERM when a classic nucleus is stopped; none by default.
	StopGap time.Duration
	// Offline says that a classic core is not provisioned: it has no connection to AWS, and cannot be given one.
	Offline bool
	// Builtins are the parts of an Offline nucleus, such as aws.greengrass.TokenExchangeService, that its own configuration
	// file names. A dependency on another one cannot be satisfied.
	Builtins []string
	// NucleusAlias lets nucleus lite answer for aws.greengrass.Nucleus, too, as its snapshots after 2.6.0 do.
	NucleusAlias bool
	// ConnectionStatus lets the core tell whether it is connected to IoT Core (SubscribeToIoTCoreConnectionStatus), as nuclei
	// do from nucleus lite 2.7.0 on; earlier ones do not know the operation.
	ConnectionStatus bool
	ThingName        string // "edgepdm-core" by default
	Region           string // "us-east-1" by default
	BrokerAddr       string // where the MQTT broker listens, on loopback; "127.0.0.1:0" by default
	// CredentialsURL is where the token exchange service listens, if there is one: components find it in their environment.
	CredentialsURL string
	// QueueBytes bounds what one IPC connection may have waiting for its client to read, 32 MiB by default. A client that
	// is further behind is disconnected, with a warning in the log: nothing is ever left out silently.
	QueueBytes int
	Logger     *slog.Logger     // discards by default
	Now        func() time.Time // the clock of the BROKEN rule and of device shadows
	// OnState is told each change of a component's state, in order. It must not block or call the Core.
	OnState func(component string, from, to State)
}

// Core is one embedded Greengrass core.
type Core struct {
	opts    Options
	log     *slog.Logger
	dialect *dialect
	store   *store
	authz   *authz
	pubsub  *pubsub
	asks    *validation
	server  *server
	broker  *broker
	lock    io.Closer

	deploying sync.Mutex // one change of what runs at a time
	started   bool
	closed    bool

	mu         sync.Mutex
	components map[string]*component
	order      []string // of start
	stopping   bool     // what ends now is not started again
	externals  map[string]bool
	roots      map[string]string // what deployments named, with its version
	previous   map[string]string // the version of a component before the present one
	cli        string            // the CLI's principal
	changed    chan struct{}     // closed and replaced at each change of a state
}

// New checks the options, makes the root directory and takes its lock.
func New(opts Options) (*Core, error) {
	if opts.Root == "" {
		return nil, errors.New("a root directory is required")
	}
	if opts.ShadowManager && opts.Mode == Lite {
		return nil, errors.New("nucleus lite has no shadow manager")
	}
	if opts.Offline && opts.Mode == Lite {
		return nil, errors.New("nucleus lite has no mode without AWS")
	}
	root, err := filepath.Abs(opts.Root)
	if err != nil {
		return nil, fmt.Errorf("find root: %w", err)
	}
	opts.Root = root
	opts.ErrorReset = cmp.Or(opts.ErrorReset, time.Hour)
	opts.ThingName = cmp.Or(opts.ThingName, "edgepdm-core")
	if opts.Mode == Lite {
		opts.RestartDelay = cmp.Or(opts.RestartDelay, time.Second)   // RestartSec=1 of its units
		opts.StopTimeout = cmp.Or(opts.StopTimeout, 120*time.Second) // TimeoutStopSec
		opts.MergeRestartDelay = cmp.Or(opts.MergeRestartDelay, 10*time.Second)
	}
	opts.StopTimeout = cmp.Or(opts.StopTimeout, 5*time.Second)
	opts.Region = cmp.Or(opts.Region, "us-east-1")
	opts.BrokerAddr = cmp.Or(opts.BrokerAddr, "127.0.0.1:0")
	opts.QueueBytes = cmp.Or(opts.QueueBytes, defaultQueueBytes)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.OnState == nil {
		opts.OnState = func(string, State, State) {}
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("make root: %w", err)
	}
	lock, err := lockRoot(root)
	if err != nil {
		return nil, err
	}
	if err := makeFolders(root); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	c := &Core{
		opts: opts, log: opts.Logger, lock: lock,
		broker: newBroker(opts.Logger), asks: newValidation(),
		components: make(map[string]*component), externals: make(map[string]bool),
		roots: make(map[string]string), previous: make(map[string]string),
		changed: make(chan struct{}),
	}
	if c.dialect = classic(c); opts.Mode == Lite {
		c.dialect = lite(c)
	}
	c.store, c.pubsub = newStore(c.dialect), &pubsub{dialect: c.dialect}
	c.authz = newAuthz(opts.Logger, c.dialect)
	c.authz.shadows = opts.ShadowManager
	c.server = newServer(opts.Logger, opts.QueueBytes, c.dialect)
	c.store.replace(c.dialect.nucleus, map[string]any{"awsRegion": opts.Region, "iotDataEndpoint": c.dialect.endpoint}, 0)
	return c, nil
}

// makeFolders makes what is below the root, with packages/ empty: like the configuration, it is of one run.
func makeFolders(root string) error {
	if err := os.RemoveAll(filepath.Join(root, "packages")); err != nil {
		return fmt.Errorf("empty packages: %w", err)
	}
	for _, dir := range []string{"work", "logs", "env", "config", "packages/recipes", "packages/artifacts"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			return fmt.Errorf("make root: %w", err)
		}
	}
	return nil
}

// lockRoot keeps a second core off the same root until the lock is closed.
func lockRoot(root string) (io.Closer, error) {
	lock, err := durable.Lock(filepath.Join(root, "core.lock"))
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("another core runs on %s: %w", root, err)
	}
	if err != nil {
		return nil, fmt.Errorf("lock root: %w", err)
	}
	return lock, nil
}

// Start opens the IPC socket and the MQTT broker. No component runs yet.
func (c *Core) Start(ctx context.Context) error {
	c.deploying.Lock()
	defer c.deploying.Unlock()
	if c.started || c.closed {
		return errors.New("the core was started before")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := writeRootCA(c.opts.Root); err != nil {
		return err
	}
	if err := c.broker.start(c.opts.BrokerAddr); err != nil {
		return err
	}
	if err := c.server.listen(c.opts.Root); err != nil {
		return err
	}
	c.started = true
	return nil
}

// SocketPath is the IPC socket, by a path that any client can use.
func (c *Core) SocketPath() string { return c.server.path }

// BrokerAddr is the address of the MQTT broker that stands for IoT Core.
func (c *Core) BrokerAddr() string { return c.broker.addr }

// SetIoTCoreOnline cuts and restores the core's own connection to IoT Core. Other clients of the broker stay connected.
func (c *Core) SetIoTCoreOnline(online bool) { c.broker.setOnline(online) }

// Grants reports every grant of every accessControl, and whether a request used it.
func (c *Core) Grants() []Grant {
	grants, _ := c.authz.report()
	return grants
}

// Denials reports the requests that no grant allowed.
func (c *Core) Denials() []Denial {
	_, denials := c.authz.report()
	return denials
}

// Configuration returns a component's effective configuration.
func (c *Core) Configuration(component string) (map[string]any, bool) {
	return c.store.get(component, nil)
}

// AddExternal admits a program that the core does not run, such as a test: its recipe gives its configuration and its
// grants. It returns the environment that the program needs, and writes it to Root/env/<name>.env.
func (c *Core) AddExternal(name, recipeFile string) (map[string]string, error) {
	c.deploying.Lock()
	defer c.deploying.Unlock()
	if !c.started || c.closed {
		return nil, errors.New("the core does not run")
	}
	r, err := recipe.Read(recipeFile)
	if err != nil {
		return nil, err
	}
	if r.Name != name {
		return nil, fmt.Errorf("recipe %s is of %s, not of %s", recipeFile, r.Name, name)
	}
	if _, taken := c.component(name); taken || c.externals[name] {
		return nil, fmt.Errorf("there is a component %s already", name)
	}
	now := time.Now().UnixMilli()
	values := c.store.resolve(name, c.defaults(r), configChange{}, now)
	if err := c.dialect.checkConfiguration(values); err != nil {
		return nil, err
	}
	c.configure(name, values, now)
	p := c.server.issue(name, nil)
	env := map[string]string{"SVCUID": p.token, socketVariable: c.server.path}
	file := filepath.Join(c.opts.Root, "env", name+".env")
	text := fmt.Sprintf("SVCUID=%s\n%s=%s\n", p.token, socketVariable, c.server.path)
	if err := durable.WriteFileAtomic(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write environment: %w", err)
	}
	c.externals[name] = true
	return env, nil
}

func (c *Core) component(name string) (*component, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	comp, ok := c.components[name]
	return comp, ok
}

// StopComponent stops a component until the next deployment or restart.
func (c *Core) StopComponent(ctx context.Context, name string) error {
	return c.act(ctx, name, action{kind: actStop})
}

// RestartComponent stops a component and starts it again; one that is BROKEN or stopped, too.
func (c *Core) RestartComponent(ctx context.Context, name string) error {
	return c.act(ctx, name, action{kind: actInstall})
}

func (c *Core) act(ctx context.Context, name string, a action) error {
	c.deploying.Lock()
	defer c.deploying.Unlock()
	comp, ok := c.component(name)
	if !ok {
		return fmt.Errorf("there is no component %s", name)
	}
	return comp.do(ctx, a)
}

// Close stops the components in reverse order of their start, then the socket and the broker, and waits for everything.
// When ctx ends first, components that still run are killed at once. On a classic nucleus IPC ends before the components
// do: connections break and tokens are refused Options.StopGap before the first SIGTERM.
func (c *Core) Close(ctx context.Context) error {
	c.deploying.Lock()
	defer c.deploying.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	c.mu.Lock()
	c.stopping = true
	order := slices.Clone(c.order)
	c.mu.Unlock()
	if c.dialect.ipcEndsFirst {
		c.server.refuseAll()
		select {
		case <-time.After(c.opts.StopGap):
		case <-ctx.Done():
		}
	}
	for _, name := range slices.Backward(order) {
		comp, _ := c.component(name)
		comp.quit(ctx)
	}
	c.server.close()
	err := c.broker.close()
	return errors.Join(err, c.lock.Close())
}
