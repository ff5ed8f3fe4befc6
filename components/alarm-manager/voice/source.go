package voice

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Source turns a text into sound.
type Source interface {
	// Name is for logs and conditions.
	Name() string
	// Clip returns the sound of an announcement, ErrNoClip when the source has none of it.
	Clip(ctx context.Context, a Announcement) (Clip, error)
}

// ErrNoClip means that a source has no sound of an announcement. It is no failure: the next source is asked.
var ErrNoClip = errors.New("no clip of this text")

// Espeak is a source that has the program espeak-ng speak.
type Espeak struct {
	Program string // name or path
}

const (
	defaultLanguage = "en"

	espeakTimeout = 5 * time.Second
	maxWAV        = int64(waveHeader + 2*maxRate*int(MaxClip/time.Second))
	maxComplaint  = 300
)

// Name is the program.
func (e Espeak) Name() string { return e.Program }

// Clip speaks the text in the announcement's language. The text is given on standard input: nothing in it is an option.
func (e Espeak) Clip(ctx context.Context, a Announcement) (Clip, error) {
	ctx, cancel := context.WithTimeout(ctx, espeakTimeout)
	defer cancel()
	cmd := program(ctx, e.Program, "--stdin", "--stdout", "-v", cmp.Or(a.Language, defaultLanguage))
	cmd.Stdin = strings.NewReader(a.Text)
	var out, complaint limited
	out.room, complaint.room = int(maxWAV), maxComplaint
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return Clip{}, fmt.Errorf("run %s: %w: %s", e.Program, err, strings.TrimSpace(complaint.String()))
	}
	clip, err := DecodeWAV(out.Bytes())
	if err != nil {
		return Clip{}, fmt.Errorf("read what %s wrote: %w", e.Program, err)
	}
	return clip, nil
}

// program prepares a program that is killed, with those that it has started, when ctx is done.
func program(ctx context.Context, name string, arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, arguments...) //nolint:gosec // the configuration names the program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
			return err
		}
		return os.ErrProcessDone
	}
	cmd.WaitDelay = time.Second
	return cmd
}

// limited keeps the first bytes that are written to it, and forgets the others.
type limited struct {
	bytes.Buffer
	room int
}

var _ io.Writer = (*limited)(nil)

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.room)
	l.room -= n
	_, _ = l.Buffer.Write(p[:n])
	return len(p), nil
}
