package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/greengrassv2"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"

	"edgepdm/scripts/cloud/account"
)

// Remove undoes Provision: the core device, its certificates, its policy, its thing, which goes last, and the folder's files.
// It returns what it found and left, since it is not the stack's.
func (c *Cores) Remove(ctx context.Context, name, dir string) (left []string, err error) {
	attributes, found, err := c.thing(ctx, name)
	if err != nil {
		return nil, err
	}
	if found && attributes[account.Tag] != c.Account.Stack {
		return nil, c.foreign(name)
	}
	if found {
		_, err := c.Account.Greengrass.DeleteCoreDevice(ctx, &greengrassv2.DeleteCoreDeviceInput{CoreDeviceThingName: &name})
		if err != nil && !account.Missing(err) {
			return nil, c.Account.Fail("delete core device "+name, err)
		}
	}
	policy := c.PolicyName(name)
	policyMine, targets, err := c.targets(ctx, policy)
	if err != nil {
		return nil, err
	}
	if attributes[fleet] != "" {
		policyMine = targets != nil
	}
	certificates, err := c.certificates(ctx, name)
	if err != nil {
		return nil, err
	}
	candidates := append(certificates, targets...)
	if arn := attributes[removing]; arn != "" {
		candidates = append(candidates, c.Account.ARN("iot", "cert/"+arn))
	}
	if arn, err := c.inFolder(ctx, name, dir); err != nil {
		return nil, err
	} else if arn != "" {
		candidates = append(candidates, arn)
	}
	slices.Sort(candidates)
	for _, arn := range slices.Compact(candidates) {
		mine := policyMine && slices.Contains(targets, arn) || attributes[removing] == id(arn)
		if !mine {
			subject, _, err := c.subjectOf(ctx, id(arn))
			if err != nil {
				return nil, err
			}
			mine = c.mine(subject, name)
		}
		if mine {
			err = c.removeCertificate(ctx, name, arn)
		} else if slices.Contains(certificates, arn) {
			left = append(left, fmt.Sprintf("certificate %s of thing %s: it was not made by core-provision", arn, name))
			_, err = c.Account.IoT.DetachThingPrincipal(ctx, &iot.DetachThingPrincipalInput{ThingName: &name, Principal: &arn})
			err = c.Account.Fail("take certificate "+arn+" from thing "+name, err)
		}
		if err != nil {
			return left, err
		}
	}
	switch {
	case policyMine:
		if err := c.removePolicy(ctx, policy); err != nil {
			return left, err
		}
	case targets != nil:
		left = append(left, fmt.Sprintf("policy %s: it lacks the tag %s=%s", policy, account.Tag, c.Account.Stack))
	}
	if found {
		err := c.settled(ctx, func() error {
			_, err := c.Account.IoT.DeleteThing(ctx, &iot.DeleteThingInput{ThingName: &name})
			return err
		})
		if err != nil {
			return left, c.Account.Fail("delete thing "+name, err)
		}
		c.Tell.Line("  deleted core %s", name)
	} else {
		c.Tell.Line("  there is no core %s", name)
	}
	return left, clearFolder(dir)
}

// Strip removes what a core of the stack's own template got beside the stack: its core device and its certificate. The thing
// and the policy go with the stack.
func (c *Cores) Strip(ctx context.Context, name string) error {
	_, err := c.Account.Greengrass.DeleteCoreDevice(ctx, &greengrassv2.DeleteCoreDeviceInput{CoreDeviceThingName: &name})
	if err != nil && !account.Missing(err) {
		return c.Account.Fail("delete core device "+name, err)
	}
	mine, targets, err := c.targets(ctx, c.PolicyName(name))
	if err != nil || !mine {
		return err
	}
	for _, arn := range targets {
		if err := c.removeCertificate(ctx, name, arn); err != nil {
			return err
		}
	}
	return nil
}

// targets tells whether a policy is the stack's, and which certificates have it; nil: there is no such policy.
func (c *Cores) targets(ctx context.Context, policy string) (mine bool, list []string, err error) {
	there, err := c.Account.IoT.GetPolicy(ctx, &iot.GetPolicyInput{PolicyName: &policy})
	if account.Missing(err) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, c.Account.Fail("look for policy "+policy, err)
	}
	if mine, err = c.policyIsMine(ctx, aws.ToString(there.PolicyArn)); err != nil {
		return false, nil, err
	}
	list = []string{}
	pages := iot.NewListTargetsForPolicyPaginator(c.Account.IoT, &iot.ListTargetsForPolicyInput{PolicyName: &policy})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return false, nil, c.Account.Fail("list who has policy "+policy, err)
		}
		for _, target := range page.Targets {
			if strings.Contains(target, ":cert/") {
				list = append(list, target)
			}
		}
	}
	return mine, list, nil
}

