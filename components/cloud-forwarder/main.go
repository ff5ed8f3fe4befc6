// Command cloud-forwarder is the component com.edgepdm.CloudForwarder.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/shared/cli"
	"edgepdm/shared/component"
)

// version is set by the build: -ldflags "-X main.version=1.2.3".
var version = "dev"

func main() {
	component.Execute(cli.Program{
		Name: "cloud-forwarder", Version: version,
		Summary: "keeps alerts and predictions on disk, and delivers them to AWS without loss",
		Commands: []cli.Command{
			{Name: "", Summary: "run as a Greengrass component", Run: runComponent},
			{Name: "replay", Summary: "send the dead letters again", Run: replay},
		},
	})
}

func runComponent(ctx context.Context, args []string, s cli.Streams) error {
	if err := cli.Parse(cli.NewFlagSet("cloud-forwarder", s), args); err != nil {
		return err
	}
	core := os.Getenv("AWS_IOT_THING_NAME")
	if core == "" {
		core = "greengrass-core"
	}
	return component.Main(ctx, component.Spec[forwarder.Config]{
		Name: "com.edgepdm.CloudForwarder", Version: version, Default: forwarder.Default,
		Run: (&forwarder.Forwarder{Core: core, Getenv: os.Getenv, Now: time.Now}).Run,
	})
}

func replay(_ context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("cloud-forwarder replay [-dir DIR]", s)
	dir := fs.String("dir", "/greengrass/v2/work/com.edgepdm.CloudForwarder", "the component's work `directory`")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	files, err := forwarder.RequestReplay(*dir, time.Now())
	if err != nil {
		return err
	}
	text := "there are no dead letters"
	if files > 0 {
		text = "the forwarder sends its dead letters again"
	}
	_, err = fmt.Fprintln(s.Out, text)
	return err
}
