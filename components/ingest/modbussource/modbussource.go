package modbussource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"slices"
	"time"

	"github.com/simonvetter/modbus"

	"edgepdm/components/ingest/mapping"
	"edgepdm/components/ingest/rows"
	"edgepdm/components/ingest/source"
)

// maxNamed is how many values that the server refuses are named in the log at once.
const maxNamed = 10

// Limits of a read by the protocol, and how many unwanted registers are read along rather than asking once more.
const (
	maxRegisters = 125
	maxBits      = 2000
	maxSkipped   = 16
)

// retryRefused is how often values that the server refuses are asked for again.
const retryRefused = time.Minute

// point is a tag that is read.
type point struct {
	tag
	rows.Tag
	refused bool // by the server
}

// block is what one read brings.
type block struct {
	table         table
	address, size uint16 // modulo 65536, as address+size may be
	points        []*point
}

// Check says whether the tags can be read.
func Check(tags []rows.Tag) error {
	for _, t := range tags {
		if _, err := parse(t.Address); err != nil {
			return err
		}
	}
	return nil
}

// Run reads values until ctx ends.
func Run(ctx context.Context, e *source.Env, c mapping.Modbus) {
	points := make([]*point, 0, len(e.Tags))
	for _, t := range e.Tags {
		parsed, err := parse(t.Address)
		if err != nil { // Check has seen it
			e.Problem(err)
			return
		}
		points = append(points, &point{tag: parsed, Tag: t})
	}
	e.Keep(ctx, func(ctx context.Context, connected func()) error {
		r := &reader{env: e, points: points}
		return r.run(ctx, c, connected)
	})
}

// reader reads over one connection.
type reader struct {
	env    *source.Env
	client *modbus.ModbusClient
	points []*point

	blocks  []block
	built   time.Time // blocks; zero: they are to be made
	refused int       // points
	refusal error     // the last
}

func (r *reader) run(ctx context.Context, c mapping.Modbus, connected func()) error {
	var err error
	r.client, err = modbus.NewClient(&modbus.ClientConfiguration{
		URL: "tcp://" + c.Address, Timeout: c.Timeout, Logger: log.New(io.Discard, "", 0),
	})
	if err != nil {
		return fmt.Errorf("configure the connection: %w", err)
	}
	if err := r.client.SetUnitId(c.Unit); err != nil {
		return fmt.Errorf("set the unit: %w", err)
	}
	if err := r.client.Open(); err != nil {
		return fmt.Errorf("connect to %s: %w", c.Address, err)
	}
	defer func() { _ = r.client.Close() }() // it was only read from
	ticker := time.NewTicker(c.Poll)
	defer ticker.Stop()
	for first := true; ; first = false {
		if err := r.poll(ctx, time.Now()); err != nil {
			return fmt.Errorf("read from %s, unit %d: %w", c.Address, c.Unit, err)
		}
		if first {
			connected()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// poll reads all points once, but those that the server refused lately. The error is the connection's, or ctx's, or the server's that
// refuses all: so does one that has not the unit.
func (r *reader) poll(ctx context.Context, now time.Time) error {
	if age := now.Sub(r.built); r.built.IsZero() || r.refused > 0 && (age < 0 || age >= retryRefused) {
		r.blocks, r.built, r.refused = blocks(r.points), now, 0
	}
	var worked []block // what was read, as it was read
	for _, b := range r.blocks {
		if err := ctx.Err(); err != nil {
			return err
		}
		var err error
		if worked, err = r.read(worked, b); err != nil {
			return err
		}
	}
	r.blocks = worked
	if len(worked) == 0 && len(r.points) > 0 {
		return fmt.Errorf("every value is refused: %w", r.refusal)
	}
	return nil
}

// read reads a block, and appends it to worked. What the server refuses as a whole is read in halves, down to the one value that it
// does not have.
func (r *reader) read(worked []block, b block) ([]block, error) {
	samples, err := r.samples(b)
	switch {
	case err == nil:
		r.env.Table.Put(samples...)
		for _, p := range b.points {
			p.refused = false
		}
		return append(worked, b), nil
	case !refusal(err):
		return nil, err
	case len(b.points) > 1:
		half := len(b.points) / 2
		if worked, err = r.read(worked, blockOf(b.points[:half])); err != nil {
			return nil, err
		}
		return r.read(worked, blockOf(b.points[half:]))
	}
	p := b.points[0]
	if r.refused++; !p.refused && r.refused <= maxNamed {
		r.env.Log.Warn("a value is refused by the server", "source", r.env.Name, "tag", p.Address, "error", err)
	}
	p.refused, r.refusal = true, err
	r.env.Count(rows.ReasonNoTag, 1)
	r.env.Table.Drop(p.Tag)
	return worked, nil
}

// refusal says whether an error is the server's answer rather than a trouble of the connection.
func refusal(err error) bool {
	return errors.Is(err, modbus.ErrIllegalDataAddress) || errors.Is(err, modbus.ErrIllegalDataValue) ||
		errors.Is(err, modbus.ErrIllegalFunction) || errors.Is(err, modbus.ErrServerDeviceFailure)
}

func (r *reader) samples(b block) ([]rows.Sample, error) {
	samples := make([]rows.Sample, 0, len(b.points))
	if b.table.ofBits() {
		read := r.client.ReadCoils
		if b.table == discreteInputs {
			read = r.client.ReadDiscreteInputs
		}
		bits, err := read(b.address, b.size)
		if err != nil {
			return nil, err
		}
		for _, p := range b.points {
			s := rows.Sample{Tag: p.Index, Good: true}
			if bits[p.address-b.address] {
				s.Value = 1
			}
			samples = append(samples, s)
		}
		return samples, nil
	}
	kind := modbus.HOLDING_REGISTER
	if b.table == inputRegisters {
		kind = modbus.INPUT_REGISTER
	}
	raw, err := r.client.ReadRawBytes(b.address, 2*b.size, kind)
	if err != nil {
		return nil, err
	}
	for _, p := range b.points {
		at := 2 * (p.address - b.address)
		samples = append(samples, rows.Sample{Tag: p.Index, Value: p.value(raw[at : at+2*p.size()]), Good: true})
	}
	return samples, nil
}

// blocks puts the points together that one read brings.
func blocks(points []*point) []block {
	wanted := slices.Clone(points)
	slices.SortFunc(wanted, func(a, b *point) int {
		return cmp.Or(cmp.Compare(a.table, b.table), cmp.Compare(a.address, b.address), cmp.Compare(a.size(), b.size()))
	})
	var list []block
	for begin, i := 0, 1; i <= len(wanted); i++ {
		if i < len(wanted) && together(wanted[begin:i], wanted[i]) {
			continue
		}
		list = append(list, blockOf(wanted[begin:i]))
		begin = i
	}
	return list
}

// together says whether a point is read together with those before it.
func together(points []*point, next *point) bool {
	b := blockOf(points)
	limit := maxRegisters
	if b.table.ofBits() {
		limit = maxBits
	}
	end := int(b.address) + int(b.size)
	return next.table == b.table && int(next.address) <= end+maxSkipped &&
		max(end, int(next.address)+int(next.size()))-int(b.address) <= limit
}

// blockOf makes one read of points, which are in order.
func blockOf(points []*point) block {
	b := block{table: points[0].table, address: points[0].address, points: points}
	for _, p := range points {
		b.size = max(b.size, p.address+p.size()-b.address)
	}
	return b
}
