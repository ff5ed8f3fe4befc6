// Command cloud makes and removes the cloud side: a CloudFormation stack, and the cores that belong to it.
package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/shared/wait"
)

// attempts is how often a request is sent that AWS throttles, or that gets no answer.
const attempts = 8

func main() {
	component.Execute(program(environment{config: load, build: build, lookup: net.DefaultResolver.LookupHost, sleep: wait.For, now: time.Now}))
}

// environment is what the commands use of the machine.
type environment struct {
	config func(ctx context.Context, region string) (aws.Config, error)
	build  func(ctx context.Context, s cli.Streams, f function, arch, version string) ([]byte, error) // a function's zip
	lookup func(ctx context.Context, host string) ([]string, error)
	sleep  func(ctx context.Context, d time.Duration) bool
	now    func() time.Time
}

func program(e environment) cli.Program {
	return cli.Program{
		Name: "cloud", Version: cli.Version(""), Summary: "the cloud side of edgepdm as one stack, and its cores",
		Commands: []cli.Command{
			{Name: "up", Summary: "make the stack, or bring it to what the template says", Run: e.up},
			{Name: "status", Summary: "show the stack, its cores, queues and alarms", Run: e.status},
			{Name: "down", Summary: "remove the stack and all that belongs to it", Run: e.down},
			{Name: "core-provision", Summary: "make a core's thing, certificate and policy, and the files for the device", Run: e.provision},
			{Name: "core-remove", Summary: "remove what core-provision made", Run: e.remove},
		},
	}
}

// load reads credentials and region as the AWS CLI does.
func load(ctx context.Context, region string) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{config.WithRetryMaxAttempts(attempts)}
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	return config.LoadDefaultConfig(ctx, options...)
}

// function is a program for AWS Lambda.
type function struct {
	parameter string // of the template, that gets its key in the bucket
	name      string
}

var functions = []function{
	{"NotifierKey", "polly-notifier"}, {"PublisherKey", "model-publisher"},
}

// build builds a function with scripts/lambdazip.
func build(ctx context.Context, s cli.Streams, f function, arch, version string) (zip []byte, err error) {
	out := filepath.Join("bin", "lambda", f.name+".zip")
	cmd := exec.CommandContext(ctx, "go", "run", "./scripts/lambdazip", "-function", f.name, "-version", version, "-arch", arch, "-out", out)
	cmd.Stdout, cmd.Stderr = s.Err, s.Err
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}
