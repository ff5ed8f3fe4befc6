// Command alarm-manager is the component com.edgepdm.AlarmManager.
package main

import (
	"context"
	"os"
	"time"

	"edgepdm/components/alarm-manager/manager"
	"edgepdm/shared/cli"
	"edgepdm/shared/component"
)

// version is set by the build: -ldflags "-X main.version=1.2.3".
var version = "dev"

func main() {
	component.Execute(cli.Program{
		Name: "alarm-manager", Version: version,
		Summary:  "decides what is an alarm, and keeps each alert until it is safely on its way",
		Commands: []cli.Command{{Name: "", Summary: "run as a Greengrass component", Run: runComponent}},
	})
}

func runComponent(ctx context.Context, args []string, s cli.Streams) error {
	if err := cli.Parse(cli.NewFlagSet("alarm-manager", s), args); err != nil {
		return err
	}
	core := os.Getenv("AWS_IOT_THING_NAME")
	if core == "" {
		core = "greengrass-core"
	}
	return component.Main(ctx, component.Spec[manager.Config]{
		Name: "com.edgepdm.AlarmManager", Version: version, Default: manager.Default,
		Run: manager.Manager{CoreThing: core, Now: time.Now}.Run,
	})
}
