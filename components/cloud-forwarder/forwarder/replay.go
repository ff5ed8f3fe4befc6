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

	"edgepdm/shared/component"
	"edgepdm/shared/durable"
	"edgepdm/shared/request"
	"edgepdm/shared/spool"
)

// replayer puts dead letters back into their streams, for those who ask for it on the device.
type replayer struct {
	rt    *component.Runtime
	now   func() time.Time
	state *state
	out   *outboxes

	asked   []*request.Request // that wait for the end
	back    int                // letters that are back in their streams since the last end
	left    int                // lines that are not: damaged, of a newer version, or of a stream that does not exist
	told    time.Time          // when that was told last
	offsets map[string]int64   // how much of a file is back in the streams
	damaged logLimiter         // lines of dead letters
}

func newReplayer(rt *component.Runtime, now func() time.Time, state *state, out *outboxes) *replayer {
	return &replayer{rt: rt, now: now, state: state, out: out, offsets: make(map[string]int64)}
}

// ask takes a command. Today's dead letters are set aside, to be sent again also by another process.
func (r *replayer) ask(q *request.Request) {
	for _, name := range deadNames() {
		if err := r.state.dead[name].setAside(); err != nil {
			q.Answer("", err)
			return
		}
	}
	r.asked = append(r.asked, q)
}

// tell tells those who asked how far it is.
func (r *replayer) tell(text string) {
	for _, q := range r.asked {
		q.Progress(text)
	}
}

// progress counts a batch. It tells of it now and then, since each word is written to the disk.
func (r *replayer) progress(batch []replaying) {
	for _, letter := range batch {
		if letter.receipt != nil {
			r.back++
		} else {
			r.left++
		}
	}
	if now := r.now(); now.Sub(r.told).Abs() >= measureEvery {
		r.told = now
		r.tell(fmt.Sprintf("%d dead letters are back in their streams so far", r.back))
	}
}

// end answers those who asked.
func (r *replayer) end() {
	text := "there are no dead letters"
	if r.back+r.left > 0 {
		text = fmt.Sprintf("%d dead letters are back in their streams, and will be sent", r.back)
	}
	if r.left > 0 {
		text += fmt.Sprintf("; %d lines are not: they are damaged, of a newer version, or their stream does not exist", r.left)
	}
	for _, q := range r.asked {
		q.Answer(text, nil)
	}
	r.asked, r.back, r.left = nil, 0, 0
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

// look puts the dead letters that are to be sent again back into their streams, once those are open.
func (r *replayer) look(ctx context.Context) {
	files := toReplay(r.rt.WorkDir)
	if len(files) == 0 {
		r.end()
		return
	}
	if slices.ContainsFunc(r.out.all, func(s *stream) bool { return !s.isOpen() }) {
		r.tell("a stream is not open yet: see the component's health")
		return
	}
	for _, file := range files {
		n, err := r.replayFile(ctx, file)
		if err != nil {
			r.rt.Log.Error("dead letters are not sent again yet", "file", file, "error", err)
			r.tell("not all dead letters are back in their streams; it will be tried again: " + err.Error())
			return
		}
		r.rt.Log.Info("dead letters will be sent again", "file", file, "letters", n)
	}
	r.end()
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
func (r *replayer) replayFile(ctx context.Context, path string) (letters int, err error) {
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
		if len(line) > 1 && line[0] != replayedTag && at >= r.offsets[path] {
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
			delete(r.offsets, path)
			return letters, os.Remove(path)
		case readErr != nil:
			return letters, readErr
		}
	}
}

// replayedBatch waits until letters are on disk in their streams, and marks those that are, up to the first that is not.
func (r *replayer) replayedBatch(ctx context.Context, f *os.File, batch []replaying) (done int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	for ; done < len(batch); done++ {
		if receipt := batch[done].receipt; receipt != nil {
			if err = await(ctx, receipt); err != nil {
				break
			}
		}
		r.offsets[f.Name()] = batch[done].end // also if the disk does not take the mark
	}
	r.progress(batch[:done])
	for _, letter := range batch[:done] {
		if _, markErr := f.WriteAt([]byte{replayedTag}, letter.at); markErr != nil {
			return done, errors.Join(err, markErr)
		}
	}
	return done, errors.Join(err, f.Sync())
}

// replayLetter begins to put one letter back. One without a stream, or of a newer version, stays a dead letter; a damaged line is
// kept apart.
func (r *replayer) replayLetter(ctx context.Context, line []byte) (*spool.Receipt, error) {
	letter, err := openLine(line)
	dead := r.state.deadOf(letter.Stream)
	if errors.Is(err, durable.ErrNewerFormat) {
		return nil, dead.keepLine(line)
	}
	if err != nil {
		if skipped, log := r.damaged.allow(r.now()); log {
			r.rt.Log.Error("damaged dead letter is not sent", "error", err, "kept_in", damagedName, "others", skipped)
		}
		return nil, dead.keepDamaged(line)
	}
	record := spool.Record{Stream: letter.Stream, ID: letter.ID, Time: letter.Time.UnixNano(), Payload: letter.Record}
	var text string
	if json.Unmarshal(letter.Record, &text) == nil {
		record.Payload = []byte(text)
	}
	if s := r.out.named(letter.Stream); s != nil {
		return s.queue.AppendAsync(ctx, record)
	}
	return nil, dead.add(letter.Stream, record, errors.New("there is no such stream; before: "+letter.Reason))
}
