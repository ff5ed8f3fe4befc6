package forwarder

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"edgepdm/shared/cloud"
	"edgepdm/shared/durable"
	"edgepdm/test/cloudtest"
	"edgepdm/test/moto"
	"edgepdm/test/must"
	"edgepdm/test/versitygw"
)

// newS3Sink makes a sink of a bucket, and a client for the test to look at it.
func newS3Sink(t *testing.T, endpoint, bucket, key, secret string) (*s3Sink, *s3.Client) {
	t.Helper()
	access, err := cloud.New(cloud.Settings{
		Region: "us-east-1", Timeout: 20 * time.Second, Getenv: func(name string) string {
			return map[string]string{cloud.EnvCredentialsURL: "http://127.0.0.1:1"}[name]
		},
	})
	must.OK(t, err)
	t.Cleanup(access.Close)
	access.Config.Credentials = credentials.NewStaticCredentialsProvider(key, secret, "")
	client := s3.NewFromConfig(access.Config, func(o *s3.Options) { o.BaseEndpoint, o.UsePathStyle = &endpoint, true })
	return &s3Sink{
		client: client, access: access, bucket: bucket, prefix: "raw", stream: "predictions", core: "core-1", timeout: 20 * time.Second,
		part: partBytes, log: slog.New(slog.DiscardHandler),
		unfinished: durable.State[upload]{Path: filepath.Join(t.TempDir(), "upload"), Format: uploadFormat},
	}, client
}

// noisy are messages that gzip does not make small: together more than a part.
func noisy(n, size int) []message {
	random := rand.New(rand.NewPCG(1, 2))
	at := time.Date(2026, 11, 23, 23, 59, 0, 0, time.UTC)
	var list []message
	for i := range n {
		noise := make([]byte, size)
		for k := range noise {
			noise[k] = byte(random.Uint32())
		}
		text := base64.StdEncoding.EncodeToString(noise)
		list = append(list, message{
			topic: "pdm/v1/prediction/press-1", payload: fmt.Appendf(nil, `{"v":1,"id":"press/1-%d","text":"%s"}`, i, text),
			id: fmt.Sprintf("press/1-%d", i), seq: uint64(i + 1), at: at.UnixNano(),
		})
	}
	return list
}

// whole is what the object's lines must be.
func whole(messages []message) string {
	var b strings.Builder
	for _, m := range messages {
		b.WriteString(strings.TrimSuffix(string(m.payload), "}") + `,"core":"core-1","kind":"predictions"}` + "\n")
	}
	return b.String()
}

func object(t *testing.T, client *s3.Client, bucket, key string) string {
	t.Helper()
	got, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	must.OK(t, err)
	zip, err := gzip.NewReader(got.Body)
	must.OK(t, err)
	text, err := io.ReadAll(zip)
	must.OK(t, err)
	return string(text)
}

// exercise puts objects into a bucket, and the same again.
func exercise(t *testing.T, s *s3Sink, client *s3.Client) {
	t.Helper()
	const small, large = "raw/predictions/core=core-1/date=2026-11-24/press%2F1-1-2.json.gz", "raw/predictions/core=core-1/date=2026-11-23/press%2F1-0-1.json.gz"
	few := noisy(3, 100)
	few[1].at += int64(time.Hour) // of the next day
	for range 2 {                 // the same again
		must.OK(t, s.sendBatch(t.Context(), few))
	}
	if got := object(t, client, s.bucket, small); got != whole(few[1:2]) {
		t.Errorf("the object of the second day has %q", got)
	}
	if got := object(t, client, s.bucket, large); got != whole([]message{few[0], few[2]}) {
		t.Errorf("the object of the first day has %q", got)
	}
	missing := *s
	missing.bucket = "no-such-bucket"
	err := missing.sendBatch(t.Context(), few)
	if refused, ok := errors.AsType[smithy.APIError](err); !ok || refused.ErrorCode() != "NoSuchBucket" || passes(err) {
		t.Errorf("a bucket that does not exist: %v", err)
	}
}

// exerciseParts puts an object in parts, of which a process that was killed has begun one before.
func exerciseParts(t *testing.T, s *s3Sink, client *s3.Client) {
	t.Helper()
	many := noisy(16_000, 700) // two parts and a bit
	key := s.key(many[0])
	created, err := s.create(t.Context(), key)
	must.OK(t, err)
	must.OK(t, s.unfinished.Save(upload{uploadFormat, s.bucket, key, aws.ToString(created.UploadId)}))
	must.OK(t, s.sendBatch(t.Context(), many))
	if got := object(t, client, s.bucket, key); got != whole(many) {
		t.Errorf("the object in parts has %d bytes", len(got))
	}
	if head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key}); err != nil || aws.ToInt64(head.ContentLength) <= 2*partBytes {
		t.Errorf("it is stored with %d bytes, %v", aws.ToInt64(head.ContentLength), err)
	}
	nothingUnfinished(t, s, client)
	// One that is not there any more is no problem.
	must.OK(t, s.unfinished.Save(upload{uploadFormat, s.bucket, key, aws.ToString(created.UploadId)}))
	must.OK(t, s.sendBatch(t.Context(), many[:1]))
	nothingUnfinished(t, s, client)
}

func nothingUnfinished(t *testing.T, s *s3Sink, client *s3.Client) {
	t.Helper()
	left, err := client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &s.bucket})
	must.OK(t, err)
	if len(left.Uploads) != 0 {
		t.Errorf("%d uploads are not finished", len(left.Uploads))
	}
	if _, err := s.unfinished.Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of an upload: %v", err)
	}
}

