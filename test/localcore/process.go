package localcore

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxLogLine cuts endless lines of output into pieces.
const maxLogLine = 64 << 10

// drainTimeout is how long output is read on after everything that should write it was killed.
const drainTimeout = time.Second

// process is one run of a script in its own process group.
type process struct {
	pid    int
	grace  time.Duration
	exited chan exit // receives once, when nothing of the group is left

	mu     sync.Mutex
	reaped bool // the group's id may be another's by now
}

// exit is how a script ended.
type exit struct {
	code int // 128 + signal when a signal ended it
	text string
	cpu  float64 // seconds, of the script and the children it waited for
}

// startProcess runs `sh -c script` in dir. Lines of its output go to line.
func startProcess(script, dir string, env []string, grace time.Duration, line func(stderr bool, text string)) (*process, error) {
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir, cmd.Env = dir, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var readers [2]*os.File
	var writers [2]*os.File
	for i := range readers {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(readers[:i], writers[:i])
			return nil, fmt.Errorf("make pipe: %w", err)
		}
		readers[i], writers[i] = r, w
	}
	cmd.Stdout, cmd.Stderr = writers[0], writers[1]
	err := startUnprivileged(cmd)
	closeAll(writers[:])
	if err != nil {
		closeAll(readers[:])
		return nil, fmt.Errorf("start script: %w", err)
	}
	p := &process{pid: cmd.Process.Pid, grace: grace, exited: make(chan exit, 1)}
	var copiers sync.WaitGroup
	for i, r := range readers {
		copiers.Go(func() {
			copyLines(r, func(text string) { line(i == 1, text) })
			r.Close()
		})
	}
	go p.wait(cmd, readers[:], &copiers) // ends with the process; its owner receives from exited
	return p, nil
}

func closeAll(lists ...[]*os.File) {
	for _, files := range lists {
		for _, f := range files {
			f.Close()
		}
	}
}

func copyLines(r io.Reader, line func(string)) {
	buf := bufio.NewReaderSize(r, maxLogLine)
	for {
		text, _, err := buf.ReadLine()
		if err != nil {
			return
		}
		line(strings.TrimSpace(string(text)))
	}
}

// wait sees the script through: when it has ended, what it left in its group gets SIGTERM and, if that still holds the
// output open after the grace period, SIGKILL. The script stays a zombie until then, so that its group's id is its own.
func (p *process) wait(cmd *exec.Cmd, readers []*os.File, copiers *sync.WaitGroup) {
	for {
		err := unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.signal(syscall.SIGTERM)
	drained := make(chan struct{})
	go func() {
		copiers.Wait()
		close(drained)
	}()
	timer := time.NewTimer(p.grace)
	select {
	case <-drained:
		timer.Stop()
		p.signal(syscall.SIGKILL)
	case <-timer.C:
		p.signal(syscall.SIGKILL)
		for _, r := range readers { // a process that left the group may hold the output open for ever
			_ = r.SetReadDeadline(time.Now().Add(drainTimeout)) // a pipe always has one
		}
		<-drained
	}
	e := exit{text: "exit status 0"}
	p.mu.Lock()
	err := cmd.Wait()
	p.reaped = true
	p.mu.Unlock()
	if err != nil {
		e.code, e.text = 1, err.Error()
	}
	if s := cmd.ProcessState; s != nil {
		e.cpu = (s.UserTime() + s.SystemTime()).Seconds()
		if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			e.code = 128 + int(ws.Signal())
		} else if !s.Success() {
			e.code = s.ExitCode()
		}
	}
	p.exited <- e
}

// signal signals the whole group.
func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(-p.pid, sig) // fails when nothing is left, which is what is wanted
	}
}

// stop ends the group: SIGTERM, then SIGKILL when the grace period or hurry ends.
func (p *process) stop(hurry <-chan struct{}) exit {
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(p.grace)
	defer timer.Stop()
	select {
	case e := <-p.exited:
		return e
	case <-timer.C:
	case <-hurry:
	}
	p.signal(syscall.SIGKILL)
	return <-p.exited
}
