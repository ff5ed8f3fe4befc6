package fetcher

import (
	"edgepdm/components/model-fetcher/download"
	"edgepdm/shared/cloud"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// newStore prepares access to S3. It does not use the network.
func (l *looker) newStore() (*s3.Client, *cloud.Access, error) {
	access, err := cloud.New(cloud.Settings{ // no limit to a request as a whole: a download takes as long as it takes
		Region: l.config.Region, CAFile: l.config.Endpoints.CAFile, Timeout: l.config.Timeout, Getenv: l.rt.Getenv(l.Getenv),
	})
	if err != nil {
		return nil, nil, err
	}
	access.Config.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired // the manifest's hash vouches for every byte
	return s3.NewFromConfig(access.Config, func(o *s3.Options) { download.UseEndpoint(o, l.config.Endpoints.S3) }), access, nil
}
