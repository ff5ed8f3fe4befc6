// Command model-publisher is the AWS Lambda function that publishes what a training made: it packs a model, signs it with the
// key that Secrets Manager keeps, and puts it where the devices look. It runs on provided.al2023 as the file bootstrap, see
// README.md.
package main

import (
	"context"
	"log/slog"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"edgepdm/components/model-publisher/publisher"
	"edgepdm/shared/cli"
	"edgepdm/shared/function"
)

// version is set by the build: -ldflags "-X main.version=1.2.3". Without it, it is what Go knows of the source.
var version string

func main() {
	program := cli.Program{
		Name: "model-publisher", Version: cli.Version(version), Summary: summary(),
		Commands: []cli.Command{{Summary: "run as an AWS Lambda function", Run: run}},
	}
	os.Exit(program.Main(context.Background(), os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

// summary is what -help says: the function is configured by its environment alone.
func summary() string {
	return "packs, signs and publishes a trained model\n\nEnvironment (the AWS SDK's variables work too):\n" + strings.TrimSuffix(publisher.Help, "\n")
}

func run(ctx context.Context, args []string, s cli.Streams) error {
	if err := cli.Parse(cli.NewFlagSet("model-publisher", s), args); err != nil {
		return err
	}
	return function.Run(ctx, cli.Version(version), s, start)
}

// start builds the publisher from the environment.
func start(ctx context.Context, log *slog.Logger) (handler any, err error) {
	c, err := publisher.FromEnvironment(os.Getenv)
	if err != nil {
		return nil, err
	}
	sdk, err := function.AWS(ctx)
	if err != nil {
		return nil, err
	}
	p := publisher.New(c, s3.NewFromConfig(sdk, func(o *s3.Options) {
		o.UsePathStyle = o.BaseEndpoint != nil // an endpoint of one's own has no DNS name for each bucket
	}), secretsmanager.NewFromConfig(sdk), log)
	return p.Handle, nil
}
