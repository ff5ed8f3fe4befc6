package manager

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Errors of load.
var (
	// errNewerFormat means that a newer version wrote the file: it is left alone.
	errNewerFormat = errors.New("written by a newer version")
	// errSpoilt means that the file is none of any version.
	errSpoilt = errors.New("spoilt")
)

// load reads a JSON file that has a format number. The number is read first: a newer format may have another shape.
func load(path string, format int, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var head struct {
		Format int `json:"format"`
	}
	err = json.Unmarshal(data, &head)
	switch {
	case err == nil && head.Format > format:
		return fmt.Errorf("%s has format %d: %w", filepath.Base(path), head.Format, errNewerFormat)
	case err == nil && head.Format < 1:
		return fmt.Errorf("%w: it has no format", errSpoilt)
	case err == nil:
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errSpoilt, err)
	}
	return nil
}

// setAside renames a spoilt file, which is never deleted, and returns its new path.
func setAside(path, suffix string) (string, error) {
	aside := path + ".spoilt-" + suffix
	if err := os.Rename(path, aside); err != nil {
		return "", fmt.Errorf("set spoilt file aside: %w", err)
	}
	return aside, nil
}
