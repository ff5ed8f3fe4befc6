package localcloud

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// memory is gofakes3's backend in memory, in which a new object inherits the metadata of the one before. Here an
// object's metadata are packed into a single member, so that there is nothing to inherit.
type memory struct{ *s3mem.Backend }

// packed is the one member.
const packed = "packed"

func newMemory(clock gofakes3.TimeSource) memory {
	return memory{s3mem.New(s3mem.WithTimeSource(clock))}
}

// PutObject implements gofakes3.Backend.
func (m memory) PutObject(bucket, key string, meta map[string]string, r io.Reader, size int64, c *gofakes3.PutConditions) (gofakes3.PutObjectResult, error) {
	text, err := json.Marshal(meta)
	if err != nil {
		return gofakes3.PutObjectResult{}, fmt.Errorf("pack metadata: %w", err)
	}
	return m.Backend.PutObject(bucket, key, map[string]string{packed: string(text)}, r, size, c)
}

// CopyObject implements gofakes3.Backend.
func (m memory) CopyObject(srcBucket, srcKey, bucket, key string, meta map[string]string) (gofakes3.CopyObjectResult, error) {
	return gofakes3.CopyObject(m, srcBucket, srcKey, bucket, key, meta)
}

// GetObject implements gofakes3.Backend.
func (m memory) GetObject(bucket, key string, r *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	return unpack(m.Backend.GetObject(bucket, key, r))
}

// HeadObject implements gofakes3.Backend.
func (m memory) HeadObject(bucket, key string) (*gofakes3.Object, error) {
	return unpack(m.Backend.HeadObject(bucket, key))
}

// GetObjectVersion implements gofakes3.VersionedBackend.
func (m memory) GetObjectVersion(bucket, key string, v gofakes3.VersionID, r *gofakes3.ObjectRangeRequest) (*gofakes3.Object, error) {
	return unpack(m.Backend.GetObjectVersion(bucket, key, v, r))
}

// HeadObjectVersion implements gofakes3.VersionedBackend.
func (m memory) HeadObjectVersion(bucket, key string, v gofakes3.VersionID) (*gofakes3.Object, error) {
	return unpack(m.Backend.HeadObjectVersion(bucket, key, v))
}

func unpack(o *gofakes3.Object, err error) (*gofakes3.Object, error) {
	if err != nil || o == nil || o.Metadata == nil {
		return o, err
	}
	meta := make(map[string]string)
	if err := json.Unmarshal([]byte(o.Metadata[packed]), &meta); err != nil {
		return nil, fmt.Errorf("unpack metadata: %w", err)
	}
	o.Metadata = meta
	return o, nil
}

// etag returns the ETag of an object, or "" when there is none.
func (m memory) etag(bucket, key string) string {
	o, err := m.HeadObject(bucket, key)
	if err != nil {
		return ""
	}
	return gofakes3.FormatETag(o.Hash)
}

// read returns an object's content and content type.
func (m memory) read(bucket, key string) ([]byte, string, error) {
	o, err := m.GetObject(bucket, key, nil)
	if err != nil {
		return nil, "", fmt.Errorf("get object %s: %w", key, err)
	}
	defer o.Contents.Close()
	content, err := io.ReadAll(o.Contents)
	if err != nil {
		return nil, "", fmt.Errorf("read object %s: %w", key, err)
	}
	return content, o.Metadata["Content-Type"], nil
}
