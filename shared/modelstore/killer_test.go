package modelstore

import (
	"errors"
	"os"
)

var errKilled = errors.New("killed")

// killer stops everything that is done on disk at one step and all after it, as if the process were gone. A write is
// stopped in the middle.
type killer struct {
	at    int // steps that are still made
	steps int
	dead  bool
}

func (k *killer) before(op op, path, _ string) error {
	if k.dead || k.steps >= k.at {
		if op == opWrite && !k.dead {
			_ = os.WriteFile(path, []byte(`{"half`), 0o600)
		}
		k.dead = true
		return errKilled
	}
	k.steps++
	return nil
}

// failer makes one step fail, and no other.
type failer struct {
	at    int
	err   error
	steps int
	op    op
	path  string
}

func (f *failer) before(op op, path, to string) error {
	if f.steps++; f.steps-1 != f.at {
		return nil
	}
	if f.op, f.path = op, path; op == opRename {
		f.path = to
	}
	return f.err
}
