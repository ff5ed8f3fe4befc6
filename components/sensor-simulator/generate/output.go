package generate

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"edgepdm/shared/durable"
)

// toFile lets fill write the file at path, compressed if its name ends in .gz. A regular file appears under its name only
// when it is complete; what stood there before stays until then.
func toFile(path string, fill func(io.Writer) error) (err error) {
	target := path
	if info, statErr := os.Stat(path); statErr != nil || info.Mode().IsRegular() {
		target = path + ".part" // not so for a device or a pipe
	}
	f, err := os.OpenFile(filepath.Clean(target), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644) //nolint:gosec // a data set is for others to read
	if err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	defer func() {
		if err != nil && target != path {
			err = errors.Join(err, os.Remove(target))
		}
	}()
	err = compress(f, strings.HasSuffix(path, ".gz"), fill)
	if target == path {
		return errors.Join(err, f.Close())
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := durable.Rename(target, path); err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	return nil
}

func compress(w io.Writer, zip bool, fill func(io.Writer) error) error {
	if !zip {
		return fill(w)
	}
	z := gzip.NewWriter(w) // without name and time in its header: equal rows give equal bytes
	return errors.Join(fill(z), z.Close())
}
