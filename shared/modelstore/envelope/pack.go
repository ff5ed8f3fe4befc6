package envelope

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"path/filepath"
	"time"

	"edgepdm/shared/archive"
	"edgepdm/shared/modelstore/internal/disk"
)

// Packed identifies what Pack wrote.
type Packed struct {
	Archive Archive
	Model   ModelFile
}

// Pack writes a model.tar.gz with the model file and, behind it, others, each under its base name. The same files give
// the same bytes: names, times, owners and permissions of the machine do not go into it.
func Pack(w io.Writer, modelPath string, others ...string) (Packed, error) {
	archiveSum := &counter{w: w, sum: sha256.New()}
	zip, err := gzip.NewWriterLevel(archiveSum, gzip.BestCompression)
	if err != nil {
		return Packed{}, err
	}
	members := tar.NewWriter(zip)
	var packed Packed
	seen := map[string]bool{}
	for i, path := range append([]string{modelPath}, others...) {
		file, err := packFile(members, path)
		if err != nil {
			return Packed{}, fmt.Errorf("pack %s: %w", path, err)
		}
		if seen[file.File] {
			return Packed{}, refuse(archive.ErrInvalid, "%s comes twice", file.File)
		}
		seen[file.File] = true
		if i == 0 {
			packed.Model = file
		}
	}
	if err := members.Close(); err != nil {
		return Packed{}, fmt.Errorf("write archive: %w", err)
	}
	if err := zip.Close(); err != nil {
		return Packed{}, fmt.Errorf("write archive: %w", err)
	}
	packed.Archive = Archive{SHA256: hex.EncodeToString(archiveSum.sum.Sum(nil)), Size: archiveSum.size}
	if packed.Archive.Size > MaxArchive || packed.Model.Size > MaxModel {
		return Packed{}, fmt.Errorf("%w: archive of %d bytes (at most %d), model of %d (at most %d)", archive.ErrLimit, packed.Archive.Size,
			MaxArchive, packed.Model.Size, MaxModel)
	}
	return packed, nil
}

func packFile(members *tar.Writer, path string) (ModelFile, error) {
	name := filepath.Base(path)
	if !PlainName(name, MaxFileLength) || ReservedFile(name) {
		return ModelFile{}, refuse(archive.ErrInvalid, "%.64q is not a plain file name", name)
	}
	f, size, err := disk.OpenRegular(path)
	if err != nil {
		return ModelFile{}, err
	}
	defer func() { _ = f.Close() }()
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR,
	}
	if err := members.WriteHeader(header); err != nil {
		return ModelFile{}, err
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(members, sum), f)
	if err != nil {
		return ModelFile{}, err
	}
	if n != size {
		return ModelFile{}, fmt.Errorf("the file changed while it was read")
	}
	return ModelFile{File: name, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: size}, nil
}

// counter hashes and counts what goes through it.
type counter struct {
	w    io.Writer
	sum  hash.Hash
	size int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	_, _ = c.sum.Write(p[:n])
	c.size += int64(n)
	return n, err
}
