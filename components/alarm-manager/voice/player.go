package voice

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// playerFile is one file, as one announcement is spoken at a time: a process that is killed leaves no others.
const playerFile = "announcement.wav"

// Name is the program.
func (p Player) Name() string { return p.Command[0] }

// Play writes the file and runs the program. A program that is still at it when ctx is done is killed.
func (p Player) Play(ctx context.Context, clip Clip) error {
	file := filepath.Join(p.Dir, playerFile)
	var wave bytes.Buffer
	err := clip.EncodeWAV(&wave)
	if err == nil {
		err = os.WriteFile(file, wave.Bytes(), 0o600)
	}
	defer func() { _ = os.Remove(file) }()
	if err != nil {
		return fmt.Errorf("write announcement: %w", err)
	}
	cmd := program(ctx, p.Command[0], append(slices.Clone(p.Command[1:]), file)...)
	var complaint limited
	complaint.room, cmd.Stderr = maxComplaint, &complaint
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("run %s: %w: %s", p.Command[0], err, strings.TrimSpace(complaint.String()))
	}
	return nil
}
