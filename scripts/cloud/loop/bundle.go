package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// sourceFile is the key, below the loop's prefix, of what SageMaker runs.
const sourceFile = "sourcedir.tar.gz"

// sources packs the training's scripts, as SageMaker's script mode wants them. Equal files give equal bytes.
func sources(root string) ([]byte, error) {
	files, err := filepath.Glob(filepath.Join(root, "scripts", "train", "*.py"))
	if err != nil {
		return nil, err
	}
	contents := make(map[string][]byte, len(files))
	for _, file := range files {
		if contents[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	return pack(contents)
}

// pack returns a tar.gz.
func pack(files map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	zip := gzip.NewWriter(&b)
	members := tar.NewWriter(zip)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(files[name])), Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if err := members.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := members.Write(files[name]); err != nil {
			return nil, err
		}
	}
	if err := members.Close(); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
