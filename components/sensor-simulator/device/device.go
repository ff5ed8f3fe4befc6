// Package device is the simulated machine as a Greengrass client device: a thing of its own, with its own certificate, that
// finds its core by discovery and publishes over MQTT, as the workshop's sensor does.
package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"edgepdm/components/sensor-simulator/dataset"
	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/cli"
	"edgepdm/shared/device"
	"edgepdm/shared/event"
	"edgepdm/shared/random"
	"edgepdm/shared/wait"
)

// The outputs.
const (
	toTelemetry = "telemetry" // pdm/v1/telemetry/<thing>
	toShadow    = "shadow"    // $aws/things/<thing>/shadow/update
)

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
	input  string
	rows   int
	check  bool
}

func parse(args []string, s cli.Streams) (options, error) {
	o := options{}
	fs := cli.NewFlagSet("sensor-simulator device -thing NAME -cert FILE -key FILE -region REGION [flags]", s)
	fs.StringVar(&o.device.Thing, "thing", "", "the device's `NAME`; required")
	fs.StringVar(&o.device.Certificate, "cert", "", "PEM `FILE` of its certificate; required")
	fs.StringVar(&o.device.Key, "key", "", "PEM `FILE` of its private key; required")
	fs.StringVar(&o.region, "region", "", "AWS `REGION` of the cores")
	fs.StringVar(&o.device.Discovery, "discovery", "", "`HOST` of Greengrass discovery (default: greengrass-ats.iot.REGION.amazonaws.com:8443)")
	fs.StringVar(&o.device.Roots, "ca", "", "PEM `FILE` of the CAs that discovery's certificate may be of (default: the system's)")
	fs.StringVar(&o.device.Cache, "cache", "", "keep discovery's answer in `FILE` (default: <cert>.discovery.json; none: keep nothing)")
	fs.IntVar(&o.device.Queue, "queue", device.DefaultQueue, "keep at most `N` rows while the core is away")
	fs.StringVar(&o.output, "output", toTelemetry, "where rows go: telemetry, or shadow, the device's own")
	fs.StringVar(&o.line, "line", "", "the machine's production `LINE`")
	fs.Float64Var(&o.rate, "rate", 1, "rows a second")
	fs.Float64Var(&o.scale, "time-scale", 60, "simulated seconds that pass in a second")
	fs.Uint64Var(&o.seed, "seed", 1, "start the random numbers at `S`")
	fs.StringVar(&o.fault, "fault", "", "let this `FAULT` of the machine grow from the start")
	fs.StringVar(&o.input, "input", "", "replay a CSV `FILE` instead of simulating")
	fs.IntVar(&o.rows, "rows", 0, "end after `N` rows (default: never)")
	fs.BoolVar(&o.check, "check", false, "only find and reach the core")
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
	rows, err := o.open()
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.Run(running) }()
	defer func() {
		stop()
		<-ended
	}()
	if err := o.publish(ctx, d, rows); err != nil {
		return err
	}
	return o.drain(ctx, d, s.Out)
}

// publish publishes rows at their rate.
func (o *options) publish(ctx context.Context, d *device.Device, rows source) error {
	epoch := random.ID()
	ticker := time.NewTicker(time.Duration(float64(time.Second) / o.rate))
	defer ticker.Stop()
	for seq := uint64(1); o.rows == 0 || seq <= uint64(o.rows); seq++ { //nolint:gosec // not negative
		values, faulty, err := rows.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		topic, payload := event.TelemetryTopic(o.device.Thing), []byte(nil)
		if o.output == toShadow {
			topic = event.ShadowUpdateTopic(o.device.Thing)
			payload, err = event.SimulatedUpdate(rows.columns(), values)
		} else {
			payload, err = event.Encode(event.Telemetry{
				V: event.Version, Thing: o.device.Thing, Line: o.line, Epoch: epoch, Seq: seq, TS: time.Now().UTC(),
				Schema: event.SchemaOf(rows.columns()), Values: values, Simulated: true, Faulty: faulty,
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

// source gives the machine's rows; io.EOF ends them.
type source interface {
	columns() []string
	next() (values []float32, faulty *bool, err error)
}

func (o *options) open() (source, error) {
	if o.input != "" {
		r, err := dataset.Open(o.input)
		if err != nil {
			return nil, fmt.Errorf("open input: %w", err)
		}
		return recorded{r}, nil
	}
	m := &simulated{machine: plant.New(o.seed, o.device.Thing), step: time.Duration(o.scale / o.rate * float64(time.Second))}
	if o.fault == "" {
		return m, nil
	}
	fault, err := plant.ParseFault(o.fault)
	if err != nil {
		return nil, err
	}
	const grow = 30 * time.Minute // of simulated time
	return m, m.machine.Inject(fault, grow)
}

// simulated is a machine of the simulated plant.
type simulated struct {
	machine *plant.Machine
	step    time.Duration
}

func (m *simulated) columns() []string { return plant.Sensors() }

func (m *simulated) next() ([]float32, *bool, error) {
	r := m.machine.Step(m.step)
	return r.Values, &r.Faulty, nil
}

// recorded is a table.
type recorded struct{ table *dataset.Reader }

func (r recorded) columns() []string { return r.table.Columns() }

func (r recorded) next() ([]float32, *bool, error) {
	row, err := r.table.Next()
	if err != nil {
		return nil, nil, err
	}
	if !row.Label.Known {
		return row.Values, nil, nil
	}
	return row.Values, &row.Label.Faulty, nil
}
