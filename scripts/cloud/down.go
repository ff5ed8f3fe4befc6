package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	greengrass "github.com/aws/aws-sdk-go-v2/service/greengrassv2/types"

	"edgepdm/scripts/cloud/account"
	"edgepdm/scripts/cloud/bucket"
	"edgepdm/scripts/cloud/core"
	"edgepdm/scripts/cloud/stack"
	"edgepdm/shared/cli"
)

func (e environment) down(ctx context.Context, args []string, s cli.Streams) error {
	var o options
	fs := cli.NewFlagSet("cloud down [-stack NAME] [-region REGION] [-yes]", s)
	o.flags(fs)
	yes := fs.Bool("yes", false, "do not ask")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	return interrupted(ctx, e.bringDown(ctx, o, *yes, s))
}

// found is what belongs to the stack.
type found struct {
	state       *stack.State // nil: there is no stack
	resources   []types.StackResourceSummary
	cores       []core.Core
	others      []string // things in the group that are not the stack's
	deployments []greengrass.Deployment
	code        bool // the bucket with the code is there
}

func (e environment) bringDown(ctx context.Context, o options, yes bool, s cli.Streams) error {
	x, err := e.open(ctx, o, s)
	if err != nil {
		return err
	}
	f, err := x.find(ctx)
	if err != nil {
		return err
	}
	if f.state == nil && len(f.cores) == 0 && !f.code {
		x.tell.Line("There is nothing of stack %s", x.account.Stack)
		return nil
	}
	x.list(f)
	if !yes {
		switch agreed, err := x.tell.Ask("Remove all of this, with the data in the buckets?"); {
		case err != nil:
			return err
		case !agreed:
			return errors.New("nothing was removed: the answer was no")
		}
	}
	var left []string
	// One thing that cannot be removed does not keep the others.
	try := func(err error) {
		if err != nil {
			left = append(left, err.Error())
		}
	}
	try(x.cores.RemoveDeployments(ctx, f.deployments))
	for _, name := range ids(f.resources, "AWS::IoT::Thing") {
		try(x.cores.Strip(ctx, name))
	}
	for _, group := range ids(f.resources, "AWS::SageMaker::ModelPackageGroup") {
		try(x.removeModels(ctx, group))
	}
	for i, c := range f.cores {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		x.tell.Progress(i, len(f.cores), "core "+c.Name)
		kept, err := x.cores.Remove(ctx, c.Name, folder(c.Name))
		left = append(left, kept...)
		try(err)
	}
	x.tell.Done()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if f.state != nil {
		kept, err := x.stack.Down(ctx, f.state, x.empty)
		left = append(left, kept...)
		try(err)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	for _, name := range ids(f.resources, "AWS::S3::Bucket") { // those that the template wants to be kept
		try(x.deleteKept(ctx, name))
	}
	if f.code {
		try(bucket.Delete(ctx, x.account, x.account.CodeBucket(), x.emptied(x.account.CodeBucket())))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, name := range f.others {
		x.tell.Line("Left: thing %s, which was in the group and was not made by core-provision", name)
	}
	if err := x.leftOver(left); err != nil {
		return err
	}
	x.tell.Line("Stack %s is gone", x.account.Stack)
	return nil
}

// find looks for what belongs to the stack.
func (x *session) find(ctx context.Context) (f found, err error) {
	if f.state, err = x.stack.Look(ctx); err != nil {
		return f, err
	}
	group := x.account.Stack + "-cores"
	if f.state != nil {
		if name := f.state.Output("ThingGroupName"); name != "" {
			group = name
		}
		if f.resources, err = x.stack.Resources(ctx, f.state.ID); err != nil {
			return f, err
		}
		if f.deployments, err = x.cores.Deployments(ctx, group); err != nil {
			return f, err
		}
	}
	if f.cores, f.others, err = x.cores.List(ctx, group); err != nil {
		return f, err
	}
	own := ids(f.resources, "AWS::IoT::Thing")
	f.others = slices.DeleteFunc(f.others, func(name string) bool { return slices.Contains(own, name) })
	f.code, err = bucket.Mine(ctx, x.account)
	if failed, ok := errors.AsType[*account.Failure](err); ok && account.Forbidden(failed.Err) { // it is somebody else's
		return f, nil
	}
	return f, err
}

// ids are the physical IDs of the stack's resources of a type.
func ids(resources []types.StackResourceSummary, kind string) []string {
	var list []string
	for _, r := range resources {
		if aws.ToString(r.ResourceType) == kind {
			list = append(list, aws.ToString(r.PhysicalResourceId))
		}
	}
	return list
}

// removeModels deletes the registered models of a group, which AWS keeps as long as it has any.
func (x *session) removeModels(ctx context.Context, group string) error {
	group = group[strings.LastIndexByte(group, '/')+1:] // of its ARN
	arns, err := x.account.SageMaker.ModelPackages(ctx, group)
	if account.Missing(err) {
		return nil
	}
	if err != nil {
		return x.account.Fail("list the registered models of "+group, err)
	}
	for i, arn := range arns {
		x.tell.Progress(i, len(arns), "registered model "+arn)
		if err := x.account.SageMaker.DeleteModelPackage(ctx, arn); err != nil && !account.Missing(err) {
			return x.account.Fail("delete registered model "+arn, err)
		}
	}
	if len(arns) > 0 {
		x.tell.Done()
		x.tell.Line("  deleted %d registered models of %s", len(arns), group)
	}
	return nil
}

// list tells what will go.
func (x *session) list(f found) {
	x.tell.Line("This goes:")
	if f.state != nil {
		x.tell.Line("  stack %s (%s), %d resources", x.account.Stack, f.state.Status, len(f.resources))
	}
	for _, name := range ids(f.resources, "AWS::S3::Bucket") {
		x.tell.Line("  bucket %s, and every version of every object in it", name)
	}
	if f.code {
		x.tell.Line("  bucket %s, with the functions' code", x.account.CodeBucket())
	}
	for _, d := range f.deployments {
		x.tell.Line("  deployment %s (%s)", *d.DeploymentId, d.DeploymentStatus)
	}
	for _, c := range f.cores {
		x.tell.Line("  core %s: its thing, certificate and policy", c.Name)
	}
	for _, name := range f.others {
		x.tell.Line("This stays: thing %s, which is in the group and was not made by core-provision", name)
	}
}

func (x *session) empty(ctx context.Context, name string) error {
	if err := bucket.Empty(ctx, x.account, name, x.emptied(name)); err != nil {
		return err
	}
	x.tell.Line("Bucket %s is empty", name)
	return nil
}

// emptied tells now and then how far the emptying of a bucket is.
func (x *session) emptied(name string) func(deleted int) {
	told := 0
	return func(deleted int) {
		if deleted-told >= 10_000 {
			told = deleted
			x.tell.Line("Bucket %s: %d versions deleted", name, deleted)
		}
	}
}

// deleteKept deletes a bucket that outlived its stack, if it has the stack's tag.
func (x *session) deleteKept(ctx context.Context, name string) error {
	mine, err := bucket.Tagged(ctx, x.account, name)
	if err != nil || !mine {
		return err
	}
	if err := bucket.Delete(ctx, x.account, name, x.emptied(name)); err != nil {
		return fmt.Errorf("bucket that the stack keeps: %w", err)
	}
	return nil
}
