// Package bucket makes the bucket with the functions' code, and empties and deletes buckets.
package bucket

import (
	"bytes"
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"edgepdm/scripts/cloud/account"
)

// Ensure makes the bucket with the functions' code, unless it is there. One that is not the stack's is left, and told.
func Ensure(ctx context.Context, a *account.Account) (made bool, err error) {
	name := a.CodeBucket()
	switch whose, err := owner(ctx, a, name); {
	case err != nil:
		return false, err
	case whose == nobodys:
		if err := create(ctx, a, name); err != nil {
			return false, err
		}
		made = true
	case whose == others:
		return false, &account.Failure{Step: "make bucket " + name,
			Text: fmt.Sprintf("your account has a bucket of that name that is not stack %s's: it lacks the tag %s=%s and is not empty. Rename or delete it, or take another name for the stack (STACK=, -stack)",
				a.Stack, account.Tag, a.Stack)}
	case whose == ours:
		return false, nil
	}
	// The tag is last: a bucket that has it is complete.
	settings := []func() error{
		func() error {
			yes := aws.Bool(true)
			_, err := a.S3.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: &name, PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
				BlockPublicAcls: yes, BlockPublicPolicy: yes, IgnorePublicAcls: yes, RestrictPublicBuckets: yes,
			}})
			return err
		},
		func() error {
			policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"OnlyTLS","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:%[1]s:s3:::%[2]s","arn:%[1]s:s3:::%[2]s/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`,
				a.Partition, name)
			_, err := a.S3.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &name, Policy: &policy})
			return err
		},
		func() error {
			key := account.Tag
			_, err := a.S3.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: &name, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: &key, Value: &a.Stack}}}})
			return err
		},
	}
	for _, set := range settings {
		if err := set(); err != nil {
			return made, a.Fail("set up bucket "+name, err)
		}
	}
	return made, nil
}

func create(ctx context.Context, a *account.Account, name string) error {
	input := &s3.CreateBucketInput{Bucket: &name}
	if a.Region != "us-east-1" { // which must not be named
		input.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(a.Region)}
	}
	_, err := a.S3.CreateBucket(ctx, input)
	switch account.Code(err) {
	case "BucketAlreadyExists", "OperationAborted":
		return taken(name, err)
	case "BucketAlreadyOwnedByYou": // an earlier attempt, whose answer got lost
		return nil
	}
	return a.Fail("make bucket "+name, err)
}

func taken(name string, err error) error {
	return &account.Failure{Step: "make bucket " + name, Err: err,
		Text: "another account has a bucket of that name, or it was deleted a moment ago: take another name for the stack (STACK=, -stack), or wait an hour"}
}

type ownership int

const (
	nobodys    ownership = iota + 1 // there is none
	ours                            // it has the stack's tag
	unfinished                      // it was made, and nothing else
	others                          // it is somebody's
)

// owner tells whose a bucket is.
func owner(ctx context.Context, a *account.Account, name string) (ownership, error) {
	_, err := a.S3.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &name, ExpectedBucketOwner: &a.ID})
	switch {
	case account.Missing(err):
		return nobodys, nil
	case account.Forbidden(err):
		return others, taken(name, err)
	case err != nil:
		return 0, a.Fail("look for bucket "+name, err)
	}
	tagged, err := Tagged(ctx, a, name)
	switch {
	case err != nil:
		return 0, err
	case tagged:
		return ours, nil
	}
	one := int32(1)
	list, err := a.S3.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &name, MaxKeys: &one})
	if err != nil {
		return 0, a.Fail("look into bucket "+name, err)
	}
	if len(list.Versions)+len(list.DeleteMarkers) > 0 {
		return others, nil
	}
	return unfinished, nil
}

// Tagged tells whether a bucket has the stack's tag.
func Tagged(ctx context.Context, a *account.Account, name string) (bool, error) {
	answer, err := a.S3.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: &name, ExpectedBucketOwner: &a.ID})
	if account.Missing(err) {
		return false, nil
	}
	if err != nil {
		return false, a.Fail("read the tags of bucket "+name, err)
	}
	for _, tag := range answer.TagSet {
		if aws.ToString(tag.Key) == account.Tag && aws.ToString(tag.Value) == a.Stack {
			return true, nil
		}
	}
	return false, nil
}

// Upload puts an object into the bucket with the code, unless it is there: the key says what the content is.
func Upload(ctx context.Context, a *account.Account, key string, content []byte) (sent bool, err error) {
	name := a.CodeBucket()
	head, err := a.S3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &name, Key: &key, ExpectedBucketOwner: &a.ID})
	if err == nil && aws.ToInt64(head.ContentLength) == int64(len(content)) {
		return false, nil
	}
	if err != nil && !account.Missing(err) {
		return false, a.Fail("look for "+name+"/"+key, err)
	}
	_, err = a.S3.PutObject(ctx, &s3.PutObjectInput{Bucket: &name, Key: &key, Body: bytes.NewReader(content), ExpectedBucketOwner: &a.ID})
	return true, a.Fail("upload "+name+"/"+key, err)
}
