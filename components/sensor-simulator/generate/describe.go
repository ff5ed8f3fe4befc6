package generate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"edgepdm/components/sensor-simulator/plant"
	"edgepdm/shared/cli"
)

// Describe is the sub-command "describe".
func Describe(_ context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("sensor-simulator describe [-out FILE]", s)
	out := fs.String("out", "", "write `FILE` (default: standard output)")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	text, err := json.MarshalIndent(plant.Description(), "", " ")
	if err != nil {
		return fmt.Errorf("describe the sensors: %w", err)
	}
	fill := func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	}
	if *out == "" {
		return fill(s.Out)
	}
	return toFile(*out, fill)
}
