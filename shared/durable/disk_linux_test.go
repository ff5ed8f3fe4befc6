package durable

import (
	"path/filepath"
	"testing"
)

func TestFreeSpace(t *testing.T) {
	dir := t.TempDir()
	if free, err := FreeSpace(dir); err != nil || free <= 0 {
		t.Errorf("%d, %v", free, err)
	}
	if _, err := FreeSpace(filepath.Join(dir, "none")); err == nil {
		t.Error("a folder that is not there has space")
	}
}
