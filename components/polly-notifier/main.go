// Command polly-notifier is the AWS Lambda function that speaks alerts: subscribed to the SNS topic of alerts, it keeps
// their audio in S3 and announces it to the site. It runs on provided.al2023 as the file bootstrap, see README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/polly"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"edgepdm/components/polly-notifier/notifier"
	"edgepdm/shared/cli"
)

// version is set by the build: -ldflags "-X main.version=1.2.3". Without it, it is what Go knows of the source.
var version string

// dialTimeout leaves time for another attempt within one invocation.
const dialTimeout = 3 * time.Second

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
	api := os.Getenv("AWS_LAMBDA_RUNTIME_API")
	if api == "" {
		return cli.Usagef("AWS_LAMBDA_RUNTIME_API is not set: this program must be started by AWS Lambda")
	}
	log := newLogger(s)
	n, err := start(ctx, log)
	if err != nil {
		log.Error("the function cannot start", "version", cli.Version(version), "error", err)
		return errors.Join(err, reportInitError(ctx, api, err))
	}
	log.Info("started", "version", cli.Version(version))
	lambda.StartWithOptions(n.Handle, lambda.WithContext(ctx)) // ends with the process
	return errors.New("the Lambda runtime interface has ended")
}

// newLogger writes what Lambda's log format JSON expects, at the level that the function's logging configuration sets.
func newLogger(s cli.Streams) *slog.Logger {
	level := slog.LevelInfo
	if err := level.UnmarshalText([]byte(os.Getenv("AWS_LAMBDA_LOG_LEVEL"))); err != nil {
		level = slog.LevelInfo // TRACE and FATAL are Lambda's, not slog's
	}
	return slog.New(slog.NewJSONHandler(s.Out, &slog.HandlerOptions{Level: level, ReplaceAttr: lambdacontext.ReplaceAttr}))
}

// start builds the notifier from the environment. A voice that the engine does not have is an error; a check that did
// not get through is not, for the first invocation repeats it.
func start(ctx context.Context, log *slog.Logger) (*notifier.Notifier, error) {
	c, err := notifier.FromEnvironment(os.Getenv)
	if err != nil {
		return nil, err
	}
	client := awshttp.NewBuildableClient().WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout })
	sdk, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(client))
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if sdk.Region == "" {
		return nil, errors.New("environment variable AWS_REGION is not set")
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
	return n, nil
}
