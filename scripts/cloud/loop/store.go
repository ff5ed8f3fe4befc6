package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// store is the embedded S3.
type store struct {
	client *s3.Client
	bucket string
}

// key returns the key of an s3 URI of the bucket, or of a key itself.
func (s store) key(uri string) string { return strings.TrimPrefix(uri, "s3://"+s.bucket+"/") }

func (s store) put(ctx context.Context, uri string, content []byte) error {
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(s.bucket), Key: aws.String(s.key(uri)), Body: bytes.NewReader(content)})
	if err != nil {
		return fmt.Errorf("put %s: %w", uri, err)
	}
	return nil
}

func (s store) get(ctx context.Context, uri string) ([]byte, error) {
	answer, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(s.bucket), Key: aws.String(s.key(uri))})
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", uri, err)
	}
	defer func() { _ = answer.Body.Close() }()
	return io.ReadAll(answer.Body)
}

// fetch gets what has a prefix. A single object goes to the path itself where that is named like it, and into it as a folder otherwise.
func (s store) fetch(ctx context.Context, uri, to string) error {
	prefix := strings.TrimSuffix(s.key(uri), "/")
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: aws.String(s.bucket), Prefix: aws.String(prefix)})
	n := 0
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list %s: %w", uri, err)
		}
		for _, o := range page.Contents {
			file := filepath.Join(to, strings.TrimPrefix(*o.Key, prefix))
			switch {
			case *o.Key == prefix && path.Base(prefix) == filepath.Base(to):
				file = to
			case *o.Key == prefix:
				file = filepath.Join(to, path.Base(prefix))
			case !strings.HasPrefix(*o.Key, prefix+"/"):
				continue
			}
			content, err := s.get(ctx, *o.Key)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(file, content, 0o644); err != nil {
				return err
			}
			n++
		}
	}
	if n == 0 {
		return fmt.Errorf("there is nothing at %s", uri)
	}
	return nil
}

// upload puts the files of a folder below a prefix. Spark's own marks stay here.
func (s store) upload(ctx context.Context, dir, uri string) error {
	return filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if name := entry.Name(); err != nil || entry.IsDir() || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
			return err
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		return s.put(ctx, s.key(uri)+"/"+filepath.ToSlash(name), content)
	})
}
