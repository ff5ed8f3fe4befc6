package forwarder

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"edgepdm/shared/spool"
)

// RequestReplay asks the forwarder that has the work directory dir to send its dead letters again: the running one does
// within a second, otherwise the next one. It returns how many files of them there were.
func RequestReplay(dir string, now time.Time) (files int, err error) {
	for _, name := range []string{deadLettersOld, deadLettersName} {
		to := fmt.Sprintf("%s%d-%d%s", replayPrefix, now.UnixNano(), files, replaySuffix)
		switch err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, to)); {
		case err == nil:
			files++
		case !errors.Is(err, os.ErrNotExist):
			return files, fmt.Errorf("take dead letters: %w", err)
		}
	}
	return files, nil
}

// toReplay returns the files of dead letters that are to be sent again, oldest first. Nobody writes to one any more, by the
// name that it had.
func (d *deadLetters) toReplay() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	files, err := filepath.Glob(filepath.Join(d.dir, replayPrefix+"*"+replaySuffix))
	if err != nil { // not possible with this pattern
		return nil
	}
	slices.Sort(files)
	return files
}

// replay puts the dead letters that are to be sent again back into their streams, once those are open.
func (r *run) replay(ctx context.Context) {
	files := r.dead.toReplay()
	if len(files) == 0 || slices.ContainsFunc(r.streams, func(s *stream) bool { return !s.isOpen() }) {
		return
	}
	for _, file := range files {
		n, err := r.replayFile(ctx, file)
		if err != nil {
			r.rt.Log.Error("dead letters are not sent again yet", "file", file, "error", err)
			return
		}
		r.rt.Log.Info("dead letters will be sent again", "file", file, "letters", n)
	}
}

// replayFile does that with one file, and removes it. Interrupted, it begins anew: letters may be sent twice.
func (r *run) replayFile(ctx context.Context, path string) (letters int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 1 {
			if err := r.replayLetter(ctx, line); err != nil {
				return letters, err
			}
			letters++
		}
		switch {
		case errors.Is(err, io.EOF):
			return letters, os.Remove(path)
		case err != nil:
			return letters, err
		}
	}
}

// replayLetter puts one letter back. One that has no stream any more stays a dead letter; a line that is none is left out.
func (r *run) replayLetter(ctx context.Context, line []byte) error {
	var letter deadLetter
	if err := json.Unmarshal(line, &letter); err != nil {
		r.rt.Log.Warn("a line of the dead letters is damaged", "error", err)
		return nil
	}
	record := spool.Record{Stream: letter.Stream, ID: letter.ID, Time: letter.Time.UnixNano(), Payload: letter.Record}
	var text string
	if json.Unmarshal(letter.Record, &text) == nil {
		record.Payload = []byte(text)
	}
	for _, s := range r.streams {
		if s.name == letter.Stream {
			return s.queue.Append(ctx, record)
		}
	}
	return r.dead.add(letter.Stream, record, errors.New("there is no such stream; before: "+letter.Reason))
}
