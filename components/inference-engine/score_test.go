package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"edgepdm/test/coretest"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// scoringRun is the program as it scores rows from its standard input.
type scoringRun struct {
	*exec.Cmd
	in   io.WriteCloser
	said bytes.Buffer
}

func startScoring(t *testing.T, program string, out *os.File) *scoringRun {
	t.Helper()
	s := &scoringRun{Cmd: exec.Command(program, "score", "-model", "model/model.ubj")}
	s.Stdout, s.Stderr = out, &s.said
	var err error
	s.in, err = s.StdinPipe()
	must.OK(t, err)
	must.OK(t, s.Start())
	t.Cleanup(func() { _ = s.Process.Kill() })
	return s
}

// rowsOf returns the text of so many rows of the model.
func rowsOf(t *testing.T, n int) string {
	t.Helper()
	lines := strings.SplitAfter(string(must.Read(t, "model/golden.csv")), "\n")
	_, row, _ := strings.Cut(lines[1], ",")
	return strings.Repeat(row, n)
}

// A pipe that nobody reads any more and a disk that is full end the work with words, and an interrupt says how far it came.
func TestScoreIsEndedFromOutside(t *testing.T) {
	program, rows := coretest.Build(t), rowsOf(t, 5000)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	must.OK(t, err)
	unread, closed, err := os.Pipe()
	must.OK(t, err)
	must.OK(t, unread.Close())
	for want, out := range map[string]*os.File{"no space left on device": full, "broken pipe": closed} {
		s := startScoring(t, program, out)
		_, _ = io.WriteString(s.in, rows) // it may end meanwhile
		_ = s.in.Close()
		if err := s.Wait(); err == nil || s.ProcessState.ExitCode() != 1 || !strings.Contains(s.said.String(), "write scores, after 0 rows: ") || !strings.Contains(s.said.String(), want) {
			t.Errorf("%v; %s", err, s.said.String())
		}
		must.OK(t, out.Close())
	}
	scores, out, err := os.Pipe()
	must.OK(t, err)
	s := startScoring(t, program, out)
	must.OK(t, out.Close())
	_, err = io.WriteString(s.in, rowsOf(t, 3))
	must.OK(t, err)
	written := bufio.NewScanner(scores)
	for range 4 { // the header, too
		if !written.Scan() {
			t.Fatal("no scores of rows that came")
		}
	}
	must.OK(t, s.Process.Signal(syscall.SIGINT))
	if err := s.Wait(); err == nil || s.ProcessState.ExitCode() != 1 || !strings.Contains(s.said.String(), "interrupted: the scores of the first 3 rows are written") {
		t.Errorf("%v; %s", err, s.said.String())
	}
	must.OK(t, scores.Close())
}

// Memory is the same however many rows there are.
func TestScoreTakesConstantMemory(t *testing.T) {
	need.Long(t)
	program := coretest.Build(t)
	const block, blocks = 2000, 60
	scores, out, err := os.Pipe()
	must.OK(t, err)
	s := startScoring(t, program, out)
	must.OK(t, out.Close())
	rows, failed := rowsOf(t, block), make(chan error, 1)
	go func() {
		for range blocks {
			if _, err := io.WriteString(s.in, rows); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	written, early := bufio.NewScanner(scores), 0.0
	for n := range 1 + block*blocks {
		if !written.Scan() {
			t.Fatalf("%d scores; %s", n, s.said.String())
		}
		if n == 5*block {
			_, early = memoryOf(t, s.Process.Pid)
		}
	}
	must.OK(t, <-failed)
	_, most := memoryOf(t, s.Process.Pid)
	must.OK(t, s.in.Close())
	must.OK(t, s.Wait())
	must.OK(t, scores.Close())
	t.Logf("%.1f MiB after %d rows, %.1f after %d", early, 5*block, most, block*blocks)
	if most > early+8 || most > 48 {
		t.Errorf("%.1f MiB after %d rows, %.1f after %d", early, 5*block, most, block*blocks)
	}
}
