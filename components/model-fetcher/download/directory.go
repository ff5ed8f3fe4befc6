package download

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Directory is a Source whose objects are the files of a folder: their names are the keys, and there are no buckets. The folder
// may be a link, a file may not: whoever can write into the folder does not choose what else the process reads.
type Directory struct {
	Path   string
	Belong []string // files that belong together: when one of them changes, the ETags of all do
}

// fileError says why a file cannot be had, with the HTTP status that S3 would answer.
type fileError struct {
	status int
	err    error
}

func (e *fileError) Error() string { return e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

// GetObject opens a file, as S3 gives an object.
func (d Directory) GetObject(_ context.Context, in *s3.GetObjectInput, _ ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	f, info, etag, err := d.open(aws.ToString(in.Key))
	if err != nil {
		return nil, err
	}
	out := &s3.GetObjectOutput{Body: f, ETag: &etag, ContentLength: aws.Int64(info.Size())}
	switch {
	case in.IfNoneMatch != nil && *in.IfNoneMatch == etag:
		err = &fileError{http.StatusNotModified, errors.New("it has not changed")}
	case in.IfMatch != nil && *in.IfMatch != etag:
		err = &fileError{http.StatusPreconditionFailed, errors.New("it has changed")}
	case in.Range != nil:
		err = seek(out, f, *in.Range)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return out, nil
}

// HeadObject looks at a file.
func (d Directory) HeadObject(_ context.Context, in *s3.HeadObjectInput, _ ...func(*s3.Options)) (*s3.HeadObjectOutput, error) {
	f, info, etag, err := d.open(aws.ToString(in.Key))
	if err != nil {
		return nil, err
	}
	return &s3.HeadObjectOutput{ETag: &etag, ContentLength: aws.Int64(info.Size())}, f.Close()
}

// open opens a regular file; opening a named pipe does not wait for its writer.
func (d Directory) open(key string) (*os.File, fs.FileInfo, string, error) {
	if folder, err := os.Stat(d.Path); err != nil {
		return nil, nil, "", fmt.Errorf("directory: %w: is the model's component deployed, and the path right?", err)
	} else if !folder.IsDir() {
		return nil, nil, "", fmt.Errorf("directory: %s is no folder", d.Path)
	}
	name := filepath.Join(d.Path, path.Base(key))
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, "", &fileError{http.StatusNotFound, err}
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.ENXIO): // a link, a socket
		return nil, nil, "", fmt.Errorf("%s is not a regular file: put a copy there", name)
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, "", fmt.Errorf("%w: this process runs as user %d, which must be able to read it", err, os.Geteuid())
	case err != nil:
		return nil, nil, "", err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file: put a copy there", name)
	}
	var etag string
	if err == nil {
		etag, err = d.tag(info)
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, "", err
	}
	return f, info, etag, nil
}

// tag makes the ETag of a file that is open.
func (d Directory) tag(opened fs.FileInfo) (string, error) {
	found := []fs.FileInfo{opened}
	for _, name := range d.Belong {
		if info, err := os.Lstat(filepath.Join(d.Path, name)); err == nil {
			found = append(found, info)
		}
	}
	sum := sha256.New()
	for _, info := range found {
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return "", fmt.Errorf("directory: the system does not tell of %s", info.Name())
		}
		_, _ = fmt.Fprintf(sum, "%q %d %d %d %d\n", info.Name(), stat.Ino, info.Size(), info.ModTime().UnixNano(), stat.Ctim.Nano())
	}
	return strconv.Quote(hex.EncodeToString(sum.Sum(nil)[:16])), nil
}

// seek makes an answer that begins where a range, bytes=5-, does.
func seek(out *s3.GetObjectOutput, f io.Seeker, text string) error {
	size := *out.ContentLength
	start, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(text, "bytes="), "-"), 10, 64)
	if err != nil || start < 0 || start >= size {
		return &fileError{http.StatusRequestedRangeNotSatisfiable, fmt.Errorf("%d bytes do not have the range %q", size, text)}
	}
	if _, err := f.Seek(start, io.SeekStart); err != nil {
		return err
	}
	out.ContentLength, out.ContentRange = aws.Int64(size-start), aws.String(fmt.Sprintf("bytes %d-%d/%d", start, size-1, size))
	return nil
}
