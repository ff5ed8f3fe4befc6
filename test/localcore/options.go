package localcore

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"
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

// complete checks the options and fills defaults in.
func (o *Options) complete() error {
	if o.Root == "" {
		return errors.New("a root directory is required")
	}
	if o.ShadowManager && o.Mode == Lite {
		return errors.New("nucleus lite has no shadow manager")
	}
	if o.Offline && o.Mode == Lite {
		return errors.New("nucleus lite has no mode without AWS")
	}
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return fmt.Errorf("find root: %w", err)
	}
	o.Root = root
	o.ErrorReset = cmp.Or(o.ErrorReset, time.Hour)
	o.ThingName = cmp.Or(o.ThingName, "edgepdm-core")
	if o.Mode == Lite {
		o.RestartDelay = cmp.Or(o.RestartDelay, time.Second)   // RestartSec=1 of its units
		o.StopTimeout = cmp.Or(o.StopTimeout, 120*time.Second) // TimeoutStopSec
		o.MergeRestartDelay = cmp.Or(o.MergeRestartDelay, 10*time.Second)
	}
	o.StopTimeout = cmp.Or(o.StopTimeout, 5*time.Second)
	o.Region = cmp.Or(o.Region, "us-east-1")
	o.BrokerAddr = cmp.Or(o.BrokerAddr, "127.0.0.1:0")
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnState == nil {
		o.OnState = func(string, State, State) {}
	}
	return nil
}
