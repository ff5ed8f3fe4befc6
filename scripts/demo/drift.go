package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/event"
)

// The story of -drift: all machines get new oil. The engine has learned by then what is usual, and finds the drift. A model that
// was trained on such machines is published, is scored beside the active one, and is promoted by rule; then one that has learned nothing is
// published, and is refused by comparison.
const (
	driftThings = 12
	driftRate   = 12. // rows a second
	driftLine   = "line-1"

	// rowsToLearn is from how many rows of a line the engine knows what is usual, with some room for those that do not count.
	rowsToLearn = 3200

	driftVersion, shuffledVersion = "1.1.0", "1.2.0"
)

// betweenDriftRows is the simulated time between two rows of a machine: some days pass until they drift.
const betweenDriftRows = 20 * time.Minute

// driftFaults come while the machines are as usual, and while models are compared. None is of a sensor: that would be drift too.
var driftFaults = []plannedFault{
	{1, "overheating", 5, 6, 2},
	{2, "air-leak", 12, 6, 2},
	{3, "bearing-wear", 19, 6, 2},
	{4, "air-leak", 34, 6, 2},
	{5, "overheating", 39, 6, 2},
	{6, "bearing-wear", 44, 6, 2},
	{7, "air-leak", 49, 6, 2},
}

// letDrift completes the simulator's configuration: all machines are on one line, do not wear, and get new oil.
func (o *options) letDrift(config map[string]any, length time.Duration) {
	config["timeScale"], config["lines"] = betweenDriftRows.Seconds()*o.rate, 1
	config["faults"] = faultPlan(driftFaults, o.things, length)
	config["drifts"] = []any{map[string]any{"drift": string(plant.NewOil), "line": driftLine, "after": driftAt(length).String()}}
}

// suitDrift sets what the user did not.
func (o *options) suitDrift(given map[string]bool) {
	if !given["things"] {
		o.things = driftThings
	}
	if !given["rate"] {
		o.rate = driftRate
	}
	if !given["cuts"] {
		o.cuts = 0 // a model that is published while the uplink is cut comes late
	}
	if !given["for"] && o.headless {
		o.duration = chapter
	}
}

// driftAt is when the machines drift, in a story of the given length.
func driftAt(length time.Duration) time.Duration {
	return (length * 45 / 100).Round(time.Millisecond)
}

// rowsBeforeDrift are those of all machines.
func (o *options) rowsBeforeDrift() float64 {
	return float64(o.things) * o.rate * driftAt(o.length()).Seconds()
}

// driftsFrom is the sequence number of a machine's first row that has drifted: the first row is at the very beginning.
func (o *options) driftsFrom() uint64 {
	return 1 + uint64(math.Ceil(driftAt(o.length()).Seconds()*o.rate))
}

// engine is the engine's configuration. With -drift, its times are those of a story of a minute instead of days.
func (o *options) engine(keys []any) map[string]any {
	config := map[string]any{"model": o.model, "publicKeys": keys}
	if !o.drift {
		return config
	}
	config["drift"] = map[string]any{
		"every": time.Duration(float64(time.Second) / o.rate / 2).String(),
		"learn": (driftAt(o.length()) * 35 / 100).String(), // twice: what is usual, and how much that varies
	}
	config["candidate"] = map[string]any{
		"rows": 600, "time": "3s", "report": "1s",
		// The active model is wrong where machines drift: who replaces it must be allowed to disagree.
		"agreement": 0.8, "faultRatio": 5,
	}
	return config
}

// proveModels publishes candidates, each when the story has come so far. What has not happened when ctx ends shows in the report.
func (d *demo) proveModels(ctx context.Context) {
	await := func(what func(o *observer) bool) bool {
		ticker := time.NewTicker(poll)
		defer ticker.Stop()
		for {
			d.observer.mu.Lock()
			happened := what(d.observer)
			d.observer.mu.Unlock()
			if happened {
				return true
			}
			select {
			case <-ctx.Done():
				return false
			case <-ticker.C:
			}
		}
	}
	compared := func(version string, rows uint64) func(*observer) bool {
		return func(o *observer) bool {
			c := o.shadow.of(version)
			return c != nil && (c.last.Rows > rows || c.outcome() != event.DecisionOpen)
		}
	}
	decided := func(version string) func(*observer) bool {
		return func(o *observer) bool {
			c := o.shadow.of(version)
			return c != nil && c.outcome() != event.DecisionOpen
		}
	}
	if !await(func(o *observer) bool { return o.drift.found != nil }) {
		return
	}
	d.did(fmt.Sprintf("drift was found: model %s, trained on machines with new oil, published for the shadow", driftVersion),
		d.publisher.publish(ctx, driftModel, driftVersion, nil, nil))
	if d.options.kill {
		if !await(compared(driftVersion, 0)) {
			return
		}
		d.did("kill -9 of "+event.InferenceEngine+" while it compares models", d.kill(event.InferenceEngine))
	}
	if !await(decided(driftVersion)) {
		return
	}
	d.did(fmt.Sprintf("model %s, trained on shuffled labels, published for the shadow", shuffledVersion),
		d.publisher.publish(ctx, shuffledModel, shuffledVersion, nil, nil))
	await(decided(shuffledVersion))
}

// judgeDrift returns what is wrong with what was told of drift and candidates. whole means that the run was not cut short.
func (d *demo) judgeDrift(whole bool) (errs []error) {
	o := d.observer
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, early := range o.drift.early {
		errs = append(errs, fmt.Errorf("drift was found where there was none: %s", driftText(early, event.MaxDrift)))
	}
	for _, c := range o.shadow {
		if c.back > 0 {
			errs = append(errs, fmt.Errorf("of candidate %s, %d rows that were told were lost again", c.last.Candidate.Version, c.back))
		}
	}
	if !d.options.drift || !whole {
		return errs
	}
	if o.drift.found == nil {
		return append(errs, fmt.Errorf("%d rows of %s had drifted, and that was not found", o.drift.rows[driftLine], driftLine))
	}
	for _, want := range []struct {
		version  string
		decision event.Decision
	}{{driftVersion, event.DecisionPromote}, {shuffledVersion, event.DecisionReject}} {
		switch c := o.shadow.of(want.version); {
		case c == nil:
			errs = append(errs, fmt.Errorf("candidate %s was never compared; see %s/logs", want.version, d.options.root))
		case c.outcome() != want.decision:
			errs = append(errs, fmt.Errorf("candidate %s: want %s, got %s", want.version, want.decision, c.text()))
		}
	}
	return errs
}
