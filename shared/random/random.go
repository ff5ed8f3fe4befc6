// Package random makes ids that nobody can foresee.
package random

import (
	"crypto/rand"
	"encoding/hex"
)

// ID returns 8 random hexadecimal digits: the epoch of a producer, the name of a run, the end of a file's name.
func ID() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}
