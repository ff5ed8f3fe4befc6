// Package core makes and removes a core device's identity in AWS: its thing, certificate and policy, and the files that the
// device gets.
package core

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/greengrassv2"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"edgepdm/scripts/cloud/account"
	"edgepdm/scripts/cloud/tell"
)

// removing is a thing's attribute with the ID of the certificate that is being deleted: what names it otherwise goes first.
const removing = "edgepdm:removing"

// fleet is an attribute of a thing that fleet provisioning made: its certificate and the policy of its name were made with it,
// for which AWS sets no tag.
const fleet = "edgepdm:fleet"

// Cores are the cores of a stack.
type Cores struct {
	Account *account.Account
	Tell    *tell.Teller
	Now     func() time.Time
	Sleep   func(ctx context.Context, d time.Duration) bool // false: ctx has ended
}

// Place is where a core belongs.
type Place struct {
	Group       string // thing group
	RoleAlias   string
	TopicPrefix string
}

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// CheckName says what is wrong with a core's name.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return fmt.Errorf("%q is not a core's name: up to 64 letters, digits, - and _, of which the first is a letter or digit", name)
	}
	return nil
}

// thing returns a thing's attributes; found is false if there is none of that name.
func (c *Cores) thing(ctx context.Context, name string) (attributes map[string]string, found bool, err error) {
	answer, err := c.Account.IoT.DescribeThing(ctx, &iot.DescribeThingInput{ThingName: &name})
	if account.Missing(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, c.Account.Fail("look for thing "+name, err)
	}
	return answer.Attributes, true, nil
}

// foreign is the error of a thing that is not the stack's.
func (c *Cores) foreign(name string) error {
	return fmt.Errorf("thing %s exists, and lacks the attribute %s=%s: it was not made by core-provision for this stack, and is left alone",
		name, account.Tag, c.Account.Stack)
}

// checkPrefixes refuses a name that is the beginning of another thing's, or begins with another core's: a core's policy is
// for all names that begin with its own.
func (c *Cores) checkPrefixes(ctx context.Context, name string) error {
	var beginnings []string
	pages := iot.NewListThingsPaginator(c.Account.IoT, &iot.ListThingsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return c.Account.Fail("list things", err)
		}
		for _, t := range page.Things {
			switch other := aws.ToString(t.ThingName); {
			case other == name:
			case strings.HasPrefix(other, name):
				return fmt.Errorf("%s is the beginning of the name of thing %s, for which the core's policy would be, too: take a name such as %s-core", name, other, name)
			case strings.HasPrefix(name, other) && t.Attributes[account.Tag] != "":
				return beginsWith(name, other)
			case strings.HasPrefix(name, other):
				beginnings = append(beginnings, other)
			}
		}
	}
	if len(beginnings) == 0 {
		return nil
	}
	states, err := c.states(ctx)
	if err != nil {
		return err
	}
	for _, other := range beginnings {
		if _, isCore := states[other]; isCore {
			return beginsWith(name, other)
		}
	}
	return nil
}

func beginsWith(name, other string) error {
	return fmt.Errorf("%s begins with the name of core %s, whose policy would be for it, too: take another name", name, other)
}

// Core is a core of the stack, as Greengrass sees it.
type Core struct {
	Name   string
	Health string // "HEALTHY", "UNHEALTHY", or "" for one that has never reported
	Since  time.Time
}

// List returns the cores that core-provision made for the stack, and other things of its group.
func (c *Cores) List(ctx context.Context, group string) (mine []Core, others []string, err error) {
	key, value := account.Tag, c.Account.Stack
	pages := iot.NewListThingsPaginator(c.Account.IoT, &iot.ListThingsInput{AttributeName: &key, AttributeValue: &value})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, nil, c.Account.Fail("list the stack's things", err)
		}
		for _, t := range page.Things {
			mine = append(mine, Core{Name: aws.ToString(t.ThingName)})
		}
	}
	if len(mine) > 0 {
		states, err := c.states(ctx)
		if err != nil {
			return nil, nil, err
		}
		for i, m := range mine {
			if state, found := states[m.Name]; found {
				mine[i] = state
			}
		}
	}
	if group == "" {
		return mine, nil, nil
	}
	members := iot.NewListThingsInThingGroupPaginator(c.Account.IoT, &iot.ListThingsInThingGroupInput{ThingGroupName: &group})
	for members.HasMorePages() {
		page, err := members.NextPage(ctx)
		if account.Missing(err) {
			return mine, nil, nil
		}
		if err != nil {
			return nil, nil, c.Account.Fail("list the things of group "+group, err)
		}
		for _, name := range page.Things {
			if !slices.ContainsFunc(mine, func(m Core) bool { return m.Name == name }) {
				others = append(others, name)
			}
		}
	}
	return mine, others, nil
}

// states returns the core devices of the account, by name.
func (c *Cores) states(ctx context.Context) (map[string]Core, error) {
	states := make(map[string]Core)
	pages := greengrassv2.NewListCoreDevicesPaginator(c.Account.Greengrass, &greengrassv2.ListCoreDevicesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, c.Account.Fail("list core devices", err)
		}
		for _, d := range page.CoreDevices {
			name := aws.ToString(d.CoreDeviceThingName)
			states[name] = Core{Name: name, Health: string(d.Status), Since: aws.ToTime(d.LastStatusUpdateTimestamp)}
		}
	}
	return states, nil
}

// certificates returns the certificates of a thing, by their ARN.
func (c *Cores) certificates(ctx context.Context, name string) ([]string, error) {
	var list []string
	pages := iot.NewListThingPrincipalsPaginator(c.Account.IoT, &iot.ListThingPrincipalsInput{ThingName: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if account.Missing(err) {
			return nil, nil
		}
		if err != nil {
			return nil, c.Account.Fail("list the certificates of thing "+name, err)
		}
		for _, principal := range page.Principals {
			if strings.Contains(principal, ":cert/") {
				list = append(list, principal)
			}
		}
	}
	return list, nil
}

// id is a certificate's, of its ARN.
func id(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func tags(stack string) []types.Tag {
	key := account.Tag
	return []types.Tag{{Key: &key, Value: &stack}}
}
