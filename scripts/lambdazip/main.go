// Command lambdazip builds a function for AWS Lambda, and puts it into the zip file that Lambda takes: one program called
// bootstrap, that may be executed. Equal sources give equal bytes.
package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"edgepdm/shared/cli"
	"edgepdm/shared/component"
)

func main() {
	component.Tool("lambdazip", "build a function for AWS Lambda", run)
}

// functions are those of the suite, the default one first.
var functions = []string{"polly-notifier", "model-publisher"}

func run(ctx context.Context, args []string, s cli.Streams) (err error) {
	fs := cli.NewFlagSet("lambdazip [-function NAME] [-version X.Y.Z] [-arch arm64|amd64] [-out FILE]", s)
	function := fs.String("function", functions[0], "`NAME`: "+strings.Join(functions, " or "))
	version := fs.String("version", "", "the function's `version`, for its log; empty: what Go knows of the source")
	arch := fs.String("arch", "arm64", "`architecture` of the function: arm64 or amd64")
	out := fs.String("out", "", "`file` to write (default bin/lambda/NAME.zip)")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if *arch != "arm64" && *arch != "amd64" {
		return cli.Usagef("-arch: %q is none of arm64, amd64", *arch)
	}
	if !slices.Contains(functions, *function) {
		return cli.Usagef("-function: %q is none of %s", *function, strings.Join(functions, ", "))
	}
	if *out == "" {
		*out = filepath.Join("bin", "lambda", *function+".zip")
	}
	dir, err := os.MkdirTemp("", "lambdazip")
	if err != nil {
		return fmt.Errorf("build the function: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program := filepath.Join(dir, "bootstrap")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc",
		"-ldflags", "-s -w -buildid= -X main.version="+*version, "-o", program, "./components/"+*function)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+*arch)
	build.Stdout, build.Stderr = s.Err, s.Err
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the function: %w", err)
	}
	if err := pack(program, *out); err != nil {
		return fmt.Errorf("pack the function: %w", err)
	}
	_, err = fmt.Fprintf(s.Out, "%s: %s %s for %s\n", *out, *function, *version, *arch)
	return err
}

// pack writes a zip file that has the program and nothing else.
func pack(program, out string) (err error) {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	from, err := os.Open(program)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	archive := zip.NewWriter(to)
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)}
	header.SetMode(0o755)
	entry, err := archive.CreateHeader(header)
	if err != nil {
		return err
	}
	if _, err := io.Copy(entry, from); err != nil {
		return err
	}
	return archive.Close()
}
