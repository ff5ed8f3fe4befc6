// Command cloud-forwarder is the component com.edgepdm.CloudForwarder.
package main

import (
	"context"
	"os"
	"time"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/components/cloud-forwarder/spoolcli"
	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/request"
)

// version is set by the build: -ldflags "-X main.version=1.2.3". Without it, it is what Go knows of the source.
var version string

func main() {
	component.Execute(cli.Program{
		Name: "cloud-forwarder", Version: cli.Version(version),
		Summary: "keeps alerts and predictions on disk, and delivers them to AWS without loss",
		Commands: []cli.Command{
			{Name: "", Summary: "run as a Greengrass component", Run: runComponent},
			{Name: "replay", Summary: "send the dead letters again", Run: replay},
			{Name: "spool", Summary: "list, show and drop what waits", Run: spoolcli.Run},
		},
	})
}

func runComponent(ctx context.Context, args []string, s cli.Streams) error {
	if err := cli.Parse(cli.NewFlagSet("cloud-forwarder", s), args); err != nil {
		return err
	}
	component.OneProcessor() // it takes in and sends tens of thousands a second
	core := os.Getenv("AWS_IOT_THING_NAME")
	if core == "" {
		core = "greengrass-core"
	}
	return component.Main(ctx, component.Spec[forwarder.Config]{
		Name: event.CloudForwarder, Version: cli.Version(version), Default: forwarder.Default,
		Run: (&forwarder.Forwarder{Core: core, Getenv: os.Getenv, Now: time.Now}).Run,
	})
}

// replayKeep is how long the request to send dead letters again waits for a forwarder that does not run.
const replayKeep = 24 * time.Hour

func replay(ctx context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("cloud-forwarder replay", s)
	var flags request.Flags
	flags.Define(fs, event.CloudForwarder)
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	return flags.Do(ctx, s, request.Call{Component: event.CloudForwarder, Command: event.CommandReplay, Keep: replayKeep})
}
