package modelcli

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/test/must"
)

// sink is a client that reads requests' bodies and answers nothing.
type sink struct{ read int64 }

func (s *sink) Do(q *http.Request) (*http.Response, error) {
	n, err := io.Copy(io.Discard, q.Body)
	s.read = n
	return &http.Response{Body: http.NoBody}, err
}

func TestUploadsAreShownOnATerminalOnly(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "terminal"))
	must.OK(t, err)
	defer func() { _ = f.Close() }()
	client := &sink{}
	for _, out := range []io.Writer{f, new(bytes.Buffer)} {
		if got := showUploads(client, out); got != client {
			t.Errorf("%T is taken for a terminal", out)
		}
	}
	u := &uploads{client: client, out: f}
	for _, size := range []int64{barMinimum - 1, 3 * barMinimum} {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://host", io.LimitReader(zeros{}, size))
		must.OK(t, err)
		q.ContentLength = size
		answer, err := u.Do(q)
		if err != nil || client.read != size {
			t.Errorf("%d bytes were sent of %d: %v", client.read, size, err)
		}
		_ = answer.Body.Close()
		text, err := os.ReadFile(f.Name())
		if shown := strings.Contains(string(text), "[") && strings.HasSuffix(string(text), "\r\x1b[K"); err != nil || shown != (size >= barMinimum) {
			t.Errorf("after %d bytes the terminal shows %q, %v", size, text, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
