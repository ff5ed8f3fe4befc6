package localcloud

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"edgepdm/test/must"
)

// put writes an object and returns its ETag and version.
func put(t *testing.T, d clients, bucket, key, content string, change ...func(*s3.PutObjectInput)) *s3.PutObjectOutput {
	t.Helper()
	in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(content)}
	for _, f := range change {
		f(in)
	}
	out, err := d.s3.PutObject(testContext(t), in)
	must.OK(t, err)
	return out
}

func TestS3Conditions(t *testing.T) {
	c := startCloud(t, Options{})
	d := deviceClients(t, c)
	bucket := c.Endpoints().Bucket
	old := put(t, d, bucket, "model", "0123456789")
	now := put(t, d, bucket, "model", "abcdef")
	for _, tc := range []struct {
		name   string
		in     s3.GetObjectInput
		want   string
		status int
		code   string
	}{
		{name: "plain", want: "abcdef"},
		{name: "right etag", in: s3.GetObjectInput{IfMatch: now.ETag}, want: "abcdef"},
		{name: "any etag", in: s3.GetObjectInput{IfMatch: aws.String("*")}, want: "abcdef"},
		{name: "etag without quotes", in: s3.GetObjectInput{IfMatch: aws.String(strings.Trim(*now.ETag, `"`))}, want: "abcdef"},
		{name: "old etag", in: s3.GetObjectInput{IfMatch: old.ETag}, status: 412, code: "PreconditionFailed"},
		{name: "range", in: s3.GetObjectInput{Range: aws.String("bytes=2-3")}, want: "cd"},
		{name: "rest", in: s3.GetObjectInput{Range: aws.String("bytes=4-"), IfMatch: now.ETag}, want: "ef"},
		{name: "rest of the old", in: s3.GetObjectInput{Range: aws.String("bytes=4-"), IfMatch: old.ETag}, status: 412, code: "PreconditionFailed"},
		{name: "rest of the old, past the new", in: s3.GetObjectInput{Range: aws.String("bytes=8-"), IfMatch: old.ETag}, status: 412, code: "PreconditionFailed"},
		{name: "past the end", in: s3.GetObjectInput{Range: aws.String("bytes=8-"), IfMatch: now.ETag}, status: 416, code: "InvalidRange"},
		{name: "not modified", in: s3.GetObjectInput{IfNoneMatch: now.ETag}, status: 304, code: "NotModified"},
		{name: "modified", in: s3.GetObjectInput{IfNoneMatch: old.ETag}, want: "abcdef"},
		{name: "old version", in: s3.GetObjectInput{VersionId: old.VersionId, Range: aws.String("bytes=8-"), IfMatch: old.ETag}, want: "89"},
		{name: "missing", in: s3.GetObjectInput{Key: aws.String("other"), IfMatch: now.ETag}, status: 404, code: "NoSuchKey"},
		{name: "missing bucket", in: s3.GetObjectInput{Bucket: aws.String("other")}, status: 404, code: "NoSuchBucket"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.in.Bucket == nil {
				tc.in.Bucket = &bucket
			}
			if tc.in.Key == nil {
				tc.in.Key = aws.String("model")
			}
			out, err := d.s3.GetObject(testContext(t), &tc.in)
			if tc.status != 0 {
				wantError(t, err, tc.status, tc.code)
				return
			}
			must.OK(t, err)
			defer out.Body.Close()
			if content, err := io.ReadAll(out.Body); err != nil || string(content) != tc.want {
				t.Errorf("content %q, want %q, %v", content, tc.want, err)
			}
		})
	}
	head := func(in *s3.HeadObjectInput) (*s3.HeadObjectOutput, error) {
		in.Bucket, in.Key = &bucket, aws.String("model")
		return d.s3.HeadObject(testContext(t), in)
	}
	if _, err := head(&s3.HeadObjectInput{IfMatch: now.ETag}); err != nil {
		t.Errorf("HEAD with the right etag: %v", err)
	}
	_, err := head(&s3.HeadObjectInput{IfMatch: old.ETag})
	wantError(t, err, 412, "PreconditionFailed")
	if out, err := head(&s3.HeadObjectInput{VersionId: old.VersionId}); err != nil || *out.ContentLength != 10 || *out.ETag != *old.ETag {
		t.Errorf("HEAD of the old version: %+v, %v", out, err)
	}
}

