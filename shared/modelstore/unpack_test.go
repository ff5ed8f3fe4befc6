package modelstore

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"edgepdm/shared/archive"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/disk"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
)

func special(kind byte, name, link string) modeltest.Entry {
	return modeltest.Entry{Header: tar.Header{Typeflag: kind, Name: name, Linkname: link, Mode: 0o644}}
}

func entries(n int) []modeltest.Entry {
	list := make([]modeltest.Entry, n)
	for i := range list {
		list[i] = modeltest.File(fmt.Sprintf("f%d", i), "x")
	}
	return list
}

// gnuSparse is an old GNU sparse file: 512 bytes that stand for a gigabyte.
func gnuSparse(t testing.TB) []byte {
	t.Helper()
	data := modeltest.TarOf(t, modeltest.File("model.ubj", strings.Repeat("x", 512)))
	header := data[:512]
	header[156] = tar.TypeGNUSparse
	copy(header[257:], "ustar  \x00")
	copy(header[386:], "00000000000\x0000000001000\x00") // offset and length of the one piece
	copy(header[483:], "10000000000\x00")                // real size: 1 GiB
	copy(header[148:], "        ")
	sum := 0
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	return data
}

// unpackAll unpacks every file.
func unpackAll(r io.Reader, dir string, limits archive.Limits) ([]envelope.ModelFile, error) {
	return unpack(disk.Disk{}, r, dir, limits, func(string) bool { return true })
}

