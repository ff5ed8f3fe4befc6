package request

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"syscall"
	"time"
)

// Why there is no answer.
var (
	// ErrNotTaken says that the component did not take the request: nothing was done, and nothing will be.
	ErrNotTaken = errors.New("nothing was done")
	// ErrWaits says that the component did not take the request yet, which stays.
	ErrWaits = errors.New("it is done when the component runs")
	// ErrNoAnswer says that the component took the request, and has not said yet what came of it.
	ErrNoAnswer = errors.New("it may still be done")
)

const pollEvery = 50 * time.Millisecond

// Call is something that a person asks of a component.
type Call struct {
	Component string
	WorkDir   string // the component's
	Command   string
	Arguments any // nil: none

	Timeout  time.Duration     // without a word of the component
	Keep     time.Duration     // if not 0, the request stays so long when the component does not run
	Progress func(text string) // what the component says before its answer; may be nil
}

// Do leaves the request and waits for the answer. An error is the component's, or wraps ErrNotTaken, ErrWaits or ErrNoAnswer.
func (c Call) Do(ctx context.Context) (string, error) {
	work, err := os.OpenRoot(c.WorkDir)
	if err != nil {
		return "", c.unreachable(err)
	}
	defer func() { _ = work.Close() }()
	dir, err := work.OpenRoot(folder) // not by a link to elsewhere, where root would write
	if err != nil {
		return "", c.unreachable(err)
	}
	defer func() { _ = dir.Close() }()
	id := rand.Text()
	if err := c.leave(dir, id); err != nil {
		return "", c.unreachable(err)
	}
	defer func() { _ = dir.Remove(id + suffixAnswer) }()
	return c.wait(ctx, dir, id)
}

// leave writes the request. Root gives it to the component's user, who could not read it otherwise.
func (c Call) leave(dir *os.Root, id string) error {
	m := message{V: format, ID: id, Command: c.Command, By: whoAsks(), Created: time.Now().UTC(), Valid: int64((max(c.Keep, c.Timeout) + time.Second) / time.Second)}
	if c.Arguments != nil {
		var err error
		if m.Arguments, err = json.Marshal(c.Arguments); err != nil {
			return fmt.Errorf("encode arguments: %w", err)
		}
	}
	var owner *syscall.Stat_t
	if os.Geteuid() == 0 {
		info, err := dir.Stat(".")
		if err != nil {
			return err
		}
		owner, _ = info.Sys().(*syscall.Stat_t)
	}
	return put(dir, id+suffixRequest, id, m, owner)
}

// wait waits for the answer. It stops when nothing is heard for the time-out.
func (c Call) wait(ctx context.Context, dir *os.Root, id string) (string, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	silence := time.NewTimer(c.Timeout)
	defer silence.Stop()
	var last answer
	for {
		var now answer
		err := get(dir, id+suffixAnswer, &now)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", fmt.Errorf("read the answer of %s: %w", c.Component, err)
		case now.State == stateDone:
			return printable(now.Text), nil
		case now.State == stateFailed:
			return "", errors.New(printable(now.Text))
		case now.Text != last.Text:
			silence.Reset(c.Timeout)
			last = now
			if c.Progress != nil {
				c.Progress(printable(now.Text))
			}
		}
		select {
		case <-tick.C:
		case <-silence.C:
			return "", c.giveUp(dir, id, last.Text, fmt.Sprintf("in %v", c.Timeout))
		case <-ctx.Done():
			return "", c.giveUp(dir, id, last.Text, "before it was interrupted")
		}
	}
}

// giveUp withdraws the request if it was not taken.
func (c Call) giveUp(dir *os.Root, id, last, when string) error {
	if c.Keep > 0 {
		if _, err := dir.Stat(id + suffixRequest); err == nil {
			return fmt.Errorf("%s did not take the command %s; it waits %v: %w (is it running?)", c.Component, when, c.Keep, ErrWaits)
		}
	} else if err := dir.Remove(id + suffixRequest); err == nil {
		return fmt.Errorf("%s did not take the command %s: %w: is it running, and does its log say that it works?", c.Component, when, ErrNotTaken)
	}
	if last != "" {
		return fmt.Errorf("%s works on it, and did not end %s: %w; its last word: %s", c.Component, when, ErrNoAnswer, printable(last))
	}
	return fmt.Errorf("%s took the command and did not answer %s: %w", c.Component, when, ErrNoAnswer)
}

// unreachable explains why no request could be left.
func (c Call) unreachable(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("ask %s: %w: run this as root, or as the component's user", c.Component, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("ask %s: %w: the component has not run there yet with an accepted configuration, or it is an older version", c.Component, err)
	}
	return fmt.Errorf("ask %s: %w", c.Component, err)
}

// whoAsks names the person, for the component's log.
func whoAsks() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return fmt.Sprintf("user %d", os.Getuid())
}
