package localcore

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"time"

	"edgepdm/shared/recipe"
	"edgepdm/test/localcore/nucleus"
)

// component runs one component. Its goroutine alone starts and stops processes and changes the state, as the nucleus's
// lifecycle thread does.
type component struct {
	core    *Core
	name    string
	logFile *os.File
	logMu   sync.Mutex
	actions chan action
	done    chan struct{} // closed when the goroutine has ended

	// Under core.mu.
	recipe  *recipe.Recipe
	spec    *spec
	status  Status
	history []State

	// The goroutine's own.
	proc      *process
	step      string // of proc: install or run
	who       *nucleus.Principal
	deadline  <-chan time.Time // of proc
	stopTimer func() bool
	retry     <-chan time.Time      // of the next start after an error
	again     func()                // that start
	errors    map[State][]time.Time // ERRORED out of a state, each soon after the one before
	starts    int
}

type actionKind int

const (
	actAdopt   actionKind = iota // keep the spec for the next start
	actInstall                   // install and start the spec, or the present one: NEW
	actStart                     // start the spec without installing: INSTALLED
	actStop                      // STOPPING, FINISHED
	actReport                    // UpdateState
	actQuit                      // stop and end the goroutine
)

type action struct {
	kind  actionKind
	spec  *spec
	state State              // of actReport
	from  *nucleus.Principal // of actReport
	hurry <-chan struct{}    // ends the patience of a stop
	done  chan struct{}
}

const (
	defaultInstallTimeout = 120 * time.Second
	errorsUntilBroken     = 3
)