func TestUnpack(t *testing.T) {
	big := strings.Repeat("\x00", 1<<20)
	plain := modeltest.TarOf(t, modeltest.File("model.ubj", "model"))
	tests := []struct {
		name    string
		archive []byte
		limits  archive.Limits
		keep    func(string) bool
		want    []string // files
		kind    error
		says    string
	}{
		{name: "one file", archive: modeltest.ArchiveOf(t, modeltest.File("model.ubj", "model")), want: []string{"model.ubj"}},
		{name: "empty file", archive: modeltest.ArchiveOf(t, modeltest.File("model.ubj", "")), want: []string{"model.ubj"}},
		{name: "as tar -C dir . writes it", archive: modeltest.ArchiveOf(t, special(tar.TypeDir, "./", ""), modeltest.File("./model.ubj", "x")), want: []string{"model.ubj"}},
		{
			name: "folders, dots and files in folders are skipped",
			archive: modeltest.ArchiveOf(t, special(tar.TypeDir, "code/", ""), modeltest.File("code/inference.py", "x"), modeltest.File(".DS_Store", "x"), modeltest.File("._model.ubj", "x"),
				modeltest.File("model.ubj", "x"), modeltest.File("report.md", "x")),
			want: []string{"model.ubj", "report.md"},
		},
		{name: "global header", archive: modeltest.ArchiveOf(t, modeltest.Entry{Header: tar.Header{
			Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "5f3a"},
		}}, modeltest.File("m", "x")), want: []string{"m"}},
		{name: "extended header", archive: modeltest.ArchiveOf(t, modeltest.Entry{Header: tar.Header{
			Typeflag: tar.TypeReg, Name: "m", Size: 1, PAXRecords: map[string]string{"VENDOR.note": "x"}, Format: tar.FormatPAX,
		}, Content: "x"}), want: []string{"m"}},
		{name: "64 members", archive: modeltest.ArchiveOf(t, entries(64)...), want: names(entries(64))},
		{name: "nothing", archive: modeltest.ArchiveOf(t)},
		{name: "only what is kept", archive: modeltest.ArchiveOf(t, modeltest.File("a", "x"), modeltest.File("b", "x")), want: []string{"b"}, keep: func(name string) bool { return name == "b" }},

		{name: "65 entries", archive: modeltest.ArchiveOf(t, entries(65)...), kind: archive.ErrLimit, says: "64 members"},
		{name: "65 folders", archive: modeltest.ArchiveOf(t, slices.Repeat([]modeltest.Entry{special(tar.TypeDir, "d/", "")}, 65)...), kind: archive.ErrLimit, says: "64 members"},
		{name: "too many bytes", archive: modeltest.ArchiveOf(t, modeltest.File("a", "123"), modeltest.File("b", "45")), limits: archive.Limits{Strict: true, Entries: 2, Bytes: 4}, kind: archive.ErrLimit, says: "4 bytes"},
		{name: "too many bytes that are skipped", archive: modeltest.ArchiveOf(t, modeltest.File(".a", "12345")), limits: archive.Limits{Strict: true, Entries: 2, Bytes: 4}, kind: archive.ErrLimit, says: "4 bytes"},
		{name: "sparse file", archive: modeltest.Zip(t, gnuSparse(t)), kind: archive.ErrInvalid, says: "type"},
		{name: "declared bomb", archive: modeltest.ArchiveOf(t, modeltest.File("a", big)), limits: archive.Limits{Strict: true, Entries: 2, Bytes: 1000}, kind: archive.ErrLimit, says: "1000 bytes"},
		{name: "bomb behind the end", archive: modeltest.Zip(t, append(bytes.Clone(plain), make([]byte, 1<<20)...)), limits: archive.Limits{Strict: true, Entries: 1, Bytes: 1000}, kind: archive.ErrLimit, says: "unpacks to"},
		{name: "bomb of headers", archive: modeltest.ArchiveOf(t, modeltest.Entry{Header: tar.Header{
			Typeflag: tar.TypeReg, Name: "a", PAXRecords: map[string]string{"VENDOR.x": strings.Repeat("x", 900<<10)}, Format: tar.FormatPAX,
		}}), limits: archive.Limits{Strict: true, Entries: 2, Bytes: 1000}, kind: archive.ErrLimit, says: "unpacks to"},

		{name: "parent", archive: modeltest.ArchiveOf(t, modeltest.File("../model.ubj", "x")), kind: archive.ErrInvalid, says: "odd name"},
		{name: "parent inside", archive: modeltest.ArchiveOf(t, modeltest.File("a/../../b", "x")), kind: archive.ErrInvalid, says: "odd name"},
		{name: "parent behind a dot", archive: modeltest.ArchiveOf(t, modeltest.File("./../b", "x")), kind: archive.ErrInvalid, says: "odd name"},
		{name: "parent folder", archive: modeltest.ArchiveOf(t, special(tar.TypeDir, "../", "")), kind: archive.ErrInvalid, says: "odd name"},
		{name: "absolute", archive: modeltest.ArchiveOf(t, modeltest.File("/etc/passwd", "x")), kind: archive.ErrInvalid, says: "odd name"},
		{name: "absolute behind a dot", archive: modeltest.ArchiveOf(t, modeltest.File(".//etc/passwd", "x")), kind: archive.ErrInvalid, says: "odd name"},
		{name: "backslash", archive: modeltest.ArchiveOf(t, modeltest.File(`..\model.ubj`, "x")), kind: archive.ErrInvalid, says: "odd name"},
		{name: "line feed", archive: modeltest.ArchiveOf(t, modeltest.File("a\nb", "x")), kind: archive.ErrInvalid, says: "odd name"},
		{name: "not UTF-8", archive: modeltest.Zip(t, changed(t, plain, 3, 0xff)), kind: archive.ErrInvalid, says: "odd name"},
		{name: "long name", archive: modeltest.ArchiveOf(t, modeltest.File(strings.Repeat("n", 256), "x")), kind: archive.ErrInvalid, says: "odd name"},
		{name: "symbolic link", archive: modeltest.ArchiveOf(t, special(tar.TypeSymlink, "model.ubj", "/etc/passwd")), kind: archive.ErrInvalid, says: "link"},
		{name: "hard link", archive: modeltest.ArchiveOf(t, special(tar.TypeLink, "model.ubj", "a")), kind: archive.ErrInvalid, says: "link"},
		{name: "character device", archive: modeltest.ArchiveOf(t, special(tar.TypeChar, "model.ubj", "")), kind: archive.ErrInvalid, says: "device"},
		{name: "block device", archive: modeltest.ArchiveOf(t, special(tar.TypeBlock, "model.ubj", "")), kind: archive.ErrInvalid, says: "device"},
		{name: "pipe", archive: modeltest.ArchiveOf(t, special(tar.TypeFifo, "model.ubj", "")), kind: archive.ErrInvalid, says: "device"},
		{name: "unknown type", archive: modeltest.Zip(t, changed(t, plain, 156, 'S')), kind: archive.ErrInvalid, says: ""},
		{name: "twice", archive: modeltest.ArchiveOf(t, modeltest.File("a", "x"), modeltest.File("a", "y")), kind: archive.ErrInvalid, says: "twice"},
		{name: "twice, spelt differently", archive: modeltest.ArchiveOf(t, modeltest.File("a", "x"), modeltest.File("./a", "y")), kind: archive.ErrInvalid, says: "twice"},
		{name: "twice, skipped", archive: modeltest.ArchiveOf(t, modeltest.File(".a", "x"), modeltest.File(".a", "y")), kind: archive.ErrInvalid, says: "twice"},
		{name: "record of the store", archive: modeltest.ArchiveOf(t, modeltest.File(envelope.RecordFile, "x")), kind: archive.ErrInvalid, says: envelope.RecordFile},

		{name: "empty input", archive: nil, kind: archive.ErrInvalid, says: "gzip"},
		{name: "not gzip", archive: plain, kind: archive.ErrInvalid, says: "gzip"},
		{name: "not tar", archive: modeltest.Zip(t, bytes.Repeat([]byte("x"), 2048)), kind: archive.ErrInvalid, says: "tar"},
		{name: "garbage behind gzip", archive: append(modeltest.Zip(t, plain), 'x'), kind: archive.ErrInvalid, says: "after the end of the gzip"},
		{name: "second gzip stream", archive: append(modeltest.Zip(t, plain), modeltest.Zip(t, plain)...), kind: archive.ErrInvalid, says: "after the end of the gzip"},
		{name: "garbage behind tar", archive: modeltest.Zip(t, append(bytes.Clone(plain), "garbage"...)), kind: archive.ErrInvalid, says: "after the end of the tar"},
		{name: "wrong gzip checksum", archive: func() []byte {
			data := modeltest.Zip(t, plain)
			data[len(data)-5] ^= 1
			return data
		}(), kind: archive.ErrInvalid, says: "gzip"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "to")
			must.OK(t, os.Mkdir(dir, 0o700))
			limits := test.limits
			if limits.Entries == 0 {
				limits = archiveLimits()
			}
			keep := test.keep
			if keep == nil {
				keep = func(string) bool { return true }
			}
			files, err := unpack(disk.Disk{}, bytes.NewReader(test.archive), dir, limits, keep)
			if outside, _ := os.ReadDir(filepath.Dir(dir)); len(outside) != 1 {
				t.Fatalf("files outside of the folder: %v", outside)
			}
			if test.kind != nil {
				modeltest.Wants(t, err, test.kind, test.says)
				modeltest.Wants(t, err, archive.ErrInvalid, "")
				return
			}
			must.OK(t, err)
			checkFiles(t, dir, files, test.want)
		})
	}
}

