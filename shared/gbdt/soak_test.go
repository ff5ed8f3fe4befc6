package gbdt

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"edgepdm/test/must"
)

const (
	shortSoak = 3000
	// What Parse may allocate in all, garbage included, for a byte of the file: arrays grow by doubling, and JSON needs two
	// bytes for a number that takes four.
	maxBytesPerByte = 24
	allocationBase  = 128 << 10 // gzip alone takes a third of that
)

// TestMutated damages sound files of every format in a seeded way, and wants each to be read or refused with words, within
// a bound on memory; what is read is scored. `make soak` sets SOAK to the number of files, and wants each done in time, too.
func TestMutated(t *testing.T) {
	count, budget := shortSoak, time.Duration(0)
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err != nil {
			t.Fatalf("SOAK: %v", err)
		}
		budget = 10 * time.Second
	}
	seeds := soakSeeds(t)
	var total soakResult
	for i := range count {
		m := mutator{rand.New(rand.NewPCG(6, uint64(i)))}
		data := m.file(seeds)
		if err := total.add(t, data, budget); err != nil {
			t.Fatalf("file %d of the seed: %v", i, err)
		}
	}
	t.Logf("damaged files by kind: %v", total.kinds)
	t.Logf("%d files: %d read, %v; slowest %v, most memory %.1f bytes a byte",
		count, total.read, total.refused, total.slowest.Round(time.Millisecond), total.memory)
	if total.read == 0 || len(total.refused) < 3 {
		t.Error("the mutations do not reach far")
	}
}

// soakResult sums up what became of the files.
type soakResult struct {
	kinds   map[string]int // of the files, as far as their first bytes tell
	read    int
	refused map[string]int // by kind of refusal
	slowest time.Duration
	memory  float64 // bytes allocated for a byte of the file, at most
}

var refusalKinds = []error{ErrFormat, ErrInvalid, ErrUnsupported, ErrLimit}

// add reads a file, and fails if that went wrong in a way that no file may cause.
func (r *soakResult) add(t *testing.T, data []byte, budget time.Duration) error {
	start, before := time.Now(), allocated()
	m, err := Parse(data)
	took, used := time.Since(start), allocated()-before
	if r.refused == nil {
		r.refused, r.kinds = make(map[string]int), make(map[string]int)
	}
	size := len(data)
	kind, _ := sniff(data) // empty for what is none
	r.kinds[kind]++
	if kind == kindGzip {
		size = unpackedSize(data) // bounded by TestArchiveBomb
	}
	r.slowest = max(r.slowest, took)
	r.memory = max(r.memory, (float64(used)-allocationBase)/float64(max(1, size)))
	switch {
	case used > allocationBase+maxBytesPerByte*uint64(size):
		return fmt.Errorf("%d bytes were allocated for a file of %d", used, size)
	case budget > 0 && took > budget:
		return fmt.Errorf("it took %v", took)
	case (m == nil) == (err == nil):
		return fmt.Errorf("model %v, error %w", m, err)
	}
	if m != nil {
		r.read++
		scoreCuts(t, m)
		return nil
	}
	for _, kind := range refusalKinds {
		if errors.Is(err, kind) {
			r.refused[kind.Error()]++
			if len(err.Error()) < len(kind.Error())+len(": it is x") || len(err.Error()) > 1000 {
				return fmt.Errorf("refused with %d bytes: %w", len(err.Error()), err)
			}
			return nil
		}
	}
	return fmt.Errorf("refused without a kind: %w", err)
}

// allocated returns the bytes that the process has allocated so far.
func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

// unpackedSize returns what a gzip stream holds, up to the limit that unpacking has.
func unpackedSize(data []byte) int {
	unzip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return len(data)
	}
	n, _ := io.Copy(io.Discard, io.LimitReader(unzip, minUnpackSize+maxUnpackRatio*int64(len(data))))
	return max(int(n), len(data))
}

