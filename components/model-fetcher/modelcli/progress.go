package modelcli

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/term"
)

const (
	barWidth   = 30
	barEvery   = 200 * time.Millisecond
	barMinimum = 256 << 10 // bytes: less is sent at once
)

// uploads shows on a terminal how far an upload is.
type uploads struct {
	client s3.HTTPClient
	out    *os.File
}

// showUploads returns the client, with a bar for uploads if out is a terminal.
func showUploads(client s3.HTTPClient, out io.Writer) s3.HTTPClient {
	if f := terminal(out); f != nil {
		return &uploads{client, f}
	}
	return client
}

// terminal returns out if it is a terminal, otherwise nil.
func terminal(out io.Writer) *os.File {
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// Do sends a request, as the client does.
func (u *uploads) Do(q *http.Request) (*http.Response, error) {
	if q.Body == nil || q.ContentLength < barMinimum {
		return u.client.Do(q)
	}
	b := &bar{ReadCloser: q.Body, out: u.out, total: q.ContentLength}
	q = q.Clone(q.Context())
	q.Body = b
	answer, err := u.client.Do(q)
	b.wipe()
	return answer, err
}

// bar is a body, or a file, that shows how much of it was read.
type bar struct {
	io.ReadCloser
	out         io.Writer // nil: it shows nothing
	sent, total int64
	next        time.Time
}

func (b *bar) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.sent += int64(n)
	if now := time.Now(); b.out != nil && now.After(b.next) {
		b.next = now.Add(barEvery)
		b.draw()
	}
	return n, err
}

// wipe takes the bar off the screen.
func (b *bar) wipe() {
	if b.out != nil {
		printf(b.out, "\r\x1b[K")
	}
}

func (b *bar) draw() {
	filled := int(min(b.sent*barWidth/b.total, barWidth))
	printf(b.out, "\r[%s%s] %d of %d kB, %d %%", strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled), b.sent>>10, b.total>>10, b.sent*100/b.total)
}

// sumOf is the SHA-256 of data, as S3 writes checksums.
func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return base64.StdEncoding.EncodeToString(sum[:])
}
