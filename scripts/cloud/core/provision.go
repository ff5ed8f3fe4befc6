package core

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"
	"github.com/aws/aws-sdk-go-v2/service/iot/types"
	"gopkg.in/yaml.v3"

	"edgepdm/scripts/cloud/account"
)

//go:embed AmazonRootCA1.pem
var rootCA []byte

// Provision makes a core's identity, and its folder. Repeated, it makes what is missing. renew makes another key and
// certificate, and deletes those that the core had.
func (c *Cores) Provision(ctx context.Context, name, dir string, place Place, renew bool) error {
	if err := c.ensureThing(ctx, name, place); err != nil {
		return err
	}
	if err := c.ensurePolicy(ctx, name, place); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	before, err := c.certificates(ctx, name)
	if err != nil {
		return err
	}
	if err := c.checkFolder(name, dir, before, renew); err != nil {
		return err
	}
	arn, err := c.ensureCertificate(ctx, name, dir)
	if err != nil {
		return err
	}
	policy := c.PolicyName(name)
	if _, err := c.Account.IoT.AttachPolicy(ctx, &iot.AttachPolicyInput{PolicyName: &policy, Target: &arn}); err != nil {
		return c.Account.Fail("give the certificate policy "+policy, err)
	}
	if !slices.Contains(before, arn) {
		if _, err := c.Account.IoT.AttachThingPrincipal(ctx, &iot.AttachThingPrincipalInput{ThingName: &name, Principal: &arn}); err != nil {
			return c.Account.Fail("give thing "+name+" its certificate", err)
		}
	}
	if err := c.writeConfigs(ctx, name, dir, place); err != nil {
		return err
	}
	for _, old := range before {
		switch {
		case old == arn:
		case renew:
			if err := c.removeCertificate(ctx, name, old); err != nil {
				return err
			}
		default:
			c.Tell.Line("  %s has another certificate, too: %s (-new-certificate deletes it)", name, old)
		}
	}
	return nil
}

// ensureThing makes the core's thing, which is the first that is made, and puts it into the stack's group.
func (c *Cores) ensureThing(ctx context.Context, name string, place Place) error {
	attributes, found, err := c.thing(ctx, name)
	switch {
	case err != nil:
		return err
	case found && attributes[account.Tag] != c.Account.Stack:
		return c.foreign(name)
	case !found:
		if err := c.checkPrefixes(ctx, name); err != nil {
			return err
		}
		_, err := c.Account.IoT.CreateThing(ctx, &iot.CreateThingInput{ThingName: &name,
			AttributePayload: &types.AttributePayload{Attributes: map[string]string{account.Tag: c.Account.Stack}}})
		if err != nil {
			return c.Account.Fail("make thing "+name, err)
		}
		c.Tell.Line("  made thing %s", name)
	}
	_, err = c.Account.IoT.AddThingToThingGroup(ctx, &iot.AddThingToThingGroupInput{ThingName: &name, ThingGroupName: &place.Group})
	return c.Account.Fail("add thing "+name+" to group "+place.Group, err)
}

// checkFolder refuses a folder without the key of a certificate that the core has. With renew it removes the key that is there.
func (c *Cores) checkFolder(name, dir string, before []string, renew bool) error {
	arn, err := readARN(dir)
	if err != nil {
		return err
	}
	_, keyErr := os.Stat(filepath.Join(dir, keyFile))
	switch {
	case arn != "" && (renew || len(before) > 0 && !slices.Contains(before, arn)):
		if !renew {
			return fmt.Errorf("%s is the folder of certificate %.12s…, which core %s does not have: use the folder that you got for it, or make another certificate (NEW_CERTIFICATE=1, -new-certificate)",
				dir, id(arn), name)
		}
		for _, file := range []string{certificateFile, arnFile, keyFile} {
			if err := os.Remove(filepath.Join(dir, file)); err != nil && !os.IsNotExist(err) {
				return fmt.Errorf("remove the old key: %w", err)
			}
		}
	case arn == "" && keyErr != nil && len(before) > 0 && !renew:
		return fmt.Errorf("core %s has a certificate, and %s lacks its key: use the folder that you got for it (-out), or make another certificate (NEW_CERTIFICATE=1, -new-certificate)",
			name, dir)
	}
	return nil
}

