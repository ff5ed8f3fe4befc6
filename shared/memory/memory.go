// Package memory says how much more memory this process may take before something ends it: GOMEMLIMIT, the limits of its
// cgroups (v1 and v2; so those of systemd, of containers and of Greengrass's systemResourceLimits) and ulimit.
package memory

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// ErrTooLittle says that something needs more memory than there is.
var ErrTooLittle = errors.New("too little memory")

const (
	unlimited = 1 << 60  // cgroup v1 writes a number near 2^63 where there is no limit
	arena     = 64 << 20 // bytes of address space that Go's heap grows by
	mebibyte  = 1 << 20
)

// bound is one limit.
type bound struct {
	source      string
	limit, used int64
}

// Admit says whether so many bytes more can be taken. The error wraps ErrTooLittle and has the figures.
func Admit(need int64) error {
	debug.FreeOSMemory() // garbage is not what counts
	return admit(need, bounds("/"))
}

func admit(need int64, all []bound) error {
	for _, b := range all {
		if free := max(b.limit-b.used, 0); need > free {
			return fmt.Errorf("%w: it needs %.1f MiB, and of the %.1f MiB that %s allows %.1f are free", ErrTooLittle, float64(need)/mebibyte,
				float64(b.limit)/mebibyte, b.source, float64(free)/mebibyte)
		}
	}
	return nil
}

// own is the soft limit that ApplyLimit set; 0 = none. What it was taken from counts, not this.
var own atomic.Int64

// ApplyLimit has Go collect garbage before a limit is met that would end the process. A GOMEMLIMIT stays.
func ApplyLimit() { applyLimit(bounds("/")) }

func applyLimit(all []bound) {
	if debug.SetMemoryLimit(-1) != math.MaxInt64 {
		return
	}
	least := int64(math.MaxInt64)
	for _, b := range all {
		least = min(least, b.limit)
	}
	if least < unlimited {
		own.Store(least / 10 * 9)
		debug.SetMemoryLimit(own.Load())
	}
}

// ManyThings is from how many things on what is kept of them is most of a component's memory.
const ManyThings = 2000

// leanPercent of what is kept may be garbage where much is kept.
const leanPercent = 10

// Lean has Go collect garbage early, for a program that keeps much for long, or as usual again. What is kept should have few
// pointers: then it costs little. A GOGC stays.
func Lean(on bool) {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := 100 // Go's own
	if on {
		percent = leanPercent
	}
	debug.SetGCPercent(percent)
}

// bounds returns the limits that there are. root is where proc and sys are.
func bounds(root string) []bound {
	var all []bound
	size, resident, data := pages(root)
	if limit := debug.SetMemoryLimit(-1); limit < unlimited && limit != own.Load() {
		all = append(all, bound{"GOMEMLIMIT", limit, resident})
	}
	for _, u := range []struct {
		source string
		which  int
		used   int64
	}{{"ulimit -v", syscall.RLIMIT_AS, size}, {"ulimit -d", syscall.RLIMIT_DATA, data}} {
		var limit syscall.Rlimit
		if syscall.Getrlimit(u.which, &limit) == nil && limit.Cur < unlimited {
			all = append(all, bound{u.source, int64(limit.Cur), u.used + arena})
		}
	}
	text, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return all // no Linux, or no cgroups
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(parts) != 3:
		case parts[0] == "0" && parts[1] == "":
			for _, mount := range []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"} {
				all = append(all, groups(filepath.Join(root, mount), parts[2], "memory.max", "memory.current", "")...)
			}
		case strings.Contains(","+parts[1]+",", ",memory,"):
			all = append(all, groups(filepath.Join(root, "sys/fs/cgroup/memory"), parts[2], "memory.limit_in_bytes", "memory.usage_in_bytes", "total_")...)
		}
	}
	return all
}

// groups returns the limits of a cgroup and of those that it is in. In a container their names may be the host's, so that
// only the top is found.
func groups(mount, name, limitFile, usageFile, prefix string) []bound {
	var all []bound
	for at := path.Clean("/" + name); ; at = path.Dir(at) {
		dir := filepath.Join(mount, at)
		if limit, ok := number(filepath.Join(dir, limitFile)); ok && limit < unlimited {
			used, _ := number(filepath.Join(dir, usageFile))
			all = append(all, bound{"cgroup's " + limitFile, limit, max(used-cached(filepath.Join(dir, "memory.stat"), prefix), 0)})
		}
		if at == "/" {
			return all
		}
	}
}

// number reads a file with one number; false where there is none, such as "max".
func number(file string) (int64, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

// cached returns what a cgroup's use has of files, which the kernel gives up before it ends anything.
func cached(file, prefix string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	sum := int64(0)
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == prefix+"active_file" || name == prefix+"inactive_file" {
			n, _ := strconv.ParseInt(value, 10, 64)
			sum += n
		}
	}
	return sum
}

// pages returns the process's address space, resident memory, and what of the address space it can write, in bytes.
func pages(root string) (size, resident, data int64) {
	text, err := os.ReadFile(filepath.Join(root, "proc/self/statm"))
	if err != nil {
		return 0, 0, 0
	}
	page := int64(os.Getpagesize())
	number := func(text string) int64 {
		n, _ := strconv.ParseInt(text, 10, 64)
		return n * page
	}
	if fields := strings.Fields(string(text)); len(fields) > 5 {
		size, resident, data = number(fields[0]), number(fields[1]), number(fields[5])
	}
	return size, resident, data
}

// Resident returns the bytes that this process has in memory; 0 where that is not known.
func Resident() int64 {
	_, resident, _ := pages("/")
	return resident
}