func TestS3PutConditions(t *testing.T) {
	c := startCloud(t, Options{})
	d := deviceClients(t, c)
	bucket := c.Endpoints().Bucket
	write := func(key string, ifNoneMatch, ifMatch *string) error {
		_, err := d.s3.PutObject(testContext(t), &s3.PutObjectInput{
			Bucket: &bucket, Key: &key, Body: strings.NewReader(`{"id":"` + key + `"}`), IfNoneMatch: ifNoneMatch, IfMatch: ifMatch,
		})
		return err
	}
	star := aws.String("*")
	must.OK(t, write("once", star, nil))
	wantError(t, write("once", star, nil), 412, "PreconditionFailed")
	wantError(t, write("once", aws.String(`"etag"`), nil), 501, "NotImplemented")
	wantError(t, write("once", nil, aws.String(`"etag"`)), 412, "PreconditionFailed")
	if got := c.Journal().IDs(KindS3Put); !maps.Equal(got, map[string]int{"once": 1}) {
		t.Errorf("ids %v", got)
	}
	// Of many that write at once, one wins.
	var won sync.Map
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if write("race", star, nil) == nil {
				won.Store(i, true)
			}
		})
	}
	wg.Wait()
	n := 0
	won.Range(func(any, any) bool { n++; return true })
	if n != 1 || c.Journal().IDs(KindS3Put)["race"] != 1 {
		t.Errorf("%d writers won", n)
	}
}

func TestS3Metadata(t *testing.T) {
	c := startCloud(t, Options{})
	d := deviceClients(t, c)
	bucket := c.Endpoints().Bucket
	put(t, d, bucket, "key", "one", func(in *s3.PutObjectInput) {
		in.ContentType, in.ContentEncoding, in.Metadata = aws.String("audio/mpeg"), aws.String("gzip"), map[string]string{"alert-id": "a-1"}
	})
	var headers http.Header
	get := func() *s3.GetObjectOutput {
		t.Helper()
		out, err := d.s3.GetObject(testContext(t), &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("key")}, func(o *s3.Options) {
			o.HTTPClient = doer(func(q *http.Request) (*http.Response, error) {
				response, err := d.http.Do(q)
				if err == nil {
					headers = response.Header
				}
				return response, err
			})
		})
		must.OK(t, err)
		out.Body.Close()
		return out
	}
	out := get()
	if *out.ContentType != "audio/mpeg" || *out.ContentEncoding != "gzip" || !maps.Equal(out.Metadata, map[string]string{"alert-id": "a-1"}) {
		t.Errorf("first %+v", out)
	}
	for name := range headers {
		if strings.HasPrefix(name, "X-Amz-") && !slices.Contains([]string{"X-Amz-Id-2", "X-Amz-Request-Id", "X-Amz-Version-Id", "X-Amz-Checksum-Crc32", "X-Amz-Meta-Alert-Id"}, name) {
			t.Errorf("the answer has %s", name)
		}
	}
	put(t, d, bucket, "key", "two")
	if out := get(); *out.ContentType != "application/octet-stream" || out.ContentEncoding != nil || len(out.Metadata) != 0 {
		t.Errorf("second %+v", out)
	}
	// A copy keeps them, and is not an arrival.
	put(t, d, bucket, "key", "three", func(in *s3.PutObjectInput) { in.ContentType = aws.String("text/plain") })
	before := len(c.Journal())
	if _, err := d.s3.CopyObject(testContext(t), &s3.CopyObjectInput{Bucket: &bucket, Key: aws.String("copy"), CopySource: aws.String(bucket + "/key")}); err != nil {
		t.Fatal(err)
	}
	content, contentType, err := c.Object("copy")
	if err != nil || string(content) != "three" || contentType != "text/plain" || len(c.Journal()) != before {
		t.Errorf("copy %q %s, %v", content, contentType, err)
	}
	if _, _, err := c.Object("missing"); err == nil {
		t.Error("a missing object: no error")
	}
	j := c.Journal()
	if j.Count(KindAudio) != 1 || j.Count(KindS3Put) != 2 {
		t.Errorf("journal %v", j)
	}
}

