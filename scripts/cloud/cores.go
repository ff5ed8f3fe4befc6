package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"edgepdm/scripts/cloud/core"
	"edgepdm/scripts/cloud/stack"
	"edgepdm/shared/cli"
)

// coreOptions are the flags of core-provision and core-remove.
type coreOptions struct {
	options
	name, out string
	renew     bool
}

func coreFlags(synopsis string, args []string, s cli.Streams, more func(o *coreOptions, add func(p *bool, name, usage string))) (coreOptions, error) {
	var o coreOptions
	fs := cli.NewFlagSet(synopsis, s)
	o.flags(fs)
	fs.StringVar(&o.name, "name", "", "the core's thing `name`")
	fs.StringVar(&o.out, "out", "", "`folder` with the device's files; empty: cores/NAME")
	more(&o, func(p *bool, name, usage string) { fs.BoolVar(p, name, false, usage) })
	if err := cli.Parse(fs, args); err != nil {
		return o, err
	}
	if err := o.check(); err != nil {
		return o, err
	}
	if err := core.CheckName(o.name); err != nil {
		return o, cli.Usagef("-name (NAME=): %v", err)
	}
	if o.out == "" {
		o.out = folder(o.name)
	}
	return o, nil
}

// folder is where a core's files are, unless another place is named.
func folder(name string) string { return filepath.Join("cores", name) }

func (e environment) provision(ctx context.Context, args []string, s cli.Streams) error {
	o, err := coreFlags("cloud core-provision -name NAME [-stack NAME] [-region REGION] [-out FOLDER] [-new-certificate]", args, s,
		func(o *coreOptions, add func(p *bool, name, usage string)) {
			add(&o.renew, "new-certificate", "make another key and certificate, and delete those that the core has")
		})
	if err != nil {
		return err
	}
	x, err := e.open(ctx, o.options, s)
	if err != nil {
		return err
	}
	state, err := x.stack.Ready(ctx)
	if err != nil {
		return err
	}
	place, err := placeOf(state)
	if err != nil {
		return err
	}
	if err := x.cores.Provision(ctx, o.name, o.out, place, o.renew); err != nil {
		return interrupted(ctx, err)
	}
	classic, lite := core.Commands(o.out)
	x.tell.Line("Core %s is ready in AWS. Its files, of which device.key is its identity: %s", o.name, o.out)
	x.tell.Line("Copy the folder to the device (scp -pr %s DEVICE:), and run beside the copy the line of its nucleus.", o.out)
	x.tell.Line("\nClassic nucleus, whose installer is unpacked into GreengrassInstaller:\n\n%s", classic)
	x.tell.Line("\nNucleus lite, installed from AWS's package:\n\n%s\n", lite)
	x.tell.Line("Then delete the copy beside it: the nucleus has its own. make cloud-status shows the core within some minutes.")
	return nil
}

// placeOf is where the stack wants its cores.
func placeOf(state *stack.State) (core.Place, error) {
	place := core.Place{Group: state.Output("ThingGroupName"), RoleAlias: state.Output("CoreRoleAlias"), TopicPrefix: state.Parameters["TopicPrefix"]}
	var missing []string
	for name, value := range map[string]string{"output ThingGroupName": place.Group, "output CoreRoleAlias": place.RoleAlias} {
		if value == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return place, fmt.Errorf("the stack lacks %s: run make cloud-up with this version's template", strings.Join(missing, ", "))
	}
	if place.TopicPrefix == "" {
		place.TopicPrefix = "edgepdm"
	}
	return place, nil
}

func (e environment) remove(ctx context.Context, args []string, s cli.Streams) error {
	o, err := coreFlags("cloud core-remove -name NAME [-stack NAME] [-region REGION] [-out FOLDER]", args, s,
		func(*coreOptions, func(p *bool, name, usage string)) {})
	if err != nil {
		return err
	}
	x, err := e.open(ctx, o.options, s)
	if err != nil {
		return err
	}
	left, err := x.cores.Remove(ctx, o.name, o.out)
	if err != nil {
		return interrupted(ctx, err)
	}
	return x.leftOver(left)
}

// leftOver lists what was not removed, which is a failure.
func (x *session) leftOver(left []string) error {
	if len(left) == 0 {
		return nil
	}
	x.tell.Line("Not removed:")
	for _, l := range left {
		x.tell.Line("  %s", l)
	}
	return errors.New("not all was removed: look at the list")
}