// inFolder returns the ARN of the certificate of the folder's key, be it that it was made and never written; empty: none.
func (c *Cores) inFolder(ctx context.Context, name, dir string) (string, error) {
	if arn, err := readARN(dir); err != nil || arn != "" {
		return arn, err
	}
	if _, err := os.Stat(filepath.Join(dir, keyFile)); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	key, since, err := c.ensureKey(dir)
	if err != nil {
		return "", err
	}
	subject, err := c.subject(name, key.Public())
	if err != nil {
		return "", err
	}
	arn, _, err := c.find(ctx, subject, since.Add(-clocks))
	return arn, err
}

// removeCertificate ends a certificate, takes it from what has it, and deletes it. Until it is gone the thing says which it is.
func (c *Cores) removeCertificate(ctx context.Context, name, arn string) error {
	certificate := id(arn)
	step := fmt.Sprintf("delete certificate %.12s… of core %s", certificate, name)
	_, err := c.Account.IoT.UpdateThing(ctx, &iot.UpdateThingInput{ThingName: &name,
		AttributePayload: &types.AttributePayload{Attributes: map[string]string{removing: certificate}, Merge: true}})
	if err != nil && !account.Missing(err) {
		return c.Account.Fail(step, err)
	}
	_, err = c.Account.IoT.UpdateCertificate(ctx, &iot.UpdateCertificateInput{CertificateId: &certificate, NewStatus: types.CertificateStatusInactive})
	if account.Missing(err) {
		return nil
	}
	if err != nil {
		return c.Account.Fail(step, err)
	}
	policies := iot.NewListAttachedPoliciesPaginator(c.Account.IoT, &iot.ListAttachedPoliciesInput{Target: &arn})
	for policies.HasMorePages() {
		page, err := policies.NextPage(ctx)
		if err != nil {
			return c.Account.Fail(step, err)
		}
		for _, p := range page.Policies {
			if _, err := c.Account.IoT.DetachPolicy(ctx, &iot.DetachPolicyInput{PolicyName: p.PolicyName, Target: &arn}); err != nil && !account.Missing(err) {
				return c.Account.Fail(step, err)
			}
		}
	}
	things := iot.NewListPrincipalThingsPaginator(c.Account.IoT, &iot.ListPrincipalThingsInput{Principal: &arn})
	for things.HasMorePages() {
		page, err := things.NextPage(ctx)
		if err != nil {
			return c.Account.Fail(step, err)
		}
		for _, thing := range page.Things {
			_, err := c.Account.IoT.DetachThingPrincipal(ctx, &iot.DetachThingPrincipalInput{ThingName: &thing, Principal: &arn})
			if err != nil && !account.Missing(err) {
				return c.Account.Fail(step, err)
			}
		}
	}
	err = c.settled(ctx, func() error {
		_, err := c.Account.IoT.DeleteCertificate(ctx, &iot.DeleteCertificateInput{CertificateId: &certificate, ForceDelete: true})
		return err
	})
	if err != nil {
		return c.Account.Fail(step, err)
	}
	c.Tell.Line("  deleted certificate %.12s…", certificate)
	return nil
}

// settled deletes what may still be held for some seconds by what was taken from it a moment ago.
func (c *Cores) settled(ctx context.Context, remove func() error) error {
	for tries := 1; ; tries++ {
		err := remove()
		if account.Missing(err) {
			return nil
		}
		held := account.Code(err) == "DeleteConflictException" || account.Code(err) == "InvalidRequestException"
		if !held || tries == 10 || !c.Sleep(ctx, 2*time.Second) {
			return err
		}
	}
}

func (c *Cores) removePolicy(ctx context.Context, policy string) error {
	if err := c.deleteVersions(ctx, policy); err != nil {
		return err
	}
	err := c.settled(ctx, func() error {
		_, err := c.Account.IoT.DeletePolicy(ctx, &iot.DeletePolicyInput{PolicyName: &policy})
		return err
	})
	if err != nil {
		return c.Account.Fail("delete policy "+policy, err)
	}
	c.Tell.Line("  deleted policy %s", policy)
	return nil
}

// clearFolder deletes the files that Provision wrote, and the folder if nothing else is in it.
func clearFolder(dir string) error {
	for _, name := range []string{certificateFile, arnFile, keyFile, caFile, classicFile, liteFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the core's files: %w", err)
		}
	}
	_ = os.Remove(dir) // which others may have put files into
	return nil
}
