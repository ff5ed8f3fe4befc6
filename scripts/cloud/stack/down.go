package stack

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// deleteTries bounds how often the stack is deleted: what still writes into a bucket while the stack goes may fill it again.
const deleteTries = 3

// Down deletes the stack. Before every try it calls empty for each of the buckets. It returns the resources that AWS did not
// delete, and why.
func (s *Stack) Down(ctx context.Context, state *State, empty func(ctx context.Context, bucket string) error) (left []string, err error) {
	for range deleteTries {
		if running(state.Status) {
			s.Tell.Line("Stack %s is in work (%s): following it first", s.Account.Stack, state.Status)
			w, err := s.watch(ctx, state.ID, 0, false)
			if err != nil {
				return nil, err
			}
			if state, err = w.end(ctx); err != nil {
				return nil, err
			}
		}
		if state.Status == types.StackStatusDeleteComplete {
			return nil, nil
		}
		resources, err := s.Resources(ctx, state.ID)
		if err != nil {
			return nil, err
		}
		for _, r := range resources {
			if aws.ToString(r.ResourceType) == "AWS::S3::Bucket" {
				if err := empty(ctx, aws.ToString(r.PhysicalResourceId)); err != nil {
					return nil, err
				}
			}
		}
		s.Tell.Line("Delete stack %s (resources: %d)", s.Account.Stack, len(resources))
		w, err := s.remove(ctx, state, len(resources))
		if err != nil {
			return nil, err
		}
		if w == nil {
			return nil, nil
		}
		left = w.failed
		if state, err = s.describe(ctx, state.ID); err != nil {
			return nil, err
		}
		if state == nil {
			return nil, nil
		}
	}
	if len(left) == 0 {
		left = []string{fmt.Sprintf("stack %s, in state %s: %s", s.Account.Stack, state.Status, state.Reason)}
	}
	return left, nil
}

// remove deletes a stack, and follows that to its end. It returns what was seen if the stack is still there then.
func (s *Stack) remove(ctx context.Context, state *State, total int) (*watch, error) {
	w, err := s.watch(ctx, state.ID, total, false)
	if err != nil {
		return nil, err
	}
	if _, err := s.Account.CloudFormation.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &state.ID}); err != nil {
		return nil, s.Account.Fail("delete stack "+s.Account.Stack, err)
	}
	last, err := w.end(ctx)
	if err != nil || last.Status == types.StackStatusDeleteComplete {
		return nil, err
	}
	return w, nil
}
