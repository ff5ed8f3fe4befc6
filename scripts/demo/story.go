package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"edgepdm/components/sensor-simulator/generate"
	"edgepdm/shared/event"
)

// chapter is what the demo tells in a minute; runs of another length tell it faster or slower.
const chapter = time.Minute

// length is the length of the story: of the run, or of a chapter where the user ends the run.
func (o *options) length() time.Duration {
	if o.duration == 0 {
		return chapter
	}
	return o.duration
}

// plant is the simulator's configuration, for a story of the given length.
func (o *options) plant(length time.Duration) map[string]any {
	config := map[string]any{
		"things": o.things, "rate": o.rate, "seed": o.seed,
		// Rows are as far apart in the machines' time as those that the life model was trained with, whatever the rate.
		"timeScale": generate.LifeInterval.Seconds() * o.rate,
	}
	if o.input != "" {
		config["input"] = o.input
		return config
	}
	if o.drift {
		o.letDrift(config, length)
		return config
	}
	config["faults"], config["meanTimeBF"] = faultPlan(plannedFaults, o.things, length), "150h"
	config["life"], config["lives"] = true, lifePlan(o.things, length, o.rate)
	return config
}

// plannedFault is a fault that is injected, at a time of a chapter of a minute.
type plannedFault struct {
	machine             int
	name                string
	after, length, grow float64 // seconds
}

var plannedFaults = []plannedFault{
	{3, "sensor-dropout", 12, 12, 5},
	{1, "overheating", 27, 18, 5}, // while the uplink is cut
	{3, "air-leak", 38, 15, 5},
}

// faultPlan injects faults, within one chapter of the given length.
func faultPlan(faults []plannedFault, things int, length time.Duration) []any {
	scaled := func(seconds float64) string {
		return time.Duration(seconds * float64(time.Second) * float64(length) / float64(chapter)).String()
	}
	var plan []any
	for _, f := range faults {
		if f.machine <= things {
			plan = append(plan, map[string]any{
				"thing": fmt.Sprintf("compressor-%d", f.machine), "fault": f.name,
				"after": scaled(f.after), "for": scaled(f.length), "grow": scaled(f.grow),
			})
		}
	}
	return plan
}

// lifePlan lets a bearing of the second machine wear, so that it needs maintenance shortly before the end of a chapter of the given
// length. The others of the first three last longer; what is beyond those stands at a random point of its life.
func lifePlan(things int, length time.Duration, rate float64) []any {
	rows := 0.9 * length.Seconds() * rate
	worn := time.Duration(min(rows*float64(generate.LifeInterval), float64(50*time.Hour))).Round(time.Minute)
	plan := []any{
		map[string]any{"thing": "compressor-1", "fault": "overheating", "remaining": "60h"},
		map[string]any{"thing": "compressor-2", "fault": "bearing-wear", "remaining": worn.String()},
		map[string]any{"thing": "compressor-3", "fault": "overheating", "remaining": "70h"},
	}
	return plan[:min(things, len(plan))]
}

// act is something that the demo does at a time.
type act struct {
	at   time.Duration
	what string
	do   func(context.Context) error
}

// acts plans the publication of models, the cuts of the uplink, and with -kill the end of each component by kill -9, over the run.
func (d *demo) acts(length time.Duration) []act {
	part := func(x float64) time.Duration { return time.Duration(x * float64(length)) }
	acts := d.modelActs(part)
	acts = append(acts,
		act{part(0.35), "an operator shelves an alarm for 5 s", func(ctx context.Context) error {
			return d.operate(ctx, map[string]any{"do": "shelve", "for": "5s"})
		}},
		act{part(0.55), "an operator acknowledges an alarm", func(ctx context.Context) error {
			command := map[string]any{"do": "acknowledge"}
			if !d.options.drift { // where an alarm may well be false, and what people find decides about candidates
				command["outcome"] = "confirmed"
			}
			return d.operate(ctx, command)
		}})
	cuts := float64(d.options.cuts)
	for i := range d.options.cuts {
		begin, end := (float64(i)+0.4)/cuts, (float64(i)+0.7)/cuts
		acts = append(acts,
			act{part(begin), "uplink cut", func(context.Context) error { return d.setUplink(false) }},
			act{part(end), "uplink back", func(context.Context) error { return d.setUplink(true) }})
	}
	if d.options.kill {
		names := []string{event.InferenceEngine, event.AlarmManager, event.SensorSimulator, event.CloudForwarder, event.ModelFetcher}
		if d.page != "" {
			names = append(names, event.OperatorConsole)
		}
		names = slices.DeleteFunc(names, func(name string) bool {
			// Client devices are no component. Machines that begin again have not drifted. The engine is ended while it has a candidate.
			return name == event.SensorSimulator && (d.options.devices || d.options.drift) || name == event.InferenceEngine && d.options.drift
		})
		for i, name := range names {
			at := part(0.15 + 0.7*float64(i)/float64(len(names)))
			acts = append(acts, act{at, "kill -9 of " + name, func(context.Context) error { return d.kill(name) }})
		}
	}
	return acts
}

// operate gives a command for the machine's alarm that was raised last, if one stands.
func (d *demo) operate(ctx context.Context, command map[string]any) error {
	a, stands := d.observer.standing()
	if !stands {
		return nil
	}
	command["v"], command["thing"], command["fault"], command["by"] = event.Version, a.Thing, a.Fault, "demo"
	payload, err := event.Encode(command)
	if err != nil {
		return err
	}
	return d.client.Publish(ctx, event.TopicOperatorAlarm, payload)
}

// setUplink cuts or restores all ways to the cloud: HTTPS, and the core's own MQTT connection.
func (d *demo) setUplink(up bool) error {
	d.cloud.SetUplink(up)
	d.core.SetIoTCoreOnline(up)
	d.up.Store(up)
	return nil
}

func (d *demo) kill(name string) error {
	for _, c := range d.core.Components() {
		if c.Name == name && c.PID > 0 {
			if err := syscall.Kill(c.PID, syscall.SIGKILL); err != nil {
				return fmt.Errorf("kill %s: %w", name, err)
			}
			return nil
		}
	}
	return fmt.Errorf("kill %s: it does not run", name)
}

// tell performs the acts at their times, until all are done or ctx ends.
func (d *demo) tell(ctx context.Context, acts []act) {
	begin := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	slices.SortStableFunc(acts, func(a, b act) int { return cmp.Compare(a.at, b.at) })
	for _, a := range acts {
		timer.Reset(time.Until(begin.Add(a.at)))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		d.did(a.what, a.do(ctx))
	}
}
