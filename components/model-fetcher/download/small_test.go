package download_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"edgepdm/components/model-fetcher/download"
)

func TestALineOverWhichNothingComesIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := noise(t, 12, 1000)
		s := &hanging{store{versions: [][]byte{content}}}
		d := download.Downloader{Source: s, Timeout: 3 * time.Second}
		began := time.Now()
		path := filepath.Join(t.TempDir(), "f")
		if _, err := d.Fetch(t.Context(), want(content), path); err == nil || !strings.Contains(err.Error(), "nothing comes for 3s") {
			t.Errorf("%v", err)
		}
		if _, _, err := d.Get(t.Context(), "b", "k", "", 10); err == nil || time.Since(began) != 6*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// A server that sends a byte each 1.5 seconds does not hold a request: what came is kept, and the error is the line's.
func TestASlowServerIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := noise(t, 12, 10_000)
		d := download.Downloader{Source: &trickling{store{versions: [][]byte{content}}}, Timeout: 30 * time.Second}
		path, began := filepath.Join(t.TempDir(), "f"), time.Now()
		_, err := d.Fetch(t.Context(), want(content), path)
		if err == nil || !strings.Contains(err.Error(), "20 bytes came in 30s, at least 7680 have to") && !strings.Contains(err.Error(), "19 bytes came in 30s") || time.Since(began) > time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if s, err := download.ReadStatus(path); err != nil || s.Bytes < 19 {
			t.Errorf("%+v, %v", s, err)
		}
		began = time.Now()
		if _, _, err := d.Get(t.Context(), "b", "k", "", 10_000); err == nil || time.Since(began) > time.Minute {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// trickling is a store whose bytes come one each 1.5 seconds.
type trickling struct{ store }

func (s *trickling) GetObject(ctx context.Context, in *s3.GetObjectInput, o ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	answer, err := s.store.GetObject(ctx, in, o...)
	if err == nil {
		answer.Body = &slowBody{ctx, answer.Body}
	}
	return answer, err
}

type slowBody struct {
	ctx context.Context
	io.ReadCloser
}

func (b *slowBody) Read(p []byte) (int, error) {
	select {
	case <-time.After(1500 * time.Millisecond):
		return b.ReadCloser.Read(p[:1])
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
}

// hanging is a store that does not answer.
type hanging struct{ store }

func (h *hanging) GetObject(ctx context.Context, _ *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestGetAndFind(t *testing.T) {
	content := []byte("manifest")
	for _, ignores := range []bool{false, true} {
		s := &store{versions: [][]byte{content}, ignoresIfMatch: ignores}
		d := download.Downloader{Source: s}
		if data, tag, err := d.Get(t.Context(), "b", "k", "", 8); string(data) != "manifest" || tag != etag(content) || err != nil {
			t.Errorf("%q, %s, %v", data, tag, err)
		}
		if _, _, err := d.Get(t.Context(), "b", "k", etag(content), 8); !errors.Is(err, download.ErrUnchanged) {
			t.Errorf("known: %v", err)
		}
		if _, tag, err := d.Get(t.Context(), "b", "k", "", 7); !errors.Is(err, download.ErrTooLarge) || tag != etag(content) {
			t.Errorf("too large: %s, %v", tag, err)
		}
		if tag, size, err := d.Find(t.Context(), "b", "k"); tag != etag(content) || size != 8 || err != nil {
			t.Errorf("%s, %d, %v", tag, size, err)
		}
		s.cut = func(int64) int64 { return 3 }
		if _, _, err := d.Get(t.Context(), "b", "k", "", 8); !errors.Is(err, errDropped) {
			t.Errorf("dropped: %v", err)
		}
	}
	d := download.Downloader{Source: &store{}}
	if _, _, err := d.Get(t.Context(), "b", "k", "", 8); !errors.Is(err, download.ErrMissing) {
		t.Errorf("missing: %v", err)
	}
	if _, _, err := d.Find(t.Context(), "b", "k"); !errors.Is(err, download.ErrMissing) {
		t.Errorf("missing: %v", err)
	}
}

// An ETag is sent back to the service with each look: one that no service would take again is refused, and so is none.
func TestETagsThatCannotBeUsed(t *testing.T) {
	for _, tag := range []string{"", strings.Repeat("x", 2000)} {
		d := download.Downloader{Source: &tagged{store{versions: [][]byte{noise(t, 1, 10)}}, tag}}
		if _, _, err := d.Get(t.Context(), "b", "k", "", 10); err == nil || !strings.Contains(err.Error(), "ETag") {
			t.Errorf("get: %v", err)
		}
		if _, _, err := d.Find(t.Context(), "b", "k"); err == nil || !strings.Contains(err.Error(), "ETag") {
			t.Errorf("find: %v", err)
		}
		if _, err := d.Fetch(t.Context(), want(noise(t, 1, 10)), filepath.Join(t.TempDir(), "f")); err == nil || !strings.Contains(err.Error(), "ETag") {
			t.Errorf("fetch: %v", err)
		}
	}
}

// tagged is a store whose object has another ETag than S3's.
type tagged struct {
	store
	tag string
}

func (s *tagged) GetObject(ctx context.Context, in *s3.GetObjectInput, o ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	out, err := s.store.GetObject(ctx, in, o...)
	out.ETag = &s.tag
	return out, err
}

func (s *tagged) HeadObject(ctx context.Context, in *s3.HeadObjectInput, o ...func(*s3.Options)) (*s3.HeadObjectOutput, error) {
	out, err := s.store.HeadObject(ctx, in, o...)
	out.ETag = &s.tag
	return out, err
}
