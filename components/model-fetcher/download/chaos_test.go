package download_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/test/must"
)

// Whatever happens on the way, a download that succeeds has brought one object, whole: over hundreds of random histories of
// dropped lines, killed processes, harmed files and replaced objects, on services of all kinds.
func TestChaos(t *testing.T) {
	for seed := range uint64(300) {
		chaos(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func chaos(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	objects := [][]byte{noise(t, seed, 1+r.IntN(300_000))}
	s := &store{versions: [][]byte{objects[0]}, keepsVersions: r.IntN(2) == 0, ignoresIfMatch: r.IntN(4) == 0, ignoresRange: r.IntN(4) == 0, hidesVersions: r.IntN(4) == 0}
	troubles := 12
	trouble := func(one int) bool {
		if troubles == 0 || r.IntN(one) > 0 {
			return false
		}
		troubles--
		return true
	}
	s.before = func(s *store, _ *s3.GetObjectInput) {
		if trouble(8) {
			next := noise(t, seed+uint64(1000*len(objects)), 1+r.IntN(300_000))
			objects = append(objects, next)
			s.put(next)
		}
	}
	s.cut = func(int64) int64 {
		if trouble(2) {
			return r.Int64N(100_000)
		}
		return 1 << 30
	}
	path := filepath.Join(t.TempDir(), "f")
	w := download.Want{Bucket: "b", Key: "k", MaxBytes: mega}
	if r.IntN(2) == 0 {
		w = want(objects[0])
	}
	for try := 0; ; try++ {
		ctx, cancel := context.WithCancel(t.Context())
		d := download.Downloader{Source: s, Report: func(download.Progress) {
			if trouble(6) {
				cancel() // the process is stopped
			}
		}}
		got, err := d.Fetch(ctx, w, path)
		cancel()
		switch {
		case err == nil:
			content, readErr := os.ReadFile(path)
			whole := false
			for _, o := range objects {
				whole = whole || bytes.Equal(o, content)
			}
			if !whole || readErr != nil || got.ETag != etag(content) || got.SHA256 != sha(content) || w.SHA256 != "" && w.SHA256 != got.SHA256 {
				t.Errorf("%d bytes, %+v, %v", len(content), got, readErr)
			}
			return
		case errors.Is(err, download.ErrNotWanted):
			if w.SHA256 == "" || len(objects) == 1 {
				t.Errorf("%v", err)
			}
			return
		case try > 40:
			t.Errorf("no end: %v", err)
			return
		}
		if trouble(3) {
			harm(t, r, path)
		}
	}
}

// harm does to the partial file what a loss of power may do.
func harm(t *testing.T, r *rand.Rand, path string) {
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return // there is none
	}
	defer func() { _ = f.Close() }()
	size, err := f.Seek(0, io.SeekEnd)
	must.OK(t, err)
	if r.IntN(2) == 0 {
		err = f.Truncate(r.Int64N(size + 1000))
	} else if size > 0 {
		_, err = f.WriteAt([]byte{byte(r.Int())}, r.Int64N(size))
	}
	must.OK(t, err)
}
