package download

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Bucket names and key prefixes that need no escape in a URL.
var (
	bucketPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	prefixPattern = regexp.MustCompile(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$`)
)

// maxPrefix leaves room for the rest of the key.
const maxPrefix = 900

// CheckBucket says whether s can name an S3 bucket.
func CheckBucket(s string) error {
	if !bucketPattern.MatchString(s) {
		return fmt.Errorf("%q is not the name of an S3 bucket", s)
	}
	return nil
}

// CheckPrefix says whether s can stand before the keys of a model.
func CheckPrefix(s string) error {
	if !prefixPattern.MatchString(s) || len(s) > maxPrefix || path.Clean(s) != s || strings.HasPrefix(s, "..") || s == "." {
		return fmt.Errorf("%q is not one or more names of a-z A-Z 0-9 . _ - with / between them", s)
	}
	return nil
}

// UseEndpoint sends requests to another service than AWS, which need not know buckets by host name.
func UseEndpoint(o *s3.Options, endpoint string) {
	if endpoint != "" {
		o.BaseEndpoint = aws.String(endpoint)
		o.UsePathStyle = true
	}
}
