package durable

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"edgepdm/shared/random"
)

// ErrNewerFormat says that a newer version wrote a document. Its file is left alone.
var ErrNewerFormat = errors.New("written by a newer version")

// defaultLimit bounds the file of a State that names no bound.
const defaultLimit = 1 << 20

// State is what a program keeps of itself in one file: a sealed document of the type T, whose member format numbers its
// shape. T has that member, and is saved with the number Format.
type State[T any] struct {
	Path   string
	Format int   // what this program writes; older ones are read too
	Limit  int64 // of the file in bytes; 1 MiB by default
	Bare   bool  // a file without a number, as a version before it wrote, counts as format 1
}

// Load reads the file. The error wraps fs.ErrNotExist, ErrNewerFormat or ErrDamaged, or is the disk's.
func (s State[T]) Load() (T, error) {
	var v, none T
	limit := s.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	data, err := ReadFile(s.Path, limit)
	if err == nil {
		err = decode(data, s.Format, s.Bare, &v)
	}
	if err != nil {
		return none, fmt.Errorf("read %s: %w", filepath.Base(s.Path), err)
	}
	return v, nil
}

// Open is Load for a program that begins. Without a file, and without an error, it returns no value. A damaged file is
// set aside, never deleted; damage says so.
func (s State[T]) Open() (v T, damage, err error) {
	v, err = s.Load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return v, nil, nil
	case !errors.Is(err, ErrDamaged):
		return v, nil, err
	}
	aside, asideErr := SetAside(s.Path)
	if asideErr != nil {
		return v, nil, asideErr
	}
	return v, fmt.Errorf("%s is kept as %s: %w", filepath.Base(s.Path), filepath.Base(aside), err), nil
}

// unsynced has the paths of files whose last writing failed. It may have failed after the file was replaced: that it has the same
// content does not say then that it survives a loss of power.
var unsynced sync.Map

// Save replaces the file, unless it has the same content.
func (s State[T]) Save(v T) error {
	data, err := Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s: %w", filepath.Base(s.Path), err)
	}
	if old, err := ReadFile(s.Path, int64(len(data))); err == nil && string(old) == string(data) {
		if _, failed := unsynced.Load(s.Path); !failed {
			return nil
		}
	}
	if err := WriteFileAtomic(s.Path, data, 0o600); err != nil {
		unsynced.Store(s.Path, true)
		return fmt.Errorf("keep %s: %w", filepath.Base(s.Path), err)
	}
	unsynced.Delete(s.Path)
	return nil
}

// Decode decodes a document whose member format is at most the given one. The error wraps ErrNewerFormat or ErrDamaged.
func Decode(data []byte, format int, into any) error { return decode(data, format, false, into) }

func decode(data []byte, format int, bare bool, into any) error {
	body, sealed, err := Open(data)
	if err != nil {
		return err
	}
	var header struct {
		Format int `json:"format"`
	}
	if bare {
		header.Format = 1
	}
	// A newer version seals what it writes, or has members that this one does not know: otherwise the number is damaged.
	headErr, err := json.Unmarshal(body, &header), Unmarshal(data, into)
	switch {
	case headErr == nil && header.Format > format && (sealed || err != nil):
		return fmt.Errorf("format %d: %w", header.Format, ErrNewerFormat)
	case errors.Is(err, ErrDamaged):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case header.Format < 1 || header.Format > format:
		return fmt.Errorf("%w: format %d", ErrDamaged, header.Format)
	}
	return nil
}

// ReadFile reads a file of at most limit bytes. A larger one is ErrDamaged: nobody wrote it.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%w: it has more than %d bytes", ErrDamaged, limit)
	}
	return data, err
}

// AsideName returns a name for the damaged file at path, beside it.
func AsideName(path string) string { return path + ".damaged-" + random.ID() }

// SetAside renames a damaged file, and returns its new path.
func SetAside(path string) (aside string, err error) {
	aside = AsideName(path)
	if err := Rename(path, aside); err != nil {
		return "", fmt.Errorf("set the damaged %s aside: %w", filepath.Base(path), err)
	}
	return aside, nil
}

// Damage is what is told of a damaged file, for a day. It may be kept in the document that takes its place.
type Damage struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

const (
	damageTold    = 24 * time.Hour
	maxDamageText = 300
)

// NewDamage notes it now. While the process runs, At keeps its monotonic reading: a core whose clock is set after the start
// tells of the damage for a day all the same.
func NewDamage(now time.Time, text string) *Damage {
	return &Damage{now, strings.ToValidUTF8(text[:min(len(text), maxDamageText)], "")}
}

// Told returns what is to be told of it now; nil for nothing.
func (d *Damage) Told(now time.Time) error {
	if d == nil || now.Sub(d.At).Abs() > damageTold {
		return nil
	}
	return errors.New(d.Text)
}
