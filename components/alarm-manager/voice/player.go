package voice

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Sink makes a clip heard.
type Sink interface {
	// Name is for logs and conditions.
	Name() string
	// Play returns when the clip was heard, or cannot be, or ctx is done.
	Play(ctx context.Context, clip Clip) error
}

// Player is a sink that has a program play a WAV file, whose name is the program's last argument.
type Player struct {
	Command []string // program and arguments, such as aplay -q
	Dir     string   // folder of the file
}

// Name is the program.
func (p Player) Name() string { return p.Command[0] }

// Play writes the file and runs the program. A program that is still at it when ctx is done is killed.
func (p Player) Play(ctx context.Context, clip Clip) (err error) {
	file, err := os.CreateTemp(p.Dir, "announcement-*.wav")
	if err != nil {
		return fmt.Errorf("write announcement: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	err = clip.EncodeWAV(file)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write announcement: %w", err)
	}
	arguments := append(append([]string{}, p.Command[1:]...), file.Name())
	cmd := exec.CommandContext(ctx, p.Command[0], arguments...) //nolint:gosec // the configuration names the program
	var complaint limited
	complaint.room, cmd.WaitDelay = maxComplaint, time.Second
	cmd.Stderr = &complaint
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("run %s: %w: %s", p.Command[0], err, strings.TrimSpace(complaint.String()))
	}
	return nil
}
