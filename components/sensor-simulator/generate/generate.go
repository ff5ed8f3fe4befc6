// Package generate writes labelled rows of simulated machines, to train and to test models with.
//
// The table holds many machines, one after the other, each watched for some hours of simulated time through episodes of all
// faults. Equal flags give equal bytes.
package generate

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"

	"edgepdm/components/sensor-simulator/dataset"
	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/cli"
)

const (
	maxFaulty = 0.5 // a machine has to be sound before its fault grows
	maxRows   = 100_000_000
)

// options are the command line.
type options struct {
	rows   int
	seed   uint64
	faulty float64
	life   bool
	drifts plant.Changes
	out    string
}

func parse(args []string, s cli.Streams) (options, error) {
	var o options
	fs := cli.NewFlagSet("sensor-simulator generate -rows N [-seed S] [-faulty FRACTION | -life] [-drift NAMES] [-out FILE]", s)
	fs.IntVar(&o.rows, "rows", 0, "write `N` rows; required")
	fs.Uint64Var(&o.seed, "seed", 1, "start the random numbers at `S`: equal seeds give equal rows")
	fs.Float64Var(&o.faulty, "faulty", 0.04, "aim at this `FRACTION` of faulty rows, 0 to 0.5")
	fs.BoolVar(&o.life, "life", false, "write machines that wear out, with the hours until each needs maintenance")
	fs.Var(&o.drifts, "drift", "let all machines have these drifts, `NAMES` with commas: "+plant.DriftNames()+"; recalibrated:SENSOR; NAME=SIZE")
	fs.StringVar(&o.out, "out", "", "write `FILE`, compressed if its name ends in .gz (default: standard output)")
	if err := cli.Parse(fs, args); err != nil {
		return options{}, err
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	switch {
	case o.life && given["faulty"]:
		return options{}, cli.Usagef("-faulty: is not for -life, whose machines fail as they wear")
	case o.rows < 1 || o.rows > maxRows:
		return options{}, cli.Usagef("-rows: give a number from 1 to %d", maxRows)
	case math.IsNaN(o.faulty) || o.faulty < 0 || o.faulty > maxFaulty:
		return options{}, cli.Usagef("-faulty: %g is not between 0 and %g", o.faulty, maxFaulty)
	}
	return o, nil
}

// Run is the sub-command "generate".
func Run(ctx context.Context, args []string, s cli.Streams) error {
	o, err := parse(args, s)
	if err != nil {
		return err
	}
	note := cli.NewProgress(s.Err, int64(o.rows))
	defer note.Done()
	write := writeFaults
	if o.life {
		write = writeLives
	}
	if o.out == "" {
		return write(ctx, s.Out, o, note)
	}
	return toFile(o.out, func(w io.Writer) error { return write(ctx, w, o, note) })
}

// newMachine returns a machine with the drifts from its start on.
func newMachine(seed uint64, name string, drifts plant.Changes) (*plant.Machine, error) {
	m := plant.New(seed, name)
	for _, c := range drifts {
		if _, err := m.Drift(c, 0); err != nil {
			return nil, fmt.Errorf("let a machine drift: %w", err)
		}
	}
	return m, nil
}

// writeFaults writes the whole table of rows with and without faults.
func writeFaults(ctx context.Context, w io.Writer, o options, note *cli.Progress) error {
	table, err := dataset.NewWriter(w, plant.Sensors())
	if err != nil {
		return err
	}
	d := newDirector(o.seed, o.faulty, o.drifts)
	for i := range o.rows {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("generate rows: %w", err)
		}
		row, err := d.next(i)
		if err != nil {
			return err
		}
		err = table.Write(dataset.Row{Values: row.Values, Label: dataset.Label{Known: true, Faulty: row.Faulty}})
		if err != nil {
			return err
		}
		tell(note, i+1)
	}
	return table.Flush()
}

// tell tells now and then that n rows are done.
func tell(note *cli.Progress, n int) {
	if n%256 == 0 {
		note.Tell(int64(n), int64(n))
	}
}
