package bucket

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"edgepdm/scripts/cloud/account"
)

// Empty deletes every version of every object, and every mark of a deletion. progress is told how many there were so far.
// A bucket that is not there is empty.
func Empty(ctx context.Context, a *account.Account, name string, progress func(deleted int)) error {
	deleted := 0
	for {
		page, err := a.S3.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &name, ExpectedBucketOwner: &a.ID})
		if account.Missing(err) {
			return nil
		}
		if err != nil {
			return a.Fail("list what is in bucket "+name, err)
		}
		var objects []types.ObjectIdentifier // at most 1,000, as many as a request may delete
		for _, v := range page.Versions {
			objects = append(objects, types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
		}
		for _, m := range page.DeleteMarkers {
			objects = append(objects, types.ObjectIdentifier{Key: m.Key, VersionId: m.VersionId})
		}
		if len(objects) == 0 {
			return abortUploads(ctx, a, name)
		}
		answer, err := a.S3.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &name, ExpectedBucketOwner: &a.ID,
			Delete: &types.Delete{Objects: objects, Quiet: aws.Bool(true)}})
		if err != nil {
			return a.Fail("empty bucket "+name, err)
		}
		if len(answer.Errors) == len(objects) { // fewer: they come again in the next list
			e := answer.Errors[0]
			return &account.Failure{Step: "empty bucket " + name, Text: fmt.Sprintf("%s: %s: %s", aws.ToString(e.Key), aws.ToString(e.Code), aws.ToString(e.Message))}
		}
		deleted += len(objects) - len(answer.Errors)
		progress(deleted)
	}
}

// abortUploads ends uploads of many parts that nobody completed. They would cost, but do not keep a bucket.
func abortUploads(ctx context.Context, a *account.Account, name string) error {
	pages := s3.NewListMultipartUploadsPaginator(a.S3, &s3.ListMultipartUploadsInput{Bucket: &name, ExpectedBucketOwner: &a.ID})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return a.Fail("list the uploads to bucket "+name, err)
		}
		for _, u := range page.Uploads {
			_, err := a.S3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &name, Key: u.Key, UploadId: u.UploadId})
			if err != nil && account.Code(err) != "NoSuchUpload" {
				return a.Fail("abort the uploads to bucket "+name, err)
			}
		}
	}
	return nil
}

// Delete empties a bucket and deletes it.
func Delete(ctx context.Context, a *account.Account, name string, progress func(deleted int)) error {
	if err := Empty(ctx, a, name, progress); err != nil {
		return err
	}
	_, err := a.S3.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &name, ExpectedBucketOwner: &a.ID})
	if account.Missing(err) {
		return nil
	}
	return a.Fail("delete bucket "+name, err)
}

// Mine tells whether the bucket with the code is there and the stack's, be it only half made.
func Mine(ctx context.Context, a *account.Account) (bool, error) {
	whose, err := owner(ctx, a, a.CodeBucket())
	return whose == ours || whose == unfinished, err
}
