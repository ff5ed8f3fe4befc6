package download_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/test/must"
)

// A download whose state, or whose bytes, have a flipped bit ends with the right bytes.
func TestADownloadWithAFlippedBit(t *testing.T) {
	content := noise(t, 3, 4000)
	path := filepath.Join(t.TempDir(), "f")
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 500 {
		s := &store{versions: [][]byte{content}}
		d := download.Downloader{Source: s}
		s.cut = func(start int64) int64 {
			if start > 0 {
				return 0
			}
			return 1000
		}
		if _, err := d.Fetch(t.Context(), want(content), path); err == nil {
			t.Fatal("it was not interrupted")
		}
		name := []string{path, download.StatePath(path)}[i%2]
		data, err := os.ReadFile(name)
		must.OK(t, err)
		bit := random.IntN(len(data) * 8)
		data[bit/8] ^= 1 << (bit % 8)
		must.OK(t, os.WriteFile(name, data, 0o600))
		s.cut = nil
		if _, err := d.Fetch(t.Context(), want(content), path); err != nil {
			t.Fatalf("bit %d of %s: %v", bit, filepath.Base(name), err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("bit %d of %s: other bytes, %v", bit, filepath.Base(name), err)
		}
	}
}
