package stack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"edgepdm/scripts/cloud/account"
	"edgepdm/scripts/cloud/tell"
)

// Stack is the stack in an account.
type Stack struct {
	Account *account.Account
	Tell    *tell.Teller
	Sleep   func(ctx context.Context, d time.Duration) bool // false: ctx has ended
	Now     func() time.Time
}

// State is what AWS says of the stack.
type State struct {
	ID         string
	Status     types.StackStatus
	Reason     string
	Parameters map[string]string
	Outputs    []types.Output
	tagged     bool // with the stack's tag
}

// Output returns the value of an output; empty if the stack has none of that name.
func (s *State) Output(name string) string {
	for _, o := range s.Outputs {
		if aws.ToString(o.OutputKey) == name {
			return aws.ToString(o.OutputValue)
		}
	}
	return ""
}

// Look returns the state of the stack, nil if there is none. One that somebody else made is an error.
func (s *Stack) Look(ctx context.Context) (*State, error) {
	state, err := s.describe(ctx, s.Account.Stack)
	if err != nil || state == nil || state.tagged || state.Status == types.StackStatusReviewInProgress {
		return state, err
	}
	return nil, fmt.Errorf("stack %s exists in %s, and lacks the tag %s=%s: it was not made by cloud-up, and is left alone; take another name (STACK=, -stack)",
		s.Account.Stack, s.Account.Region, account.Tag, s.Account.Stack)
}

// describe returns the state of a stack, by its name or ID.
func (s *Stack) describe(ctx context.Context, stack string) (*State, error) {
	answer, err := s.Account.CloudFormation.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &stack})
	if account.Code(err) == "ValidationError" && strings.Contains(err.Error(), "does not exist") {
		return nil, nil
	}
	if err != nil {
		return nil, s.Account.Fail("look for stack "+s.Account.Stack, err)
	}
	if len(answer.Stacks) == 0 {
		return nil, nil
	}
	found := answer.Stacks[0]
	state := &State{ID: aws.ToString(found.StackId), Status: found.StackStatus, Reason: aws.ToString(found.StackStatusReason), Outputs: found.Outputs,
		Parameters: make(map[string]string, len(found.Parameters))}
	for _, p := range found.Parameters {
		state.Parameters[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
	}
	for _, tag := range found.Tags {
		state.tagged = state.tagged || aws.ToString(tag.Key) == account.Tag && aws.ToString(tag.Value) == s.Account.Stack
	}
	return state, nil
}

// Resources returns what the stack has: those whose deletion is done are left out.
func (s *Stack) Resources(ctx context.Context, stack string) ([]types.StackResourceSummary, error) {
	var list []types.StackResourceSummary
	pages := cloudformation.NewListStackResourcesPaginator(s.Account.CloudFormation, &cloudformation.ListStackResourcesInput{StackName: &stack})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s.Account.Fail("list the resources of stack "+s.Account.Stack, err)
		}
		for _, r := range page.StackResourceSummaries {
			if r.ResourceStatus != types.ResourceStatusDeleteComplete && aws.ToString(r.PhysicalResourceId) != "" {
				list = append(list, r)
			}
		}
	}
	return list, nil
}

// ErrAbsent says that there is no stack.
var ErrAbsent = errors.New("there is no such stack")

// Ready returns the state of a stack whose outputs can be used.
func (s *Stack) Ready(ctx context.Context) (*State, error) {
	state, err := s.Look(ctx)
	if err != nil {
		return nil, err
	}
	if state == nil {
		return nil, fmt.Errorf("stack %s in region %s: %w: run make cloud-up first", s.Account.Stack, s.Account.Region, ErrAbsent)
	}
	if !usable(state.Status) {
		return nil, fmt.Errorf("stack %s is in state %s: run make cloud-up first, which tells what is wrong", s.Account.Stack, state.Status)
	}
	return state, nil
}

// usable tells whether a stack has all that its last template has, or had before an update that failed.
func usable(status types.StackStatus) bool {
	switch status {
	case types.StackStatusCreateComplete, types.StackStatusUpdateComplete, types.StackStatusUpdateRollbackComplete,
		types.StackStatusUpdateCompleteCleanupInProgress, types.StackStatusUpdateRollbackCompleteCleanupInProgress,
		types.StackStatusUpdateInProgress, types.StackStatusImportComplete, types.StackStatusImportRollbackComplete:
		return true
	}
	return false
}

func running(status types.StackStatus) bool {
	return strings.HasSuffix(string(status), "_IN_PROGRESS") && status != types.StackStatusReviewInProgress
}
