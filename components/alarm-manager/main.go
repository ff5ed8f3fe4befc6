// Command alarm-manager is the component com.edgepdm.AlarmManager.
package main

import (
	"context"
	"os"
	"time"

	"edgepdm/components/alarm-manager/alarmcli"
	"edgepdm/components/alarm-manager/alarms"
	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/request"
)

// version is set by the build: -ldflags "-X main.version=1.2.3". Without it, it is what Go knows of the source.
var version string

func main() {
	component.Execute(cli.Program{
		Name: "alarm-manager", Version: cli.Version(version),
		Summary: "decides what is an alarm, and keeps each alert until it is safely on its way",
		Commands: append([]cli.Command{
			{Name: "", Summary: "run as a Greengrass component", Run: runComponent},
			{Name: "test-alarm", Summary: "raise a test alarm on this device, and wait until the forwarder has it", Run: testAlarm},
		}, alarmcli.Commands()...),
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
	return component.Main(ctx, component.Spec[alarms.Config]{
		Name: event.AlarmManager, Version: cli.Version(version), Default: alarms.Default,
		Run: alarms.Manager{CoreThing: core, Now: time.Now}.Run,
	})
}

func testAlarm(ctx context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("alarm-manager test-alarm [-thing NAME] [-line NAME] [-text TEXT]", s)
	c := event.TestAlarm{V: event.Version}
	fs.StringVar(&c.Thing, "thing", "", "`NAME` of the machine that the alarm is of; default: the core")
	fs.StringVar(&c.Line, "line", "", "`NAME` of its line")
	fs.StringVar(&c.Text, "text", "", "`TEXT` that is spoken after the words that say it is a test")
	var flags request.Flags
	flags.Define(fs, event.AlarmManager)
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return cli.Usagef("%v", err)
	}
	return flags.Do(ctx, s, request.Call{Component: event.AlarmManager, Command: event.CommandTestAlarm, Arguments: c})
}
