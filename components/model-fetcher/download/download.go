// Package download brings an object from S3 into a file over a line that drops, in a process that is killed.
//
// What has arrived is kept: the next attempt asks for the rest only, with Range and If-Match, so that the bytes of two
// objects are never mixed. Beside the file stands its state, FILE.state.json, which says of which object the bytes are and
// how many of them are on disk for sure, with their hash. Done, the state is removed.
package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"edgepdm/shared/durable"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Errors that callers branch on. Every other one is a matter of the line or the service: try again later, and the download
// resumes where it was.
var (
	// ErrTooLarge says that the object is larger than Want allows. Nothing of it is kept.
	ErrTooLarge = errors.New("object is too large")
	// ErrNotWanted says that the object has not the size or the hash that Want names. Nothing of it is kept.
	ErrNotWanted = errors.New("object is not the one that is wanted")
	// ErrUnchanged says that the object is the one that was got before.
	ErrUnchanged = errors.New("object has not changed")
	// ErrMissing says that there is no such object.
	ErrMissing = errors.New("object does not exist")
	// ErrDiskFull says that the disk has no room. Nothing is kept.
	ErrDiskFull = errors.New("disk is full")
)

// Source is where objects come from: an S3 client.
type Source interface {
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	HeadObject(context.Context, *s3.HeadObjectInput, ...func(*s3.Options)) (*s3.HeadObjectOutput, error)
}

// Want is the object that is wanted.
type Want struct {
	Bucket, Key string
	Size        int64  // in bytes; 0 = not known
	SHA256      string // lower-case hexadecimal; "" = not known
	MaxBytes    int64  // a larger object is refused before it is downloaded
}

// Got is the object that was downloaded.
type Got struct {
	Size            int64
	SHA256          string
	ETag, VersionID string
}

// Progress says how a download goes.
type Progress struct {
	Done, Total int64 // bytes in the file, and of the object
	Received    int64 // bytes that came since the last report
	Resumed     bool  // a download begins with bytes that were there
	Restarted   bool  // a download started over: the object has changed, or the service ignores Range
}

// File is what a download writes to.
type File interface {
	io.ReadWriteSeeker
	io.Closer
	Truncate(size int64) error
	Sync() error
}

// Downloader downloads. Only Source is required.
type Downloader struct {
	Source Source
	Log    *slog.Logger
	// Timeout ends a request over which less than 256 bytes a second come for so long. 30 seconds by default.
	Timeout time.Duration
	// Pause waits before a dropped download resumes. By default it does so at once.
	Pause func(ctx context.Context)
	// Report is told of every step; by default nobody is.
	Report func(Progress)
	// Open opens the file; os.OpenFile by default.
	Open func(name string, flag int, perm os.FileMode) (File, error)
	// Free tells the room on the disk of a folder, in bytes. By default the system does.
	Free func(dir string) (int64, error)
}

const (
	defaultTimeout = 30 * time.Second
	maxRestarts    = 3    // in one Fetch: an object that changes all the time is tried again later
	maxTag         = 1024 // bytes of an ETag or a version id, which is sent back to the service
	buffer         = 64 << 10
)

// Fetch downloads the object into the file at path, or resumes one. While bytes come it asks
// again when the line drops; once a request has brought nothing it returns the error.
func (d *Downloader) Fetch(ctx context.Context, w Want, path string) (Got, error) {
	if w.Size > w.MaxBytes {
		return Got{}, fmt.Errorf("%d bytes, allowed are %d: %w", w.Size, w.MaxBytes, ErrTooLarge)
	}
	p, err := openPartial(ctx, d.open(), path, w)
	if err != nil {
		return Got{}, d.failed(path, err)
	}
	defer p.close() // after an error nothing can be done but to leave what is there
	if p.bytes > 0 {
		d.report(Progress{Done: p.bytes, Total: p.state.Size, Resumed: true})
	}
	got, err := d.fetch(ctx, w, p)
	if err == nil {
		return got, nil
	}
	if !isDiskFull(err) {
		err = errors.Join(err, p.checkpoint())
	}
	p.close()
	return Got{}, d.failed(path, err)
}

// fetch sends requests until the object is complete.
func (d *Downloader) fetch(ctx context.Context, w Want, p *partial) (Got, error) {
	for p.state.ETag == "" || p.bytes < p.state.Size {
		before := p.bytes
		err := d.request(ctx, w, p)
		switch {
		case errors.Is(err, errChanged) && p.restarts < maxRestarts:
			d.log().Warn("the object has changed: the download starts over", "bucket", w.Bucket, "key", w.Key, "error", err)
			if err := p.reset(w); err != nil {
				return Got{}, err
			}
			d.startOver(p)
		case err != nil && p.bytes > before && p.restarts <= maxRestarts && !final(err) && !errors.Is(err, errStalled) && ctx.Err() == nil:
			d.log().Info("the download was interrupted and resumes", "bytes", p.bytes, "of", p.state.Size, "error", err)
			if err := p.checkpoint(); err != nil {
				return Got{}, err
			}
			d.pause(ctx)
		case err != nil:
			return Got{}, err
		}
	}
	return p.finish(w)
}

// startOver counts that the bytes come from the beginning once more.
func (d *Downloader) startOver(p *partial) {
	p.restarts++
	d.report(Progress{Restarted: true})
}

// final tells whether a request's error is not a matter of the line.
func final(err error) bool {
	return isDiskFull(err) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrNotWanted) || errors.Is(err, ErrMissing) ||
		errors.Is(err, errFile)
}

// failed cleans up after the errors with which nothing is kept.
func (d *Downloader) failed(path string, err error) error {
	full := isDiskFull(err)
	if full || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrNotWanted) {
		err = errors.Join(err, Remove(path))
	}
	if full && !errors.Is(err, ErrDiskFull) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	return err
}

func isDiskFull(err error) bool {
	return errors.Is(err, ErrDiskFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Remove removes a download that is under way: the file and its state.
func Remove(path string) error {
	var failed error
	for _, name := range []string{StatePath(path), path} { // the state first: bytes without it are worth nothing
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, fmt.Errorf("remove download: %w", err))
		}
	}
	return failed
}

// checkRoom refuses a download that the disk has no room for, before it fills the disk.
func (d *Downloader) checkRoom(path string, missing int64) error {
	free := d.Free
	if free == nil {
		free = durable.FreeSpace
	}
	if room, err := free(filepath.Dir(path)); err == nil && room < missing { // not known: writing will tell
		return fmt.Errorf("%d bytes are missing, %d are free: %w", missing, room, ErrDiskFull)
	}
	return nil
}

func (d *Downloader) log() *slog.Logger {
	if d.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Log
}

func (d *Downloader) pause(ctx context.Context) {
	if d.Pause != nil {
		d.Pause(ctx)
	}
}

func (d *Downloader) report(p Progress) {
	if d.Report != nil {
		d.Report(p)
	}
}

func (d *Downloader) open() func(string, int, os.FileMode) (File, error) {
	if d.Open != nil {
		return d.Open
	}
	return func(name string, flag int, perm os.FileMode) (File, error) { return os.OpenFile(name, flag, perm) }
}
