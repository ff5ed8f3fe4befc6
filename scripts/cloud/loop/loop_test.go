package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/tools"
)

// The definition is what asl-validator takes, with the placeholders as they are deployed and filled.
func TestDefinitionIsValid(t *testing.T) {
	dir := need.Installed(t, tools.StepFunctions)
	out, err := exec.CommandContext(t.Context(), "node", filepath.Join(dir, "node_modules", "asl-validator", "dist", "bin", "asl-validator.js"),
		"--json-path", filepath.Join(need.Root(t), definitionFile)).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// Every task has a time limit, is repeated, and tells its failure with its name.
func TestEveryTaskIsGuarded(t *testing.T) {
	var definition struct {
		TimeoutSeconds int
		States         map[string]struct {
			Type           string
			TimeoutSeconds int
			Result         struct{ Step string }
			Retry          []struct{ MaxAttempts, BackoffRate int }
			Catch          []struct{ Next string }
		}
	}
	must.OK(t, json.Unmarshal(must.Read(t, filepath.Join(need.Root(t), definitionFile)), &definition))
	if definition.TimeoutSeconds == 0 || len(definition.States) < 20 {
		t.Errorf("%d states, timeout %d", len(definition.States), definition.TimeoutSeconds)
	}
	for name, s := range definition.States {
		if s.Type != "Task" {
			continue
		}
		if s.TimeoutSeconds == 0 || len(s.Retry) != 1 || s.Retry[0].BackoffRate != 2 || len(s.Catch) != 1 {
			t.Errorf("%s: %+v", name, s)
			continue
		}
		if next := s.Catch[0].Next; !strings.HasPrefix(name, "Tell") && (next != name+"Failed" || definition.States[next].Result.Step != name) {
			t.Errorf("%s: its failure leads to %s, which says %q", name, next, definition.States[next].Result.Step)
		}
	}
}

// stubs are tasks without services: what the state machine itself does.
type stubs struct {
	published, better bool
	approvals         []string
	fail              map[string][]error // the next results of a state
	others            []string           // executions that run, newest first
	seen              []string
	inputs            map[string]string
}

func (s *stubs) task(_ context.Context, state string, input json.RawMessage) (any, error) {
	s.seen = append(s.seen, state)
	s.inputs[state] = string(input)
	if errs := s.fail[state]; len(errs) > 0 {
		s.fail[state] = errs[1:]
		if errs[0] != nil {
			return nil, errs[0]
		}
	}
	payload := func(text string) (any, error) { return map[string]any{"Payload": json.RawMessage(text)}, nil }
	switch state {
	case "FindRunning":
		var list []any
		for _, arn := range s.others {
			list = append(list, map[string]string{"ExecutionArn": arn})
		}
		return map[string]any{"Executions": list}, nil
	case "Look":
		if !s.published {
			return payload(`{"published":false}`)
		}
		return payload(`{"published":true,"version":"1.0.0","archive":"s3://b/models/m/1.0.0/model.tar.gz","manifest":"s3://b/models/m/manifest.dsse.json"}`)
	case "Publish":
		return payload(`{"published":true,"name":"m","version":"1.1.0","archive":"s3://b/models/m/1.1.0/model.tar.gz"}`)
	case "Prepare":
		return map[string]string{"Id": "jr_1"}, nil
	case "Train":
		return map[string]any{"ModelArtifacts": map[string]string{"S3ModelArtifacts": "s3://b/training/1/model.tar.gz"}}, nil
	case "Evaluate":
		return map[string]string{"ProcessingJobName": "p"}, nil
	case "ReadEvaluation":
		return map[string]string{"Body": fmt.Sprintf(`{"better":%v,"active":{"cost_per_1000":700},"candidate":{"cost_per_1000":500}}`, s.better)}, nil
	case "Register":
		return map[string]string{"ModelPackageArn": packageARN}, nil
	case "ReadApproval":
		status := s.approvals[0]
		s.approvals = s.approvals[1:]
		return map[string]string{"ModelApprovalStatus": status}, nil
	}
	return map[string]string{"MessageId": "1"}, nil
}

// The way that the state machine takes, by what its tasks answer.
func TestWays(t *testing.T) {
	need.Installed(t, tools.StepFunctions)
	throttled := &taskError{"SageMaker.AmazonSageMakerException", "Rate exceeded"}
	broken := &taskError{"States.TaskFailed", "the job has ended: no space left"}
	for _, c := range []struct {
		name  string
		input map[string]any
		stubs stubs
		ways  []string // states that are passed, besides the first two
		want  string   // in the result, or the error
	}{
		{"approved", nil, stubs{published: true, better: true, approvals: []string{"PendingManualApproval", "Approved"}},
			[]string{"Prepare", "Train", "Evaluate", "ReadEvaluation", "Register", "TellWaits", "ReadApproval", "ReadApproval", "Publish", "TellPublished"}, `"result":"published"`},
		{"rejected", nil, stubs{published: true, better: true, approvals: []string{"Rejected"}},
			[]string{"Prepare", "Train", "Evaluate", "ReadEvaluation", "Register", "TellWaits", "ReadApproval", "TellRejected"}, `"result":"rejected"`},
		{"without approval", map[string]any{"approval": "none"}, stubs{published: true, better: true},
			[]string{"Prepare", "Train", "Evaluate", "ReadEvaluation", "Register", "Publish", "TellPublished"}, `"result":"published"`},
		{"not better", nil, stubs{published: true}, []string{"Prepare", "Train", "Evaluate", "ReadEvaluation", "TellNotBetter"}, `"result":"not better"`},
		{"the first model", map[string]any{"approval": "none"}, stubs{}, []string{"Prepare", "Train", "Register", "Publish", "TellPublished"}, `"result":"published"`},
		{"throttled", nil, stubs{published: true, fail: map[string][]error{"Train": {throttled, throttled}}},
			[]string{"Prepare", "Train", "Train", "Train", "Evaluate", "ReadEvaluation", "TellNotBetter"}, `"result":"not better"`},
		{"the training fails", nil, stubs{published: true, fail: map[string][]error{"Train": {broken}}}, []string{"Prepare", "Train", "TellFailed"}, "no space left"},
		{"another run", nil, stubs{others: []string{executionARN, "arn:older"}}, nil, "another run was under way"},
		{"another run, younger", map[string]any{"approval": "none"}, stubs{others: []string{"arn:younger", executionARN}},
			[]string{"Prepare", "Train", "Register", "Publish", "TellPublished"}, `"result":"published"`},
		{"a notice that cannot be sent", map[string]any{"approval": "none"}, stubs{fail: map[string][]error{"TellPublished": {errors.New("no topic")}}},
			[]string{"Prepare", "Train", "Register", "Publish", "TellPublished"}, `"result":"published"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.stubs.inputs = map[string]string{}
			if c.stubs.others == nil {
				c.stubs.others = []string{executionARN}
			}
			m := &machine{root: need.Root(t), tasks: c.stubs.task, seen: func(machineEvent) {}, substitutions: offline("bucket")}
			if c.input == nil {
				c.input = map[string]any{}
			}
			c.input["reason"] = "drift on line-1"
			output, err := m.execute(t.Context(), t.TempDir(), executionARN, c.input)
			if text := fmt.Sprint(string(output), err); !strings.Contains(text, c.want) {
				t.Errorf("%s", text)
			}
			want := append([]string{"FindRunning", "Look"}, c.ways...)
			if c.ways == nil {
				want = want[:1]
			}
			if !slices.Equal(c.stubs.seen, want) {
				t.Errorf("passed %q\nwant %q", c.stubs.seen, want)
			}
			if notice, ok := c.stubs.inputs["TellFailed"]; ok && (!strings.Contains(notice, "failed at Train") || !strings.Contains(notice, "drift on line-1")) {
				t.Errorf("notice %s", notice)
			}
			if publish, ok := c.stubs.inputs["Publish"]; ok && !strings.Contains(publish, `"mode":"shadow"`) {
				t.Errorf("published as %s", publish)
			}
		})
	}
}

// The whole loop, as make loop runs it: Spark, XGBoost, the function and the embedded cloud.
func TestLoop(t *testing.T) {
	need.Long(t)
	for _, tool := range []tools.Tool{tools.StepFunctions, tools.XGBoost, tools.Spark} {
		need.Installed(t, tool)
	}
	dir := filepath.Join(t.TempDir(), "run")
	l := &loop{
		options: options{rows: 3000, baseRows: 2000, seed: 1, drift: "new-oil=2,load-profile", dir: dir, noDevice: true}, root: need.Root(t), out: io.Discard, begun: time.Now(),
	}
	if err := l.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.json"))
	must.OK(t, err)
	var r report
	must.OK(t, json.Unmarshal(text, &r))
	if r.Active.Version != "1.0.0" || len(r.Evaluation) == 0 {
		t.Errorf("%s", text)
	}
	if r.Outcome.Result != "published" || r.Candidate == nil || r.Candidate.Version != "1.1.0" || r.Candidate.Rollout == nil || r.Candidate.Rollout.Mode != "shadow" {
		t.Errorf("outcome %+v, candidate %+v", r.Outcome, r.Candidate)
	}
}

// Drift on a core starts the loop, whose model the core promotes.
func TestLoopFromDeviceToDevice(t *testing.T) {
	need.Long(t)
	for _, tool := range []tools.Tool{tools.StepFunctions, tools.XGBoost, tools.Spark} {
		need.Installed(t, tool)
	}
	t.Chdir(need.Root(t)) // where the components are built
	dir := filepath.Join(t.TempDir(), "run")
	l := &loop{
		options: options{rows: 3000, baseRows: 2000, seed: 1, drift: "new-oil=2,load-profile", dir: dir}, root: need.Root(t), out: io.Discard, begun: time.Now(),
	}
	must.OK(t, l.run(t.Context()))
	var r report
	must.OK(t, json.Unmarshal(must.Read(t, filepath.Join(dir, "report.json")), &r))
	if r.Drift == nil || r.Drift.Line != line || r.Drift.State != event.DriftFound || r.Drift.Model.Version != "1.0.0" {
		t.Errorf("drift %+v", r.Drift)
	}
	if d := r.Device; d == nil || d.Candidate != "1.1.0" || d.Active != "1.1.0" || d.Decision != event.DecisionPromote || d.Rows < 600 {
		t.Errorf("device %+v", r.Device)
	}
}

// Drifts are named as for generate.
func TestSimulatedDrifts(t *testing.T) {
	drifts, err := simulatedDrifts("new-oil=2,recalibrated:oil_temp=0.5,load-profile")
	must.OK(t, err)
	text, err := json.Marshal(drifts)
	must.OK(t, err)
	want := `[{"after":"30s","drift":"new-oil","line":"line-1","sensor":"","size":2},` +
		`{"after":"30s","drift":"recalibrated","line":"line-1","sensor":"oil_temp","size":0.5},` +
		`{"after":"30s","drift":"load-profile","line":"line-1","sensor":""}]`
	if string(text) != want {
		t.Errorf("%s", text)
	}
	if _, err := simulatedDrifts("new-oil=strong"); err == nil {
		t.Error("a size that is no number was taken")
	}
}
