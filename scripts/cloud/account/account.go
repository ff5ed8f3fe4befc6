// Package account is the AWS account in which the cloud side is made: its services, who asks, and what an error means to a
// person.
package account

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/greengrassv2"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/transport/http"
)

// Tag is the key of the tag, or of a thing's attribute, that says of which stack a resource is a part.
const Tag = "edgepdm:stack"

// Account is an account, in one region, and the stack there.
type Account struct {
	ID        string // 12 digits
	Partition string // "aws", other than in China and for governments
	Region    string
	Stack     string // the stack's name, and the value of Tag

	CloudFormation *cloudformation.Client
	CloudWatch     *cloudwatch.Client
	Greengrass     *greengrassv2.Client
	IoT            *iot.Client
	S3             *s3.Client
	SageMaker      *SageMaker
	Secrets        *secretsmanager.Client
	SQS            *sqs.Client
}

// Open asks AWS whose credentials config has.
func Open(ctx context.Context, config aws.Config, stack string) (*Account, error) {
	const step = "sign in to AWS"
	if config.Region == "" {
		return nil, fmt.Errorf("%s: no region is set: give REGION=eu-west-1 (-region), or set AWS_REGION", step)
	}
	if config.Credentials == nil {
		return nil, noCredentials(step, nil)
	}
	if _, err := config.Credentials.Retrieve(ctx); err != nil {
		return nil, noCredentials(step, err)
	}
	a := &Account{
		Region: config.Region, Stack: stack,
		CloudFormation: cloudformation.NewFromConfig(config),
		CloudWatch:     cloudwatch.NewFromConfig(config),
		Greengrass:     greengrassv2.NewFromConfig(config),
		IoT:            iot.NewFromConfig(config),
		S3:             s3.NewFromConfig(config, func(o *s3.Options) { o.UsePathStyle = o.BaseEndpoint != nil }),
		Secrets:        secretsmanager.NewFromConfig(config),
		SQS:            sqs.NewFromConfig(config),
	}
	a.SageMaker = &SageMaker{config: config, domain: a.Domain}
	who, err := sts.NewFromConfig(config).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return nil, a.Fail(step, err)
	}
	a.ID, a.Partition = aws.ToString(who.Account), "aws"
	if part := strings.Split(aws.ToString(who.Arn), ":"); len(part) > 1 && part[1] != "" {
		a.Partition = part[1]
	}
	return a, nil
}

// ARN names a resource of the account.
func (a *Account) ARN(service, resource string) string {
	return fmt.Sprintf("arn:%s:%s:%s:%s:%s", a.Partition, service, a.Region, a.ID, resource)
}

// CodeBucket is the name of the bucket with the functions' code.
func (a *Account) CodeBucket() string {
	return fmt.Sprintf("%s-code-%s-%s", a.Stack, a.ID, a.Region)
}

// status is the HTTP status of the answer that err is about.
func status(err error) int {
	if answer, ok := as[*http.ResponseError](err); ok {
		return answer.HTTPStatusCode()
	}
	return 0
}

// Domain is what the names of AWS's hosts end with.
func (a *Account) Domain() string {
	if a.Partition == "aws-cn" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}
