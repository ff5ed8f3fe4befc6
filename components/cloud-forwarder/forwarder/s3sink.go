package forwarder

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"edgepdm/shared/cloud"
	"edgepdm/shared/durable"
	"edgepdm/shared/wait"
)

const (
	partBytes  = 5 << 20 // of a part of an upload in several requests: the least that S3 takes
	slowUplink = 8 << 10 // bytes a second: what an upload is given time for, beyond the time limit of an attempt
	abortTime  = 5 * time.Second
)

// s3Sink puts messages into a bucket, as objects of JSON lines that are packed with gzip, each of one day. They are acknowledged
// by the service's 200 with the SHA-256 checksum of each object, which the service has verified. The same messages make the same
// keys and bytes, so that an object which comes again replaces itself.
type s3Sink struct {
	client         *s3.Client
	access         *cloud.Access
	bucket, prefix string
	stream, core   string
	timeout        time.Duration
	part           int // bytes
	log            *slog.Logger
	unfinished     durable.State[upload] // the file of the upload in several requests that is under way
}

// upload is an upload in several requests. Until it is completed or aborted, its parts cost.
type upload struct {
	Format int    `json:"format"`
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	ID     string `json:"id"`
}

const (
	uploadFormat = 1
	uploadPrefix = "upload-" // of the file's name, with the stream's
)

func (s *s3Sink) sendBatch(ctx context.Context, messages []message) error {
	if err := s.abortPrevious(ctx); err != nil {
		return fmt.Errorf("abort the previous upload: %w", err)
	}
	for _, day := range byDay(messages) {
		object, err := s.pack(day)
		if err != nil {
			return fmt.Errorf("%w: pack an object: %w", errLocal, err)
		}
		err = s.put(ctx, s.key(day[0]), object)
		s.access.Denied(err)
		if err != nil {
			return fmt.Errorf("put an object into S3: %w", err)
		}
	}
	return nil
}

// byDay divides messages by their day, in the order in which the days come first.
func byDay(messages []message) [][]message {
	var days [][]message
	index := make(map[string]int)
	for _, m := range messages {
		i, known := index[m.day()]
		if !known {
			i = len(days)
			index[m.day()] = i
			days = append(days, nil)
		}
		days[i] = append(days[i], m)
	}
	return days
}

// key is that of the object which begins with a message. It has the message's place in its queue: the same message may be in
// the queue a second time, and must not replace what came with the first.
func (s *s3Sink) key(first message) string {
	return fmt.Sprintf("%s/%s/core=%s/date=%s/%s-%d.json.gz", s.prefix, s.stream, s.core, first.day(), url.PathEscape(first.id), first.seq)
}

// pack makes an object: a line for each message as the rules of AWS IoT Core would store it, with its core and its kind. A message
// is as it came, without the mark of one that an earlier process may have sent: that would make other bytes of the same messages.
func (s *s3Sink) pack(messages []message) ([]byte, error) {
	core, err := json.Marshal(s.core)
	if err != nil {
		return nil, err
	}
	kind, err := json.Marshal(s.stream)
	if err != nil {
		return nil, err
	}
	var b, line bytes.Buffer
	zip := gzip.NewWriter(&b)
	for _, m := range messages {
		line.Reset()
		if err := json.Compact(&line, m.payload); err != nil {
			return nil, err
		}
		line.Truncate(line.Len() - 1) // without its brace
		if line.Len() > 1 {
			line.WriteByte(',')
		}
		_, _ = fmt.Fprintf(&line, `"core":%s,"kind":%s}`+"\n", core, kind) // a buffer takes everything
		if _, err := zip.Write(line.Bytes()); err != nil {
			return nil, err
		}
	}
	err = zip.Close()
	return b.Bytes(), err
}

// put uploads an object.
func (s *s3Sink) put(ctx context.Context, key string, object []byte) error {
	if len(object) > s.part {
		return s.putParts(ctx, key, object)
	}
	ctx, cancel := s.limit(ctx, len(object))
	defer cancel()
	sum := checksum(object)
	answer, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(object), ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ChecksumSHA256: &sum, ContentType: aws.String("application/gzip"),
	})
	if err != nil {
		return err
	}
	return verify(answer.ETag, answer.ChecksumSHA256, sum)
}

