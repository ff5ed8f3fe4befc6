package window

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"edgepdm/shared/durable"
	"edgepdm/test/must"
)

var fileSpec = Spec{Sensors: []string{"a", "b"}, Inputs: []Input{
	{Sensor: "a", Stat: Mean, Rows: 3}, {Sensor: "b", Stat: Slope, Time: "40s"}, {Sensor: "a", Stat: Last},
}}

// saved returns the file of a few things, and what the next row of each gives.
func saved(t testing.TB) (path string, w *Windows) {
	t.Helper()
	w, err := New(fileSpec, 1<<20)
	must.OK(t, err)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 60 {
		thing := fmt.Sprint("t", i%3)
		w.Add(nil, thing, Row{"e", uint64(i + 1), at(float64(i)), []float32{random.Float32(), random.Float32()}})
	}
	path = filepath.Join(t.TempDir(), "windows")
	must.OK(t, w.Save(path))
	return path, w
}

func next(w *Windows, thing string) []float32 {
	features, _ := w.Add(nil, thing, Row{"e", 61, at(60), []float32{1, 2}})
	return features
}

func TestSaveLoad(t *testing.T) {
	path, w := saved(t)
	again, err := New(fileSpec, 1<<20)
	must.OK(t, err)
	if damage, err := again.Load(path); damage != nil || err != nil {
		t.Fatal(damage, err)
	}
	if again.Stats() != w.Stats() {
		t.Errorf("%+v, want %+v", again.Stats(), w.Stats())
	}
	for i := range 3 {
		thing := fmt.Sprint("t", i)
		if got, want := next(again, thing), next(w, thing); !same(got, want) {
			t.Errorf("%s: %v, want %v", thing, got, want)
		}
	}
}

// Where no row has come since, the disk is spared.
func TestSaveOnlyWhatChanged(t *testing.T) {
	path, w := saved(t)
	must.OK(t, os.Remove(path))
	must.OK(t, w.Save(path))
	if _, err := os.Stat(path); err == nil {
		t.Error("the same rings are written again")
	}
	next(w, "t0")
	must.OK(t, w.Save(path))
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// Rings of another spec, of a newer format and of no file at all are none, and no damage.
func TestLoadOfAnother(t *testing.T) {
	path, _ := saved(t)
	data := must.Read(t, path)
	newer := bytes.Clone(data)
	newer[len(fileMagic)] = 2
	binary.LittleEndian.PutUint32(newer[headSize:], crc32.Checksum(newer[:headSize], castagnoli))
	other := fileSpec
	other.MaxGap = "1h"
	dir := t.TempDir()
	must.OK(t, os.WriteFile(filepath.Join(dir, "newer"), newer, 0o600))
	for name, c := range map[string]struct {
		spec Spec
		path string
	}{"no file": {fileSpec, filepath.Join(dir, "none")}, "newer": {fileSpec, filepath.Join(dir, "newer")}, "another spec": {other, path}} {
		w, err := New(c.spec, 1<<20)
		must.OK(t, err)
		if damage, err := w.Load(c.path); damage != nil || err != nil || w.Stats() != (Stats{}) {
			t.Errorf("%s: %v, %v, %+v", name, damage, err, w.Stats())
		}
	}
}

// Each byte that changes, and each length, is noticed; the file is set aside, and the things before the damage are kept.
func TestLoadDamaged(t *testing.T) {
	path, whole := saved(t)
	data := must.Read(t, path)
	load := func(data []byte) (*Windows, error) {
		w, err := New(fileSpec, 1<<20)
		must.OK(t, err)
		return w, w.read(bytes.NewReader(data))
	}
	most := 0
	for i := range data {
		flipped := bytes.Clone(data)
		flipped[i] ^= 0x10
		for _, bad := range [][]byte{flipped, data[:i]} {
			w, err := load(bad)
			if !errors.Is(err, durable.ErrDamaged) || w.Stats().Bytes > whole.Stats().Bytes {
				t.Fatalf("byte %d: %v, %+v", i, err, w.Stats())
			}
			most = max(most, w.Stats().Things)
		}
	}
	if _, err := load(append(bytes.Clone(data), 0)); !errors.Is(err, durable.ErrDamaged) {
		t.Error("a byte behind the end:", err)
	}
	if most != 3 {
		t.Errorf("at most %d things are kept", most)
	}
	must.OK(t, os.WriteFile(path, data[:len(data)-1], 0o600))
	w, err := New(fileSpec, 1<<20)
	must.OK(t, err)
	damage, err := w.Load(path)
	aside, _ := filepath.Glob(path + ".damaged-*")
	if !errors.Is(damage, durable.ErrDamaged) || err != nil || w.Stats().Things != 3 || len(aside) != 1 {
		t.Errorf("%v, %v, %+v, %v", damage, err, w.Stats(), aside)
	}
}

// With less memory than before, what has no room is left out and counted.
func TestLoadWithLessMemory(t *testing.T) {
	path, w := saved(t)
	less, err := New(fileSpec, w.Stats().Bytes-1)
	must.OK(t, err)
	if damage, err := less.Load(path); damage != nil || err != nil {
		t.Fatal(damage, err)
	}
	if s := less.Stats(); s.Things != 2 || s.Full != 1 {
		t.Errorf("%+v", s)
	}
}

// FuzzLoad gives the reader files whose checksums are right: what it takes can go on.
func FuzzLoad(f *testing.F) {
	path, _ := saved(f)
	data := must.Read(f, path)
	f.Add(data[headSize+4:])
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := New(fileSpec, 1<<16)
		must.OK(t, err)
		in := sealed(w.head())
		for rest := data; len(rest) >= 4; {
			n := min(int(binary.LittleEndian.Uint32(rest))+4, len(rest))
			if n == 4 {
				n = min(8, len(rest))
			}
			in = append(in, sealed(bytes.Clone(rest[:n]))...)
			rest = rest[min(n+4, len(rest)):]
		}
		if err := w.read(bytes.NewReader(in)); err != nil && !errors.Is(err, durable.ErrDamaged) {
			t.Error(err)
		}
		if s := w.Stats(); s.Bytes > 1<<16 {
			t.Errorf("%+v", s)
		}
		for thing := range w.rings {
			for i := range 100 {
				if got, _ := w.Add(nil, thing, Row{"f", uint64(i), at(float64(i)), []float32{1, 2}}); len(got) != 3 {
					t.Error(got)
				}
			}
		}
	})
}
