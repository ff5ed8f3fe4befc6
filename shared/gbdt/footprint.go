package gbdt

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"edgepdm/shared/archive"
)

// loadFactor is how many times a model's size loading it takes at most, the file included: see README.md.
const loadFactor = 2

// Footprint says how much memory reading and parsing the model file at path takes at most. Nothing is parsed: what is
// packed is unpacked for its size, and thrown away.
func Footprint(path string) (int64, error) { return DefaultLimits().Footprint(path) }

// FootprintOf says the same of a model that is not packed, by its size.
func FootprintOf(size int64) int64 { return loadFactor * size }

// Footprint is the function Footprint within l. An archive that is damaged has the size of what can be read: Parse says
// what is wrong with it.
func (l Limits) Footprint(path string) (int64, error) {
	info, err := os.Stat(path) // before it is opened: see ReadFile
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return 0, fmt.Errorf("open model: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("open model: %w", err)
	}
	defer f.Close()
	in := bufio.NewReader(f)
	head, err := in.Peek(tarMagicEnd + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("read model: %w", err)
	}
	kind, err := sniff(bytes.Clone(head))
	if err != nil || !isPacked(kind) {
		return FootprintOf(info.Size()), nil
	}
	unpacked := int64(0)
	if kind != kindTar {
		content, err := l.inflate(kind, in, info.Size())
		if err != nil {
			return FootprintOf(info.Size()), nil
		}
		in = content
	}
	if head, _ := in.Peek(tarMagicEnd); isTar(head) {
		_ = archive.Walk(in, l.archive(), func(m archive.Member) error {
			n, err := io.Copy(io.Discard, m)
			unpacked += n
			return err
		})
	} else {
		unpacked, _ = io.Copy(io.Discard, in)
	}
	return info.Size() + FootprintOf(unpacked), nil
}