// nuclei are the two kinds of core software, and how each is set up.
var nuclei = []struct {
	component, file, root, user, rootKey string
}{
	{"aws.greengrass.Nucleus", classicFile, "/greengrass/v2", "ggc_user:ggc_group", "rootpath"},
	{"aws.greengrass.NucleusLite", liteFile, "/var/lib/greengrass", "gg_component:gg_component", "rootPath"},
}

// writeConfigs writes what the nucleus needs beside its key and certificate.
func (c *Cores) writeConfigs(ctx context.Context, name, dir string, place Place) error {
	data, err := c.endpoint(ctx, "iot:Data-ATS")
	if err != nil {
		return err
	}
	credentials, err := c.endpoint(ctx, "iot:CredentialProvider")
	if err != nil {
		return err
	}
	for _, n := range nuclei {
		config, err := yaml.Marshal(map[string]any{
			"system": map[string]string{
				"privateKeyPath": n.root + "/" + keyFile, "certificateFilePath": n.root + "/" + certificateFile,
				"rootCaPath": n.root + "/" + caFile, n.rootKey: n.root, "thingName": name,
			},
			"services": map[string]any{n.component: map[string]any{
				"componentType": "NUCLEUS",
				"configuration": map[string]any{
					"awsRegion": c.Account.Region, "iotDataEndpoint": data, "iotCredEndpoint": credentials,
					"iotRoleAlias": place.RoleAlias, "runWithDefault": map[string]string{"posixUser": n.user},
				},
			}},
		})
		if err != nil {
			return fmt.Errorf("write configuration: %w", err)
		}
		if err := write(dir, n.file, config, 0o644); err != nil {
			return err
		}
	}
	return write(dir, caFile, rootCA, 0o644)
}

func (c *Cores) endpoint(ctx context.Context, kind string) (string, error) {
	answer, err := c.Account.IoT.DescribeEndpoint(ctx, &iot.DescribeEndpointInput{EndpointType: &kind})
	if err != nil {
		return "", c.Account.Fail("ask for the account's endpoint "+kind, err)
	}
	return aws.ToString(answer.EndpointAddress), nil
}

// Commands are the lines for the device, one for each nucleus, to be run beside the folder's copy.
func Commands(dir string) (classic, lite string) {
	folder := filepath.Base(dir)
	files := func(names ...string) string {
		for i, n := range names {
			names[i] = folder + "/" + n
		}
		return strings.Join(names, " ")
	}
	classic = "(id -u ggc_user >/dev/null 2>&1 || sudo useradd --system --create-home ggc_user) && (getent group ggc_group >/dev/null || sudo groupadd --system ggc_group) && " +
		"sudo mkdir -p /greengrass/v2 && sudo chmod 755 /greengrass && sudo install -m 600 " + files(certificateFile, keyFile, caFile) + " /greengrass/v2/ && " +
		"sudo java -Droot=/greengrass/v2 -Dlog.store=FILE -jar GreengrassInstaller/lib/Greengrass.jar --init-config " + files(classicFile) +
		" --component-default-user ggc_user:ggc_group --setup-system-service true"
	lite = "sudo mkdir -p /var/lib/greengrass /etc/greengrass && sudo install -o ggcore -g ggcore -m 600 " + files(certificateFile, keyFile, caFile) +
		" /var/lib/greengrass/ && sudo cp " + files(liteFile) + " /etc/greengrass/config.yaml && sudo systemctl restart greengrass-lite.target"
	return classic, lite
}