func TestObjectsAtLocalcloud(t *testing.T) {
	c := cloudtest.Start(t)
	keys := c.Credentials()
	s, client := newS3Sink(t, c.InternalEndpoints().S3, c.Endpoints().Bucket, keys.AccessKeyID, keys.SecretAccessKey)
	exercise(t, s, client)
	exerciseParts(t, s, client)
}

// An S3 that others have written, which verifies signatures and checksums.
func TestObjectsAtVersitygw(t *testing.T) {
	gateway := versitygw.Start(t, "backlogs")
	s, client := newS3Sink(t, gateway.Endpoint, "backlogs", gateway.Access, gateway.Secret)
	exercise(t, s, client)
	exerciseParts(t, s, client)
	stranger, _ := newS3Sink(t, gateway.Endpoint, "backlogs", gateway.Access, "wrong")
	err := stranger.sendBatch(t.Context(), noisy(1, 10))
	if refused, ok := errors.AsType[smithy.APIError](err); !ok || refused.ErrorCode() != "SignatureDoesNotMatch" {
		t.Errorf("a wrong key: %v", err)
	}
}

// Another one, which tells no checksum of an object in parts.
func TestObjectsAtMoto(t *testing.T) {
	endpoint := moto.Start(t)
	s, client := newS3Sink(t, endpoint, "backlogs", "key", "secret")
	_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("backlogs")})
	must.OK(t, err)
	exercise(t, s, client)
}

// An upload in parts that fails in the middle is aborted at once, or by the next attempt when the uplink is gone.
func TestUploadThatFailsIsAborted(t *testing.T) {
	many := noisy(16_000, 700)
	for name, cut := range map[string]bool{"refused": false, "cut": true} {
		t.Run(name, func(t *testing.T) {
			c := cloudtest.Start(t)
			keys := c.Credentials()
			s, client := newS3Sink(t, c.InternalEndpoints().S3, c.Endpoints().Bucket, keys.AccessKeyID, keys.SecretAccessKey)
			fail := true
			s.client = s3.NewFromConfig(s.access.Config, func(o *s3.Options) {
				o.BaseEndpoint, o.UsePathStyle = aws.String(c.InternalEndpoints().S3), true
				o.HTTPClient = does(func(q *http.Request) (*http.Response, error) {
					switch part := q.URL.Query().Get("partNumber") == "2"; {
					case fail && part && !cut:
						return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(nil)), Request: q}, nil
					case fail && cut && (part || q.Method == http.MethodDelete):
						return nil, io.ErrUnexpectedEOF
					}
					return s.access.Config.HTTPClient.Do(q)
				})
			})
			if err := s.sendBatch(t.Context(), many); err == nil || !passes(err) {
				t.Fatalf("%v", err)
			}
			if cut {
				if u, err := s.unfinished.Load(); err != nil || u.ID == "" {
					t.Errorf("the upload is not noted: %+v, %v", u, err)
				}
			} else {
				nothingUnfinished(t, s, client)
			}
			fail = false
			must.OK(t, s.sendBatch(t.Context(), many))
			nothingUnfinished(t, s, client)
			if got := object(t, client, s.bucket, s.key(many[0])); got != whole(many) {
				t.Errorf("the object has %d bytes", len(got))
			}
		})
	}
}

// F10: a disk that takes no file does not keep a backlog from leaving, which makes room on it.
func TestUploadWithoutADisk(t *testing.T) {
	c := cloudtest.Start(t)
	keys := c.Credentials()
	s, client := newS3Sink(t, c.InternalEndpoints().S3, c.Endpoints().Bucket, keys.AccessKeyID, keys.SecretAccessKey)
	s.unfinished.Path = filepath.Join(t.TempDir(), "no-folder", "upload")
	many := noisy(16_000, 700)
	must.OK(t, s.sendBatch(t.Context(), many))
	nothingUnfinished(t, s, client)
	if got := object(t, client, s.bucket, s.key(many[0])); got != whole(many) {
		t.Errorf("the object has %d bytes", len(got))
	}
}

// does is an HTTP client.
type does func(*http.Request) (*http.Response, error)

func (d does) Do(q *http.Request) (*http.Response, error) { return d(q) }

// The same messages have the same bytes, whether an earlier process may have sent them or not.
func TestObjectsAreTheSameAgain(t *testing.T) {
	s, list := &s3Sink{prefix: "raw", stream: "predictions", core: `c"1`}, noisy(20, 10)
	list = append(list, message{payload: []byte("{}")}, message{payload: []byte("{\n\"a\": 1 }")})
	first, err := s.pack(list)
	must.OK(t, err)
	again := slices.Clone(list)
	for i := range again {
		again[i].replayed = true
	}
	second, err := s.pack(again)
	must.OK(t, err)
	if !bytes.Equal(first, second) {
		t.Error("other bytes of the same messages")
	}
	zip, err := gzip.NewReader(bytes.NewReader(first))
	must.OK(t, err)
	text, err := io.ReadAll(zip)
	must.OK(t, err)
	if want := `{"core":"c\"1","kind":"predictions"}` + "\n" + `{"a":1,"core":"c\"1","kind":"predictions"}` + "\n"; !bytes.HasSuffix(text, []byte(want)) {
		t.Errorf("lines %s", text[len(text)-200:])
	}
}
