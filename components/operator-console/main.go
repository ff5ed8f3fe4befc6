// Command operator-console is the component com.edgepdm.OperatorConsole.
package main

import (
	"context"
	"time"

	"edgepdm/components/operator-console/console"
	"edgepdm/components/operator-console/consolecli"
	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
)

// version is set by the build: -ldflags "-X main.version=1.2.3". Without it, it is what Go knows of the source.
var version string

func main() {
	component.Execute(cli.Program{
		Name: "operator-console", Version: cli.Version(version),
		Summary: "shows the plant on a page of the device, and takes commands there, without the cloud",
		Commands: []cli.Command{
			{Name: "", Summary: "run as a Greengrass component", Run: runComponent},
			{Name: "password", Summary: "give somebody a login, with a random password", Run: consolecli.Password},
			{Name: "fingerprint", Summary: "print the fingerprint of the console's certificate", Run: consolecli.Fingerprint},
		},
	})
}

func runComponent(ctx context.Context, args []string, s cli.Streams) error {
	if err := cli.Parse(cli.NewFlagSet("operator-console", s), args); err != nil {
		return err
	}
	return component.Main(ctx, component.Spec[console.Config]{
		Name: event.OperatorConsole, Version: cli.Version(version), Default: console.Default,
		Run: (console.Console{Now: time.Now}).Run,
	})
}
