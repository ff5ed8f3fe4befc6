package publisher

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"edgepdm/shared/archive"
	"edgepdm/shared/modelstore/envelope"
)

// modelFile is what a training calls its model, and pack takes; sageMakerFile is what the containers' own training calls it.
const (
	modelFile     = "model.ubj"
	sageMakerFile = "xgboost-model"
)

// taken are the files of a training's archive that are used.
var taken = map[string]int64{
	modelFile: envelope.MaxModel, sageMakerFile: envelope.MaxModel, "golden.csv": 64 << 20, "inputs.json": envelope.MaxManifest,
	"description.json": envelope.MaxManifest,
}

// Bounds of what is fetched: the function's disk has to have room for it.
const (
	maxMembers = 1000
	maxTable   = 1 << 30
	maxListed  = 1000
)

// fetchModel gets a training's archive, and unpacks into a folder what is used of it.
func (p *Publisher) fetchModel(ctx context.Context, uri, dir string) error {
	bucket, key, err := splitURI(uri)
	if err != nil {
		return err
	}
	answer, err := p.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		return fmt.Errorf("get %s: %w", uri, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make a work folder: %w", err)
	}
	limits := archive.Limits{Entries: maxMembers, Bytes: envelope.MaxArchive}
	zip, err := gzip.NewReader(archive.Bound(answer.Body, envelope.MaxArchive))
	if err != nil {
		return fmt.Errorf("unpack %s: %w", uri, err)
	}
	err = archive.Walk(archive.Bound(zip, limits.Size()), limits, func(m archive.Member) error {
		limit, ok := taken[m.Name]
		if !ok {
			return nil
		}
		if m.Size > limit {
			return fmt.Errorf("%s has %d bytes, allowed are %d", m.Name, m.Size, limit)
		}
		return copyBounded(filepath.Join(dir, m.Name), m, limit)
	})
	if err != nil {
		return fmt.Errorf("unpack %s: %w", uri, err)
	}
	if _, err := os.Stat(filepath.Join(dir, modelFile)); errors.Is(err, os.ErrNotExist) {
		if err := os.Rename(filepath.Join(dir, sageMakerFile), filepath.Join(dir, modelFile)); err != nil {
			return fmt.Errorf("%s has no %s", uri, modelFile)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "golden.csv")); err != nil {
		return fmt.Errorf("%s has no golden.csv, which scripts/train writes: rows with the margins that XGBoost gives them", uri)
	}
	return nil
}

// fetchTable gets the training's table. Below a folder there must be one.
func (p *Publisher) fetchTable(ctx context.Context, uri, work string) (string, error) {
	bucket, key, err := splitURI(uri)
	if err != nil {
		return "", err
	}
	if !isTable(key) {
		if key, err = p.tableBelow(ctx, bucket, strings.TrimSuffix(key, "/")+"/"); err != nil {
			return "", fmt.Errorf("find the table of %s: %w", uri, err)
		}
	}
	answer, err := p.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		return "", fmt.Errorf("get s3://%s/%s: %w", bucket, key, err)
	}
	defer func() { _ = answer.Body.Close() }()
	name := "table.csv"
	if strings.HasSuffix(key, ".gz") {
		name += ".gz"
	}
	file := filepath.Join(work, name)
	if err := copyBounded(file, answer.Body, maxTable); err != nil {
		return "", fmt.Errorf("get s3://%s/%s: %w", bucket, key, err)
	}
	return file, nil
}

func (p *Publisher) tableBelow(ctx context.Context, bucket, prefix string) (string, error) {
	list, err := p.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(bucket), Prefix: aws.String(prefix), MaxKeys: aws.Int32(maxListed)})
	if err != nil {
		return "", err
	}
	var found []string
	for _, o := range list.Contents {
		if isTable(aws.ToString(o.Key)) {
			found = append(found, *o.Key)
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("there are %d files .csv and .csv.gz, not one", len(found))
	}
	return found[0], nil
}

func isTable(key string) bool {
	name := path.Base(key)
	return strings.HasSuffix(name, ".csv") || strings.HasSuffix(name, ".csv.gz")
}
