package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// errChanged says that the object is no longer the one whose bytes are in the file.
var errChanged = errors.New("object has changed")

// request sends one request, for what is missing, and writes what it brings.
func (d *Downloader) request(ctx context.Context, w Want, p *partial) error {
	ctx, watch := d.watch(ctx)
	defer watch.stop()
	answer, err := d.ask(ctx, w, p)
	if err != nil {
		return because(ctx, err)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := d.accept(w, p, answer); err != nil {
		return err
	}
	body := io.LimitReader(answer.Body, p.state.Size-p.bytes)
	chunk := make([]byte, buffer)
	for {
		n, err := body.Read(chunk)
		if n > 0 {
			watch.came(n)
			if _, err := p.Write(chunk[:n]); err != nil {
				return err
			}
			d.report(Progress{Done: p.bytes, Total: p.state.Size, Received: int64(n)})
		}
		switch {
		case p.bytes == p.state.Size:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("download %s: %w", w.Key, io.ErrUnexpectedEOF)
		case err != nil:
			return because(ctx, fmt.Errorf("download %s: %w", w.Key, err))
		}
	}
}

// ask requests the missing bytes, of the object of which the others are.
func (d *Downloader) ask(ctx context.Context, w Want, p *partial) (*s3.GetObjectOutput, error) {
	input := &s3.GetObjectInput{Bucket: aws.String(w.Bucket), Key: aws.String(w.Key)}
	if p.state.ETag != "" {
		input.IfMatch = aws.String(p.state.ETag)
	}
	if p.state.VersionID != "" {
		input.VersionId = aws.String(p.state.VersionID)
	}
	if p.bytes > 0 {
		input.Range = aws.String("bytes=" + strconv.FormatInt(p.bytes, 10) + "-")
	}
	answer, err := d.Source.GetObject(ctx, input)
	if err != nil && p.state.VersionID != "" && StatusCode(err) == http.StatusForbidden {
		// The role may read objects, but not their versions: If-Match alone guards.
		d.log().Warn("object versions may not be read: the download continues without them", "error", err)
		p.state.VersionID, input.VersionId = "", nil
		answer, err = d.Source.GetObject(ctx, input)
	}
	switch status := StatusCode(err); {
	case err == nil:
		return answer, nil
	case status == http.StatusPreconditionFailed, status == http.StatusRequestedRangeNotSatisfiable:
		return nil, fmt.Errorf("download %s: %w: %w", w.Key, errChanged, err)
	case status == http.StatusNotFound && p.state.ETag != "": // removed; perhaps another stands in its place
		return nil, fmt.Errorf("download %s: %w: %w", w.Key, errChanged, err)
	case status == http.StatusNotFound:
		return nil, fmt.Errorf("download %s: %w: %w", w.Key, ErrMissing, err)
	default:
		return nil, fmt.Errorf("download %s: %w", w.Key, err)
	}
}

// accept checks what the answer's bytes are of, and where they begin, before the first of them is written.
func (d *Downloader) accept(w Want, p *partial, answer *s3.GetObjectOutput) error {
	etag, err := checkTag(answer.ETag)
	start, total, extentErr := extent(answer)
	switch {
	case err != nil || extentErr != nil:
		return fmt.Errorf("download %s: %w", w.Key, errors.Join(err, extentErr))
	case p.state.ETag != "" && (etag != p.state.ETag || total != p.state.Size): // from a service that ignores If-Match
		return fmt.Errorf("download %s: %w: ETag %s became %s", w.Key, errChanged, p.state.ETag, etag)
	case total > w.MaxBytes:
		return fmt.Errorf("%d bytes, allowed are %d: %w", total, w.MaxBytes, ErrTooLarge)
	case w.Size > 0 && total != w.Size:
		return fmt.Errorf("%d bytes, wanted are %d: %w", total, w.Size, ErrNotWanted)
	case start == 0 && p.bytes > 0: // from a service that ignores Range: the same object from its beginning
		p.bytes = 0
		p.hash.Reset()
		if err := p.cut(); err != nil {
			return err
		}
		d.startOver(p)
	case start != p.bytes:
		return fmt.Errorf("download %s: asked for bytes from %d, got them from %d", w.Key, p.bytes, start)
	}
	if err := d.checkRoom(p.path, total-p.bytes); err != nil {
		return err
	}
	p.state.ETag, p.state.VersionID, p.state.Size = etag, versionID(answer), total
	return nil
}

// versionID returns the version of the object; "null" is the one of a time without versions, and may be another tomorrow.
func versionID(answer *s3.GetObjectOutput) string {
	if v := aws.ToString(answer.VersionId); v != "null" && len(v) <= maxTag {
		return v
	}
	return ""
}

// extent returns where the answer's bytes begin, and how many the object has.
func extent(answer *s3.GetObjectOutput) (start, total int64, err error) {
	if answer.ContentRange == nil {
		if answer.ContentLength == nil || *answer.ContentLength < 0 {
			return 0, 0, errors.New("the answer does not tell the object's size")
		}
		return 0, *answer.ContentLength, nil
	}
	text := *answer.ContentRange // bytes 5-9/10
	span, size, ok := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
	first, _, ok2 := strings.Cut(span, "-")
	start, err1 := strconv.ParseInt(first, 10, 64)
	total, err2 := strconv.ParseInt(size, 10, 64)
	if !ok || !ok2 || err1 != nil || err2 != nil || start < 0 || total < start {
		return 0, 0, fmt.Errorf("the answer has the Content-Range %q", text)
	}
	return start, total, nil
}
