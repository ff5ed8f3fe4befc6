// Package device is the simulated machine as a Greengrass client device: a thing of its own, with its own certificate, that
// finds its core by discovery and publishes over MQTT, as the workshop's sensor does.
package device

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/components/sensor-simulator/simulator"
	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/shared/device"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/random"
	"edgepdm/shared/wait"
)

// The outputs.
const (
	toTelemetry = "telemetry" // pdm/v1/telemetry/<thing>
	toShadow    = "shadow"    // $aws/things/<thing>/shadow/update
)

// drainGrace is how long rows that wait may take to leave when the program is to end.
const drainGrace = 5 * time.Second

// options are the command line.
type options struct {
	device device.Config
	region string
	line   string
	output string
	rate   float64
	scale  float64
	seed   uint64
	fault  string
	drifts plant.Changes
	input  string
	plant  string
	rows   int
	check  bool
}

func parse(args []string, s cli.Streams) (options, error) {
	o := options{}
	fs := cli.NewFlagSet("sensor-simulator device -thing NAME -cert FILE -key FILE -region REGION [flags]", s)
	fs.StringVar(&o.device.Thing, "thing", "", "the device's `NAME`; required")
	fs.StringVar(&o.device.Certificate, "cert", "", "PEM `FILE` of its certificate; required")
	fs.StringVar(&o.device.Key, "key", "", "PEM `FILE` of its private key; required")
	fs.StringVar(&o.region, "region", "", "AWS `REGION` of the cores; required without -discovery")
	fs.StringVar(&o.device.Discovery, "discovery", "", "`HOST` of Greengrass discovery (default: greengrass-ats.iot.REGION.amazonaws.com:8443)")
	fs.StringVar(&o.device.Roots, "ca", "", "PEM `FILE` of the CAs to trust in discovery (default: the system's)")
	fs.StringVar(&o.device.Cache, "cache", "", "keep discovery's answer in `FILE` (default: <cert>.discovery.json; none: keep nothing)")
	fs.IntVar(&o.device.Queue, "queue", device.DefaultQueue, "keep at most `N` rows while the core is away")
	fs.StringVar(&o.output, "output", toTelemetry, "`WHERE` rows go: telemetry, or shadow, the device's own")
	fs.StringVar(&o.line, "line", "", "the machine's production `LINE`")
	fs.Float64Var(&o.rate, "rate", 1, "publish `N` rows a second")
	fs.Float64Var(&o.scale, "time-scale", 60, "let `N` simulated seconds pass in a second")
	fs.Uint64Var(&o.seed, "seed", 1, "start the random numbers at `S`: equal seeds give equal machines")
	fs.StringVar(&o.fault, "fault", "", "let this `FAULT` of the machine grow from the start: "+plant.FaultNames())
	fs.Var(&o.drifts, "drift", "let the machine have these drifts from the start, `NAMES` with commas: "+plant.DriftNames()+"; recalibrated:SENSOR; NAME=SIZE")
	fs.StringVar(&o.input, "input", "", "replay the rows of a CSV `FILE`, .gz too, instead of simulating")
	fs.StringVar(&o.plant, "plant", "", "be the machine -thing of the plant in `FILE`: JSON, as the component's configuration")
	fs.IntVar(&o.rows, "rows", 0, "end after `N` rows (default: never)")
	fs.BoolVar(&o.check, "check", false, "only find the core and connect to it, then end")
	if err := cli.Parse(fs, args); err != nil {
		return o, err
	}
	return o, o.complete()
}

func (o *options) complete() error {
	switch {
	case o.device.Thing == "" || o.device.Certificate == "" || o.device.Key == "":
		return cli.Usagef("-thing, -cert and -key are required")
	case o.device.Discovery == "" && o.region == "":
		return cli.Usagef("-region: give the region of the cores, or -discovery")
	case o.output != toTelemetry && o.output != toShadow:
		return cli.Usagef("-output: %q is neither %s nor %s", o.output, toTelemetry, toShadow)
	case !(o.rate > 0 && o.rate <= 1000):
		return cli.Usagef("-rate: %v is not above 0 and at most 1000", o.rate)
	case !(o.scale > 0 && o.scale <= 1e6):
		return cli.Usagef("-time-scale: %v is not above 0 and at most 1000000", o.scale)
	case o.device.Queue < 1 || o.device.Queue > 1_000_000:
		return cli.Usagef("-queue: %d is not between 1 and 1000000", o.device.Queue)
	case o.rows < 0:
		return cli.Usagef("-rows: %d is negative", o.rows)
	case o.fault != "" && o.input != "":
		return cli.Usagef("-fault: cannot be injected into rows of -input")
	case len(o.drifts) > 0 && o.input != "":
		return cli.Usagef("-drift: rows of -input do not drift")
	case o.plant != "" && (o.fault != "" || o.input != "" || len(o.drifts) > 0):
		return cli.Usagef("-plant: has faults, drifts and input of its own")
	}
	if err := event.CheckName(o.device.Thing); err != nil {
		return cli.Usagef("-thing: %v", err)
	}
	if o.line != "" {
		if err := event.CheckLine(o.line); err != nil {
			return cli.Usagef("-line: %v", err)
		}
	}
	if o.fault != "" {
		if _, err := plant.ParseFault(o.fault); err != nil {
			return cli.Usagef("-fault: %v", err)
		}
	}
	if o.device.Discovery == "" {
		o.device.Discovery = "greengrass-ats.iot." + o.region + ".amazonaws.com"
	}
	switch o.device.Cache {
	case "":
		o.device.Cache = o.device.Certificate + ".discovery.json"
	case "none":
		o.device.Cache = ""
	}
	if o.device.Cache != "" {
		o.device.Cache = filepath.Clean(o.device.Cache)
	}
	return nil
}

