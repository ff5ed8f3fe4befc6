package modelstore

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode/utf8"
)

// sageMakerModel is the name that SageMaker's containers give the model in their model.tar.gz.
const sageMakerModel = "xgboost-model"

// Limits bound what an archive may hold.
type Limits struct {
	Entries int   // members of any kind, also those that are skipped
	Bytes   int64 // of all members together, also of those that are skipped
	// Keep says which files to write; nil = all. Names with a slash and names that begin with a dot are never written.
	Keep func(name string) bool
}

// DefaultLimits returns the limits that a model.tar.gz is held to.
func DefaultLimits() Limits { return Limits{Entries: 64, Bytes: MaxArchive} }

// tarOverhead bounds what an archive may have besides its members' contents, per entry: headers, extended headers and
// padding; and once, the padding at its end.
const tarOverhead = 64 << 10

// Unpack writes the files of a model.tar.gz into the folder dir, which exists, and returns them in the archive's order
// (promise M5). It accepts what SageMaker's containers and GNU tar write: regular files at the top, besides them folders,
// files in folders and files that begin with a dot, all of which it checks, counts and skips. Links, devices, `..`,
// absolute and odd names, names that come twice, more than the limits allow, and anything after the archive's end give
// an error that wraps ErrArchive (and ErrLimit). Any other error is one of reading r or of the disk. After an error the
// folder may hold some files.
//
// Files are new (an existing one is an error), mode 0600, and not yet synced.
func Unpack(r io.Reader, dir string, limits Limits) ([]ModelFile, error) {
	return unpack(disk{}, r, dir, limits)
}

func unpack(d disk, r io.Reader, dir string, limits Limits) ([]ModelFile, error) {
	source := &sourceReader{r: r}
	files, err := unpackFrom(d, source, dir, limits)
	if source.err != nil { // whatever came of it: the archive was not read to its end
		return nil, fmt.Errorf("read archive: %w", source.err)
	}
	return files, err
}

func unpackFrom(d disk, source io.Reader, dir string, limits Limits) ([]ModelFile, error) {
	compressed := bufio.NewReader(source) // gzip reads no byte too many from an io.ByteReader
	unzip, err := gzip.NewReader(compressed)
	if err != nil {
		return nil, refuse(ErrArchive, "gzip: %v", err)
	}
	unzip.Multistream(false)
	bounded := &boundedReader{r: unzip, left: limits.Bytes + int64(limits.Entries+1)*tarOverhead}
	u := unpacker{disk: d, dir: dir, limits: limits, seen: map[string]bool{}}
	archive := tar.NewReader(bounded)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, damaged("tar", err)
		}
		if err := u.member(header, archive); err != nil {
			return nil, err
		}
	}
	// The rest of the stream is tar's padding. Reading it also makes gzip check its checksum.
	if err := onlyZeros(bounded); err != nil {
		return nil, err
	}
	if _, err := compressed.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, refuse(ErrArchive, "there is something after the end of the gzip stream")
	}
	return u.files, nil
}

// unpacker writes members.
type unpacker struct {
	disk    disk
	dir     string
	limits  Limits
	entries int
	bytes   int64
	seen    map[string]bool
	files   []ModelFile
}

func (u *unpacker) member(h *tar.Header, content io.Reader) error {
	if u.entries++; u.entries > u.limits.Entries {
		return tooLarge("more than %d entries", u.limits.Entries)
	}
	if h.Typeflag == tar.TypeXGlobalHeader { // a comment that git archive writes
		return nil
	}
	name, err := memberName(h)
	if err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		return nil
	}
	if u.seen[name] {
		return refuse(ErrArchive, "%.64q comes twice", name)
	}
	u.seen[name] = true
	if h.Size < 0 || h.Size > u.limits.Bytes-u.bytes {
		return tooLarge("%.64q makes it more than %d bytes", name, u.limits.Bytes)
	}
	u.bytes += h.Size
	if strings.Contains(name, "/") || strings.HasPrefix(name, ".") || u.limits.Keep != nil && !u.limits.Keep(name) {
		return nil
	}
	if reservedFile(name) {
		return refuse(ErrArchive, "a file must not be named %s", name)
	}
	sum := sha256.New()
	size, err := u.disk.create(filepath.Join(u.dir, name), io.TeeReader(content, sum))
	if err != nil {
		var broken *contentError
		if errors.As(err, &broken) {
			return damaged(name, broken.err)
		}
		return fmt.Errorf("unpack %s: %w", name, err)
	}
	if size != h.Size { // archive/tar gives io.ErrUnexpectedEOF, so this cannot be
		return refuse(ErrArchive, "%s has %d bytes, its header says %d", name, size, h.Size)
	}
	u.files = append(u.files, ModelFile{File: name, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: size})
	return nil
}

