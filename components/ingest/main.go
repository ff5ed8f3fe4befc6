// Command ingest is the component com.edgepdm.Ingest.
package main

import (
	"context"

	"edgepdm/components/ingest/ingest"
	"edgepdm/components/ingest/ingestcli"
	"edgepdm/shared/cli"
	"edgepdm/shared/component"
)

// version is set by the build: -ldflags "-X main.version=1.2.3". Without it, it is what Go knows of the source.
var version string

func main() {
	component.Execute(cli.Program{
		Name: "ingest", Version: cli.Version(version),
		Summary: "reads the plant's MQTT, OPC UA and Modbus, and publishes rows as Greengrass telemetry",
		Commands: []cli.Command{
			{Name: "", Summary: "run as a Greengrass component", Run: runComponent},
			{Name: "check", Summary: "test a configuration: connect, and print the first rows", Run: ingestcli.Check},
			{Name: "browse", Summary: "list the variables of an OPC UA server", Run: ingestcli.Browse},
		},
	})
}

func runComponent(ctx context.Context, args []string, s cli.Streams) error {
	if err := cli.Parse(cli.NewFlagSet("ingest", s), args); err != nil {
		return err
	}
	return component.Main(ctx, ingest.Spec(cli.Version(version)))
}
