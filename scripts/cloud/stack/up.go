package stack

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"edgepdm/scripts/cloud/account"
)

// Plan is what the stack becomes.
type Plan struct {
	Template *Template
	URL      string            // where the template is; empty: it is sent
	Values   map[string]string // of parameters; those left out keep their value, or get their default
	Replace  func(changes []string) (bool, error)
}

// Repair brings a stack that half exists to where Up can go on, and returns its state then; nil: there is none.
func (s *Stack) Repair(ctx context.Context) (*State, error) {
	state, err := s.Look(ctx)
	for tries := 0; err == nil && state != nil; tries++ {
		name := s.Account.Stack
		if tries == 5 {
			return nil, fmt.Errorf("stack %s stays in state %s", name, state.Status)
		}
		switch status := state.Status; {
		case running(status):
			s.Tell.Line("Stack %s is in work (%s), since an earlier command: following it", name, status)
			var w *watch
			if w, err = s.watch(ctx, state.ID, 0, false); err == nil {
				_, err = w.end(ctx)
			}
		case status == types.StackStatusReviewInProgress, status == types.StackStatusRollbackComplete, status == types.StackStatusCreateFailed && state.tagged:
			if err := s.othersChanges(ctx, state); err != nil {
				return nil, err
			}
			if empty, emptyErr := s.empty(ctx, state); emptyErr != nil || !empty {
				return nil, s.half(state, emptyErr, "its first creation failed, and AWS could not remove what it had made")
			}
			s.Tell.Line("Stack %s was never complete (%s), and has no resources: deleting it", name, status)
			_, err = s.remove(ctx, state, 0)
		case status == types.StackStatusRollbackFailed, status == types.StackStatusDeleteFailed:
			return nil, s.half(state, nil, "AWS could not delete all of it")
		case status == types.StackStatusUpdateRollbackFailed:
			if tries > 0 {
				return nil, fmt.Errorf("stack %s is in state %s: AWS could not undo an update that failed: %s. Remove the cause, and run make cloud-up again",
					name, status, state.Reason)
			}
			s.Tell.Line("Stack %s: the undoing of an update failed (%s); trying it again", name, state.Reason)
			err = s.undo(ctx, state)
		default:
			return state, nil
		}
		if err == nil {
			state, err = s.Look(ctx)
		}
	}
	return nil, err
}

// changeSets is what the names of this program's change sets begin with.
const changeSets = "edgepdm-"

// othersChanges refuses a stack that somebody else prepares: one in review has no tags yet.
func (s *Stack) othersChanges(ctx context.Context, state *State) error {
	if state.tagged {
		return nil
	}
	list, err := s.Account.CloudFormation.ListChangeSets(ctx, &cloudformation.ListChangeSetsInput{StackName: &state.ID})
	if err != nil {
		return s.Account.Fail("list the changes of stack "+s.Account.Stack, err)
	}
	for _, set := range list.Summaries {
		if !strings.HasPrefix(aws.ToString(set.ChangeSetName), changeSets) {
			return fmt.Errorf("stack %s is prepared by somebody else (change set %s), and is left alone; take another name (STACK=, -stack)",
				s.Account.Stack, aws.ToString(set.ChangeSetName))
		}
	}
	return nil
}

// half is the error of a stack that a person has to look at.
func (s *Stack) half(state *State, err error, why string) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("stack %s is in state %s: %s (%s). Run make cloud-down, then make cloud-up", s.Account.Stack, state.Status, why, state.Reason)
}

// empty tells whether a stack has no resources.
func (s *Stack) empty(ctx context.Context, state *State) (bool, error) {
	list, err := s.Resources(ctx, state.ID)
	return len(list) == 0, err
}

// undo continues the undoing of an update.
func (s *Stack) undo(ctx context.Context, state *State) error {
	w, err := s.watch(ctx, state.ID, 0, false)
	if err != nil {
		return err
	}
	if _, err := s.Account.CloudFormation.ContinueUpdateRollback(ctx, &cloudformation.ContinueUpdateRollbackInput{StackName: &state.ID}); err != nil {
		return s.Account.Fail("undo the update of stack "+s.Account.Stack, err)
	}
	_, err = w.end(ctx)
	return err
}