// putParts uploads an object in several requests. One that fails is aborted; one that is cut off by a kill is aborted by the next
// process, which finds it in a file.
func (s *s3Sink) putParts(ctx context.Context, key string, object []byte) error {
	created, err := s.create(ctx, key)
	if err != nil {
		return err
	}
	u := upload{uploadFormat, s.bucket, key, aws.ToString(created.UploadId)}
	if u.ID == "" {
		return fmt.Errorf("%w: it has no UploadId", cloud.ErrNotTheService)
	}
	if err := s.unfinished.Save(u); err != nil { // a full disk is no reason not to drain what fills it
		s.log.Warn("an upload is not noted on disk: if the process is killed now, the bucket's own rule has to abort it", "error", err)
	}
	if err := s.complete(ctx, u, object); err != nil {
		ctx, release := wait.Outlive(ctx, abortTime)
		defer release()
		if abortErr := s.abort(ctx, u); abortErr != nil {
			s.log.Info("an upload is not aborted yet", "key", key, "error", abortErr)
			return err // the next attempt does it
		}
		s.forget()
		return err
	}
	s.forget()
	return nil
}

func (s *s3Sink) create(ctx context.Context, key string) (*s3.CreateMultipartUploadOutput, error) {
	ctx, cancel := s.limit(ctx, 0)
	defer cancel()
	return s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &s.bucket, Key: &key, ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ContentType: aws.String("application/gzip"),
	})
}

func (s *s3Sink) complete(ctx context.Context, u upload, object []byte) error {
	var parts []types.CompletedPart
	var sums []byte
	for part := range slices.Chunk(object, s.part) {
		number := aws.Int32(int32(len(parts) + 1))
		sum := sha256.Sum256(part)
		answer, err := s.uploadPart(ctx, u, number, part)
		if err != nil {
			return err
		}
		sums = append(sums, sum[:]...)
		parts = append(parts, types.CompletedPart{PartNumber: number, ETag: answer.ETag, ChecksumSHA256: answer.ChecksumSHA256})
	}
	ctx, cancel := s.limit(ctx, 0)
	defer cancel()
	answer, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.Bucket, Key: &u.Key, UploadId: &u.ID, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if err != nil {
		return err
	}
	return verify(answer.ETag, answer.ChecksumSHA256, fmt.Sprintf("%s-%d", checksum(sums), len(parts)))
}

func (s *s3Sink) uploadPart(ctx context.Context, u upload, number *int32, part []byte) (*s3.UploadPartOutput, error) {
	ctx, cancel := s.limit(ctx, len(part))
	defer cancel()
	sum := checksum(part)
	answer, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.Bucket, Key: &u.Key, UploadId: &u.ID, PartNumber: number, Body: bytes.NewReader(part), ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		ChecksumSHA256: &sum,
	})
	if err != nil {
		return nil, err
	}
	return answer, verify(answer.ETag, answer.ChecksumSHA256, sum)
}

// abortPrevious aborts the upload that an earlier attempt, or a killed process, has not finished. Where that is refused, the
// bucket's own rule has to do it.
func (s *s3Sink) abortPrevious(ctx context.Context) error {
	u, err := s.unfinished.Load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		s.log.Warn("the file of an upload cannot be read: the bucket's own rule has to abort it", "error", err)
		s.forget()
		return nil
	}
	if err = s.abort(ctx, u); err != nil {
		if kind, _ := cloud.Classify(err); kind != cloud.Refused {
			return err
		}
		s.log.Warn("an upload is not aborted: the bucket's own rule has to do it", "key", u.Key, "error", err)
	}
	s.forget()
	return nil
}

// abort aborts an upload. One that is not there is completed or aborted.
func (s *s3Sink) abort(ctx context.Context, u upload) error {
	ctx, cancel := s.limit(ctx, 0)
	defer cancel()
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.Bucket, Key: &u.Key, UploadId: &u.ID})
	if refused, ok := errors.AsType[smithy.APIError](err); ok && refused.ErrorCode() == "NoSuchUpload" {
		return nil
	}
	return err
}

// forget removes the file of an upload that is over. Where the disk does not let it, the next one replaces it.
func (s *s3Sink) forget() {
	if err := os.Remove(s.unfinished.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("the file of an upload cannot be removed", "error", err)
	}
}

// limit bounds a request by the time that its bytes take on a slow uplink.
func (s *s3Sink) limit(ctx context.Context, size int) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout+uploadTime(size))
}

func uploadTime(size int) time.Duration { return time.Duration(size/slowUplink) * time.Second }

func checksum(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// verify takes only an answer of a service that has stored the bytes, and says so with their checksum.
func verify(etag, got *string, want string) error {
	switch {
	case aws.ToString(etag) == "":
		return fmt.Errorf("%w: it has no ETag", cloud.ErrNotTheService)
	case aws.ToString(got) != want:
		return fmt.Errorf("%w: it has the SHA-256 checksum %q instead of %q", cloud.ErrNotTheService, aws.ToString(got), want)
	}
	return nil
}

// elsewhere returns the region of a bucket that is not in the client's; "" when the error is another.
func elsewhere(err error) string {
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok && answer.HTTPStatusCode() == http.StatusMovedPermanently {
		return answer.Response.Header.Get("X-Amz-Bucket-Region")
	}
	return ""
}
