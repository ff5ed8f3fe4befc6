package localcore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// State is a component's lifecycle state, by the nucleus's name.
type State string

// The states.
const (
	StateNew       State = "NEW"
	StateInstalled State = "INSTALLED"
	StateStarting  State = "STARTING"
	StateRunning   State = "RUNNING"
	StateStopping  State = "STOPPING"
	StateErrored   State = "ERRORED"
	StateBroken    State = "BROKEN"
	StateFinished  State = "FINISHED"
)

// sampleEvery is how often the use of memory is looked at. The kernel keeps the peak of each process itself.
const sampleEvery = 500 * time.Millisecond

// Status describes one component.
type Status struct {
	Name, Version string
	State         State
	PID           int // of the run step's shell, or what it became with exec; 0 when it does not run
	Restarts      int // starts of the run step after the first
	// PeakRSS is the largest resident memory of any one run's process group, in bytes, as sampled.
	PeakRSS int64
	// CPU is the time all runs used so far, in seconds.
	CPU      float64
	LastExit string // how the last run ended; "" when none did
}

// Components describes the deployed components, in order of their start.
func (c *Core) Components() []Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Status
	for _, name := range c.order {
		comp := c.components[name]
		s := comp.status
		if s.PID != 0 {
			rss, cpu := groupUsage(s.PID)
			s.PeakRSS = max(s.PeakRSS, rss)
			s.CPU += cpu
		}
		out = append(out, s)
	}
	return out
}

// WaitState waits until the component is, or since the call was, in the state. It fails when the component becomes
// BROKEN instead.
func (c *Core) WaitState(ctx context.Context, name string, state State) error {
	comp, ok := c.component(name)
	if !ok {
		return fmt.Errorf("there is no component %s", name)
	}
	return c.wait(ctx, comp, comp.seen()-1, state)
}

// wait waits until comp's history has one of the states at from or later.
func (c *Core) wait(ctx context.Context, comp *component, from int, states ...State) error {
	for {
		c.mu.Lock()
		changed := c.changed
		history := comp.history[from:]
		last, exit := comp.history[len(comp.history)-1], comp.status.LastExit
		c.mu.Unlock()
		for _, s := range history {
			if slices.Contains(states, s) {
				return nil
			}
		}
		if last == StateBroken {
			return fmt.Errorf("wait for %s to be %v: it is BROKEN, last exit %q", comp.name, states, exit)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s to be %v, it is %s: %w", comp.name, states, last, ctx.Err())
		case <-comp.done:
			return errors.New("wait for " + comp.name + ": it was removed")
		case <-changed:
		}
	}
}

// groupUsage adds up what the processes of a group use: peak resident bytes, and CPU seconds with waited-for children.
func groupUsage(pgid int) (rss int64, cpu float64) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, 0
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it ended meanwhile
		}
		_, rest, _ := strings.Cut(string(stat), ") ") // after the name: state ppid pgrp ... utime stime cutime cstime
		f := strings.Fields(rest)
		if len(f) < 15 || f[2] != strconv.Itoa(pgid) {
			continue
		}
		for _, ticks := range f[11:15] {
			n, _ := strconv.ParseFloat(ticks, 64)
			cpu += n / 100 // USER_HZ is 100 on every Linux that Go runs on
		}
		status, err := os.ReadFile("/proc/" + e.Name() + "/status")
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kb), " kB"), 10, 64)
				rss += n << 10
			}
		}
	}
	return rss, cpu
}
