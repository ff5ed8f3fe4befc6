package main

import (
	"context"

	"edgepdm/scripts/demo/steps"
)

// build builds into the root what the demo deploys. The root is this demo's own by then.
func (d *demo) build(ctx context.Context) error {
	b := steps.New(d.out, steps.OfDemo, 2)
	if err := b.Build(ctx, "the components", nil, []string{"./components/...", "./scripts/stage"}); err != nil {
		return err
	}
	if err := b.Run(ctx, "the staged tree", "go", "run", "-trimpath", "-buildvcs=false", "./scripts/stage", "-arch", "host", "-out", d.options.stage); err != nil {
		return err
	}
	return b.Build(ctx, "the Polly notifier", []string{"-tags", "lambda.norpc", "-o", d.options.notifier}, []string{"./components/polly-notifier"})
}