func names(list []modeltest.Entry) []string {
	var out []string
	for _, e := range list {
		out = append(out, e.Name)
	}
	return out
}

// changed changes a byte of the first header and corrects its checksum.
func changed(t testing.TB, data []byte, at int, to byte) []byte {
	t.Helper()
	data = bytes.Clone(data)
	data[at] = to
	copy(data[148:], "        ")
	sum := 0
	for _, c := range data[:512] {
		sum += int(c)
	}
	copy(data[148:], fmt.Sprintf("%06o\x00 ", sum))
	return data
}

// checkFiles checks that a folder has the files that were reported, and only these.
func checkFiles(t testing.TB, dir string, files []envelope.ModelFile, want []string) {
	t.Helper()
	var got []string
	for _, f := range files {
		got = append(got, f.File)
		path := filepath.Join(dir, f.File)
		data := must.Read(t, path)
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.File, info.Mode(), err)
		}
		if envelope.HashOf(data) != f.SHA256 || int64(len(data)) != f.Size {
			t.Errorf("%s is not what was reported", f.File)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	if in, err := os.ReadDir(dir); err != nil || len(in) != len(want) {
		t.Errorf("the folder has %v, %v", in, err)
	}
}

// TestUnpackCut cuts an archive at each byte: no cut may pass for the whole.
func TestUnpackCut(t *testing.T) {
	data := modeltest.ArchiveOf(t, modeltest.File("model.ubj", "the model"), modeltest.File("b", "x"))
	for n := range data {
		_, err := unpackAll(bytes.NewReader(data[:n]), t.TempDir(), archiveLimits())
		modeltest.Wants(t, err, archive.ErrInvalid, "")
	}
}

