package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
)

// report is what a run leaves.
type report struct {
	Seconds    float64         `json:"seconds"`
	Steps      []step          `json:"steps"`
	Active     publishedModel  `json:"active"` // before the run
	Evaluation json.RawMessage `json:"evaluation,omitempty"`
	Outcome    outcome         `json:"outcome"`
	Candidate  *candidate      `json:"candidate,omitempty"`
	Drift      *event.Drift    `json:"drift,omitempty"`  // that started the run
	Device     *deviceReport   `json:"device,omitempty"` // what it did with the candidate
	Notices    []string        `json:"notices"`
}

type step struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
	Detail  string  `json:"detail,omitempty"`
}

// publishedModel is what the publisher answers.
type publishedModel struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Archive string `json:"archive"`
	SHA256  string `json:"sha256"`
}

// outcome is the output of the state machine.
type outcome struct {
	Result string          `json:"result"`
	Run    string          `json:"run"`
	Reason string          `json:"reason"`
	Model  *publishedModel `json:"model,omitempty"`
}

func (o outcome) text() string {
	if o.Model == nil {
		return o.Result
	}
	return fmt.Sprintf("%s: %s %s", o.Result, o.Model.Name, o.Model.Version)
}

// candidate is what the devices get.
type candidate struct {
	Version   string            `json:"version"`
	Threshold float64           `json:"threshold"`
	Rollout   *envelope.Rollout `json:"rollout,omitempty"`
}

// detail says shortly what a task gave, and keeps what belongs into the report.
func (l *loop) detail(state string, result any) string {
	if state == "ReadEvaluation" {
		text := result.(map[string]string)["Body"]
		l.report.Evaluation = json.RawMessage(text)
		var e struct {
			Rows              int
			Active, Candidate struct {
				Cost float64 `json:"cost_per_1000"`
			}
			Better bool
		}
		if json.Unmarshal([]byte(text), &e) == nil {
			return fmt.Sprintf("%d rows, cost per 1,000: active %.0f, candidate %.0f, better: %v", e.Rows, e.Active.Cost, e.Candidate.Cost, e.Better)
		}
	}
	return "done"
}

func (r *report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*10) / 10 }
