package account

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// maxAnswer bounds an answer of SageMaker.
const maxAnswer = 4 << 20

// SageMaker sends requests to Amazon SageMaker. Its client would be the program's largest part by far, for two requests.
type SageMaker struct {
	config aws.Config
	domain func() string
}

// ModelPackages returns the ARNs of the models that are registered in a group.
func (s *SageMaker) ModelPackages(ctx context.Context, group string) ([]string, error) {
	var arns []string
	request := map[string]any{"ModelPackageGroupName": group, "MaxResults": 100}
	for {
		var page struct {
			ModelPackageSummaryList []struct{ ModelPackageArn string }
			NextToken               string
		}
		if err := s.call(ctx, "ListModelPackages", request, &page); err != nil {
			return nil, err
		}
		for _, p := range page.ModelPackageSummaryList {
			arns = append(arns, p.ModelPackageArn)
		}
		if page.NextToken == "" {
			return arns, nil
		}
		request["NextToken"] = page.NextToken
	}
}

// DeleteModelPackage deletes a registered model.
func (s *SageMaker) DeleteModelPackage(ctx context.Context, arn string) error {
	return s.call(ctx, "DeleteModelPackage", map[string]any{"ModelPackageName": arn}, &struct{}{})
}

func (s *SageMaker) call(ctx context.Context, operation string, request, into any) (err error) {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	endpoint := aws.ToString(s.config.BaseEndpoint)
	if endpoint == "" {
		endpoint = fmt.Sprintf("https://api.sagemaker.%s.%s", s.config.Region, s.domain())
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	q.Header.Set("Content-Type", "application/x-amz-json-1.1")
	q.Header.Set("X-Amz-Target", "SageMaker."+operation)
	credentials, err := s.config.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, credentials, q, hex.EncodeToString(sum[:]), "sagemaker", s.config.Region, time.Now()); err != nil {
		return fmt.Errorf("sign request: %w", err)
	}
	client := s.config.HTTPClient
	if client == nil {
		client = awshttp.NewBuildableClient()
	}
	response, err := client.Do(q)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if response.StatusCode == http.StatusOK {
		if len(answer) == 0 {
			return nil
		}
		return json.Unmarshal(answer, into)
	}
	var told struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if json.Unmarshal(answer, &told) != nil || told.Type == "" {
		told.Type, told.Message = "UnknownError", http.StatusText(response.StatusCode)
	}
	return &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: response}, Err: &smithy.GenericAPIError{Code: told.Type, Message: told.Message},
	}
}
