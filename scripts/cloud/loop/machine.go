package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"edgepdm/test/tools"
)

// definitionFile is the state machine, and executeFile the program that executes it here.
const (
	definitionFile = "scripts/cloud/loop/loop.asl.json"
	executeFile    = "scripts/cloud/loop/execute.mjs"
)

// maxTaskBody bounds what the state machine hands to a task, as Step Functions does.
const maxTaskBody = 1 << 20

// taskError is an error of a task, of the type by which a state machine tells errors apart.
type taskError struct{ kind, message string }

func (e *taskError) Error() string { return e.kind + ": " + e.message }

// machine executes the state machine: tasks runs its Task states.
type machine struct {
	root          string
	substitutions map[string]string // of the placeholders, as the template's DefinitionSubstitutions
	tasks         func(ctx context.Context, state string, input json.RawMessage) (any, error)
	seen          func(event machineEvent)
}

// machineEvent is a line that the executing program writes.
type machineEvent struct {
	Event, State string
	Error, Cause string
	Output       json.RawMessage
}

// definition returns the state machine with the placeholders filled.
func (m *machine) definition() (json.RawMessage, error) {
	text, err := os.ReadFile(filepath.Join(m.root, definitionFile))
	if err != nil {
		return nil, err
	}
	filled := string(text)
	for name, value := range m.substitutions {
		filled = strings.ReplaceAll(filled, "${"+name+"}", value)
	}
	if at := strings.Index(filled, "${"); at >= 0 {
		return nil, fmt.Errorf("%s: nothing is known for the placeholder %.40q", definitionFile, filled[at:])
	}
	return json.RawMessage(filled), nil
}

// execute runs the state machine on an input, and returns its output.
func (m *machine) execute(ctx context.Context, dir, id string, input any) (json.RawMessage, error) {
	definition, err := m.definition()
	if err != nil {
		return nil, err
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for tasks: %w", err)
	}
	server := &http.Server{Handler: m.handler(ctx), ReadHeaderTimeout: 10 * time.Second}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // until it is closed
	defer func() {
		_ = server.Close()
		serving.Wait()
	}()
	request, err := json.Marshal(map[string]any{
		"definition": definition, "input": input, "tasks": "http://" + listener.Addr().String(), "waits": 100, "retries": 100,
		"context": map[string]any{"Execution": map[string]any{"Id": id, "Input": input}, "StateMachine": map[string]any{"Id": machineARN}},
	})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "execution.json")
	if err := os.WriteFile(file, request, 0o600); err != nil {
		return nil, err
	}
	return m.run(ctx, file)
}

// run starts the program, and reads its events to the last.
func (m *machine) run(ctx context.Context, file string) (json.RawMessage, error) {
	cmd := exec.CommandContext(ctx, "node", filepath.Join(m.root, executeFile), file)
	cmd.Env = append(os.Environ(), "MODULES="+filepath.Join(tools.StepFunctions.Dir(m.root), "node_modules"))
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start node: %w", err)
	}
	var last machineEvent
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e machineEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			continue // a warning of a package
		}
		last = e
		m.seen(e)
	}
	err = errors.Join(lines.Err(), cmd.Wait())
	switch {
	case last.Event == "Error":
		return nil, &taskError{last.Error, last.Cause}
	case err != nil:
		return nil, fmt.Errorf("execute the state machine: %w\n%s", err, complaints.String())
	case last.Event != "Result":
		return nil, fmt.Errorf("the state machine gave no result\n%s", complaints.String())
	}
	return last.Output, nil
}

// handler answers the program's requests for tasks.
func (m *machine) handler(ctx context.Context) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var task struct {
			State string
			Input json.RawMessage
		}
		var result any
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxTaskBody)).Decode(&task)
		if err == nil {
			result, err = m.tasks(ctx, task.State, task.Input)
		}
		if err != nil {
			failed := &taskError{"States.TaskFailed", err.Error()}
			_ = errors.As(err, &failed)
			w.WriteHeader(http.StatusInternalServerError)
			result = map[string]string{"errorType": failed.kind, "errorMessage": failed.message}
		}
		_ = json.NewEncoder(w).Encode(result) // the program has ended
	})
}
