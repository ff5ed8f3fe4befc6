// Package plantpeers runs what a plant has, for tests: an OPC UA server (asyncua), a Modbus server (pymodbus) and an MQTT broker
// (mosquitto).
package plantpeers

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/tools"
)

// Server is a peer that obeys lines of its standard input.
type Server struct {
	Port int

	t       testing.TB
	command []string
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// OPCUA starts a server with Press1; see opcua_server.py. security are the files of its certificate and key, or nothing.
func OPCUA(t testing.TB, security ...string) *Server { return start(t, "opcua_server.py", security...) }

// Modbus starts a server; see modbus_server.py. size is how many registers each table has, or nothing.
func Modbus(t testing.TB, size ...string) *Server { return start(t, "modbus_server.py", size...) }

func start(t testing.TB, script string, arguments ...string) *Server {
	t.Helper()
	python := filepath.Join(need.Installed(t, tools.PlantPeers), "bin", "python")
	s := &Server{Port: FreePort(t), t: t}
	s.command = append([]string{python, filepath.Join(need.Root(t), "test", "plantpeers", script), strconv.Itoa(s.Port)}, arguments...)
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// Start starts it again, at the same port.
func (s *Server) Start() {
	s.t.Helper()
	s.process = exec.Command(s.command[0], s.command[1:]...)
	s.process.Stderr = os.Stderr
	var err error
	s.in, err = s.process.StdinPipe()
	must.OK(s.t, err)
	out, err := s.process.StdoutPipe()
	must.OK(s.t, err)
	s.out = bufio.NewReader(out)
	must.OK(s.t, s.process.Start())
	s.await("ready")
}

func (s *Server) await(word string) {
	s.t.Helper()
	line, err := s.out.ReadString('\n')
	if strings.TrimSpace(line) != word {
		s.t.Fatalf("the server says %q, %v; want %q", line, err, word)
	}
}

// Do gives a command and waits until it is done.
func (s *Server) Do(format string, args ...any) {
	s.t.Helper()
	_, err := fmt.Fprintf(s.in, format+"\n", args...)
	must.OK(s.t, err)
	s.await("done")
}

// Kill ends it at once, as a pulled plug does.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	_ = s.process.Wait() // it was killed
	s.process = nil
}

// FreePort returns a port on loopback that nothing listens on.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.OK(t, err)
	defer func() { must.OK(t, l.Close()) }()
	return l.Addr().(*net.TCPAddr).Port
}

// FreeAddress is FreePort with the host.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
}

// Mosquitto starts the broker with the lines of a configuration, of which the first is a listener on the port that it returns. stop ends it
// at once.
func Mosquitto(t testing.TB, lines ...string) (port int, stop func()) {
	t.Helper()
	port = FreePort(t)
	return port, MosquittoAt(t, port, lines...)
}

// MosquittoAt is Mosquitto at a port. Where it runs as root it stays it, because another user cannot read a test's files.
func MosquittoAt(t testing.TB, port int, lines ...string) (stop func()) {
	t.Helper()
	program := need.Tool(t, "mosquitto", "Debian: apt-get install mosquitto")
	file := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("user root\nlistener %d 127.0.0.1\n%s\n", port, strings.Join(lines, "\n"))
	must.OK(t, os.WriteFile(file, []byte(text), 0o600))
	return listening(t, port, exec.Command(program, "-c", file))
}

// listening starts a server, and waits until it listens on a port of loopback. stop ends it at once.
func listening(t testing.TB, port int, c *exec.Cmd) (stop func()) {
	t.Helper()
	log := &strings.Builder{}
	c.Stdout, c.Stderr = log, log
	must.OK(t, c.Start())
	ended := false
	stop = func() {
		if !ended {
			ended = true
			_ = c.Process.Kill()
			_ = c.Wait() // it was killed
		}
	}
	t.Cleanup(stop)
	deadline := time.Now().Add(20 * time.Second)
	for {
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = conn.Close()
			return stop
		}
		if time.Now().After(deadline) {
			stop()
			t.Fatalf("%s does not listen: %v\n%s", c.Path, err, log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
