package account

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/greengrassv2"
	"github.com/aws/aws-sdk-go-v2/service/iot"
)

// hosts are the services that the stack uses beside those that are asked, by the first part of their host's name.
var hosts = map[string]string{
	"firehose": "Amazon Data Firehose", "lambda": "AWS Lambda", "sns": "Amazon SNS", "sqs": "Amazon SQS", "polly": "Amazon Polly",
	"glue": "AWS Glue", "states": "AWS Step Functions", "api.sagemaker": "Amazon SageMaker", "secretsmanager": "AWS Secrets Manager",
	"events": "Amazon EventBridge", "monitoring": "Amazon CloudWatch", "logs": "Amazon CloudWatch Logs",
}

// CheckServices says which service the region lacks. lookup finds the addresses of a host; nil where AWS is reached at
// another endpoint than its own.
func (a *Account) CheckServices(ctx context.Context, lookup func(ctx context.Context, host string) ([]string, error)) error {
	one := int32(1)
	if _, err := a.IoT.ListThings(ctx, &iot.ListThingsInput{MaxResults: &one}); err != nil {
		return a.lacks("AWS IoT Core", err)
	}
	if _, err := a.Greengrass.ListCoreDevices(ctx, &greengrassv2.ListCoreDevicesInput{MaxResults: &one}); err != nil {
		return a.lacks("AWS IoT Greengrass", err)
	}
	if lookup == nil || a.Partition != "aws" {
		return nil
	}
	exists := func(name string) (bool, error) {
		_, err := lookup(ctx, name+"."+a.Region+".amazonaws.com")
		if gone, ok := as[*net.DNSError](err); ok && gone.IsNotFound {
			return false, nil
		}
		return err == nil, err
	}
	if found, err := exists("cloudformation"); !found || err != nil {
		return nil //nolint:nilerr // AWS is reached through a proxy, which knows the names
	}
	var missing []string
	for host, name := range hosts {
		if found, err := exists(host); err == nil && !found {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("region %s lacks %s: take another region", a.Region, strings.Join(missing, ", "))
	}
	return nil
}

func (a *Account) lacks(service string, err error) error {
	const step = "check the region's services"
	if dns, ok := as[*net.DNSError](err); ok && dns.IsNotFound {
		return &Failure{Step: step, Text: fmt.Sprintf("region %s lacks %s (there is no host %s): take another region", a.Region, service, dns.Name), Err: err}
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return a.Fail(step+", "+service, err)
}
