// Command polly-notifier is the AWS Lambda function that speaks alerts: subscribed to the SNS topic of alerts, it keeps
// their audio in S3 and announces it to the site. It runs on provided.al2023 as the file bootstrap, see README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/polly"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"edgepdm/components/polly-notifier/notifier"
	"edgepdm/shared/cli"
	"edgepdm/shared/function"
)

// version is set by the build: -ldflags "-X main.version=1.2.3". Without it, it is what Go knows of the source.
var version string

func main() {
	program := cli.Program{
		Name: "polly-notifier", Version: cli.Version(version), Summary: summary(),
		Commands: []cli.Command{{Summary: "run as an AWS Lambda function", Run: run}},
	}
	os.Exit(program.Main(context.Background(), os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

// summary is what -help says: the function is configured by its environment alone.
func summary() string {
	var b strings.Builder
	b.WriteString("speaks the alerts of an SNS topic: Amazon Polly, audio in S3\n\nEnvironment (the AWS SDK's variables work too):\n")
	for _, v := range notifier.Variables() {
		doc := v.Doc
		switch {
		case v.Required:
			doc += " (required)"
		case v.Default != "":
			doc += " (default " + v.Default + ")"
		}
		fmt.Fprintf(&b, "  %-18s %s\n", v.Name, doc)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func run(ctx context.Context, args []string, s cli.Streams) error {
	if err := cli.Parse(cli.NewFlagSet("polly-notifier", s), args); err != nil {
		return err
	}
	return function.Run(ctx, cli.Version(version), s, start)
}

// start builds the notifier from the environment. A voice that the engine does not have is an error; a check that did
// not get through is not, for the first invocation repeats it.
func start(ctx context.Context, log *slog.Logger) (handler any, err error) {
	c, err := notifier.FromEnvironment(os.Getenv)
	if err != nil {
		return nil, err
	}
	sdk, err := function.AWS(ctx)
	if err != nil {
		return nil, err
	}
	n := notifier.New(c, polly.NewFromConfig(sdk),
		s3.NewFromConfig(sdk, func(o *s3.Options) {
			o.UsePathStyle = o.BaseEndpoint != nil // an endpoint of one's own has no DNS name for each bucket
		}),
		iotdataplane.NewFromConfig(sdk, func(o *iotdataplane.Options) {
			if c.IoTEndpoint != "" {
				o.BaseEndpoint = &c.IoTEndpoint
			}
		}), log)
	if err := n.CheckVoice(ctx); errors.Is(err, notifier.ErrVoice) {
		return nil, err
	} else if err != nil {
		log.Warn("the voice is not checked yet", "error", err)
	}
	return n.Handle, nil
}
