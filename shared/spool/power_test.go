package spool

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

const sector = 512

// disk is a file system in memory that can lose power: what was not synced is then there or not, sector by sector, name
// by name. After a failed sync it behaves as Linux does: some of the data is dropped, and the next sync is a success.
type disk struct {
	mu      sync.Mutex
	random  *rand.Rand
	names   map[string]*content // what programs see
	durable map[string]*content // the names that were synced
}

type content struct {
	disk        *disk
	data, saved []byte
	dirty       map[int]bool // sectors of data that no sync has seen
}

func newDisk(random *rand.Rand) *disk {
	return &disk{random: random, names: make(map[string]*content), durable: make(map[string]*content)}
}

// crash returns the disk as it may be after a loss of power.
func (d *disk) crash() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newDisk(d.random)
	all := maps.Clone(d.durable)
	maps.Copy(all, d.names)
	for _, name := range slices.Sorted(maps.Keys(all)) { // in the same order for the same seed
		c, synced := d.durable[name]
		if now := d.names[name]; now != c && d.random.IntN(2) == 0 || !synced {
			c = now
			if !synced && d.random.IntN(2) == 0 {
				continue
			}
		}
		if c == nil {
			continue
		}
		n := &content{disk: after, data: c.afterCrash(), dirty: make(map[int]bool)}
		n.saved = slices.Clone(n.data)
		after.names[name], after.durable[name] = n, n
	}
	return after
}

func (c *content) afterCrash() []byte {
	random := c.disk.random
	size := len(c.saved)
	if len(c.dirty) > 0 || len(c.data) != len(c.saved) {
		switch random.IntN(3) {
		case 0:
			size = len(c.data)
		case 1:
			size = min(len(c.saved), len(c.data)) + random.IntN(1+max(len(c.saved), len(c.data))-min(len(c.saved), len(c.data)))
		}
	}
	data := make([]byte, size)
	copy(data, c.saved)
	for _, s := range slices.Sorted(maps.Keys(c.dirty)) {
		if from := s * sector; from < len(c.data) && from < size && random.IntN(2) == 0 {
			copy(data[from:], c.data[from:min(from+sector, len(c.data))])
		}
	}
	return data
}

func (d *disk) MakeDir(string) error           { return nil }
func (d *disk) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (d *disk) List(string) ([]os.FileInfo, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var infos []os.FileInfo
	for name, c := range d.names {
		infos = append(infos, fileInfo{name, int64(len(c.data))})
	}
	return infos, nil
}

func (d *disk) Open(path string, flag int) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := filepath.Base(path)
	c := d.names[name]
	if c == nil {
		if flag&os.O_CREATE == 0 {
			return nil, os.ErrNotExist
		}
		c = &content{disk: d, dirty: make(map[int]bool)}
		d.names[name] = c
	}
	if flag&os.O_TRUNC != 0 {
		c.resize(0)
	}
	return c, nil
}

func (d *disk) Remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.names, filepath.Base(path))
	return nil
}

func (d *disk) SyncDir(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.durable = maps.Clone(d.names)
	return nil
}

func (c *content) Close() error { return nil }

func (c *content) Size() (int64, error) {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	return int64(len(c.data)), nil
}

func (c *content) ReadAt(b []byte, off int64) (int, error) {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	if off >= int64(len(c.data)) {
		return 0, io.EOF
	}
	n := copy(b, c.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (c *content) WriteAt(b []byte, off int64) (int, error) {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	if end := int(off) + len(b); end > len(c.data) {
		c.resize(end)
	}
	copy(c.data[off:], b)
	c.touch(int(off), int(off)+len(b))
	return len(b), nil
}

func (c *content) Truncate(size int64) error {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	c.resize(int(size))
	return nil
}

func (c *content) resize(size int) {
	was := len(c.data)
	c.data = append(c.data[:min(size, was)], make([]byte, max(0, size-was))...)
	c.touch(min(size, was), max(size, was))
}

func (c *content) touch(from, to int) {
	for s := from / sector; s*sector < to; s++ {
		c.dirty[s] = true
	}
}

func (c *content) Sync() error { return c.sync(func() bool { return true }) }

// failSync is a sync that fails: part of the data is on the disk, the rest is dropped and forgotten.
func (c *content) failSync() error {
	_ = c.sync(func() bool { return c.disk.random.IntN(2) == 0 })
	return syscall.EIO
}

func (c *content) sync(keep func() bool) error {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	c.saved = append(c.saved[:min(len(c.saved), len(c.data))], make([]byte, max(0, len(c.data)-len(c.saved)))...)
	for _, s := range slices.Sorted(maps.Keys(c.dirty)) {
		if from := s * sector; from < len(c.data) && keep() {
			copy(c.saved[from:], c.data[from:min(from+sector, len(c.data))])
		}
	}
	clear(c.dirty)
	return nil
}

type fileInfo struct {
	name string
	size int64
}

func (f fileInfo) Name() string       { return f.name }
func (f fileInfo) Size() int64        { return f.size }
func (f fileInfo) Mode() os.FileMode  { return 0o600 }
func (f fileInfo) ModTime() time.Time { return time.Time{} }
func (f fileInfo) IsDir() bool        { return false }
func (f fileInfo) Sys() any           { return nil }

// flaky is a disk that fails at random while it is armed.
type flaky struct {
	*disk
	armed bool
}

func (f *flaky) unlucky() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.armed && f.random.IntN(3) == 0
}

func (f *flaky) Open(path string, flag int) (file, error) {
	if flag != os.O_RDONLY && f.unlucky() {
		return nil, syscall.EMFILE
	}
	c, err := f.disk.Open(path, flag)
	if err != nil {
		return nil, err
	}
	return &flakyFile{c.(*content), f}, nil
}

func (f *flaky) Remove(path string) error {
	if f.unlucky() {
		return syscall.EIO
	}
	return f.disk.Remove(path)
}

func (f *flaky) SyncDir(dir string) error {
	if f.unlucky() {
		return syscall.EIO
	}
	return f.disk.SyncDir(dir)
}

type flakyFile struct {
	*content
	flaky *flaky
}

func (f *flakyFile) WriteAt(b []byte, off int64) (int, error) {
	if f.flaky.unlucky() {
		n := f.disk.random.IntN(len(b))
		if n > 0 {
			_, _ = f.content.WriteAt(b[:n], off)
		}
		return n, syscall.ENOSPC
	}
	return f.content.WriteAt(b, off)
}

func (f *flakyFile) Truncate(size int64) error {
	if f.flaky.unlucky() {
		return syscall.EIO
	}
	return f.content.Truncate(size)
}

func (f *flakyFile) Sync() error {
	if f.flaky.unlucky() {
		return f.failSync()
	}
	return f.content.Sync()
}

// life is a queue through restarts, and what must be in it.
type life struct {
	t        *testing.T
	random   *rand.Rand
	disk     *flaky
	q        *Queue
	next     int          // the next message
	accepted []int        // messages whose Append returned nil
	maybe    map[int]bool // messages whose Append failed
	acked    int          // messages up to this one were acknowledged
	removed  int          // and those do not come again, as there was no loss of power since
}

// TestPowerLoss takes queues through random appends, acknowledgements, restarts, failures of the disk and losses of
// power. Always: each accepted message that was not acknowledged is there (F1, F2), in order (F4), and nothing is there
// that was never appended (F8). A failing run names its seed.
func TestPowerLoss(t *testing.T) {
	seeds := 300
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(seed), 7))
			l := &life{t: t, random: random, disk: &flaky{disk: newDisk(random)}, maybe: make(map[int]bool), next: 1}
			l.open()
			for range 60 {
				l.step()
			}
			l.disk.armed = false
			l.restart()
			l.check(true)
			closeQueue(t, l.q)
		})
	}
}

