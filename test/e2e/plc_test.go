package e2e

import (
	"io"
	"log"
	"testing"
	"time"

	"github.com/simonvetter/modbus"

	"edgepdm/test/must"
	"edgepdm/test/plantpeers"
)

// plc is a Modbus server whose registers have the seconds since its start.
type plc struct{ start time.Time }

func (plc) HandleCoils(*modbus.CoilsRequest) ([]bool, error) { return nil, modbus.ErrIllegalFunction }

func (plc) HandleDiscreteInputs(*modbus.DiscreteInputsRequest) ([]bool, error) {
	return nil, modbus.ErrIllegalFunction
}

func (p plc) HandleHoldingRegisters(r *modbus.HoldingRegistersRequest) ([]uint16, error) {
	if r.IsWrite { // nobody may
		return nil, modbus.ErrIllegalFunction
	}
	values := make([]uint16, r.Quantity)
	for i := range values {
		values[i] = uint16(time.Since(p.start).Seconds()) //nolint:gosec // a test is short
	}
	return values, nil
}

func (plc) HandleInputRegisters(*modbus.InputRegistersRequest) ([]uint16, error) {
	return nil, modbus.ErrIllegalFunction
}

// ingested is a configuration of Ingest that reads two machines from a Modbus server: their rows come alone, and together.
func ingested(t *testing.T) map[string]any {
	t.Helper()
	address := plantpeers.FreeAddress(t)
	server, err := modbus.NewServer(&modbus.ServerConfiguration{URL: "tcp://" + address, MaxClients: 4, Logger: log.New(io.Discard, "", 0)}, plc{time.Now()})
	must.OK(t, err)
	must.OK(t, server.Start())
	t.Cleanup(func() { must.OK(t, server.Stop()) })
	thing := func(name, every string) any {
		return map[string]any{"thing": name, "every": every, "sensors": []any{map[string]any{"sensor": "oil_temp", "source": "plc", "tag": "holding:0"}}}
	}
	return map[string]any{
		"healthInterval": "200ms",
		"sources":        []any{map[string]any{"name": "plc", "modbus": map[string]any{"address": address}}},
		"things":         []any{thing("press-1", "200ms"), thing("press-2", "600ms")},
	}
}