// memberName returns the entry's name without "./" before and "/" behind it, if the entry and its name are of the
// harmless kind.
func memberName(h *tar.Header) (string, error) {
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir:
	case tar.TypeLink, tar.TypeSymlink:
		return "", refuse(ErrArchive, "%.64q is a link", h.Name)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return "", refuse(ErrArchive, "%.64q is a device", h.Name)
	default:
		return "", refuse(ErrArchive, "%.64q has the type %q", h.Name, h.Typeflag)
	}
	name := h.Name
	if !utf8.ValidString(name) || len(name) > 255 {
		return "", refuse(ErrArchive, "odd name %.64q", name)
	}
	for _, c := range name {
		if c < ' ' || c == 0x7f || c == '\\' {
			return "", refuse(ErrArchive, "odd name %.64q", name)
		}
	}
	for strings.HasPrefix(name, "./") {
		name = name[2:]
	}
	if h.Typeflag == tar.TypeDir {
		name = strings.TrimSuffix(name, "/")
		if name == "" || name == "." {
			return "", nil
		}
	}
	for _, part := range strings.Split(name, "/") { // also finds absolute and empty names
		if part == "" || part == "." || part == ".." {
			return "", refuse(ErrArchive, "odd name %.64q", h.Name)
		}
	}
	return name, nil
}

func reservedFile(name string) bool { return name == EnvelopeFile || name == recordFile }

func tooLarge(format string, args ...any) error {
	return fmt.Errorf("%w: %w: %s", ErrArchive, ErrLimit, fmt.Sprintf(format, args...))
}

// damaged describes a failure to decode the archive.
func damaged(what string, err error) error {
	switch {
	case errors.Is(err, ErrArchive):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return refuse(ErrArchive, "%s: the archive is cut short", what)
	}
	return refuse(ErrArchive, "%s: %v", what, err)
}

func onlyZeros(r io.Reader) error {
	buf := make([]byte, 16<<10)
	for {
		n, err := r.Read(buf)
		for _, c := range buf[:n] {
			if c != 0 {
				return refuse(ErrArchive, "there is something after the end of the tar archive")
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return damaged("gzip", err)
		}
	}
}

// sourceReader remembers a failure to read, which is none of the archive.
type sourceReader struct {
	r   io.Reader
	err error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// boundedReader fails when more than left bytes are read: what a zip bomb comes to, whatever its headers say.
type boundedReader struct {
	r    io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		var one [1]byte
		n, err := b.r.Read(one[:])
		if n > 0 {
			return 0, tooLarge("it unpacks to more than its entries may have")
		}
		return 0, err
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}

// keepModel returns what Limits.Keep is when there is no manifest to name the model.
func keepModel(name string) bool {
	ext := filepath.Ext(name)
	return strings.HasPrefix(name, sageMakerModel) || ext == ".ubj" || ext == ".json"
}

// chooseModel returns which file of an archive without a manifest is the model: xgboost-model, or the only *.ubj or *.json.
func chooseModel(files []ModelFile) (ModelFile, error) {
	var candidates []ModelFile
	folds := 0
	for _, f := range files {
		switch {
		case f.File == sageMakerModel:
			return f, nil
		case strings.HasPrefix(f.File, sageMakerModel+"-"):
			folds++
		case filepath.Ext(f.File) == ".ubj" || filepath.Ext(f.File) == ".json":
			candidates = append(candidates, f)
		}
	}
	switch {
	case len(candidates) == 1:
		return candidates[0], nil
	case len(candidates) > 1:
		return ModelFile{}, refuse(ErrArchive, "%d files could be the model (%s, %s …): name it %s", len(candidates),
			candidates[0].File, candidates[1].File, sageMakerModel)
	case folds > 0:
		return ModelFile{}, errFolds
	}
	return ModelFile{}, refuse(ErrArchive, "no file in it is the model: need %s, or one *.ubj or *.json", sageMakerModel)
}

// errFolds says that an archive is the model, for it holds those of a k-fold training.
var errFolds = errors.New("a k-fold training")

// openRegular opens a file for reading if it is a regular one, and no link. It looks at what it has opened, so that the file
// may be replaced meanwhile; opening a named pipe does not wait for its writer.
func openRegular(path string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) { // a link, a socket
		return nil, 0, &os.PathError{Op: "open", Path: path, Err: errNotRegular}
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &os.PathError{Op: "open", Path: path, Err: errNotRegular}
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

var errNotRegular = errors.New("not a regular file")
