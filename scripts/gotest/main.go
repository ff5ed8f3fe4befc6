// Command gotest runs `go test` with the arguments that it is given, prints what go test would print, and at the end what
// was skipped and why: without -v, go test itself says nothing of that. Its exit code is go test's.
//
//	go run ./scripts/gotest [-left-out TEXT]… [--] ARGUMENTS OF GO TEST
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

func main() {
	code, err := run(os.Args[1:], os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintf(os.Stderr, "gotest: %v\n", err)
	}
	os.Exit(code)
}

// run returns the exit code of go test, 1 with an error of its own.
func run(args []string, out, errOut io.Writer) (int, error) {
	p := newPrinter(out)
	for len(args) >= 2 && args[0] == "-left-out" {
		p.leftOut = append(p.leftOut, args[1])
		args = args[2:]
	}
	for i, arg := range args {
		name, value, joined := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if name == "-bench" || name == "bench" {
			p.bench = joined && value != "" || i+1 < len(args)
		}
	}
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...) //nolint:noctx // bound by go test's own -timeout
	cmd.Stdin, cmd.Stderr = os.Stdin, errOut
	events, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return 1, fmt.Errorf("start go test: %w", err)
	}
	readErr := p.read(events)
	if readErr != nil {
		_ = cmd.Process.Kill() // nobody reads on
	}
	err = cmd.Wait()
	if readErr != nil {
		return 1, fmt.Errorf("read the output of go test: %w", readErr)
	}
	p.summarise()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return failed.ExitCode(), nil
	}
	if err != nil {
		return 1, fmt.Errorf("run go test: %w", err)
	}
	return 0, nil
}
