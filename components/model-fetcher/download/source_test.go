package download_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// store is an S3 with one object, whose faults a test chooses.
type store struct {
	mu       sync.Mutex
	versions [][]byte // of the object, the newest last; none: it does not exist
	asked    []string // "offset if-match version" of each GET
	sent     int64    // bytes of bodies that were read

	keepsVersions  bool // tells version ids
	ignoresIfMatch bool
	ignoresRange   bool
	hidesVersions  bool                                  // denies a GET with a version id
	cut            func(offset int64) int64              // how many bytes a GET brings before the line drops
	body           func(b []byte, at int64) io.Reader    // in place of the bytes
	before         func(s *store, in *s3.GetObjectInput) // called ahead of a GET
}

var errDropped = errors.New("connection reset by peer")

func (s *store) put(content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.versions = append(s.versions, content)
}

func (s *store) HeadObject(_ context.Context, _ *s3.HeadObjectInput, _ ...func(*s3.Options)) (*s3.HeadObjectOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.versions) == 0 {
		return nil, refusal(http.StatusNotFound)
	}
	content := s.versions[len(s.versions)-1]
	return &s3.HeadObjectOutput{ETag: aws.String(etag(content)), ContentLength: aws.Int64(int64(len(content)))}, nil
}

func (s *store) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	if s.before != nil {
		s.before(s, in)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	offset := int64(0)
	if in.Range != nil && !s.ignoresRange {
		text, ok := strings.CutSuffix(strings.TrimPrefix(*in.Range, "bytes="), "-")
		n, err := strconv.ParseInt(text, 10, 64)
		if !ok || err != nil {
			return nil, fmt.Errorf("range %q", *in.Range)
		}
		offset = n
	}
	s.asked = append(s.asked, strings.TrimSpace(fmt.Sprintf("%d %s %s", offset, aws.ToString(in.IfMatch), aws.ToString(in.VersionId))))
	at := len(s.versions)
	if in.VersionId != nil {
		if s.hidesVersions {
			return nil, refusal(http.StatusForbidden)
		}
		at, _ = strconv.Atoi(*in.VersionId)
	}
	if at < 1 || at > len(s.versions) || s.versions[at-1] == nil {
		return nil, refusal(http.StatusNotFound)
	}
	content := s.versions[at-1]
	switch {
	case in.IfNoneMatch != nil && *in.IfNoneMatch == etag(content) && !s.ignoresIfMatch:
		return nil, refusal(http.StatusNotModified)
	case in.IfMatch != nil && *in.IfMatch != etag(content) && !s.ignoresIfMatch:
		return nil, refusal(http.StatusPreconditionFailed)
	case offset > 0 && offset >= int64(len(content)):
		return nil, refusal(http.StatusRequestedRangeNotSatisfiable)
	}
	rest := content[offset:]
	out := &s3.GetObjectOutput{ETag: aws.String(etag(content)), ContentLength: aws.Int64(int64(len(rest)))}
	if s.keepsVersions {
		out.VersionId = aws.String(strconv.Itoa(at))
	}
	if in.Range != nil && !s.ignoresRange {
		out.ContentRange = aws.String(fmt.Sprintf("bytes %d-%d/%d", offset, len(content)-1, len(content)))
	}
	var body io.Reader = bytes.NewReader(rest)
	if s.cut != nil {
		if n := s.cut(offset); n < int64(len(rest)) {
			body = io.MultiReader(bytes.NewReader(rest[:n]), failing{errDropped})
		}
	}
	if s.body != nil {
		body = s.body(rest, offset)
	}
	out.Body = io.NopCloser(counting{s, body})
	return out, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type counting struct {
	store *store
	r     io.Reader
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	c.store.sent += int64(n)
	return n, err
}

func refusal(status int) error {
	return &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: errors.New(http.StatusText(status)),
	}}
}

func etag(content []byte) string {
	sum := md5.Sum(content)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func sha(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// noise returns bytes that are the same for the same seed.
func noise(t testing.TB, seed uint64, n int) []byte {
	t.Helper()
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	b := make([]byte, n)
	if _, err := rand.NewChaCha8(key).Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}
