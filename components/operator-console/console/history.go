package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"edgepdm/components/operator-console/picture"
	"edgepdm/shared/durable"
)

// The alarm manager's log of changes, the older file first, and how large such a file may be.
var historyFiles = []string{"audit.jsonl.1", "audit.jsonl"}

const maxHistoryFile = 16 << 20 // bytes

// past shows what happened to alarms before the console started, as the alarm manager's log has it. Where that cannot be read, the
// history begins with the console.
func (l *listener) past() {
	dir := l.inWorkDir(l.config.Alarms)
	var last []change
	for _, name := range historyFiles {
		data, err := durable.ReadFile(filepath.Join(dir, name), maxHistoryFile)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				l.rt.Log.Warn("the history of alarms begins now: the log of the alarm manager cannot be read", "error", err)
			}
			continue
		}
		for line := range bytes.Lines(data) {
			var c change
			body, sealed, err := durable.Open(line)
			if err != nil || !sealed || json.Unmarshal(body, &c) != nil {
				continue // damaged: alarm-manager history counts it
			}
			if last = append(last, c); len(last) > 2*maxHistory {
				last = append(last[:0], last[len(last)-maxHistory:]...)
			}
		}
	}
	for _, c := range last[max(0, len(last)-maxHistory):] {
		l.set(picture.History, historyKey(c.N), c)
	}
}

func historyKey(n uint64) string { return fmt.Sprintf("%020d", n) }

// inWorkDir returns where another component's work directory is.
func (l *listener) inWorkDir(dir string) string {
	if filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(l.rt.WorkDir, dir)
}