// Up makes the stack, or changes it to what the plan says. before is what Repair returned.
func (s *Stack) Up(ctx context.Context, plan Plan, before *State) (*State, error) {
	name, kind, verb := s.Account.Stack, types.ChangeSetTypeCreate, "create"
	var old map[string]string
	if before != nil {
		kind, verb, old = types.ChangeSetTypeUpdate, "update", before.Parameters
	}
	step := verb + " stack " + name
	set := fmt.Sprintf(changeSets+"%d", s.Now().UnixMilli())
	input := &cloudformation.CreateChangeSetInput{
		StackName: &name, ChangeSetName: &set, ClientToken: &set, ChangeSetType: kind, Parameters: parameters(plan, old),
		Capabilities: []types.Capability{types.CapabilityCapabilityNamedIam},
		Tags:         []types.Tag{{Key: aws.String(account.Tag), Value: &name}},
	}
	if plan.URL != "" {
		input.TemplateURL = &plan.URL
	} else {
		input.TemplateBody = &plan.Template.Body
	}
	made, err := s.Account.CloudFormation.CreateChangeSet(ctx, input)
	if err != nil && unchanged(err.Error()) {
		return before, nil
	}
	if err != nil {
		return nil, s.Account.Fail(step+": prepare the changes", s.explain(err))
	}
	changes, err := s.changes(ctx, step, made)
	if err != nil || len(changes) == 0 {
		return before, err
	}
	if lost := losses(changes); len(lost) > 0 {
		agreed, err := plan.Replace(lost)
		if err != nil || !agreed {
			_, _ = s.Account.CloudFormation.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{ChangeSetName: made.Id}) // it does nothing
			return nil, err
		}
	}
	w, err := s.watch(ctx, aws.ToString(made.StackId), len(changes), before == nil)
	if err != nil {
		return nil, err
	}
	s.Tell.Line("%s%s (changes: %d)", strings.ToUpper(step[:1]), step[1:], len(changes))
	if _, err := s.Account.CloudFormation.ExecuteChangeSet(ctx, &cloudformation.ExecuteChangeSetInput{ChangeSetName: made.Id, ClientRequestToken: &set}); err != nil {
		return nil, s.Account.Fail(step, err)
	}
	state, err := w.end(ctx)
	if err != nil {
		return nil, err
	}
	if state.Status != types.StackStatusCreateComplete && state.Status != types.StackStatusUpdateComplete {
		return nil, fmt.Errorf("%s: AWS has undone it (%s):\n  %s", step, state.Status, w.reasons(state))
	}
	return state, nil
}

// parameters are the values of the plan; what the stack has already, it keeps.
func parameters(plan Plan, old map[string]string) []types.Parameter {
	var list []types.Parameter
	for _, name := range slices.Sorted(maps.Keys(plan.Template.Parameters)) {
		if value, given := plan.Values[name]; given {
			list = append(list, types.Parameter{ParameterKey: &name, ParameterValue: &value})
		} else if _, has := old[name]; has {
			list = append(list, types.Parameter{ParameterKey: &name, UsePreviousValue: aws.Bool(true)})
		}
	}
	return list
}

// changes waits for a change set, and returns what it would change: nothing if the stack is as it shall be.
func (s *Stack) changes(ctx context.Context, step string, made *cloudformation.CreateChangeSetOutput) ([]types.Change, error) {
	var list []types.Change
	input := &cloudformation.DescribeChangeSetInput{ChangeSetName: made.Id}
	for {
		set, err := s.Account.CloudFormation.DescribeChangeSet(ctx, input)
		if err != nil {
			return nil, s.Account.Fail(step+": look at the changes", err)
		}
		reason := aws.ToString(set.StatusReason)
		switch set.Status {
		case types.ChangeSetStatusCreateComplete:
			if list = append(list, set.Changes...); aws.ToString(set.NextToken) != "" {
				input.NextToken = set.NextToken
				continue
			}
			if len(list) == 0 { // of outputs only
				list = []types.Change{{}}
			}
			return list, nil
		case types.ChangeSetStatusFailed:
			if _, err := s.Account.CloudFormation.DeleteChangeSet(ctx, &cloudformation.DeleteChangeSetInput{ChangeSetName: made.Id}); err != nil {
				return nil, s.Account.Fail(step+": remove the changes that came to nothing", err)
			}
			if unchanged(reason) {
				return nil, nil
			}
			return nil, fmt.Errorf("%s: AWS refuses the changes: %s", step, reason)
		}
		if !s.Sleep(ctx, time.Second) {
			return nil, ctx.Err()
		}
	}
}

// unchanged tells whether a reason of AWS says that the stack is as it shall be.
func unchanged(reason string) bool {
	return strings.Contains(reason, "didn't contain changes") || strings.Contains(reason, "No updates are to be performed")
}

// losses are the changes that take data with them.
func losses(changes []types.Change) []string {
	var list []string
	for _, c := range changes {
		r := c.ResourceChange
		if r == nil || r.Action != types.ChangeActionRemove && r.Replacement != types.ReplacementTrue {
			continue
		}
		switch kind := aws.ToString(r.ResourceType); kind {
		case "AWS::S3::Bucket", "AWS::SecretsManager::Secret", "AWS::IoT::ThingGroup", "AWS::SQS::Queue":
			verb := "is removed"
			if r.Action != types.ChangeActionRemove {
				verb = "is replaced by a new one"
			}
			list = append(list, fmt.Sprintf("%s (%s) %s", aws.ToString(r.LogicalResourceId), kind, verb))
		}
	}
	return list
}

// explain says what AWS's word on a template that it does not take means.
func (s *Stack) explain(err error) error {
	text := err.Error()
	if account.Code(err) == "ValidationError" && strings.Contains(text, "Unrecognized resource types") {
		return &account.Failure{Step: "check the template", Err: err,
			Text: fmt.Sprintf("region %s lacks a service that the stack uses (%s): take another region", s.Account.Region, text[strings.Index(text, "Unrecognized"):])}
	}
	return err
}
