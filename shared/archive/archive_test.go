package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/must"
)

type entry struct {
	kind          byte
	name, content string
}

func tarOf(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := tar.Header{Typeflag: e.kind, Name: e.name, Size: int64(len(e.content)), Mode: 0o600}
		if e.kind == tar.TypeSymlink {
			h.Linkname = "/etc/passwd"
		}
		must.OK(t, w.WriteHeader(&h))
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	must.OK(t, w.Close())
	return out.Bytes()
}

// TestWalk reads what is harmless, strictly and not, and what is not harmless only one way.
func TestWalk(t *testing.T) {
	file := func(name, content string) entry { return entry{tar.TypeReg, name, content} }
	harmless := []entry{{tar.TypeDir, "./", ""}, file("./a", "1"), {tar.TypeDir, "code/", ""}, file("code/b", "22")}
	behind := append(tarOf(t, harmless...), "more"...)
	for name, c := range map[string]struct {
		data            []byte
		entries         int
		bytes           int64
		strict, lenient string // what is read, or what an error says
	}{
		"harmless":       {tarOf(t, harmless...), 4, 3, "a=1 code/b=22", "a=1 code/b=22"},
		"hidden":         {tarOf(t, file(".x", ""), file("__MACOSX/a", "y"), file("b", "z")), 9, 9, ".x= __MACOSX/a=y b=z", "b=z"},
		"hidden twice":   {tarOf(t, file(".x", ""), file("./.x", "")), 9, 9, "error: twice", ""},
		"twice":          {tarOf(t, file("a", ""), file("./a", "")), 9, 9, "error: twice", "error: twice"},
		"a link":         {tarOf(t, entry{tar.TypeSymlink, "a", ""}, file("b", "z")), 9, 9, "error: link", "b=z"},
		"outside":        {tarOf(t, file("../a", "x"), file("b", "z")), 9, 9, "error: odd name", "b=z"}, // .. is hidden
		"behind the end": {behind, 9, 9, "error: after the end", "a=1 code/b=22"},
		"one entry more": {tarOf(t, harmless...), 3, 9, "error: more than 3 members", "error: more than 3 members"},
		"one byte more":  {tarOf(t, harmless...), 9, 2, "error: more than 2 bytes", "error: more than 2 bytes"},
		"cut short":      {tarOf(t, harmless...)[:600], 9, 9, "error: damaged", "error: damaged"},
	} {
		for _, strict := range []bool{true, false} {
			want := map[bool]string{true: c.strict, false: c.lenient}[strict]
			var got []string
			err := Walk(bytes.NewReader(c.data), Limits{Entries: c.entries, Bytes: c.bytes, Strict: strict}, func(m Member) error {
				content, err := io.ReadAll(m)
				got = append(got, m.Name+"="+string(content))
				return err
			})
			if says, fails := strings.CutPrefix(want, "error: "); fails {
				if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), says) {
					t.Errorf("%s, strict %v: %v, want %s", name, strict, err, says)
				}
			} else if err != nil || strings.Join(got, " ") != want {
				t.Errorf("%s, strict %v: %q, %v, want %q", name, strict, got, err, want)
			}
		}
	}
}

// A visit that fails ends the walk with its own error.
func TestVisitFails(t *testing.T) {
	data, own := tarOf(t, entry{tar.TypeReg, "a", ""}, entry{tar.TypeReg, "b", ""}), errors.New("own")
	visits := 0
	if err := Walk(bytes.NewReader(data), Limits{Entries: 9}, func(Member) error { visits++; return own }); !errors.Is(err, own) || errors.Is(err, ErrInvalid) || visits != 1 {
		t.Errorf("%d visits, %v", visits, err)
	}
}

func TestBound(t *testing.T) {
	for n := range 5 {
		got, err := io.ReadAll(Bound(strings.NewReader("abc"), int64(n)))
		if fits := n >= 3; fits != (err == nil) || !fits && !errors.Is(err, ErrLimit) || !slices.Equal(got, []byte("abc")[:min(n, 3)]) {
			t.Errorf("%d bytes: %q, %v", n, got, err)
		}
	}
}
