// Package function runs a program as an AWS Lambda function on provided.al2023.
package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"

	"edgepdm/shared/cli"
)

// dialTimeout leaves time for another attempt within one invocation.
const dialTimeout = 3 * time.Second

// Run serves invocations with the handler that start returns, until the process ends. What start refuses is told to Lambda.
func Run(ctx context.Context, version string, s cli.Streams, start func(context.Context, *slog.Logger) (handler any, err error)) error {
	api := os.Getenv("AWS_LAMBDA_RUNTIME_API")
	if api == "" {
		return cli.Usagef("AWS_LAMBDA_RUNTIME_API is not set: this program must be started by AWS Lambda")
	}
	log := newLogger(s)
	handler, err := start(ctx, log)
	if err != nil {
		log.Error("the function cannot start", "version", version, "error", err)
		return errors.Join(err, reportInitError(ctx, api, err))
	}
	log.Info("started", "version", version)
	lambda.StartWithOptions(handler, lambda.WithContext(ctx)) // ends with the process
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

// AWS loads the configuration of the SDK.
func AWS(ctx context.Context) (aws.Config, error) {
	client := awshttp.NewBuildableClient().WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout })
	sdk, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(client))
	if err != nil {
		return sdk, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if sdk.Region == "" {
		return sdk, errors.New("environment variable AWS_REGION is not set")
	}
	return sdk, nil
}
