package core

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/greengrassv2"
	"github.com/aws/aws-sdk-go-v2/service/greengrassv2/types"

	"edgepdm/scripts/cloud/account"
)

// Deployments returns the deployments to a thing group, every revision.
func (c *Cores) Deployments(ctx context.Context, group string) ([]types.Deployment, error) {
	target := c.Account.ARN("iot", "thinggroup/"+group)
	var list []types.Deployment
	pages := greengrassv2.NewListDeploymentsPaginator(c.Account.Greengrass, &greengrassv2.ListDeploymentsInput{
		TargetArn: &target, HistoryFilter: types.DeploymentHistoryFilterAll,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if account.Missing(err) { // the group
			return nil, nil
		}
		if err != nil {
			return nil, c.Account.Fail("list the deployments to group "+group, err)
		}
		list = append(list, page.Deployments...)
	}
	return list, nil
}

// RemoveDeployments cancels deployments and deletes them. What the cores run stays there.
func (c *Cores) RemoveDeployments(ctx context.Context, list []types.Deployment) error {
	for i, d := range list {
		name := aws.ToString(d.DeploymentId)
		c.Tell.Progress(i, len(list), "deployment "+name)
		if d.DeploymentStatus == types.DeploymentStatusActive {
			_, err := c.Account.Greengrass.CancelDeployment(ctx, &greengrassv2.CancelDeploymentInput{DeploymentId: &name})
			if err != nil && !account.Missing(err) {
				return c.Account.Fail("cancel deployment "+name, err)
			}
		}
		_, err := c.Account.Greengrass.DeleteDeployment(ctx, &greengrassv2.DeleteDeploymentInput{DeploymentId: &name})
		if err != nil && !account.Missing(err) {
			return c.Account.Fail("delete deployment "+name, err)
		}
		c.Tell.Line("  deleted deployment %s (%s)", name, d.DeploymentStatus)
	}
	c.Tell.Done()
	return nil
}