func newComponent(c *Core, r *recipe.Recipe) (*component, error) {
	if err := os.MkdirAll(c.workDir(r.Name), 0o700); err != nil {
		return nil, fmt.Errorf("make work directory: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(c.opts.Root, "logs", r.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	comp := &component{
		core: c, name: r.Name, recipe: r, logFile: log,
		actions: make(chan action), done: make(chan struct{}),
		status: Status{Name: r.Name, Version: r.Version, State: StateNew}, history: []State{StateNew},
		errors: make(map[State][]time.Time),
	}
	go comp.loop() // ends with quit, which waits for it
	return comp, nil
}

// seen returns how many states the component has had.
func (c *component) seen() int {
	c.core.mu.Lock()
	defer c.core.mu.Unlock()
	return len(c.history)
}

func (c *component) state() State {
	c.core.mu.Lock()
	defer c.core.mu.Unlock()
	return c.status.State
}

// change says what a deployment has to do to bring the component to next. Of nucleus lite only another version, or a
// configuration merged by the cloud, restarts what runs, whatever its scripts are now; they are read again at the next
// start. On a classic nucleus a changed version or install script installs it again, changed other lifecycle text restarts
// it, and one that is BROKEN is taken up again when it is named.
func (c *component) change(next *spec, named, merged bool) actionKind {
	c.core.mu.Lock()
	defer c.core.mu.Unlock()
	now, broken := c.spec, c.status.State == StateBroken
	switch {
	case now == nil || now.version != next.version,
		broken && (named || c.core.lite),
		!c.core.lite && !reflect.DeepEqual(now.install, next.install):
		return actInstall
	case c.core.lite && merged,
		!c.core.lite && (!reflect.DeepEqual(now.run, next.run) || !maps.Equal(now.setenv, next.setenv)):
		if broken {
			return actInstall
		}
		return actStart
	}
	return actAdopt
}

// send hands the goroutine an action, and returns a channel that closes when it is done: a start is done when its first
// process was started.
func (c *component) send(a action) <-chan struct{} {
	a.done = make(chan struct{})
	select {
	case c.actions <- a:
		return a.done
	case <-c.done:
		return c.done
	}
}

// do carries an action out. When ctx ends, processes that are being stopped are killed.
func (c *component) do(ctx context.Context, a action) error {
	a.hurry = ctx.Done()
	<-c.send(a)
	return ctx.Err()
}

// quit stops the component for good.
func (c *component) quit(ctx context.Context) {
	c.send(action{kind: actQuit, hurry: ctx.Done()})
	<-c.done
}

// Report is UpdateState by the process of p; one that has ended meanwhile has nothing to report.
func (c *component) Report(p *nucleus.Principal, s string) {
	c.send(action{kind: actReport, state: State(s), from: p})
}

// RunsAs tells whether the component's process group is the given one. Its own goroutine must not call it.
func (c *component) RunsAs(group int) bool {
	c.core.mu.Lock()
	defer c.core.mu.Unlock()
	return group == c.status.PID
}

func (c *component) loop() {
	defer close(c.done)
	defer c.logFile.Close()
	sample := time.NewTicker(sampleEvery)
	defer sample.Stop()
	for {
		var exited <-chan exit
		if c.proc != nil {
			exited = c.proc.exited
		}
		select {
		case a := <-c.actions:
			c.act(a)
			close(a.done)
			if a.kind == actQuit {
				return
			}
		case e := <-exited:
			c.ended(e)
		case <-c.retry:
			c.retry = nil
			c.again()
		case <-c.deadline:
			c.core.log.Warn("script timed out", "component", c.name, "step", c.step)
			c.fail()
		case <-sample.C:
			c.sample()
		}
	}
}

func (c *component) act(a action) {
	switch a.kind {
	case actAdopt:
		c.adopt(a.spec)
	case actStop, actQuit:
		c.halt(a.hurry)
	case actInstall, actStart:
		if a.spec == nil && c.spec == nil {
			break // its deployment ended before it came to this component
		}
		c.halt(a.hurry)
		if a.spec != nil {
			c.adopt(a.spec)
		}
		if a.kind == actInstall {
			clear(c.errors)
			c.install()
		} else {
			c.start()
		}
	case actReport:
		if a.from != c.who {
			break
		}
		if now := c.state(); a.state == StateErrored && (now == StateRunning || now == StateStarting || now == StateNew) {
			c.fail()
		} else {
			c.core.log.Warn("invalid reported state", "component", c.name, "state", now, "reported", a.state)
		}
	}
}

func (c *component) adopt(s *spec) {
	c.core.mu.Lock()
	defer c.core.mu.Unlock()
	c.spec, c.status.Version = s, s.version
}

// install begins at NEW.
func (c *component) install() {
	c.set(StateNew)
	if step := c.spec.install; step != nil {
		timeout := defaultInstallTimeout
		if step.Timeout > 0 {
			timeout = seconds(step.Timeout)
		}
		if err := c.exec("install", step, timeout); err != nil {
			c.core.log.Error("start install script", "component", c.name, "err", err)
			c.fail()
		}
		return
	}
	c.start()
}

// start begins at INSTALLED.
func (c *component) start() {
	c.set(StateInstalled)
	c.set(StateStarting)
	step := c.spec.run
	if step == nil {
		c.set(StateFinished)
		return
	}
	if err := c.exec("run", step, seconds(step.Timeout)); err != nil {
		c.core.log.Error("start run script", "component", c.name, "err", err)
		c.fail()
		return
	}
	c.set(StateRunning)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// exec starts a step's script under a new token.
func (c *component) exec(name string, st *recipe.Step, timeout time.Duration) error {
	if !c.core.lite {
		if err := c.core.unlock(c.spec); err != nil {
			return err
		}
	}
	who := c.core.server.Issue(c.name, c)
	script := fmt.Sprintf("services.%s.lifecycle.%s", c.name, name)
	if st.Object {
		script += ".Script"
	}
	c.log("INFO", "shell-runner-start", script, "")
	proc, err := startProcess(st.Script, c.core.workDir(c.name), c.core.environment(who, c.spec, st),
		c.core.opts.StopTimeout, func(stderr bool, text string) {
			if stderr {
				c.log("WARN", "stderr", script, text)
			} else {
				c.log("INFO", "stdout", script, text)
			}
		})
	if err != nil {
		c.core.server.Revoke(who)
		return err
	}
	c.proc, c.step, c.who = proc, name, who
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		c.deadline, c.stopTimer = timer.C, timer.Stop
	}
	if name == "run" {
		c.starts++
	}
	c.core.mu.Lock()
	c.status.PID = proc.pid
	c.status.Restarts = max(0, c.starts-1)
	c.core.mu.Unlock()
	return nil
}

// gone cleans up behind a process that has ended.
func (c *component) gone(e exit) {
	c.core.server.Revoke(c.who)
	if c.stopTimer != nil {
		c.stopTimer()
	}
	c.proc, c.who, c.deadline, c.stopTimer = nil, nil, nil, nil
	c.core.mu.Lock()
	c.status.PID = 0
	c.status.CPU += e.cpu
	c.status.LastExit = e.text
	c.core.mu.Unlock()
}

// ended is the end of a script that nobody asked to end.
func (c *component) ended(e exit) {
	step := c.step
	c.gone(e)
	c.core.log.Info("script ended", "component", c.name, "step", step, "exit", e.text)
	c.core.mu.Lock()
	stopping := c.core.stopping
	c.core.mu.Unlock()
	switch {
	case stopping:
		c.set(StateStopping)
		c.set(StateFinished)
	case e.code != 0:
		c.fail()
	case step == "install":
		c.start()
	default:
		c.set(StateStopping)
		c.set(StateFinished)
	}
}

// fail is ERRORED: what still runs is stopped, and the component is started again, or installed again when it was NEW. The
// third time in a row out of the same state it is BROKEN.
func (c *component) fail() {
	from := c.state()
	now := c.core.opts.Now()
	times := c.errors[from]
	if len(times) > 0 {
		since := times[len(times)-1]
		if c.core.lite {
			since = times[0] // StartLimitIntervalSec counts from the first start on
		}
		if now.Sub(since) >= c.core.opts.ErrorReset {
			times = nil
		}
	}
	times = append(times, now)
	c.errors[from] = times
	broken := len(times) >= errorsUntilBroken
	if broken {
		c.set(StateBroken)
	} else {
		c.set(StateErrored)
	}
	c.kill(nil)
	switch {
	case broken:
		c.core.log.Error("component is BROKEN: a deployment is needed", "component", c.name)
	case from == StateNew:
		c.startAgain(c.install)
	default:
		c.set(StateStopping)
		c.startAgain(c.start)
	}
}

// startAgain starts the component after an error, when the nucleus's delay is over.
func (c *component) startAgain(start func()) {
	if delay := c.core.opts.RestartDelay; delay > 0 {
		c.retry, c.again = time.After(delay), start
		return
	}
	start()
}

// halt stops the component if it runs.
func (c *component) halt(hurry <-chan struct{}) {
	switch {
	case c.proc != nil:
		c.set(StateStopping)
		c.kill(hurry)
		c.set(StateFinished)
	case c.retry != nil:
		c.set(StateFinished)
	}
	c.retry = nil
}

func (c *component) kill(hurry <-chan struct{}) {
	if c.proc != nil {
		c.sample()
		c.gone(c.proc.stop(hurry))
	}
}

func (c *component) sample() {
	if c.proc == nil {
		return
	}
	rss, _ := groupUsage(c.proc.pid)
	c.core.mu.Lock()
	defer c.core.mu.Unlock()
	c.status.PeakRSS = max(c.status.PeakRSS, rss)
}

// set changes the state, and says so before who waits for it goes on. Leaving a state without an error forgets the
// errors out of it.
func (c *component) set(to State) {
	c.core.mu.Lock()
	from := c.status.State
	c.status.State = to
	c.core.mu.Unlock()
	if to != from {
		if to != StateErrored && to != StateBroken {
			delete(c.errors, from)
		}
		c.core.opts.OnState(c.name, from, to)
	}
	c.core.mu.Lock()
	defer c.core.mu.Unlock()
	c.history = append(c.history, to)
	close(c.core.changed)
	c.core.changed = make(chan struct{})
}

// log writes a line to the component's log as a classic nucleus does.
func (c *component) log(level, event, script, text string) {
	message := event + "."
	if text != "" {
		message += " " + text + "."
	}
	line := fmt.Sprintf("%s [%s] (Copier) %s: %s {scriptName=%s, serviceName=%s, currentState=%s}\n",
		time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), level, c.name, message, script, c.name, c.state())
	c.logMu.Lock()
	defer c.logMu.Unlock()
	if _, err := c.logFile.WriteString(line); err != nil {
		c.core.log.Warn("write component log", "component", c.name, "err", err)
	}
}
