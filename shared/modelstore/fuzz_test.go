package modelstore

import (
	"archive/tar"
	"bytes"
	"crypto/ed25519"
	"edgepdm/shared/archive"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzVerify gives Verify envelopes, and the payload of one signed: what it accepts must be valid and the same again.
func FuzzVerify(f *testing.F) {
	key := testKey(f, 1)
	trusted := []ed25519.PublicKey{publicOf(key)}
	payload, err := tiny(f).encode()
	if err != nil {
		f.Fatal(err)
	}
	good := sign(f, payload, key)
	f.Add(good, false)
	f.Add(sign(f, payload, testKey(f, 2), key), false)
	f.Add([]byte(`{"payloadType":"`+PayloadType+`","payload":"e30=","signatures":[{"sig":"AAAA"}]}`), false)
	f.Add(payload, true)
	f.Add([]byte(`{"format":1,"features":[],"golden":[{"values":[null],"margin":0}],"baseline":{}}`), true)
	f.Add([]byte(`{"format":9}`), true)
	f.Fuzz(func(t *testing.T, data []byte, signed bool) {
		if signed {
			data = sign(t, data, key)
		}
		m, err := Verify(data, trusted)
		if err != nil {
			for _, kind := range []error{ErrSignature, ErrUntrusted, ErrManifest, ErrFormat} {
				if errors.Is(err, kind) {
					return
				}
			}
			t.Fatalf("error of no kind: %v", err)
		}
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
		again, err := Sign(m, key)
		if err != nil && !strings.Contains(err.Error(), "bytes, more than") { // escapes can make it longer
			t.Fatal(err)
		}
		if err == nil {
			if _, err := Verify(again, trusted); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzUnpack gives Unpack archives, and tar archives compressed: nothing may come to lie outside of the folder, and what is
// written must be plain files as reported, within the limits.
func FuzzUnpack(f *testing.F) {
	plain := tarOf(f, special(tar.TypeDir, "./", ""), file("./model.ubj", "model"), file(".x", "y"), file("code/a.py", "z"))
	f.Add(zip(f, plain), false)
	f.Add(plain, true)
	f.Add(tarOf(f, file("../model.ubj", "x")), true)
	f.Add(tarOf(f, special(tar.TypeSymlink, "model.ubj", "/etc/passwd"), file("model.ubj", "x")), true)
	f.Add(tarOf(f, file(strings.Repeat("long/", 60)+"name", "x")), true)
	f.Add(gnuSparse(f), true)
	f.Add(tarOf(f, entry{tar.Header{Typeflag: tar.TypeReg, Name: "m", Size: 1, PAXRecords: map[string]string{"VENDOR.x": "y"}}, "x"}), true)
	limits := archive.Limits{Strict: true, Entries: 8, Bytes: 64 << 10}
	f.Fuzz(func(t *testing.T, data []byte, compress bool) {
		if compress {
			data = zip(t, data)
		}
		top := t.TempDir()
		dir := filepath.Join(top, "to")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		files, err := unpackAll(bytes.NewReader(data), dir, limits)
		if outside, _ := os.ReadDir(top); len(outside) != 1 {
			t.Fatalf("files outside of the folder: %v", outside)
		}
		in, readErr := os.ReadDir(dir)
		if readErr != nil {
			t.Fatal(readErr)
		}
		var total int64
		for _, e := range in {
			info, err := e.Info()
			if err != nil || !info.Mode().IsRegular() {
				t.Fatalf("%s is %v, %v", e.Name(), info.Mode(), err)
			}
			total += info.Size()
		}
		if total > limits.Bytes || len(in) > limits.Entries {
			t.Fatalf("%d files with %d bytes", len(in), total)
		}
		if err != nil {
			if !errors.Is(err, archive.ErrInvalid) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		var want []string
		for _, m := range files {
			want = append(want, m.File)
		}
		checkFiles(t, dir, files, want)
	})
}
