package spool

import (
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"edgepdm/shared/durable"
)

const sector = 512

// disk is a file system in memory that can lose power: what was not synced is then there or not, sector by sector, name
// by name. After a failed sync it behaves as Linux does: some of the data is dropped, and the next sync is a success.
type disk struct {
	mu      sync.Mutex
	random  *rand.Rand
	names   map[string]*content // what programs see
	durable map[string]*content // the names that were synced
	locked  bool
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

func (d *disk) MakeDir(string) error       { return nil }
func (d *disk) Free(string) (int64, error) { return 1 << 40, nil }

func (d *disk) Lock(string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked {
		return nil, durable.ErrLocked
	}
	d.locked = true
	return unlock{d}, nil
}

type unlock struct{ disk *disk }

func (u unlock) Close() error {
	u.disk.mu.Lock()
	defer u.disk.mu.Unlock()
	u.disk.locked = false
	return nil
}

// clone returns the disk as programs see it, without a lock.
func (d *disk) clone() *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	other := newDisk(d.random)
	for name, c := range d.names {
		other.names[name] = &content{disk: other, data: slices.Clone(c.data), saved: slices.Clone(c.saved), dirty: maps.Clone(c.dirty)}
	}
	return other
}

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

func (d *disk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names[filepath.Base(to)] = d.names[filepath.Base(from)]
	delete(d.names, filepath.Base(from))
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
func (c *content) failSync() { _ = c.sync(func() bool { return c.disk.random.IntN(2) == 0 }) }

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