// TestUnpackBomb reads a gigabyte of zeros that takes a megabyte, in a member whose size is true, and behind the archive.
func TestUnpackBomb(t *testing.T) {
	bomb := func(write func(w *tar.Writer) error, tail int64) io.Reader {
		r, w := io.Pipe()
		go func() {
			z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
			members := tar.NewWriter(z)
			err := write(members)
			if err == nil {
				err = members.Close()
			}
			if err == nil {
				_, err = io.CopyN(z, zeros{}, tail)
			}
			w.CloseWithError(errors.Join(err, z.Close()))
		}()
		t.Cleanup(func() { _ = r.Close() })
		return r
	}
	member := func(w *tar.Writer) error {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: 1 << 30}); err != nil {
			return err
		}
		_, err := io.CopyN(w, zeros{}, 1<<30)
		return err
	}
	dir := t.TempDir()
	_, err := unpackAll(bomb(member, 0), dir, archiveLimits())
	modeltest.Wants(t, err, archive.ErrLimit, "more than")
	_, err = unpackAll(bomb(func(*tar.Writer) error { return nil }, 1<<30), dir, archive.Limits{Strict: true, Entries: 64, Bytes: 1 << 20})
	modeltest.Wants(t, err, archive.ErrLimit, "unpacks to")
	if in, _ := os.ReadDir(dir); len(in) != 0 {
		t.Errorf("the folder has %v", in)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestUnpackDisk tells failures of the disk and of the source from those of the archive.
func TestUnpackDisk(t *testing.T) {
	data := modeltest.ArchiveOf(t, modeltest.File("model.ubj", "the model"))
	full := disk.Disk{Before: func(op disk.Op, _, _ string) error {
		if op == disk.OpWrite {
			return syscall.ENOSPC
		}
		return nil
	}}
	_, err := unpack(full, bytes.NewReader(data), t.TempDir(), archiveLimits(), keepModel)
	modeltest.Wants(t, err, syscall.ENOSPC, "")
	if errors.Is(err, archive.ErrInvalid) {
		t.Error("a full disk is the archive's fault")
	}
	_, err = unpackAll(io.MultiReader(bytes.NewReader(data[:40]), iotest.ErrReader(syscall.EIO)), t.TempDir(), archiveLimits())
	modeltest.Wants(t, err, syscall.EIO, "")
	if errors.Is(err, archive.ErrInvalid) {
		t.Error("a read error is the archive's fault")
	}
	dir := t.TempDir()
	modeltest.Write(t, dir, "model.ubj", []byte("mine"))
	if _, err := unpackAll(bytes.NewReader(data), dir, archiveLimits()); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file that is there: %v", err)
	}
	link := t.TempDir()
	must.OK(t, os.Symlink(filepath.Join(dir, "new"), filepath.Join(link, "model.ubj")))
	if _, err := unpackAll(bytes.NewReader(data), link, archiveLimits()); !errors.Is(err, os.ErrExist) {
		t.Errorf("a link that is there: %v", err)
	}
}

func TestChooseModel(t *testing.T) {
	tests := []struct{ files, want, says string }{
		{"xgboost-model", "xgboost-model", ""},
		{"xgboost-model metadata.json model.ubj", "xgboost-model", ""},
		{"model.ubj", "model.ubj", ""},
		{"my.json", "my.json", ""},
		{"model.ubj metadata.json", "", "2 files could be the model"},
		{"xgboost-model-0 xgboost-model-1 xgboost-model-2", "", "a k-fold training"},
		{"", "", "no file in it is the model"},
	}
	for _, test := range tests {
		var files []envelope.ModelFile
		for _, name := range strings.Fields(test.files) {
			if !keepModel(name) {
				t.Errorf("%s is not unpacked", name)
			}
			files = append(files, envelope.ModelFile{File: name})
		}
		got, err := chooseModel(files)
		if test.says == errFolds.Error() {
			modeltest.Wants(t, err, errFolds, "")
		} else if test.says != "" {
			modeltest.Wants(t, err, archive.ErrInvalid, test.says)
		} else if err != nil || got.File != test.want {
			t.Errorf("%s: %s, %v", test.files, got.File, err)
		}
	}
}

// FuzzUnpack gives Unpack archives, and tar archives compressed: nothing may come to lie outside of the folder, and what is
// written must be plain files as reported, within the limits.
func FuzzUnpack(f *testing.F) {
	plain := modeltest.TarOf(f, special(tar.TypeDir, "./", ""), modeltest.File("./model.ubj", "model"), modeltest.File(".x", "y"), modeltest.File("code/a.py", "z"))
	f.Add(modeltest.Zip(f, plain), false)
	f.Add(plain, true)
	f.Add(modeltest.TarOf(f, modeltest.File("../model.ubj", "x")), true)
	f.Add(modeltest.TarOf(f, special(tar.TypeSymlink, "model.ubj", "/etc/passwd"), modeltest.File("model.ubj", "x")), true)
	f.Add(modeltest.TarOf(f, modeltest.File(strings.Repeat("long/", 60)+"name", "x")), true)
	f.Add(gnuSparse(f), true)
	f.Add(modeltest.TarOf(f, modeltest.Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: "m", Size: 1, PAXRecords: map[string]string{"VENDOR.x": "y"}}, Content: "x"}), true)
	limits := archive.Limits{Strict: true, Entries: 8, Bytes: 64 << 10}
	f.Fuzz(func(t *testing.T, data []byte, compress bool) {
		if compress {
			data = modeltest.Zip(t, data)
		}
		top := t.TempDir()
		dir := filepath.Join(top, "to")
		must.OK(t, os.Mkdir(dir, 0o700))
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
