// Command inference-engine is the component com.edgepdm.InferenceEngine.
package main

import (
	"context"
	"time"

	"edgepdm/components/inference-engine/ask"
	"edgepdm/components/inference-engine/engine"
	"edgepdm/components/inference-engine/offline"
	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/memory"
)

// version is set by the build: -ldflags "-X main.version=1.2.3". Without it, it is what Go knows of the source.
var version string

func main() {
	component.Execute(cli.Program{
		Name: "inference-engine", Version: cli.Version(version),
		Summary: "scores sensor rows with an XGBoost model, bit for bit as XGBoost does",
		Commands: []cli.Command{
			{Name: "", Summary: "run as a Greengrass component", Run: runComponent},
			{Name: "score", Summary: "score CSV rows from standard input", Run: offline.Score},
			{Name: "explain", Summary: "ask the running engine what in a thing's next row points to a fault", Run: ask.Explain},
			{Name: "features", Summary: "make a table of inputs over time from CSV rows", Run: offline.Features},
			{Name: "life", Summary: "tell the remaining life of machines from rows on standard input", Run: offline.Life},
			{Name: "inspect", Summary: "print a model's facts as JSON", Run: offline.Inspect},
		},
	})
}

func runComponent(ctx context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("inference-engine -model FILE", s)
	model := fs.String("model", "", "model `FILE` that is used when the configuration names none")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	component.OneProcessor()
	memory.ApplyLimit()
	return component.Main(ctx, component.Spec[engine.Config]{
		Name: event.InferenceEngine, Version: cli.Version(version), Default: engine.Default,
		Run: (&engine.Engine{ShippedModel: *model, Now: time.Now}).Run,
	})
}
