package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"edgepdm/scripts/cloud/account"
	"edgepdm/scripts/cloud/core"
	"edgepdm/scripts/cloud/stack"
	"edgepdm/scripts/cloud/tell"
	"edgepdm/shared/cli"
	"edgepdm/shared/cloud"
)

// options are the flags that every command has.
type options struct {
	stack, region string
}

func (o *options) flags(fs *flag.FlagSet) {
	fs.StringVar(&o.stack, "stack", "pdm", "`name` of the stack, and the value of the tag edgepdm:stack")
	fs.StringVar(&o.region, "region", "", "AWS `region`; empty: that of the environment or of the profile")
}

// stackPattern is for names that are the beginnings of a bucket's: AWS allows 63 characters there.
var stackPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,22}[a-z0-9]$`)

func (o *options) check() error {
	if !stackPattern.MatchString(o.stack) {
		return cli.Usagef("-stack: %q is not a name of 2 to 24 lower-case letters, digits and -, such as pdm", o.stack)
	}
	if err := cloud.CheckRegion(o.region); err != nil {
		return cli.Usagef("-region: %v", err)
	}
	return nil
}

// values are parameters as -param NAME=VALUE gives them.
type values map[string]string

func (v values) String() string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(v)) {
		list = append(list, name+"="+v[name])
	}
	return strings.Join(list, " ")
}

// Set takes one or more parameters: NAME=VALUE NAME=VALUE.
func (v values) Set(text string) error {
	for field := range strings.FieldsSeq(text) {
		name, value, found := strings.Cut(field, "=")
		if !found || name == "" {
			return fmt.Errorf("%q is not NAME=VALUE", field)
		}
		v[name] = value
	}
	return nil
}

// session is a command that has signed in.
type session struct {
	account *account.Account
	tell    *tell.Teller
	stack   *stack.Stack
	cores   *core.Cores
	own     bool // AWS itself is asked, rather than what stands in for it
}

func (e environment) open(ctx context.Context, o options, s cli.Streams) (*session, error) {
	config, err := e.config(ctx, o.region)
	if err != nil {
		return nil, fmt.Errorf("read AWS's configuration: %w", err)
	}
	a, err := account.Open(ctx, config, o.stack)
	if err != nil {
		return nil, err
	}
	t := tell.New(s.In, s.Out)
	t.Line("Account %s, region %s, stack %s", a.ID, a.Region, a.Stack)
	return &session{
		account: a, tell: t, own: config.BaseEndpoint == nil,
		stack: &stack.Stack{Account: a, Tell: t, Sleep: e.sleep, Now: e.now},
		cores: &core.Cores{Account: a, Tell: t, Sleep: e.sleep, Now: e.now},
	}, nil
}

// interrupted says what an interrupt leaves.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return fmt.Errorf("interrupted; what is done stays, and the same command goes on from there (%w)", err)
}
