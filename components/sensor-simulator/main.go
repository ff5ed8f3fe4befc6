// Command sensor-simulator is the component com.edgepdm.SensorSimulator.
package main

import (
	"context"

	"edgepdm/components/sensor-simulator/device"
	"edgepdm/components/sensor-simulator/generate"
	"edgepdm/components/sensor-simulator/simulator"
	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
)

// version is set by the build: -ldflags "-X main.version=1.2.3". Without it, it is what Go knows of the source.
var version string

func main() {
	component.Execute(cli.Program{
		Name: "sensor-simulator", Version: cli.Version(version),
		Summary: "a plant of simulated machines, or the replay of a recorded one, as Greengrass telemetry",
		Commands: []cli.Command{
			{Name: "", Summary: "run as a Greengrass component", Run: runComponent},
			{Name: "generate", Summary: "write labelled sensor rows as CSV, for training", Run: generate.Run},
			{Name: "describe", Summary: "write the sensors' names, units and groups as JSON, for model-fetcher pack", Run: generate.Describe},
			{Name: "device", Summary: "run as a client device, with its own certificate", Run: device.Run},
		},
	})
}

func runComponent(ctx context.Context, args []string, s cli.Streams) error {
	if err := cli.Parse(cli.NewFlagSet("sensor-simulator", s), args); err != nil {
		return err
	}
	return component.Main(ctx, component.Spec[simulator.Config]{
		Name: event.SensorSimulator, Version: cli.Version(version), Default: simulator.Default, Run: simulator.Run,
	})
}
