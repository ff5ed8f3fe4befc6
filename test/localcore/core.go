// Package localcore is a small, strict Greengrass core for development, demonstrations and tests: it deploys a staged
// tree as greengrass-cli and ggl-cli do, runs each component as a process with the environment that the nucleus gives and nothing
// more, and serves Greengrass IPC on a Unix socket. It behaves as a classic nucleus or as nucleus lite. Where a nucleus is
// lenient it refuses, so that what passes here passes there. It is never a product: production is the real nucleus.
//
// What is where: here are deployments, components and their processes. Package nucleus is what both nuclei serve a component
// with over IPC, packages classic and lite are in what they differ, and package shadows is the shadow manager.
//
// Where it differs from a nucleus on purpose (in lite mode see also package lite):
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
	"edgepdm/test/localcore/classic"
	"edgepdm/test/localcore/devices"
	"edgepdm/test/localcore/lite"
	"edgepdm/test/localcore/nucleus"
)

// Core is one embedded Greengrass core.
type Core struct {
	opts    Options
	log     *slog.Logger
	lite    bool // which nucleus it is, for what a deployment does differently
	dialect nucleus.Dialect
	traits  nucleus.Traits
	store   *nucleus.Store
	authz   *nucleus.Authz
	pubsub  *nucleus.PubSub
	server  *nucleus.Server
	broker  *nucleus.Broker
	devices *devices.Broker // nil: the core takes no client devices
	lock    io.Closer       // keeps a second core off the same root

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
	if err := opts.complete(); err != nil {
		return nil, err
	}
	root := opts.Root
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("make root: %w", err)
	}
	lock, err := durable.Lock(filepath.Join(root, "core.lock"))
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("another core runs on %s: %w", root, err)
	}
	if err != nil {
		return nil, fmt.Errorf("lock root: %w", err)
	}
	if err := makeFolders(root); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	dialect := classic.New
	if opts.Mode == Lite {
		dialect = lite.New
	}
	n := nucleus.New(nucleus.Options{
		Root: root, ThingName: opts.ThingName, CredentialsURL: opts.CredentialsURL, ShadowManager: opts.ShadowManager,
		Offline: opts.Offline, ConnectionStatus: opts.ConnectionStatus, NucleusAlias: opts.NucleusAlias,
		QueueBytes: opts.QueueBytes, Log: opts.Logger, Now: opts.Now,
	}, dialect)
	c := &Core{
		opts: opts, log: opts.Logger, lock: lock, lite: opts.Mode == Lite, dialect: n.Dialect, traits: n.Dialect.Traits(),
		store: n.Store, authz: n.Authz, pubsub: n.PubSub, server: n.Server, broker: n.Broker,
		components: make(map[string]*component), externals: make(map[string]bool),
		roots: make(map[string]string), previous: make(map[string]string),
		changed: make(chan struct{}),
	}
	c.store.Replace(c.traits.Name, map[string]any{"awsRegion": opts.Region, "iotDataEndpoint": c.traits.Endpoint}, 0)
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
	if err := c.broker.Start(c.opts.BrokerAddr); err != nil {
		return err
	}
	if err := c.server.Listen(c.opts.Root); err != nil {
		return err
	}
	c.started = true
	return nil
}

// SocketPath is the IPC socket, by a path that any client can use.
func (c *Core) SocketPath() string { return c.server.Path() }

// BrokerAddr is the address of the MQTT broker that stands for IoT Core.
func (c *Core) BrokerAddr() string { return c.broker.Addr() }

// PublishFromCloud publishes a message on the broker that stands for IoT Core, as the cloud's own services do: it does
// not pass the core's connection, which may be cut.
func (c *Core) PublishFromCloud(topic string, payload []byte) error {
	return c.broker.PublishFromCloud(topic, payload)
}

// KnowsToken tells whether a token is that of a component or external that lives, as the token exchange service asks.
func (c *Core) KnowsToken(token string) bool { return c.server.KnowsToken(token) }

// Grant is one operation on one resource that a component's accessControl allows.
type Grant = nucleus.Grant

// Denial is a request that no grant allowed.
type Denial = nucleus.Denial

// Grants reports every grant of every accessControl, and whether a request used it.
func (c *Core) Grants() []Grant {
	grants, _ := c.authz.Report()
	return grants
}

// Denials reports the requests that no grant allowed.
func (c *Core) Denials() []Denial {
	_, denials := c.authz.Report()
	return denials
}

// Configuration returns a component's effective configuration.
func (c *Core) Configuration(component string) (map[string]any, bool) {
	return c.store.Get(component, nil)
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
	if !c.lite {
		c.server.RefuseAll()
		select {
		case <-time.After(c.opts.StopGap):
		case <-ctx.Done():
		}
	}
	for _, name := range slices.Backward(order) {
		comp, _ := c.component(name)
		comp.quit(ctx)
	}
	c.server.Close()
	err := c.broker.Close()
	if c.devices != nil {
		err = errors.Join(err, c.devices.Close())
	}
	return errors.Join(err, c.lock.Close())
}
