package memory

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"edgepdm/test/must"
)

// machine writes files below a root.
func machine(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		must.OK(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must.OK(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return root
}

// limited sets the soft limit for a test.
func limited(t *testing.T, limit int64) {
	before := debug.SetMemoryLimit(limit)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
}

// Each kind of limit refuses with its own figures what does not fit, and admits what does.
func TestAdmit(t *testing.T) {
	limited(t, math.MaxInt64)
	const statm = "5000 2560 0 0 0 0 0\n" // with pages of 4 KiB 10 MiB are resident
	for name, test := range map[string]struct {
		files map[string]string
		fits  int64 // MiB
		says  string
	}{
		"systemd, cgroup v2": {map[string]string{
			"proc/self/cgroup":                                         "0::/system.slice/engine.service\n",
			"sys/fs/cgroup/system.slice/memory.max":                    "max\n",
			"sys/fs/cgroup/system.slice/engine.service/memory.max":     "134217728\n",
			"sys/fs/cgroup/system.slice/engine.service/memory.current": "41943040\n",
			"sys/fs/cgroup/system.slice/engine.service/memory.stat":    "anon 1\ninactive_file 20971520\nactive_file 10485760\n",
		}, 118, "of the 128.0 MiB that cgroup's memory.max allows 118.0 are free"},
		"a slice above": {map[string]string{
			"proc/self/cgroup":                 "0::/a/b\n",
			"sys/fs/cgroup/a/memory.max":       "104857600",
			"sys/fs/cgroup/a/memory.current":   "52428800",
			"sys/fs/cgroup/a/b/memory.max":     "209715200",
			"sys/fs/cgroup/a/b/memory.current": "1048576",
		}, 50, "of the 100.0 MiB that cgroup's memory.max allows 50.0 are free"},
		"cgroup v1, nucleus": {map[string]string{
			"proc/self/cgroup":                                             "5:devices:/\n4:cpu,memory:/greengrass/engine\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":                   "9223372036854771712\n",
			"sys/fs/cgroup/memory/greengrass/engine/memory.limit_in_bytes": "67108864\n",
			"sys/fs/cgroup/memory/greengrass/engine/memory.usage_in_bytes": "33554432\n",
			"sys/fs/cgroup/memory/greengrass/engine/memory.stat":           "inactive_file 1\ntotal_inactive_file 16777216\n",
		}, 48, "of the 64.0 MiB that cgroup's memory.limit_in_bytes allows 48.0 are free"},
		"container, host's names": {map[string]string{
			"proc/self/cgroup":             "0::/docker/0123\n",
			"sys/fs/cgroup/memory.max":     "67108864\n",
			"sys/fs/cgroup/memory.current": "67108865\n",
		}, 0, "64.0 MiB that cgroup's memory.max allows 0.0 are free"},
		"no limit": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n",
		}, 1 << 30, ""},
		"no Linux": {nil, 1 << 30, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if test.files == nil {
				test.files = map[string]string{}
			}
			test.files["proc/self/statm"] = statm
			root := machine(t, test.files)
			if err := admit(test.fits<<20, bounds(root)); err != nil {
				t.Error(err)
			}
			if test.says == "" {
				return
			}
			if err := admit(test.fits<<20+1, bounds(root)); !errors.Is(err, ErrTooLittle) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
}

// GOMEMLIMIT counts, and stays what it was; otherwise garbage is collected before the hard limit.
func TestSoftLimit(t *testing.T) {
	limited(t, math.MaxInt64)
	root := machine(t, map[string]string{
		"proc/self/statm": "5000 2560 0 0 0 0 0", "proc/self/cgroup": "0::/", "sys/fs/cgroup/memory.max": "1000000000000",
	})
	applyLimit(bounds(root))
	if got := debug.SetMemoryLimit(-1); got != 900_000_000_000 {
		t.Errorf("the soft limit is %d", got)
	}
	if err := admit(950_000_000_000, bounds(root)); err != nil {
		t.Errorf("the limit that follows from another one counts: %v", err)
	}
	debug.SetMemoryLimit(500_000_000_000)
	applyLimit(bounds(root))
	if got := debug.SetMemoryLimit(-1); got != 500_000_000_000 {
		t.Errorf("GOMEMLIMIT became %d", got)
	}
	if err := admit(500_000_000_000, bounds(root)); !errors.Is(err, ErrTooLittle) || !strings.Contains(err.Error(), "GOMEMLIMIT") {
		t.Error(err)
	}
}

// A GOGC of the operator stays; without one the collector is as it was again.
func TestLean(t *testing.T) {
	current := func() int {
		percent := debug.SetGCPercent(100)
		debug.SetGCPercent(percent)
		return percent
	}
	before := current()
	t.Cleanup(func() { debug.SetGCPercent(before) })
	t.Setenv("GOGC", "")
	Lean(true)
	if got := current(); got != leanPercent {
		t.Errorf("lean: %d", got)
	}
	Lean(false)
	if got := current(); got != 100 {
		t.Errorf("not lean: %d", got)
	}
	t.Setenv("GOGC", "70")
	if Lean(true); current() != 100 {
		t.Errorf("a GOGC was overruled: %d", current())
	}
}
