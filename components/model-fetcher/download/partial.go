package download

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"time"

	"edgepdm/shared/durable"
)

// errFile marks an error of the local file.
var errFile = errors.New("file")

const (
	stateFormat     = 1
	checkpointBytes = 4 << 20 // a kill costs fewer bytes than this
	checkpointTime  = 10 * time.Second
)

// state is the file that stands beside the partial one.
type state struct {
	Format    int    `json:"format"`
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	ETag      string `json:"etag"`                // of the object that the bytes are of
	VersionID string `json:"versionId,omitempty"` // likewise, in a bucket that keeps versions
	Size      int64  `json:"size"`                // of the object
	SHA256    string `json:"sha256,omitempty"`    // that was wanted
	Bytes     int64  `json:"bytes"`               // of the partial file that are on disk
	Prefix    string `json:"prefixSha256"`        // hash of those
}

// StatePath is where the state of the download into the file at path stands.
func StatePath(path string) string { return path + ".state.json" }

// Status is how far a download came that is not complete.
type Status struct {
	Key          string
	Bytes, Total int64
}

// ReadStatus reads how far the download into the file at path came. Without one under way the error is fs.ErrNotExist.
func ReadStatus(path string) (Status, error) {
	s, err := stateOf(path).Load()
	return Status{Key: s.Key, Bytes: s.Bytes, Total: s.Size}, err
}

func stateOf(path string) durable.State[state] {
	return durable.State[state]{Path: StatePath(path), Format: stateFormat}
}

// partial is a file that is being downloaded.
type partial struct {
	path  string
	file  File
	state state
	bytes int64 // in the file
	hash  hash.Hash
	saved time.Time // when the last checkpoint was

	restarts int // how often the bytes came from the beginning once more
}

// openPartial opens the file and resumes it, if its bytes are of the object that is wanted.
func openPartial(ctx context.Context, open func(string, int, os.FileMode) (File, error), path string, w Want) (*partial, error) {
	s, err := stateOf(path).Load()
	if errors.Is(err, durable.ErrNewerFormat) {
		return nil, err
	}
	resumable := err == nil && s.isOf(w) // a state that cannot be read is as good as none
	f, err := open(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open file to download into: %w", err)
	}
	p := &partial{path: path, file: f, state: s, hash: sha256.New()}
	if resumable {
		resumable, err = p.rehash(ctx)
	}
	if err == nil && !resumable {
		err = p.reset(w)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// isOf tells whether the bytes are of the object that is wanted.
func (s state) isOf(w Want) bool {
	return s.ETag != "" && s.Bucket == w.Bucket && s.Key == w.Key && s.SHA256 == w.SHA256 &&
		(w.Size == 0 || s.Size == w.Size) && s.Size <= w.MaxBytes
}

// rehash reads the bytes that the state vouches for, and cuts off the others. It reports false when they are not there
// or not what they were.
func (p *partial) rehash(ctx context.Context) (bool, error) {
	n, err := io.CopyBuffer(p.hash, &contextReader{ctx, io.LimitReader(p.file, p.state.Bytes)}, make([]byte, buffer))
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil || n != p.state.Bytes || p.sum() != p.state.Prefix {
		return false, nil //nolint:nilerr // bytes that cannot be read are fetched once more
	}
	p.bytes, p.saved = n, time.Now()
	return true, p.cut()
}

// cut cuts the file off after the bytes that count.
func (p *partial) cut() error {
	if err := p.file.Truncate(p.bytes); err != nil {
		return fmt.Errorf("cut %w: %w", errFile, err)
	}
	if _, err := p.file.Seek(p.bytes, io.SeekStart); err != nil {
		return fmt.Errorf("seek in %w: %w", errFile, err)
	}
	return nil
}

// reset forgets all bytes. The state goes first: a crash in between leaves bytes that nothing vouches for.
func (p *partial) reset(w Want) error {
	if err := os.Remove(StatePath(p.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove state of download: %w: %w", errFile, err)
	}
	p.state = state{Format: stateFormat, Bucket: w.Bucket, Key: w.Key, SHA256: w.SHA256}
	p.bytes, p.saved = 0, time.Now()
	p.hash.Reset()
	return p.cut()
}

// Write appends bytes of the object.
func (p *partial) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.hash.Write(b[:n])
	p.bytes += int64(n)
	if err != nil {
		return n, fmt.Errorf("write %w: %w", errFile, err)
	}
	if p.bytes-p.state.Bytes >= checkpointBytes || time.Since(p.saved) >= checkpointTime {
		return n, p.checkpoint()
	}
	return n, nil
}

// checkpoint makes sure that the bytes are on disk, and then writes down how many they are.
func (p *partial) checkpoint() error {
	if p.state.ETag == "" || p.bytes == p.state.Bytes {
		return nil
	}
	if err := p.file.Sync(); err != nil {
		return fmt.Errorf("sync %w: %w", errFile, err)
	}
	p.state.Bytes, p.state.Prefix = p.bytes, p.sum()
	if err := stateOf(p.path).Save(p.state); err != nil {
		return fmt.Errorf("keep state of download: %w: %w", errFile, err)
	}
	p.saved = time.Now()
	return nil
}

// finish checks the complete file, and removes the state.
func (p *partial) finish(w Want) (Got, error) {
	got := Got{Size: p.bytes, SHA256: p.sum(), ETag: p.state.ETag, VersionID: p.state.VersionID}
	if w.SHA256 != "" && got.SHA256 != w.SHA256 {
		return Got{}, fmt.Errorf("sha256 is %s, wanted is %s: %w", got.SHA256, w.SHA256, ErrNotWanted)
	}
	if err := p.file.Sync(); err != nil {
		return Got{}, fmt.Errorf("sync %w: %w", errFile, err)
	}
	if err := os.Remove(StatePath(p.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Got{}, fmt.Errorf("remove state of download: %w: %w", errFile, err)
	}
	return got, nil
}

func (p *partial) sum() string { return hex.EncodeToString(p.hash.Sum(nil)) }

// close may be called more than once.
func (p *partial) close() { _ = p.file.Close() }

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
