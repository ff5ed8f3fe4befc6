package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"edgepdm/shared/durable"
)

// sumsFile has the SHA-256 of every other file in the tree, in the form that `sha256sum -c` reads.
const sumsFile = "SHA256SUMS"

func writeSums(root string) error {
	var text strings.Builder
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil || name == sumsFile {
			return err
		}
		sum, err := sha256File(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", sum, filepath.ToSlash(name))
		return nil
	})
	if err == nil {
		err = durable.WriteFileAtomic(filepath.Join(root, sumsFile), []byte(text.String()), 0o644) // whatever the umask is
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", sumsFile, err)
	}
	return nil
}

func sha256File(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return hash.Sum(nil), nil
}
