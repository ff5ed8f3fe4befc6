package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// Get gets a small object as a whole, of at most limit bytes. With the ETag of the one that is known, and when that is still
// there, the error wraps ErrUnchanged. With ErrTooLarge it still returns the ETag.
func (d *Downloader) Get(ctx context.Context, bucket, key, known string, limit int64) (data []byte, etag string, err error) {
	ctx, watch := d.watch(ctx)
	defer watch.stop()
	input := &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)}
	if known != "" {
		input.IfNoneMatch = aws.String(known)
	}
	answer, err := d.Source.GetObject(ctx, input)
	if err != nil {
		return nil, "", unavailable(key, because(ctx, err))
	}
	defer func() { _ = answer.Body.Close() }()
	if etag, err = checkTag(answer.ETag); err != nil {
		return nil, "", fmt.Errorf("get %s: %w", key, err)
	}
	if etag == known { // from a service that ignores If-None-Match
		return nil, etag, fmt.Errorf("get %s: %w", key, ErrUnchanged)
	}
	data, err = io.ReadAll(io.LimitReader(watch.reader(answer.Body), limit+1))
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("get %s: %w", key, because(ctx, err))
	case int64(len(data)) > limit:
		return nil, etag, fmt.Errorf("get %s: more than %d bytes: %w", key, limit, ErrTooLarge)
	case answer.ContentLength != nil && *answer.ContentLength != int64(len(data)):
		return nil, "", fmt.Errorf("get %s: %w", key, io.ErrUnexpectedEOF)
	}
	return data, etag, nil
}

// Find returns the ETag and the size of an object. Without one the error wraps ErrMissing.
func (d *Downloader) Find(ctx context.Context, bucket, key string) (etag string, size int64, err error) {
	ctx, watch := d.watch(ctx)
	defer watch.stop()
	answer, err := d.Source.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
	if err != nil {
		return "", 0, unavailable(key, because(ctx, err))
	}
	if etag, err = checkTag(answer.ETag); err != nil {
		return "", 0, fmt.Errorf("find %s: %w", key, err)
	}
	return etag, aws.ToInt64(answer.ContentLength), nil
}

// checkTag returns the ETag of an answer. One that no service would take back in a condition is an error.
func checkTag(tag *string) (string, error) {
	switch n := len(aws.ToString(tag)); {
	case n == 0:
		return "", errors.New("the answer has no ETag")
	case n > maxTag:
		return "", fmt.Errorf("the answer's ETag has %d bytes, allowed are %d", n, maxTag)
	}
	return *tag, nil
}

// unavailable says why an object cannot be had.
func unavailable(key string, err error) error {
	refused, _ := errors.AsType[smithy.APIError](err)
	switch status := StatusCode(err); {
	case status == http.StatusNotModified:
		return fmt.Errorf("get %s: %w", key, ErrUnchanged)
	case status == http.StatusNotFound && (refused == nil || refused.ErrorCode() != "NoSuchBucket"):
		return fmt.Errorf("get %s: %w: %w", key, ErrMissing, err)
	default:
		return fmt.Errorf("get %s: %w", key, err)
	}
}

// StatusCode returns the HTTP status with which a service refused a request, or 0.
func StatusCode(err error) int {
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		return answer.HTTPStatusCode()
	}
	if file, ok := errors.AsType[*fileError](err); ok {
		return file.status
	}
	return 0
}

// errStalled says that less than the least rate came for as long as Timeout.
var errStalled = errors.New("the line is too slow")

// leastRate is how many bytes a second have to come. Who sends less holds a look, and with it everything that a new model
// would mend.
const leastRate = 256

// watch ends the context of a request over which too little comes.
type watch struct {
	timer   *time.Timer
	timeout time.Duration
	cancel  context.CancelCauseFunc
	least   int64 // bytes that have to come within timeout
	come    atomic.Int64
}

func (d *Downloader) watch(ctx context.Context) (context.Context, *watch) {
	timeout := d.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{timeout: timeout, cancel: cancel, least: max(1, int64(timeout.Seconds()*leastRate))}
	w.timer = time.AfterFunc(timeout, func() {
		if n := w.come.Load(); n > 0 {
			cancel(fmt.Errorf("%w: %d bytes came in %v, at least %d have to", errStalled, n, timeout, w.least))
			return
		}
		cancel(fmt.Errorf("%w: nothing comes for %v", errStalled, timeout))
	})
	return ctx, w
}

// came says how many bytes came.
func (w *watch) came(n int) {
	if w.come.Add(int64(n)) >= w.least {
		w.come.Store(0)
		w.timer.Reset(w.timeout)
	}
}

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// reader tells the watch what comes.
func (w *watch) reader(r io.Reader) io.Reader {
	return readerFunc(func(b []byte) (int, error) {
		n, err := r.Read(b)
		w.came(n)
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// because puts the reason for which a request's context ended in front.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
