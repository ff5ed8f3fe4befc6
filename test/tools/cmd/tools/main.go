// Command tools makes what some tests need beyond Go: make test-tools. With REQUIRE_ALL=1 a tool that cannot be made is an
// error.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/test/tools"
)

func main() {
	component.Tool("tools", "makes what some tests need beyond Go, in .cache", run)
}

func run(ctx context.Context, args []string, s cli.Streams) error {
	if err := cli.Parse(cli.NewFlagSet("make test-tools", s), args); err != nil {
		return err
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	var failed []string
	list := tools.All()
	for i, t := range list {
		begun := time.Now()
		fmt.Fprintf(s.Out, "[%d/%d] %s: ", i+1, len(list), t.What)
		if missing := t.Missing(); len(missing) > 0 {
			fmt.Fprintf(s.Out, "left out, %s is missing (Debian: apt-get install %s)\n", strings.Join(missing, " and "), t.Packages)
			failed = append(failed, t.Name)
			continue
		}
		if t.Installed(root) {
			fmt.Fprintln(s.Out, "there already")
			continue
		}
		if err := t.Install(ctx, root); err != nil {
			fmt.Fprintf(s.Out, "left out, it cannot be made (%s; it needs the network): %v\n", t.Packages, err)
			failed = append(failed, t.Name)
			continue
		}
		fmt.Fprintf(s.Out, "made in %s\n", time.Since(begun).Round(time.Second))
	}
	if len(failed) > 0 && os.Getenv("REQUIRE_ALL") == "1" {
		return fmt.Errorf("%s could not be made, and REQUIRE_ALL=1", strings.Join(failed, ", "))
	}
	return nil
}
