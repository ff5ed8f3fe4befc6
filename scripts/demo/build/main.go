// Command build builds the demo and says how far it is; the demo itself builds what it deploys. It uses the standard library
// only, so that it is there within seconds also on a machine that has never built anything.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"edgepdm/scripts/demo/steps"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return steps.New(os.Stdout, steps.OfDemo, 1).Build(ctx, "the demo", []string{"-o", "bin/demo"}, []string{"./scripts/demo"})
}