// Run is the sub-command "device". A step that fails before the first connection ends it, with an exit code that says which;
// afterwards it goes on until ctx ends, or the rows do.
func Run(ctx context.Context, args []string, s cli.Streams) error {
	o, err := parse(args, s)
	if err != nil {
		return err
	}
	o.device.Log = slog.New(slog.NewTextHandler(s.Err, nil))
	d, err := device.New(o.device)
	if err != nil {
		return err
	}
	at, err := d.Probe(ctx)
	if err != nil {
		return err
	}
	if o.check {
		_, err := fmt.Fprintf(s.Out, "%s reaches %s\n", o.device.Thing, at)
		return err
	}
	machine, err := o.open()
	if err != nil {
		return err
	}
	defer func() { _ = machine.Close() }()                          // it was only read from
	running, stop := context.WithCancel(context.WithoutCancel(ctx)) // what waits at the end leaves before
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.Run(running)
	}()
	defer func() {
		stop()
		<-ended
	}()
	if err := o.publish(ctx, d, machine); err != nil {
		return err
	}
	draining, release := wait.Outlive(ctx, drainGrace)
	defer release()
	return o.drain(draining, d, s.Out)
}

// publish publishes rows at their rate.
func (o *options) publish(ctx context.Context, d *device.Device, m *simulator.Machine) error {
	epoch := random.ID()
	ticker := time.NewTicker(m.Period())
	defer ticker.Stop()
	for seq := uint64(1); o.rows == 0 || seq <= uint64(o.rows); seq++ { //nolint:gosec // not negative
		row, err := m.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		topic, payload := event.TelemetryTopic(o.device.Thing), []byte(nil)
		if o.output == toShadow {
			topic = event.ShadowUpdateTopic(o.device.Thing)
			payload, err = event.SimulatedUpdate(m.Columns(), row.Values)
		} else {
			payload, err = event.Encode(event.Telemetry{
				V: event.Version, Thing: o.device.Thing, Line: o.line, Epoch: epoch, Seq: seq, TS: time.Now().UTC(),
				Schema: event.SchemaOf(m.Columns()), Values: row.Values, Simulated: true, Faulty: row.Faulty, Remaining: row.Remaining,
			})
		}
		if err != nil {
			return fmt.Errorf("encode row %d: %w", seq, err)
		}
		d.Publish(topic, payload)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// drain waits until the core has all rows, or ctx ends, and says how many it has.
func (o *options) drain(ctx context.Context, d *device.Device, out io.Writer) error {
	const look = 50 * time.Millisecond
	status := d.Status()
	for status.Waiting+status.UnderWay > 0 && wait.For(ctx, look) {
		status = d.Status()
	}
	if _, err := fmt.Fprintf(out, "%d rows published, %d dropped\n", status.Published, status.Dropped); err != nil {
		return err
	}
	if left := status.Waiting + status.UnderWay; left > 0 {
		return fmt.Errorf("%d rows were not published: %w", left, errors.Join(status.Problem, ctx.Err()))
	}
	return nil
}

// open makes the machine: of the plant that a file describes, or a plant of one machine.
func (o *options) open() (*simulator.Machine, error) {
	if o.plant != "" {
		config, err := o.readPlant()
		if err != nil {
			return nil, err
		}
		m, err := simulator.OpenMachine(config, o.device.Thing)
		if err == nil && o.line == "" {
			o.line = m.Line()
		}
		return m, err
	}
	config := simulator.Default()
	config.Name, config.Things, config.Rate, config.TimeScale, config.Seed = o.device.Thing, 1, o.rate, o.scale, o.seed
	config.Input, config.Loop = o.input, false
	if o.fault != "" {
		const grow = 30 * time.Minute // of simulated time
		config.Faults = []simulator.Injection{{Thing: o.device.Thing, Fault: o.fault, Grow: time.Duration(float64(grow) / o.scale)}}
	}
	for _, c := range o.drifts {
		config.Drifts = append(config.Drifts, simulator.Drift{Drift: string(c.Drift), Sensor: c.Sensor, Size: c.Size})
	}
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return simulator.OpenMachine(config, o.device.Thing)
}

const maxPlant = 1 << 20 // bytes

func (o *options) readPlant() (simulator.Config, error) {
	data, err := durable.ReadFile(o.plant, maxPlant)
	if err != nil {
		return simulator.Config{}, fmt.Errorf("read -plant: %w", err)
	}
	var raw map[string]any
	if err := json.Unmarshal(data, &raw); err != nil {
		return simulator.Config{}, fmt.Errorf("read %s: %w", o.plant, err)
	}
	return component.CheckConfig(component.Spec[simulator.Config]{Name: event.SensorSimulator, Default: simulator.Default}, o.device.Log, raw)
}
