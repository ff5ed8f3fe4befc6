// Command conformance runs the cases of Greengrass IPC against a nucleus and prints a table of what it expected and saw.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"edgepdm/shared/cli"
	"edgepdm/shared/ipc"
	"edgepdm/test/conformance"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := program(os.Getenv).Main(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}

func program(getenv func(string) string) cli.Program {
	return cli.Program{
		Name:    "conformance",
		Version: cli.Version(""),
		Summary: "asks a Greengrass nucleus what the project knows of its IPC; harmless on a core in production",
		Commands: []cli.Command{{
			Summary: "run all cases; the socket and the token come from -root or, as for a component, from the environment",
			Run: func(ctx context.Context, args []string, s cli.Streams) error {
				return run(ctx, args, s, getenv)
			},
		}},
	}
}

func run(ctx context.Context, args []string, s cli.Streams, getenv func(string) string) error {
	options := conformance.Options{ID: rand.Text()[:8]}
	fs := cli.NewFlagSet("conformance [-root DIR] [flags]", s)
	root := fs.String("root", "", "Greengrass root `directory`, such as /greengrass/v2: connect as greengrass-cli does")
	fs.StringVar(&options.Thing, "thing", getenv("AWS_IOT_THING_NAME"), "`name` of the thing whose shadows may be used; one named shadow is made and deleted")
	fs.StringVar(&options.Restart, "restart", "", "`name` of a component that may be restarted")
	fs.DurationVar(&options.Patience, "patience", 5*time.Second, "how long to wait for an answer or event")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	var err error
	if *root != "" {
		options.CLI = true
		options.Connection, err = conformance.FromCLI(*root)
	} else if options.Connection, err = ipc.FromEnvironment(getenv); err != nil {
		err = cli.Usagef("%v; or give -root", err)
	}
	if err != nil {
		return err
	}
	table := conformance.NewTable(s.Out, isTerminal(s.Out))
	runtime, err := conformance.Run(ctx, options, table.Add)
	if err != nil {
		return err
	}
	left := ""
	if !options.CLI { // which has no configuration
		left = fmt.Sprintf("%s stays in the configuration of the component; no operation deletes it\n", conformance.OwnKey)
	}
	if _, err := fmt.Fprintf(s.Out, "%snucleus %v at %s: ", left, runtime, options.Connection.Socket); err != nil {
		return fmt.Errorf("print table: %w", err)
	}
	return table.Close()
}

// isTerminal tells whether w is a character device that is not told to be plain.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