func TestS3Integrity(t *testing.T) {
	c := startCloud(t, Options{})
	d := deviceClients(t, c)
	bucket := c.Endpoints().Bucket
	for _, algorithm := range types.ChecksumAlgorithm("").Values() {
		in := &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("key"), Body: strings.NewReader("content"), ChecksumAlgorithm: algorithm}
		switch algorithm {
		case types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme, types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256:
		default:
			continue // not checked here
		}
		if _, err := d.s3.PutObject(testContext(t), in); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
	for _, tc := range []struct {
		name   string
		in     s3.PutObjectInput
		change func(q *http.Request)
		status int
		code   string
	}{
		{name: "sha256", in: s3.PutObjectInput{ChecksumSHA256: aws.String("AAAA")}, status: 400, code: "BadDigest"},
		{name: "md5", in: s3.PutObjectInput{ContentMD5: aws.String("1B2M2Y8AsgTpgAmY7PhCfg==")}, status: 400, code: "BadDigest"},
		{name: "body changed", change: func(q *http.Request) { q.Body = io.NopCloser(strings.NewReader("CONTENT")) }, status: 400, code: "XAmzContentSHA256Mismatch"},
		{name: "header changed", change: func(q *http.Request) { q.Header.Set("Content-Type", "text/plain") }, status: 403, code: "SignatureDoesNotMatch"},
		{name: "key changed", change: func(q *http.Request) { q.URL.Path += "2" }, status: 403, code: "SignatureDoesNotMatch"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.in.Bucket, tc.in.Key, tc.in.Body = &bucket, aws.String("refused"), strings.NewReader("content")
			_, err := d.s3.PutObject(testContext(t), &tc.in, func(o *s3.Options) {
				o.HTTPClient = doer(func(q *http.Request) (*http.Response, error) {
					if tc.change != nil {
						tc.change(q)
					}
					return d.http.Do(q)
				})
			})
			wantError(t, err, tc.status, tc.code)
		})
	}
	t.Run("chunk-signed", func(t *testing.T) {
		q := httptest.NewRequest(http.MethodPut, "/bucket/key", nil)
		q.Header.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
		if err := checkUpload(q, nil); err == nil || err.status != 501 {
			t.Errorf("error %v", err)
		}
	})
	if _, _, err := c.Object("refused"); err == nil {
		t.Error("a refused object was stored")
	}
}

func TestS3KeysAndLists(t *testing.T) {
	c := startCloud(t, Options{})
	d := operatorClients(t, c)
	bucket := c.Endpoints().Bucket
	keys := []string{"a b+c/ü&?=%2F.txt", "raw/1", "raw/2", "raw/3", "raw/line=1/x"}
	for _, key := range keys {
		put(t, d, bucket, key, key)
		if content, _, err := c.Object(key); err != nil || string(content) != key {
			t.Errorf("object %s: %q, %v", key, content, err)
		}
	}
	var listed []string
	pages := s3.NewListObjectsV2Paginator(d.s3, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: aws.String("raw/"), MaxKeys: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(testContext(t))
		must.OK(t, err)
		for _, o := range page.Contents {
			listed = append(listed, *o.Key)
		}
	}
	if !slices.Equal(listed, keys[1:]) {
		t.Errorf("listed %q", listed)
	}
	if _, err := d.s3.DeleteObject(testContext(t), &s3.DeleteObjectInput{Bucket: &bucket, Key: aws.String("raw/1")}); err != nil {
		t.Fatal(err)
	}
	_, err := d.s3.HeadObject(testContext(t), &s3.HeadObjectInput{Bucket: &bucket, Key: aws.String("raw/1")})
	wantError(t, err, 404, "NotFound")
}

