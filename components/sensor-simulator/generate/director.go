package generate

import (
	"fmt"
	"math/rand/v2"
	"time"

	"edgepdm/components/sensor-simulator/plant"
)

const (
	interval       = 5 * time.Minute // between two rows of a machine, simulated
	rowsPerMachine = 100             // about 8 hours
	sensorShare    = 0.08            // rows with a sensor fault to aim at
	minGrow        = 15 * time.Minute
	maxGrow        = 90 * time.Minute
	maxHold        = 6  // rows at full severity
	maxPatience    = 12 // rows
)

// director runs the machines and lets the faults happen. It starts an episode when the table lags behind the share of
// faults asked for by a random number of rows, so that the share is met and the moment is anybody's guess.
type director struct {
	seed    uint64
	luck    *rand.Rand
	machine *plant.Machine
	drifts  plant.Changes
	left    int // rows until the fault under way is repaired; 0 = no fault

	faulty, spoiled account
}

// account counts the rows of one kind against what is due.
type account struct {
	faults   []plant.Fault // taken in turn
	share    float64       // of all rows
	due      float64       // rows that should have come by now and have not
	patience float64       // rows that may be due before the next episode starts
	turn     int
}

func newDirector(seed uint64, faulty float64, drifts plant.Changes) *director {
	d := &director{seed: seed, drifts: drifts, luck: rand.New(rand.NewPCG(seed, 0)), faulty: account{share: faulty}, spoiled: account{share: sensorShare}}
	for _, f := range plant.Faults() {
		if f.OfMachine() {
			d.faulty.faults = append(d.faulty.faults, f)
		} else {
			d.spoiled.faults = append(d.spoiled.faults, f)
		}
	}
	for _, a := range d.accounts() {
		a.patience = d.draw(1, maxPatience)
	}
	return d
}

func (d *director) accounts() [2]*account { return [2]*account{&d.faulty, &d.spoiled} }

// draw returns a number between low and high.
func (d *director) draw(low, high float64) float64 { return low + (high-low)*d.luck.Float64() }

// next returns row number i, counted from 0.
func (d *director) next(i int) (plant.Row, error) {
	if i%rowsPerMachine == 0 {
		var err error
		if d.machine, err = newMachine(d.seed, fmt.Sprintf("machine-%d", i/rowsPerMachine), d.drifts); err != nil {
			return plant.Row{}, err
		}
		d.left = 0
		d.machine.Step(time.Duration(d.draw(0, 24) * float64(time.Hour))) // watched from any time of day
	}
	if d.left == 0 {
		if err := d.start(); err != nil {
			return plant.Row{}, err
		}
	}
	row := d.machine.Step(interval)
	d.faulty.count(row.Faulty)
	d.spoiled.count(row.Fault != plant.None && !row.Fault.OfMachine())
	if d.left > 0 {
		if d.left--; d.left == 0 {
			d.machine.Repair()
		}
	}
	return row, nil
}

func (a *account) count(is bool) {
	a.due += a.share
	if is {
		a.due--
	}
}

// start starts the episode that is due, if one is.
func (d *director) start() error {
	for _, a := range d.accounts() {
		if a.due < a.patience {
			continue
		}
		grow := time.Duration(d.draw(minGrow.Seconds(), maxGrow.Seconds()) * float64(time.Second))
		if err := d.machine.Inject(a.faults[a.turn%len(a.faults)], grow); err != nil {
			return fmt.Errorf("let a machine fail: %w", err)
		}
		a.turn++
		a.patience = d.draw(1, maxPatience)
		d.left = int(grow/interval) + d.luck.IntN(maxHold+1)
		return nil
	}
	return nil
}