// soakSeeds returns sound files of every format.
func soakSeeds(t *testing.T) [][]byte {
	t.Helper()
	seeds := [][]byte{
		[]byte(tiny), toUBJSON(t, tiny),
		[]byte(must.Replace(t, tiny, tinyCategorical...)), toUBJSON(t, must.Replace(t, tiny, tinyCategorical...)),
		[]byte(must.Replace(t, tiny, tinyVector...)), toUBJSON(t, must.Replace(t, tiny, tinyVector...)),
	}
	for _, file := range committedModels(t) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, data)
		if pickle, err := readPickle(data); err == nil {
			seeds = append(seeds, pickle.payload)
		}
	}
	return seeds
}

// mutator damages files.
type mutator struct{ *rand.Rand }

// file returns a damaged file: a seed with a few mutations, sometimes inside an archive, or a damaged archive.
func (m mutator) file(seeds [][]byte) []byte {
	data := bytes.Clone(seeds[m.IntN(len(seeds))])
	inArchive := m.IntN(16) == 0
	for range 1 + m.IntN(3) {
		data = m.mutate(data, seeds[m.IntN(len(seeds))])
	}
	if inArchive {
		data = tarOf(data, "xgboost-model-0", "xgboost-model-1")
		if m.IntN(2) == 0 {
			data = m.mutate(data, seeds[m.IntN(len(seeds))])
		}
		if m.IntN(4) > 0 {
			data = zipped(data)
		}
	}
	return data
}

func (m mutator) mutate(data, other []byte) []byte {
	if len(data) == 0 {
		return data
	}
	at := m.place(data)
	switch m.IntN(8) {
	case 0: // flip bits
		for range 1 + m.IntN(8) {
			data[m.IntN(len(data))] ^= 1 << m.IntN(8)
		}
	case 1: // another byte
		data[at] = byte(m.Uint32())
	case 2: // cut short
		return data[:at]
	case 3: // splice the end of another file
		return append(data[:at:at], other[m.IntN(len(other)):]...)
	case 4: // repeat or drop a piece
		end := min(len(data), at+1+m.IntN(64))
		if m.IntN(2) == 0 {
			return append(data[:at:at], data[end:]...)
		}
		return append(append(bytes.Clone(data[:end]), data[at:end]...), data[end:]...)
	case 5: // a number in JSON
		for i, c := range data[at:] {
			if c >= '0' && c <= '9' {
				data[at+i] = "0123456789-.eE,]"[m.IntN(16)]
				break
			}
		}
	default: // a length, in either byte order
		m.length(data[at:])
	}
	return data
}

// place chooses a place, the headers at the front more often.
func (m mutator) place(data []byte) int {
	if m.IntN(2) == 0 {
		return m.IntN(min(len(data), 512))
	}
	return m.IntN(len(data))
}

// length overwrites four or eight bytes with a number that a length should not be.
func (m mutator) length(data []byte) {
	values := []uint64{
		0, 1, 2, 3, 255, 256, 65535, 1 << 20, 1 << 24, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 40, 1<<63 - 1, 1 << 63, 1<<64 - 1, m.Uint64(), uint64(m.IntN(1 << 16)),
	}
	value := values[m.IntN(len(values))]
	var order binary.ByteOrder = binary.LittleEndian
	if m.IntN(2) == 0 {
		order = binary.BigEndian
	}
	switch {
	case len(data) >= 8 && m.IntN(2) == 0:
		order.PutUint64(data, value)
	case len(data) >= 4:
		order.PutUint32(data, uint32(value))
	}
}

// tarOf packs the same content under each of the names.
func tarOf(content []byte, names ...string) []byte {
	var packed bytes.Buffer
	archive := tar.NewWriter(&packed)
	for _, name := range names {
		_ = archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}) // into memory
		_, _ = archive.Write(content)
	}
	_ = archive.Close()
	return packed.Bytes()
}

func zipped(data []byte) []byte {
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	_, _ = zip.Write(data) // into memory
	_ = zip.Close()
	return packed.Bytes()
}
