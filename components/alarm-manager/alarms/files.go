package alarms

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"edgepdm/shared/durable"
)

// errNewerFormat means that a newer version wrote the file: it is left alone.
var errNewerFormat = errors.New("written by a newer version")

// maxFile bounds what is read of a file: 10,000 alerts as large as messages may be, and as much of what came after them.
const maxFile = 1 << 28

// damage is what is told of a file that was damaged, for a day.
type damage struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

const damageTold = 24 * time.Hour

// told returns what is to be told of it now.
func (d *damage) told(now time.Time) error {
	if d == nil || now.Sub(d.At).Abs() > damageTold {
		return nil
	}
	return errors.New(d.Text)
}

// load reads a JSON file that has a format number. The number is read first: a newer format may have another shape. A file
// that is none of any version is durable.ErrDamaged.
func load(path string, format int, into any) (data []byte, err error) {
	if data, err = readBounded(path); err != nil {
		return nil, err
	}
	body, _, err := durable.Open(data)
	if err != nil {
		return nil, err
	}
	var head struct {
		Format int `json:"format"`
	}
	err = json.Unmarshal(body, &head)
	switch {
	case err == nil && head.Format > format:
		return nil, fmt.Errorf("%s has format %d: %w", filepath.Base(path), head.Format, errNewerFormat)
	case err == nil && head.Format < 1:
		return nil, fmt.Errorf("%w: it has no format", durable.ErrDamaged)
	case err == nil:
		err = durable.Unmarshal(data, into)
	}
	if err != nil && !errors.Is(err, durable.ErrDamaged) {
		err = fmt.Errorf("%w: %w", durable.ErrDamaged, err)
	}
	return data, err
}

// asideName is the name that a damaged file gets. It is never deleted.
func asideName(path, id string) string { return path + ".damaged-" + id }

// setAside renames a damaged file, and returns its new path.
func setAside(path, id string) (string, error) {
	aside := asideName(path, id)
	if err := os.Rename(path, aside); err != nil {
		return "", fmt.Errorf("set the damaged file aside: %w", err)
	}
	return aside, nil
}

// readBounded reads a file of at most maxFile bytes.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", filepath.Base(path), maxFile)
	}
	return data, err
}