func (l *life) open() {
	q, err := Open("/queue", Options{files: l.disk, SegmentSize: minSegmentSize})
	if err != nil {
		l.t.Fatal(err)
	}
	l.q = q
}

func (l *life) step() {
	switch n := l.random.IntN(20); {
	case n < 9:
		l.append(1 + l.random.IntN(25))
	case n < 13:
		l.ack()
	case n < 15:
		l.disk.armed = !l.disk.armed
	case n < 17:
		l.check(false)
	case n < 18:
		l.restart()
	default:
		after := l.disk.crash()
		l.disk.armed = false // the old queue ends in peace, on a disk that is gone
		closeQueue(l.t, l.q)
		l.disk = &flaky{disk: after, armed: l.random.IntN(4) == 0}
		l.open()
		l.resent()
	}
}

// resent notes from where on messages come again after a loss of power.
func (l *life) resent() {
	l.check(false)
	if got := ids(l.t, l.q); len(got) > 0 {
		l.removed = min(l.removed, slices.Min(got)-1)
	}
}

func (l *life) append(n int) {
	var records []Record
	var numbers []int
	for range n {
		records, numbers = append(records, message(l.next)), append(numbers, l.next)
		l.next++
	}
	err := l.q.Append(l.t.Context(), records...)
	if err == nil {
		l.accepted = append(l.accepted, numbers...)
		return
	}
	if !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EMFILE) {
		l.t.Fatal(err)
	}
	for _, i := range numbers {
		l.maybe[i] = true
	}
}

func (l *life) ack() {
	records, err := l.q.Peek(1+l.random.IntN(40), 1<<20)
	if err != nil {
		l.t.Fatal(err)
	}
	if len(records) == 0 {
		return
	}
	r := records[l.random.IntN(len(records))]
	_ = l.q.Ack(r.Seq) // a cursor that is not written means a resend
	l.removed = number1(l.t, r)
	l.acked = max(l.acked, l.removed)
}

func (l *life) restart() {
	err := l.q.Close()
	if err != nil && !l.disk.armed {
		l.t.Fatal(err)
	}
	l.open()
	if err != nil {
		l.resent()
		return
	}
	l.check(true)
}

// check compares the queue with what must be in it. When it is exact, nothing that was acknowledged comes again.
func (l *life) check(exact bool) {
	l.t.Helper()
	got := ids(l.t, l.q)
	var there []int // accepted messages. Those of failed appends may stand anywhere among them, in any order
	for _, n := range got {
		_, accepted := slices.BinarySearch(l.accepted, n)
		switch {
		case accepted && len(there) > 0 && n <= there[len(there)-1]:
			l.t.Fatalf("%d after %d", n, there[len(there)-1])
		case accepted:
			there = append(there, n)
		case !l.maybe[n]:
			l.t.Fatalf("phantom %d", n)
		}
		if exact && accepted && n <= l.removed {
			l.t.Fatalf("%d was acknowledged, up to %d", n, l.removed)
		}
	}
	for _, n := range l.accepted {
		if _, found := slices.BinarySearch(there, n); n > l.acked && !found {
			l.t.Fatalf("%d is lost; acknowledged up to %d; there are %s; %+v", n, l.acked, ranges(got), l.q.Stats())
		}
	}
	if s := l.q.Stats(); s.Depth != uint64(len(got)) {
		l.t.Fatalf("depth %d of %d records", s.Depth, len(got))
	}
}
