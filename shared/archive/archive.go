// Package archive reads tar archives into which anyone may have put anything: model.tar.gz as SageMaker's containers, tar
// and people write it.
package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// What callers branch on; the errors returned wrap ErrInvalid, and ErrLimit where that is the reason, and say more.
var (
	// ErrInvalid says that an archive is damaged, or holds what it must not.
	ErrInvalid = errors.New("bad archive")
	// ErrLimit says that it holds more than the limits allow.
	ErrLimit = errors.New("exceeds a limit")
)

// Limits bound what an archive may hold.
type Limits struct {
	Entries int   // members of any kind, also those that are skipped
	Bytes   int64 // of all members together, also of those that are skipped
	// Strict refuses what no publisher needs: links, devices, `..`, absolute and odd names, and anything after the archive's
	// end. Otherwise it is skipped, and so are hidden files.
	Strict bool
}

// overhead bounds what an archive may have besides its members' contents, per entry: headers, extended headers and padding;
// and once, the padding at its end.
const overhead = 64 << 10

// Size is the most bytes that a tar within the limits has.
func (l Limits) Size() int64 { return l.Bytes + int64(l.Entries+1)*overhead }

// Member is a regular file of an archive; it is read during the visit.
type Member struct {
	Name string // clean, with slashes
	Size int64  // as its header says
	io.Reader
}

// Walk calls visit for each regular file of a tar, in the archive's order, and reads to the end of in, whose checksum is
// verified thereby. A name that comes twice is refused. An error of visit is returned as it is.
func Walk(in io.Reader, l Limits, visit func(Member) error) error {
	files := tar.NewReader(in)
	seen := make(map[string]bool)
	left := l.Bytes
	for n := 0; ; n++ {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return l.tail(in)
		}
		if err != nil {
			return Damaged("tar", err)
		}
		if n == l.Entries {
			return tooLarge("more than %d members", l.Entries)
		}
		name, err := l.nameOf(h)
		if err != nil {
			return err
		}
		if name == "" {
			continue
		}
		if seen[name] {
			return refuse("%.64q comes twice", name)
		}
		seen[name] = true
		if h.Size < 0 || h.Size > left {
			return tooLarge("%.64q makes it more than %d bytes", name, l.Bytes)
		}
		left -= h.Size
		if err := visit(Member{name, h.Size, files}); err != nil {
			return err
		}
	}
}

// nameOf returns the name of a regular file, "" for what is skipped.
func (l Limits) nameOf(h *tar.Header) (string, error) {
	if !l.Strict {
		if name := path.Clean(h.Name); h.Typeflag == tar.TypeReg && !isHidden(name) {
			return name, nil
		}
		return "", nil
	}
	name := h.Name
	for strings.HasPrefix(name, "./") {
		name = name[2:]
	}
	switch h.Typeflag {
	case tar.TypeXGlobalHeader: // a comment that git archive writes
		return "", nil
	case tar.TypeReg:
		return name, plain(name)
	case tar.TypeDir:
		if name = strings.TrimSuffix(name, "/"); name == "" || name == "." {
			return "", nil
		}
		return "", plain(name)
	case tar.TypeLink, tar.TypeSymlink:
		return "", refuse("%.64q is a link", name)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return "", refuse("%.64q is a device", name)
	}
	return "", refuse("%.64q has the type %q", name, h.Typeflag)
}

// plain refuses a name that is not harmless.
func plain(name string) error {
	odd := !utf8.ValidString(name) || len(name) > 255 ||
		strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\\' })
	for part := range strings.SplitSeq(name, "/") { // also finds absolute and empty names
		odd = odd || part == "" || part == "." || part == ".."
	}
	if odd {
		return refuse("odd name %.64q", name)
	}
	return nil
}

// isHidden says whether a file is none that people put into an archive: its name or a folder's begins with a dot, or with
// what macOS adds.
func isHidden(name string) bool {
	return slices.ContainsFunc(strings.Split(name, "/"), func(part string) bool {
		return strings.HasPrefix(part, ".") || part == "__MACOSX"
	})
}

// tail reads what follows the archive's end: padding.
func (l Limits) tail(in io.Reader) error {
	buf := make([]byte, 16<<10)
	for {
		n, err := in.Read(buf)
		for _, c := range buf[:n] {
			if c != 0 && l.Strict {
				return refuse("there is something after the end of the tar archive")
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return Damaged("end", err)
		}
	}
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

func tooLarge(format string, args ...any) error {
	return fmt.Errorf("%w: %w: %s", ErrInvalid, ErrLimit, fmt.Sprintf(format, args...))
}

// Damaged describes a failure to decode an archive, or what is in it.
func Damaged(what string, err error) error {
	switch {
	case errors.Is(err, ErrInvalid):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return refuse("%s: damaged: the archive is cut short", what)
	}
	return refuse("%s: damaged: %v", what, err)
}

// Bound returns a reader that fails when more than left bytes are read: what a zip bomb comes to, whatever its headers say.
func Bound(r io.Reader, left int64) io.Reader { return &bounded{r, left} }

type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// At the bound exactly, the end may follow.
		if n, err := b.r.Read(make([]byte, 1)); n == 0 {
			return 0, err
		}
		return 0, tooLarge("it unpacks to more than is allowed")
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
