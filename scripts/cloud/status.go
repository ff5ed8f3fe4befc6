package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	watched "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	queues "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"edgepdm/scripts/cloud/stack"
	"edgepdm/shared/cli"
)

func (e environment) status(ctx context.Context, args []string, s cli.Streams) error {
	var o options
	fs := cli.NewFlagSet("cloud status [-stack NAME] [-region REGION]", s)
	o.flags(fs)
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	return interrupted(ctx, e.show(ctx, o, s))
}

func (e environment) show(ctx context.Context, o options, s cli.Streams) error {
	x, err := e.open(ctx, o, s)
	if err != nil {
		return err
	}
	state, err := x.stack.Look(ctx)
	if err != nil {
		return err
	}
	if state == nil {
		return fmt.Errorf("stack %s in region %s: %w: make cloud-up makes it", x.account.Stack, x.account.Region, stack.ErrAbsent)
	}
	x.tell.Line("State: %s %s", state.Status, state.Reason)
	x.outputs(state)
	if err := x.showCores(ctx, state, e.now()); err != nil {
		return err
	}
	resources, err := x.stack.Resources(ctx, state.ID)
	if err != nil {
		return err
	}
	if err := x.showQueues(ctx, resources); err != nil {
		return err
	}
	return x.showAlarms(ctx, resources)
}

func (x *session) showCores(ctx context.Context, state *stack.State, now time.Time) error {
	mine, others, err := x.cores.List(ctx, state.Output("ThingGroupName"))
	if err != nil {
		return err
	}
	x.tell.Line("Cores: %d", len(mine))
	for _, c := range mine {
		if c.Health == "" {
			x.tell.Line("  %-30s never seen: is its nucleus set up?", c.Name)
			continue
		}
		x.tell.Line("  %-30s %-10s last status %s ago", c.Name, c.Health, now.Sub(c.Since).Round(time.Second))
	}
	for _, name := range others {
		x.tell.Line("  %-30s in the group, not made by core-provision", name)
	}
	return nil
}

// physical are the physical IDs of the stack's resources of a type, by their names in the template.
func physical(resources []types.StackResourceSummary, kind string) (names []string, ids map[string]string) {
	ids = make(map[string]string)
	for _, r := range resources {
		if aws.ToString(r.ResourceType) == kind {
			name := aws.ToString(r.LogicalResourceId)
			names, ids[name] = append(names, name), aws.ToString(r.PhysicalResourceId)
		}
	}
	slices.Sort(names)
	return names, ids
}

func (x *session) showQueues(ctx context.Context, resources []types.StackResourceSummary) error {
	names, urls := physical(resources, "AWS::SQS::Queue")
	if len(names) > 0 {
		x.tell.Line("Queues:")
	}
	waiting, taken := queues.QueueAttributeNameApproximateNumberOfMessages, queues.QueueAttributeNameApproximateNumberOfMessagesNotVisible
	for _, name := range names {
		url := urls[name]
		answer, err := x.account.SQS.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []queues.QueueAttributeName{waiting, taken}})
		if err != nil {
			return x.account.Fail("look at queue "+name, err)
		}
		x.tell.Line("  %-30s %s waiting, %s in work", name, answer.Attributes[string(waiting)], answer.Attributes[string(taken)])
	}
	return nil
}

// alarmsAtOnce is how many alarms AWS tells of in an answer.
const alarmsAtOnce = 100

func (x *session) showAlarms(ctx context.Context, resources []types.StackResourceSummary) error {
	names, ids := physical(resources, "AWS::CloudWatch::Alarm")
	raised := 0
	for chunk := range slices.Chunk(names, alarmsAtOnce) {
		var list []string
		for _, name := range chunk {
			list = append(list, ids[name])
		}
		answer, err := x.account.CloudWatch.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: list, StateValue: watched.StateValueAlarm})
		if err != nil {
			return x.account.Fail("look at the alarms", err)
		}
		for _, a := range answer.MetricAlarms {
			x.tell.Line("  ALARM %s since %s: %s", aws.ToString(a.AlarmName), aws.ToTime(a.StateUpdatedTimestamp).UTC().Format(time.RFC3339), aws.ToString(a.StateReason))
			raised++
		}
	}
	x.tell.Line("Alarms: %d of %d in ALARM", raised, len(names))
	return nil
}