// An object that comes in parts is one with the checksum of their checksums; nothing is there before the end, nor without it.
func TestS3Multipart(t *testing.T) {
	c := startCloud(t, Options{})
	d := deviceClients(t, c)
	ctx := testContext(t)
	bucket, key := c.Endpoints().Bucket, "backlog.jsonl"
	first := []byte(`{"id":"r-1"}` + strings.Repeat(" ", leastPart) + "\n")
	parts := [][]byte{first, []byte(`{"id":"r-2"}` + "\n")}
	sum := func(b []byte) string {
		s := sha256.Sum256(b)
		return base64.StdEncoding.EncodeToString(s[:])
	}
	begin := func() *string {
		upload, err := d.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
			Bucket: &bucket, Key: &key, ContentType: aws.String("application/x-ndjson"), ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		})
		must.OK(t, err)
		return upload.UploadId
	}
	send := func(id *string, number int32, part []byte, sum string) (types.CompletedPart, error) {
		out, err := d.s3.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &bucket, Key: &key, UploadId: id, PartNumber: &number, Body: bytes.NewReader(part), ChecksumSHA256: &sum,
		})
		if err != nil {
			return types.CompletedPart{}, err
		}
		if aws.ToString(out.ChecksumSHA256) != sum {
			t.Errorf("the part's checksum is %q", aws.ToString(out.ChecksumSHA256))
		}
		return types.CompletedPart{ETag: out.ETag, PartNumber: &number, ChecksumSHA256: out.ChecksumSHA256}, nil
	}
	complete := func(id *string, parts ...types.CompletedPart) (*s3.CompleteMultipartUploadOutput, error) {
		return d.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &bucket, Key: &key, UploadId: id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
	}
	id := begin()
	var done []types.CompletedPart
	var sums []byte
	for i, part := range parts {
		one, err := send(id, int32(i+1), part, sum(part))
		must.OK(t, err)
		done = append(done, one)
		raw := sha256.Sum256(part)
		sums = append(sums, raw[:]...)
	}
	if n := len(c.Journal()); n != 0 {
		t.Errorf("%d entries before the end", n)
	}
	other := slices.Clone(done)
	other[1].ChecksumSHA256 = aws.String(sum([]byte("other")))
	_, err := complete(id, other...)
	wantError(t, err, 400, "InvalidPart")
	out, err := complete(id, done...)
	must.OK(t, err)
	if want := sum(sums) + "-2"; aws.ToString(out.ChecksumSHA256) != want {
		t.Errorf("checksum %q, want %q", aws.ToString(out.ChecksumSHA256), want)
	}
	if got := c.Journal().IDs(KindS3Put); !maps.Equal(got, map[string]int{"r-1": 1, "r-2": 1}) {
		t.Errorf("ids %v", got)
	}
	if content, contentType, err := c.Object(key); err != nil || !bytes.Equal(content, bytes.Join(parts, nil)) || contentType != "application/x-ndjson" {
		t.Errorf("object of %d bytes %s, %v", len(content), contentType, err)
	}

	id = begin()
	_, err = send(id, 1, parts[1], sum(parts[0]))
	wantError(t, err, 400, "BadDigest")
	_, err = d.s3.UploadPart(ctx, &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: id, PartNumber: aws.Int32(1), Body: bytes.NewReader(first)})
	wantError(t, err, 400, "InvalidRequest")
	done = nil
	for i := range int32(2) {
		one, err := send(id, i+1, parts[1], sum(parts[1]))
		must.OK(t, err)
		done = append(done, one)
	}
	_, err = complete(id, done...)
	wantError(t, err, 400, "EntityTooSmall")
	_, err = d.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: id})
	must.OK(t, err)
	_, err = send(id, 1, first, sum(first))
	wantError(t, err, 404, "NoSuchUpload")
}

// TestS3ReplacedWhileRead reads and replaces an object at once: what is read is always one object's.
func TestS3ReplacedWhileRead(t *testing.T) {
	c := startCloud(t, Options{})
	d := deviceClients(t, c)
	bucket, key := c.Endpoints().Bucket, "model"
	content := func(i int) string { return strings.Repeat(fmt.Sprint(i%10), 1000) }
	out := put(t, d, bucket, key, content(0))
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 20 {
			_, err := d.s3.PutObject(testContext(t), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader(content(i + 1))})
			if err != nil {
				t.Error(err)
			}
		}
	})
	defer wg.Wait()
	refused := 0
	for range 40 {
		part, err := d.s3.GetObject(testContext(t), &s3.GetObjectInput{Bucket: &bucket, Key: &key, Range: aws.String("bytes=500-"), IfMatch: out.ETag})
		if err != nil {
			wantError(t, err, 412, "PreconditionFailed")
			refused++
			continue
		}
		got, err := io.ReadAll(part.Body)
		if err := errors.Join(err, part.Body.Close()); err != nil || string(got) != content(0)[500:] {
			t.Fatalf("content %.20q, %v", got, err)
		}
	}
	t.Logf("%d of 40 were refused", refused)
}
