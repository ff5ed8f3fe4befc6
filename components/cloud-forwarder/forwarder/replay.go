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
	if _, err := os.Stat(dir); err != nil {
		return 0, fmt.Errorf("find the work directory: %w", err)
	}
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

const (
	replayBatch = 100 // letters that share a sync
	replayedTag = '#' // in place of the first byte of a line: the letter is back in its stream
)

// replaying is a letter on its way back.
type replaying struct {
	at, end int64          // of its line
	receipt *spool.Receipt // nil for one that is where it belongs
}

// replayFile does that with one file, and removes it. What is back in its stream is marked in the file, so that an
// interrupted replay goes on where it was: no more than a batch is sent twice.
func (r *run) replayFile(ctx context.Context, path string) (letters int, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewReader(f)
	var batch []replaying
	for at := int64(0); ; {
		line, readErr := lines.ReadBytes('\n')
		end := at + int64(len(line))
		var problem error
		if len(line) > 1 && line[0] != replayedTag && at >= r.replayed[path] {
			letter := replaying{at: at, end: end}
			if letter.receipt, problem = r.replayLetter(ctx, line); problem == nil {
				batch = append(batch, letter)
			}
		}
		at = end
		if problem == nil && readErr == nil && len(batch) < replayBatch {
			continue
		}
		done, err := r.replayedBatch(ctx, f, batch)
		letters += done
		batch = batch[:0]
		switch err := errors.Join(problem, err); {
		case err != nil:
			return letters, err
		case errors.Is(readErr, io.EOF):
			delete(r.replayed, path)
			return letters, os.Remove(path)
		case readErr != nil:
			return letters, readErr
		}
	}
}

// replayedBatch waits until letters are on disk in their streams, and marks those that are, up to the first that is not.
func (r *run) replayedBatch(ctx context.Context, f *os.File, batch []replaying) (done int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	for ; done < len(batch); done++ {
		if receipt := batch[done].receipt; receipt != nil {
			select {
			case <-receipt.Done():
				err = receipt.Err()
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		if err != nil {
			break
		}
		r.replayed[f.Name()] = batch[done].end // also if the disk does not take the mark
	}
	for _, letter := range batch[:done] {
		if _, markErr := f.WriteAt([]byte{replayedTag}, letter.at); markErr != nil {
			return done, errors.Join(err, markErr)
		}
	}
	return done, errors.Join(err, f.Sync())
}

// replayLetter begins to put one letter back. One that has no stream any more stays a dead letter; a line that is none is
// left out.
func (r *run) replayLetter(ctx context.Context, line []byte) (*spool.Receipt, error) {
	var letter deadLetter
	if err := json.Unmarshal(line, &letter); err != nil {
		r.rt.Log.Warn("a line of the dead letters is damaged", "error", err)
		return nil, nil
	}
	record := spool.Record{Stream: letter.Stream, ID: letter.ID, Time: letter.Time.UnixNano(), Payload: letter.Record}
	var text string
	if json.Unmarshal(letter.Record, &text) == nil {
		record.Payload = []byte(text)
	}
	for _, s := range r.streams {
		if s.name == letter.Stream {
			return s.queue.AppendAsync(ctx, record)
		}
	}
	return nil, r.dead.add(letter.Stream, record, errors.New("there is no such stream; before: "+letter.Reason))
}
