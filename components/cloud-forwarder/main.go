// Command cloud-forwarder is the component com.edgepdm.CloudForwarder.
package main

import (
	"context"
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
		Summary:  "keeps alerts and predictions on disk, and delivers them to AWS without loss",
		Commands: []cli.Command{{Name: "", Summary: "run as a Greengrass component", Run: runComponent}},
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
		Run: forwarder.Forwarder{Core: core, Getenv: os.Getenv, Now: time.Now}.Run,
	})
}
