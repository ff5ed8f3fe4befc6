package core

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"

	"edgepdm/scripts/cloud/account"
	"edgepdm/shared/event"
)

// PolicyName is the name of a core's policy.
func (c *Cores) PolicyName(name string) string { return c.Account.Stack + "-core-" + name }

type statement struct {
	Effect   string
	Action   []string
	Resource []string
}

// policy is what a core may do in AWS IoT. A nucleus makes more connections, whose names begin with the core's.
func (c *Cores) policy(name string, place Place) (string, error) {
	each := func(kind string, names ...string) []string {
		for i, n := range names {
			names[i] = c.Account.ARN("iot", kind+"/"+n)
		}
		return names
	}
	thing := "$aws/things/" + name + "*"
	audio := place.TopicPrefix + "/" + name + "/" + event.TopicAudio
	data, err := json.Marshal(map[string]any{
		"Version": "2012-10-17",
		"Statement": []statement{
			{"Allow", []string{"iot:Connect"}, each("client", name+"*")},
			{"Allow", []string{"iot:Publish", "iot:Receive"}, each("topic",
				thing+"/greengrass/health/json", thing+"/greengrassv2/health/json", thing+"/jobs/*", thing+"/shadow/*")},
			{"Allow", []string{"iot:Subscribe"}, each("topicfilter", thing+"/jobs/*", thing+"/shadow/*")},
			// The nucleus's own route to AWS IoT Core, below the core's own name; and what is told of spoken alerts.
			{"Allow", []string{"iot:Publish"}, each("topic", place.TopicPrefix+"/"+name+"/*")},
			{"Allow", []string{"iot:Receive"}, each("topic", audio)},
			{"Allow", []string{"iot:Subscribe"}, each("topicfilter", audio)},
			{"Allow", []string{"iot:AssumeRoleWithCertificate"}, each("rolealias", place.RoleAlias)},
			{"Allow", []string{
				"greengrass:GetComponentVersionArtifact", "greengrass:ResolveComponentCandidates", "greengrass:GetDeploymentConfiguration",
				"greengrass:ListThingGroupsForCoreDevice",
			}, []string{"*"}},
		},
	})
	return string(data), err
}

// policyIsMine tells whether a policy has the stack's tag.
func (c *Cores) policyIsMine(ctx context.Context, arn string) (bool, error) {
	pages := iot.NewListTagsForResourcePaginator(c.Account.IoT, &iot.ListTagsForResourceInput{ResourceArn: &arn})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return false, c.Account.Fail("read the tags of "+arn, err)
		}
		for _, tag := range page.Tags {
			if aws.ToString(tag.Key) == account.Tag && aws.ToString(tag.Value) == c.Account.Stack {
				return true, nil
			}
		}
	}
	return false, nil
}

// ensurePolicy makes the core's policy, or brings it to what a core may do now.
func (c *Cores) ensurePolicy(ctx context.Context, name string, place Place) error {
	policy := c.PolicyName(name)
	document, err := c.policy(name, place)
	if err != nil {
		return fmt.Errorf("write policy: %w", err)
	}
	there, err := c.Account.IoT.GetPolicy(ctx, &iot.GetPolicyInput{PolicyName: &policy})
	if account.Missing(err) {
		_, err := c.Account.IoT.CreatePolicy(ctx, &iot.CreatePolicyInput{PolicyName: &policy, PolicyDocument: &document, Tags: tags(c.Account.Stack)})
		if err == nil {
			c.Tell.Line("  made policy %s", policy)
		}
		return c.Account.Fail("make policy "+policy, err)
	}
	if err != nil {
		return c.Account.Fail("look for policy "+policy, err)
	}
	switch mine, err := c.policyIsMine(ctx, aws.ToString(there.PolicyArn)); {
	case err != nil:
		return err
	case !mine:
		return fmt.Errorf("policy %s exists, and lacks the tag %s=%s: it is left alone; take another name for the core", policy, account.Tag, c.Account.Stack)
	case same(document, aws.ToString(there.PolicyDocument)):
		return nil
	}
	if err := c.deleteVersions(ctx, policy); err != nil { // of which a policy has at most five
		return err
	}
	_, err = c.Account.IoT.CreatePolicyVersion(ctx, &iot.CreatePolicyVersionInput{PolicyName: &policy, PolicyDocument: &document, SetAsDefault: true})
	if err == nil {
		c.Tell.Line("  changed policy %s", policy)
	}
	return c.Account.Fail("change policy "+policy, err)
}

func same(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

// deleteVersions deletes the versions of a policy that are not in use.
func (c *Cores) deleteVersions(ctx context.Context, policy string) error {
	list, err := c.Account.IoT.ListPolicyVersions(ctx, &iot.ListPolicyVersionsInput{PolicyName: &policy})
	if err != nil {
		return c.Account.Fail("list the versions of policy "+policy, err)
	}
	for _, v := range list.PolicyVersions {
		if v.IsDefaultVersion {
			continue
		}
		_, err := c.Account.IoT.DeletePolicyVersion(ctx, &iot.DeletePolicyVersionInput{PolicyName: &policy, PolicyVersionId: v.VersionId})
		if err != nil && !account.Missing(err) {
			return c.Account.Fail("delete an old version of policy "+policy, err)
		}
	}
	return nil
}
