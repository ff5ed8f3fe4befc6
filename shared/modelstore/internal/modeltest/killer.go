package modeltest

import (
	"errors"
	"os"

	"edgepdm/shared/modelstore/internal/disk"
)

// ErrKilled is what each step of a killed process fails with.
var ErrKilled = errors.New("killed")

// Killer stops everything that is done on disk at one step and all after it, as if the process were gone. A write is
// stopped in the middle.
type Killer struct {
	At    int // steps that are still made
	steps int
	Dead  bool
}

// Before is for disk.Disk.
func (k *Killer) Before(op disk.Op, path, _ string) error {
	if k.Dead || k.steps >= k.At {
		if op == disk.OpWrite && !k.Dead {
			_ = os.WriteFile(path, []byte(`{"half`), 0o600)
		}
		k.Dead = true
		return ErrKilled
	}
	k.steps++
	return nil
}

// Failer makes one step fail, and no other.
type Failer struct {
	At    int
	Err   error
	steps int
	Op    disk.Op
	Path  string
}

// Before is for disk.Disk.
func (f *Failer) Before(op disk.Op, path, to string) error {
	if f.steps++; f.steps-1 != f.At {
		return nil
	}
	if f.Op, f.Path = op, path; op == disk.OpRename {
		f.Path = to
	}
	return f.Err
}
