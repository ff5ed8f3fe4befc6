package generate

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"edgepdm/components/sensor-simulator/dataset"
	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/cli"
)

const (
	// LifeInterval is the simulated time between two rows of a machine that wears out. Windows over so many rows mean the same time
	// on a device only if its rows are as far apart.
	LifeInterval = 6 * time.Minute

	lifeRows         = 1000           // of a machine: 100 h
	betweenFaults    = 50 * time.Hour // mean, of faults that come beside wear
	remainingColumn  = "remaining_hours"
	remainingDecimal = 3
)

// lifeBegin is when each machine of the table is first watched, less an interval: a new machine stands at 08:00.
var lifeBegin = time.Date(2000, 1, 1, 8, 0, 0, 0, time.UTC)

// writeLives writes the whole table of machines that wear out. Each is watched from a random point of its life on, past the
// need of maintenance and the repair, so that how long it has been watched does not tell its age.
func writeLives(ctx context.Context, w io.Writer, o options, note *cli.Progress) error {
	out := bufio.NewWriterSize(w, 64<<10)
	line := []byte("thing,seq,ts," + strings.Join(plant.Sensors(), ",") + "," + remainingColumn + "\n")
	var thing string
	var machine *plant.Machine
	for i := range o.rows {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("generate rows: %w", err)
		}
		if i%lifeRows == 0 {
			thing = fmt.Sprintf("machine-%d", i/lifeRows)
			var err error
			if machine, err = newMachine(o.seed, thing, o.drifts); err != nil {
				return err
			}
			machine.SetMeanTimeBetweenFaults(betweenFaults)
			machine.Age()
		}
		row, seq := machine.Step(LifeInterval), i%lifeRows+1
		line = append(line, thing+","+strconv.Itoa(seq)+","...)
		line = lifeBegin.Add(time.Duration(seq)*LifeInterval).AppendFormat(line, time.RFC3339)
		for _, v := range row.Values {
			line = dataset.AppendValue(append(line, ','), v)
		}
		line = strconv.AppendFloat(append(line, ','), row.Remaining, 'f', remainingDecimal, 64)
		if _, err := out.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("write data set: %w", err)
		}
		line = line[:0]
		tell(note, i+1)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write data set: %w", err)
	}
	return nil
}
