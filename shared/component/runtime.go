package component

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/random"
)

// Runtime is what a component's Run works with. It lives as long as the process.
type Runtime struct {
	Log     *slog.Logger
	WorkDir string // the component's own directory, kept between runs

	name, version, run string
	level              *slog.LevelVar
	wakeHealth         chan struct{}
	now                func() time.Time
	started            time.Time
	conditions         *Conditions
	latencies          *Latencies
	loopback           atomic.Pointer[loopback] // of the connection
	inFlight           sync.WaitGroup           // messages whose answers are awaited

	mu             sync.Mutex // guards what follows
	client         *ipc.Client
	subscriptions  map[string]*subscription
	refused        map[string]int // filters whose subscription the nucleus refuses, by generation
	generation     int
	state          event.State
	detail         string
	configProblem  string // why the newest configuration is refused
	model          *event.ModelRef
	lifeModel      *event.ModelRef
	uplink         event.Uplink
	counters       map[string]*atomic.Uint64
	healthInterval time.Duration
}

func newRuntime(name, version string, env Environment) *Runtime {
	rt := &Runtime{
		Log: env.Log, WorkDir: env.WorkDir, name: name, version: version, run: random.ID(), level: env.Level,
		wakeHealth: make(chan struct{}, 1), state: event.StateStarting, counters: make(map[string]*atomic.Uint64),
		healthInterval: 5 * time.Second, now: env.Now,
	}
	if rt.now == nil {
		rt.now = time.Now
	}
	rt.started = rt.now().UTC()
	rt.latencies = newLatencies(rt.now)
	rt.conditions = newConditions(env.Log, rt.now, env.Grace, rt.ReportHealth)
	return rt
}

// Conditions are what is wrong with the component at the moment. They are forgotten when Run is entered again.
func (rt *Runtime) Conditions() *Conditions { return rt.conditions }

// Version returns the component's version.
func (rt *Runtime) Version() string { return rt.version }

// IPC returns the connection to the nucleus.
func (rt *Runtime) IPC() *ipc.Client {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return rt.client
}

// Getenv returns the environment as it is now: nucleus lite may have given a new token since the process started.
func (rt *Runtime) Getenv(getenv func(string) string) func(string) string {
	return func(name string) string {
		if name == envCredentialsToken {
			if token := rt.IPC().Token(); token != "" && getenv(name) == getenv(ipc.EnvAuthToken) {
				return token
			}
		}
		return getenv(name)
	}
}

// envCredentialsToken is the token for the token exchange service. A nucleus gives the same one as for IPC.
const envCredentialsToken = "AWS_CONTAINER_AUTHORIZATION_TOKEN"

// connected begins a session: what was subscribed over the connection before is gone.
func (rt *Runtime) connected(client *ipc.Client) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.client = client
	rt.subscriptions, rt.refused = make(map[string]*subscription), make(map[string]int)
}

// Counter returns the counter of that name, which the health messages carry.
func (rt *Runtime) Counter(name string) *atomic.Uint64 {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	c := rt.counters[name]
	if c == nil {
		c = new(atomic.Uint64)
		rt.counters[name] = c
	}
	return c
}

func (rt *Runtime) applyCommon(c Common) {
	if rt.level != nil {
		rt.level.Set(c.LogLevel)
	}
	rt.mu.Lock()
	rt.healthInterval = c.HealthInterval
	rt.mu.Unlock()
	rt.ReportHealth()
}
