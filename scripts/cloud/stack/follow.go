package stack

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// pollEvery is how long the stack is left alone between two looks at it.
const pollEvery = 3 * time.Second

// watch follows a stack: its events, from where it was made on.
type watch struct {
	s      *Stack
	id     string          // of the stack
	seen   map[string]bool // events
	total  int             // resources, for the bar
	done   map[string]bool // resources
	failed []string        // resources and AWS's reasons, the first first
}

// watch begins to follow a stack; what has happened before is not told.
func (s *Stack) watch(ctx context.Context, id string, total int, fresh bool) (*watch, error) {
	w := &watch{s: s, id: id, seen: make(map[string]bool), total: total, done: make(map[string]bool)}
	if fresh {
		return w, nil
	}
	events, err := w.events(ctx)
	for _, e := range events {
		w.seen[aws.ToString(e.EventId)] = true
	}
	return w, err
}

// events returns the events that were not seen, oldest first.
func (w *watch) events(ctx context.Context) ([]types.StackEvent, error) {
	var list []types.StackEvent
	pages := cloudformation.NewDescribeStackEventsPaginator(w.s.Account.CloudFormation, &cloudformation.DescribeStackEventsInput{StackName: &w.id})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, w.s.Account.Fail("follow stack "+w.s.Account.Stack, err)
		}
		for _, e := range page.StackEvents {
			if w.seen[aws.ToString(e.EventId)] {
				slices.Reverse(list)
				return list, nil
			}
			list = append(list, e)
		}
	}
	slices.Reverse(list)
	return list, nil
}

// end tells what happens until nothing does any more, and returns the stack's last state.
func (w *watch) end(ctx context.Context) (*State, error) {
	defer w.s.Tell.Done()
	for {
		state, err := w.s.describe(ctx, w.id) // before the events: so the last ones are told, too
		if err != nil {
			return nil, err
		}
		if state == nil {
			return &State{ID: w.id, Status: types.StackStatusDeleteComplete}, nil
		}
		events, err := w.events(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			w.tell(e)
		}
		if !running(state.Status) {
			return state, nil
		}
		if !w.s.Sleep(ctx, pollEvery) {
			return nil, fmt.Errorf("follow stack %s, which goes on in AWS; the same command follows it again: %w", w.s.Account.Stack, ctx.Err())
		}
	}
}

// tell tells an event of a resource.
func (w *watch) tell(e types.StackEvent) {
	w.seen[aws.ToString(e.EventId)] = true
	name, status := aws.ToString(e.LogicalResourceId), string(e.ResourceStatus)
	if aws.ToString(e.PhysicalResourceId) == w.id || name == "" { // the stack itself
		return
	}
	resource := fmt.Sprintf("%s (%s)", name, aws.ToString(e.ResourceType))
	switch reason := aws.ToString(e.ResourceStatusReason); {
	case strings.HasSuffix(status, "_FAILED"):
		w.s.Tell.Line("  %-16s %s: %s", word(status), resource, reason)
		if !strings.Contains(reason, "cancelled") { // that is not why the stack fails
			w.failed = append(w.failed, resource+": "+reason)
		}
	case strings.HasSuffix(status, "_COMPLETE"), strings.HasSuffix(status, "_SKIPPED"):
		w.s.Tell.Line("  %-16s %s", word(status), resource)
		w.done[name] = true
	}
	w.s.Tell.Progress(len(w.done), w.total, name)
}

// word is a status for people: CREATE_COMPLETE is "create complete".
func word(status string) string { return strings.ToLower(strings.ReplaceAll(status, "_", " ")) }

// reasons are the resources that failed, for an error.
func (w *watch) reasons(state *State) string {
	switch {
	case len(w.failed) > 0:
		return strings.Join(w.failed, "\n  ")
	case state.Reason != "":
		return state.Reason
	}
	return "AWS gives no reason"
}
