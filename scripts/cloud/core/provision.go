package core

import (
	"context"
	_ "embed"
	"errors"
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
	half, err := c.ensureThing(ctx, name, place)
	if err != nil {
		return err
	}
	if err := c.ensurePolicy(ctx, name, place); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if half != "" { // an earlier run was deleting it
		if err := c.finishRemoval(ctx, name, dir, half); err != nil {
			return err
		}
	}
	before, err := c.certificates(ctx, name)
	if err != nil {
		return err
	}
	if err := c.checkFolder(ctx, name, dir, before, renew); err != nil {
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
			if err := c.finishRemoval(ctx, name, dir, old); err != nil {
				return err
			}
		default:
			c.Tell.Line("  %s has another certificate, too: %s (-new-certificate deletes it)", name, old)
		}
	}
	return nil
}

// finishRemoval deletes a certificate of a core that stays, and its key if the folder has it.
func (c *Cores) finishRemoval(ctx context.Context, name, dir, arn string) error {
	if err := c.removeCertificate(ctx, name, arn); err != nil {
		return err
	}
	if inFolder, err := readARN(dir); err != nil {
		return err
	} else if inFolder == arn {
		if err := clearKey(dir); err != nil {
			return err
		}
	}
	_, err := c.Account.IoT.UpdateThing(ctx, &iot.UpdateThingInput{ThingName: &name,
		AttributePayload: &types.AttributePayload{Attributes: map[string]string{removing: ""}, Merge: true}})
	return c.Account.Fail("note that the certificate is deleted", err)
}

// ensureThing makes the core's thing, which is the first that is made, and puts it into the stack's group. It returns the
// certificate that an earlier run was deleting; empty for none.
func (c *Cores) ensureThing(ctx context.Context, name string, place Place) (half string, err error) {
	attributes, found, err := c.thing(ctx, name)
	switch {
	case err != nil:
		return "", err
	case found && attributes[account.Tag] != c.Account.Stack:
		return "", c.foreign(name)
	case !found:
		if err := c.checkPrefixes(ctx, name); err != nil {
			return "", err
		}
		_, err := c.Account.IoT.CreateThing(ctx, &iot.CreateThingInput{ThingName: &name,
			AttributePayload: &types.AttributePayload{Attributes: map[string]string{account.Tag: c.Account.Stack}}})
		if err != nil {
			return "", c.Account.Fail("make thing "+name, err)
		}
		c.Tell.Line("  made thing %s", name)
	}
	if certificate := attributes[removing]; certificate != "" {
		half = c.Account.ARN("iot", "cert/"+certificate)
	}
	_, err = c.Account.IoT.AddThingToThingGroup(ctx, &iot.AddThingToThingGroupInput{ThingName: &name, ThingGroupName: &place.Group})
	return half, c.Account.Fail("add thing "+name+" to group "+place.Group, err)
}

// checkFolder refuses a folder without the key of a certificate that the core has. With renew it removes the key that is in
// use. A certificate of the folder that was made for this core, and is not in use yet, is taken in any case.
func (c *Cores) checkFolder(ctx context.Context, name, dir string, before []string, renew bool) error {
	arn, err := readARN(dir)
	if err != nil {
		return err
	}
	_, keyErr := os.Stat(filepath.Join(dir, keyFile))
	switch {
	case keyErr != nil && !renew && (arn != "" || len(before) > 0):
		return fmt.Errorf("core %s has a certificate, and %s lacks its key: use the folder that you got for it (-out), or make another certificate (NEW_CERTIFICATE=1, -new-certificate)",
			name, dir)
	case arn == "":
		return nil
	}
	if slices.Contains(before, arn) {
		if renew {
			return clearKey(dir)
		}
		return nil
	}
	subject, _, err := c.subjectOf(ctx, id(arn))
	switch {
	case err != nil:
		return err
	case c.mine(subject, name):
		return nil
	case renew:
		return clearKey(dir)
	}
	return fmt.Errorf("%s has the key of certificate %.12s…, which core %s does not have: use the folder that you got for it (-out), or make another certificate (NEW_CERTIFICATE=1, -new-certificate)",
		dir, id(arn), name)
}

// clearKey removes a key and its certificate from a folder: the key first, for a key without a certificate is one in work.
func clearKey(dir string) error {
	for _, file := range []string{keyFile, certificateFile, arnFile} {
		if err := os.Remove(filepath.Join(dir, file)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove the old key: %w", err)
		}
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
