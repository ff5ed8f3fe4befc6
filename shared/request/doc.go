// Package request carries what a person on the device asks of a component that runs, and the component's answer. A program
// that a person starts has no token of the nucleus and cannot use IPC, so both are files in the folder "requests" of the
// component's work directory, which only the component's user and root can enter:
//
//	<id>.request  left by the command, written whole, owned by the component's user
//	<id>.taken    the same file once the component has taken it; it is renamed before anything is done
//	<id>.answer   how far it is, and in the end what came of it
//
// A request is done once at most: a process that is killed behind the renaming leaves a taken one, which the next process
// answers without doing it. A request that nobody takes expires.
package request

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"

	"edgepdm/shared/event"
)

const (
	folder = "requests"
	format = 1

	suffixRequest = ".request"
	suffixTaken   = ".taken"
	suffixAnswer  = ".answer"

	maxFile = 16 << 10 // bytes of a file
	maxText = 4 << 10  // bytes of an answer's text
	maxTake = 16       // requests that are taken at a time
	maxName = 64       // characters of an id

	keepFor  = time.Hour          // what nobody fetches is removed then
	maxValid = 7 * 24 * time.Hour // whatever a request says
)

// message is the content of a request.
type message struct {
	V         int             `json:"v"`
	ID        string          `json:"id"`
	Command   string          `json:"command"`
	By        string          `json:"by"` // who asks, as claimed
	Created   time.Time       `json:"created"`
	Valid     int64           `json:"valid_seconds"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
}

// state says how far a request is.
type state string

const (
	stateWorking state = "working"
	stateDone    state = "done"
	stateFailed  state = "failed"
)

// answer is the content of an answer.
type answer struct {
	V     int       `json:"v"`
	ID    string    `json:"id"`
	State state     `json:"state"`
	Text  string    `json:"text"`
	TS    time.Time `json:"ts"`
}

// validID says whether a file's name, without its suffix, can be a request's.
func validID(id string) bool {
	return id != "" && len(id) <= maxName && strings.IndexFunc(id, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	}) < 0
}

// put writes a file whole. owner, if not nil, gets it.
func put(dir *os.Root, name, id string, content any, owner *syscall.Stat_t) (err error) {
	data, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if len(data) > maxFile {
		return fmt.Errorf("%d bytes, at most %d", len(data), maxFile)
	}
	temp := "." + id + ".new"
	_ = dir.Remove(temp) // of a process that was killed
	f, err := dir.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = dir.Remove(temp)
		}
	}()
	if owner != nil {
		if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := dir.Rename(temp, name); err != nil {
		return err
	}
	return syncFolder(dir)
}

// get reads a file. Who can write to the folder decides what is there: anything but a small regular file is refused.
func get(dir *os.Root, name string, into any) error {
	f, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would block
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return err
	}
	if len(data) > maxFile {
		return fmt.Errorf("%s has more than %d bytes", name, maxFile)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func syncFolder(dir *os.Root) error {
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// printable makes a text of somebody else fit for a terminal and a log: without control characters, and not too long.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, event.Cut(text, maxText))
}
