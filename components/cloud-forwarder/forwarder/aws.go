package forwarder

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iotdataplane"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"edgepdm/shared/cloud"
	"edgepdm/shared/ipc"
)

// maxAnswer bounds the answers of AWS, in bytes: they say that a message has arrived.
const maxAnswer = 64 << 10

// newAccess prepares access to AWS. It does not use the network.
func (r *run) newAccess() (*cloud.Access, error) {
	c := r.config
	return cloud.New(cloud.Settings{
		Region: c.Region, CAFile: c.Endpoints.CAFile, Timeout: c.Timeout, Whole: c.Timeout, MaxBody: maxAnswer, Idle: c.Parallel,
		Getenv: r.rt.Getenv(r.forwarder.Getenv),
	})
}

// newSNS makes a client of the topic's own region.
func (r *run) newSNS() *sns.Client {
	return sns.NewFromConfig(r.access.Config, func(o *sns.Options) {
		o.Region = strings.Split(r.config.AlertTopicARN, ":")[3] // Validate has seen it
		if r.config.Endpoints.SNS != "" {
			o.BaseEndpoint = aws.String(r.config.Endpoints.SNS)
		}
	})
}

// iotData makes a client of the account's own data endpoint: the configured one, or that of the nucleus.
func (r *run) iotData(ctx context.Context, client *ipc.Client) (*iotdataplane.Client, error) {
	endpoint := r.config.Endpoints.IoTData
	if endpoint == "" {
		host, err := cloud.NucleusSetting(ctx, client, "iotDataEndpoint")
		if err != nil {
			return nil, err
		}
		if host == "" {
			return nil, errors.New("endpoints.iotData: not configured, and the nucleus has no iotDataEndpoint")
		}
		endpoint = "https://" + host
	}
	config := r.access.Config
	config.BaseEndpoint = aws.String(endpoint)
	return newIoTData(config), nil
}

// newIoTData makes a client that takes only the service's own success for one.
func newIoTData(config aws.Config) *iotdataplane.Client {
	return iotdataplane.NewFromConfig(config, func(o *iotdataplane.Options) { o.HTTPClient = cloud.OwnAnswers{Client: o.HTTPClient} })
}
