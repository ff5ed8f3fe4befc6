package gbdt

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// What loading takes is known before anything is parsed, also of what packs well.
func TestFootprint(t *testing.T) {
	large := append([]byte("{"), bytes.Repeat([]byte(" "), 1<<20)...)
	large = append(large, tiny[1:]...)
	n := int64(len(large))
	for name, c := range map[string]struct {
		data []byte
		want func(size int64) int64
	}{
		"json":     {large, func(int64) int64 { return 2 * n }},
		"gzip":     {zipped(large), func(size int64) int64 { return size + 2*n }},
		"tar":      {tarOf(large, "xgboost-model"), func(size int64) int64 { return size + 2*n }},
		"tar.gz":   {zipped(tarOf(large, "xgboost-model")), func(size int64) int64 { return size + 2*n }},
		"nothing":  {nil, func(int64) int64 { return 0 }},
		"no model": {[]byte("PK\x03\x04"), func(int64) int64 { return 8 }},
	} {
		path := filepath.Join(t.TempDir(), "model")
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Footprint(path); err != nil || got != c.want(int64(len(c.data))) {
			t.Errorf("%s: %d, %v, want %d", name, got, err, c.want(int64(len(c.data))))
		}
	}
	if _, err := Footprint(t.TempDir()); err == nil {
		t.Error("a folder is taken")
	}
}
