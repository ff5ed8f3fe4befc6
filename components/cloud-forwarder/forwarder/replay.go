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
	"strings"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/request"
	"edgepdm/shared/spool"
)

// replays is what was asked for on the device, and how far it is.
type replays struct {
	desk  *request.Desk
	asked []*request.Request // that wait for the end
	back  int                // letters that are back in their streams since the last end
	left  int                // lines that are not: damaged, of a newer version, or of a stream that is no more
	told  time.Time          // when that was told last
}

// takeReplays takes commands. The dead letters of now are set aside, to be sent again also by another process.
func (r *run) takeReplays() {
	for _, q := range r.replays.desk.Take() {
		if q.Command != event.CommandReplay {
			q.Unknown()
			continue
		}
		if err := errors.Join(r.forwarder.deadAlerts.setAside(), r.forwarder.deadPredictions.setAside()); err != nil {
			q.Answer("", err)
			continue
		}
		r.replays.asked = append(r.replays.asked, q)
	}
}

// tell tells those who asked how far it is.
func (s *replays) tell(text string) {
	for _, q := range s.asked {
		q.Progress(text)
	}
}

// progress counts a batch. It tells of it now and then, as each word is a writing to the disk.
func (s *replays) progress(batch []replaying, now time.Time) {
	for _, letter := range batch {
		if letter.receipt != nil {
			s.back++
		} else {
			s.left++
		}
	}
	if now.Sub(s.told).Abs() >= measureEvery {
		s.told = now
		s.tell(fmt.Sprintf("%d dead letters are back in their streams so far", s.back))
	}
}

// end answers those who asked.
func (s *replays) end() {
	text := "there are no dead letters"
	if s.back+s.left > 0 {
		text = fmt.Sprintf("%d dead letters are back in their streams, and will be sent", s.back)
	}
	if s.left > 0 {
		text += fmt.Sprintf("; %d lines are not, as they are damaged, of a newer version, or their stream is no more", s.left)
	}
	for _, q := range s.asked {
		q.Answer(text, nil)
	}
	s.asked, s.back, s.left = nil, 0, 0
}

// setAside begins new dead letters; those of before are to be sent again.
func (d *deadLetters) setAside() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := os.Remove(d.path() + droppedSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("take dead letters: %w", err)
	}
	d.dropped = droppedLetters{}
	kind := strings.TrimSuffix(d.name, replaySuffix)
	for i, name := range []string{d.name + deadOldSuffix, d.name} {
		to := fmt.Sprintf("%s%d-%d-%s%s", replayPrefix, d.now().UnixNano(), i, kind, replaySuffix)
		if err := os.Rename(filepath.Join(d.dir, name), filepath.Join(d.dir, to)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("take dead letters: %w", err)
		}
	}
	return nil
}

// toReplay returns the files of dead letters that are to be sent again, oldest first.
func toReplay(dir string) []string {
	files, err := filepath.Glob(filepath.Join(dir, replayPrefix+"*"+replaySuffix))
	if err != nil { // not possible with this pattern
		return nil
	}
	slices.Sort(files)
	return files
}

// replay puts the dead letters that are to be sent again back into their streams, once those are open.
func (r *run) replay(ctx context.Context) {
	r.takeReplays()
	files := toReplay(r.rt.WorkDir)
	if len(files) == 0 {
		r.replays.end()
		return
	}
	if slices.ContainsFunc(r.streams, func(s *stream) bool { return !s.isOpen() }) {
		r.replays.tell("a stream is not open yet: see the component's health")
		return
	}
	for _, file := range files {
		n, err := r.replayFile(ctx, file)
		if err != nil {
			r.rt.Log.Error("dead letters are not sent again yet", "file", file, "error", err)
			r.replays.tell("not all dead letters are back in their streams; it will be tried again: " + err.Error())
			return
		}
		r.rt.Log.Info("dead letters will be sent again", "file", file, "letters", n)
	}
	r.replays.end()
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
	r.replays.progress(batch[:done], r.forwarder.Now())
	for _, letter := range batch[:done] {
		if _, markErr := f.WriteAt([]byte{replayedTag}, letter.at); markErr != nil {
			return done, errors.Join(err, markErr)
		}
	}
	return done, errors.Join(err, f.Sync())
}

// replayLetter begins to put one letter back. One that has no stream any more, or that a newer version wrote, stays a dead
// letter; a line that is none is kept apart.
func (r *run) replayLetter(ctx context.Context, line []byte) (*spool.Receipt, error) {
	letter, err := openLine(line)
	dead := r.forwarder.deadAlerts
	if letter.Stream == streamPredictions || letter.Stream == streamChanges {
		dead = r.forwarder.deadPredictions
	}
	if errors.Is(err, errNewerLetter) {
		return nil, dead.keepLine(line)
	}
	if err != nil {
		if skipped, log := r.damaged.now(r.forwarder.Now()); log {
			r.rt.Log.Error("a line of the dead letters is damaged, and is not sent", "error", err, "kept_in", damagedName, "others", skipped)
		}
		return nil, dead.keepDamaged(line)
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
	return nil, dead.add(letter.Stream, record, errors.New("there is no such stream; before: "+letter.Reason))
}
