// Command model-fetcher is the component com.edgepdm.ModelFetcher, and the operator's tool for signed models.
package main

import (
	"context"
	"math/rand/v2"
	"os"
	"time"

	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/components/model-fetcher/modelcli"
	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
)

// version is set by the build: -ldflags "-X main.version=1.2.3". Without it, it is what Go knows of the source.
var version string

func main() {
	component.Execute(cli.Program{
		Name: "model-fetcher", Version: cli.Version(version),
		Summary:  "brings signed models from S3 into the inference engine's inbox; makes, signs and publishes them",
		Commands: append([]cli.Command{{Name: "", Summary: "run as a Greengrass component", Run: runComponent}}, modelcli.Commands()...),
	})
}

func runComponent(ctx context.Context, args []string, s cli.Streams) error {
	if err := cli.Parse(cli.NewFlagSet("model-fetcher", s), args); err != nil {
		return err
	}
	return component.Main(ctx, component.Spec[fetcher.Config]{
		Name: event.ModelFetcher, Version: cli.Version(version), Default: fetcher.Default,
		Run: (&fetcher.Fetcher{Rand: rand.Float64, Getenv: os.Getenv, Now: time.Now}).Run,
	})
}
