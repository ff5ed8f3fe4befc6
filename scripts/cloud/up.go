package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/greengrassv2"

	"edgepdm/scripts/cloud/account"
	"edgepdm/scripts/cloud/bucket"
	"edgepdm/scripts/cloud/stack"
	"edgepdm/shared/cli"
	"edgepdm/shared/event"
)

// maxBody is the longest template that AWS takes without a bucket.
const maxBody = 51200

// upOptions are the flags of up.
type upOptions struct {
	options
	email, group, version, deploy, template, loop, train string
	yes                                                  bool
	params                                               values
}

func (e environment) up(ctx context.Context, args []string, s cli.Streams) error {
	o := upOptions{params: make(values)}
	fs := cli.NewFlagSet("cloud up [-email ADDRESS] [-stack NAME] [-region REGION] [-thing-group NAME] [-deploy X.Y.Z] [-param NAME=VALUE]... [-yes]", s)
	o.flags(fs)
	fs.StringVar(&o.email, "email", "", "`address` that gets the alerts; AWS asks it to confirm")
	fs.StringVar(&o.group, "thing-group", "", "`name` of the cores' thing group; empty: <stack>-cores")
	fs.StringVar(&o.deploy, "deploy", "", "`version` of the components that the thing group gets; empty: no deployment")
	fs.StringVar(&o.version, "version", "", "`version` of the functions, for their logs; empty: what Go knows of the source")
	fs.StringVar(&o.template, "template", "scripts/cloud/template.yaml", "CloudFormation template, a `file`")
	fs.StringVar(&o.loop, "loop", "scripts/cloud/loop", "`folder` with the files of the retraining loop")
	fs.StringVar(&o.train, "train", "scripts/train", "`folder` with the programs that train")
	fs.Var(o.params, "param", "`NAME=VALUE` of a parameter of the template; may be given more than once")
	fs.BoolVar(&o.yes, "yes", false, "replace or remove what has data without a question, if the template wants that")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if err := o.checkUp(); err != nil {
		return err
	}
	body, err := os.ReadFile(o.template)
	if err != nil {
		return fmt.Errorf("read template (run this from the repository's root): %w", err)
	}
	template, err := stack.Parse(body)
	if err != nil {
		return err
	}
	return interrupted(ctx, e.bringUp(ctx, o, template, s))
}

func (o *upOptions) checkUp() error {
	if err := o.check(); err != nil {
		return err
	}
	if o.email == "" {
		o.email = o.params["Email"]
	}
	if err := account.CheckEmail(o.email); err != nil {
		return cli.Usagef("%v", err)
	}
	for name, value := range map[string]string{"Email": o.email, "ThingGroupName": o.group, "ComponentVersion": o.deploy} {
		if value != "" {
			o.params[name] = value
		}
	}
	for _, name := range []string{"CodeBucket", "NotifierKey", "PublisherKey", "LoopPrefix"} {
		if _, given := o.params[name]; given {
			return cli.Usagef("-param %s: this is set to what up uploads", name)
		}
	}
	return nil
}

// bringUp checks, uploads, and makes or changes the stack.
func (e environment) bringUp(ctx context.Context, o upOptions, template *stack.Template, s cli.Streams) error {
	x, err := e.open(ctx, o.options, s)
	if err != nil {
		return err
	}
	lookup := e.lookup
	if !x.own {
		lookup = nil
	}
	if err := x.account.CheckServices(ctx, lookup); err != nil {
		return err
	}
	if err := x.checkDeployable(ctx, o.deploy); err != nil {
		return err
	}
	if err := template.Check(x.withUploads(template, o.params), nil); err != nil {
		return cli.Usagef("%v", err)
	}
	before, err := x.stack.Repair(ctx)
	if err != nil {
		return err
	}
	arch := o.params["NotifierArchitecture"]
	if arch == "" && before != nil {
		arch = before.Parameters["NotifierArchitecture"]
	}
	plan, err := e.upload(ctx, x, o, template, goArch(arch), s)
	if err != nil {
		return err
	}
	_, given := plan.Values[publicKey]
	if before != nil && !given {
		if err := x.trust(ctx, plan, before); err != nil {
			return err
		}
	}
	state, err := x.stack.Up(ctx, plan, before)
	if err != nil {
		return err
	}
	switch {
	case state == nil:
		return errors.New("nothing was changed: the answer was no")
	case state == before:
		x.tell.Line("Stack %s is up to date", x.account.Stack)
	}
	if before == nil && !given { // now that there is a secret
		if err := x.trust(ctx, plan, state); err != nil {
			return err
		}
		if plan.Values["ComponentVersion"] != "" {
			if state, err = x.stack.Up(ctx, plan, state); err != nil {
				return err
			}
		}
	}
	x.outputs(state)
	x.next(o, state)
	return nil
}

// trust lets the cores of a stack trust the key that signs its models.
func (x *session) trust(ctx context.Context, plan stack.Plan, state *stack.State) error {
	key, err := x.signingKey(ctx, state)
	if _, wanted := plan.Template.Parameters[publicKey]; wanted && key != "" {
		plan.Values[publicKey] = key
	}
	return err
}

// goArch is the architecture of the functions as Go names it; arm64 unless the stack has another.
func goArch(arch string) string {
	if arch == "x86_64" || arch == "amd64" {
		return "amd64"
	}
	return "arm64"
}

// withUploads are the parameters of the user, and stand-ins for those that upload sets.
func (x *session) withUploads(template *stack.Template, given values) map[string]string {
	all := map[string]string{"CodeBucket": x.account.CodeBucket(), "LoopPrefix": "loop/0/"}
	for _, f := range functions {
		all[f.parameter] = "code/0.zip"
	}
	for name := range all {
		if _, has := template.Parameters[name]; !has {
			delete(all, name)
		}
	}
	for name, value := range given {
		all[name] = value
	}
	return all
}

// checkDeployable says whether the components that the thing group shall get are registered.
func (x *session) checkDeployable(ctx context.Context, version string) error {
	if version == "" {
		return nil
	}
	arn := x.account.ARN("greengrass", "components:"+event.Suite+":versions:"+version)
	_, err := x.account.Greengrass.DescribeComponent(ctx, &greengrassv2.DescribeComponentInput{Arn: &arn})
	if account.Missing(err) {
		return fmt.Errorf("-deploy %s: component %s %s is not registered in region %s: do steps 1, 2 and 4 of docs/console.md first",
			version, event.Suite, version, x.account.Region)
	}
	return x.account.Fail("look for component "+event.Suite+" "+version, err)
}

// upload builds what the stack's functions and its loop run, and puts it into the bucket with the code.
func (e environment) upload(ctx context.Context, x *session, o upOptions, template *stack.Template, arch string, s cli.Streams) (stack.Plan, error) {
	name := x.account.CodeBucket()
	plan := stack.Plan{Template: template, Values: x.withUploads(template, o.params), Replace: x.agree(o.yes)}
	files := make(map[string][]byte)
	for _, f := range functions {
		if _, wanted := template.Parameters[f.parameter]; !wanted {
			continue
		}
		x.tell.Line("Build function %s for %s", f.name, arch)
		zip, err := e.build(ctx, s, f, arch, o.version)
		if err != nil {
			return plan, fmt.Errorf("build function %s: %w", f.name, err)
		}
		key := "code/" + sum(zip) + "/" + f.name + ".zip"
		files[key], plan.Values[f.parameter] = zip, key
	}
	if _, wanted := template.Parameters["LoopPrefix"]; wanted {
		prefix, err := loopFiles(o.loop, o.train, files)
		if err != nil {
			return plan, err
		}
		plan.Values["LoopPrefix"] = prefix
	}
	if len(template.Body) > maxBody {
		key := "template/" + sum([]byte(template.Body)) + ".yaml"
		files[key] = []byte(template.Body)
		plan.URL = fmt.Sprintf("https://%s.s3.%s.%s/%s", name, x.account.Region, x.account.Domain(), key)
	}
	if len(files) == 0 {
		return plan, nil
	}
	made, err := bucket.Ensure(ctx, x.account)
	if err != nil {
		return plan, err
	}
	if made {
		x.tell.Line("Made bucket %s for code", name)
	}
	done := 0
	for key, content := range files {
		x.tell.Progress(done, len(files), "upload "+key)
		sent, err := bucket.Upload(ctx, x.account, key, content)
		if err != nil {
			return plan, err
		}
		if sent {
			x.tell.Line("Uploaded %s (%d kB)", key, (len(content)+1023)>>10)
		}
		done++
	}
	x.tell.Done()
	return plan, nil
}

// loopFiles adds the files of the retraining loop, and the programs that train as one archive. It returns what their keys begin
// with, which is another one for other files.
func loopFiles(dir, train string, files map[string][]byte) (string, error) {
	found, err := readFolder(dir)
	if err != nil {
		return "", err
	}
	programs, err := readFolder(train)
	if err != nil {
		return "", err
	}
	if found["sourcedir.tar.gz"], err = archive(programs); err != nil {
		return "", err
	}
	all := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(found)) {
		fmt.Fprintf(all, "%s %x\n", name, sha256.Sum256(found[name]))
	}
	prefix := "loop/" + hex.EncodeToString(all.Sum(nil))[:16] + "/"
	for name, content := range found {
		files[prefix+name] = content
	}
	return prefix, nil
}

// readFolder reads the files of the loop in a folder: Python and JSON.
func readFolder(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the files of the loop: %w", err)
	}
	found := make(map[string][]byte)
	for _, entry := range entries {
		if ext := filepath.Ext(entry.Name()); !entry.Type().IsRegular() || ext != ".py" && ext != ".json" {
			continue
		}
		if found[entry.Name()], err = os.ReadFile(filepath.Join(dir, entry.Name())); err != nil {
			return nil, fmt.Errorf("read the files of the loop: %w", err)
		}
	}
	return found, nil
}

// archive packs files into a tar.gz: equal files give equal bytes.
func archive(files map[string][]byte) ([]byte, error) {
	var b bytes.Buffer
	zipped := gzip.NewWriter(&b)
	packed := tar.NewWriter(zipped)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name]))}
		if err := packed.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("pack the files of the loop: %w", err)
		}
		if _, err := packed.Write(files[name]); err != nil {
			return nil, fmt.Errorf("pack the files of the loop: %w", err)
		}
	}
	if err := errors.Join(packed.Close(), zipped.Close()); err != nil {
		return nil, fmt.Errorf("pack the files of the loop: %w", err)
	}
	return b.Bytes(), nil
}

// sum names a content.
func sum(content []byte) string {
	s := sha256.Sum256(content)
	return hex.EncodeToString(s[:])[:16]
}

// agree asks whether resources with data may go.
func (x *session) agree(yes bool) func(changes []string) (bool, error) {
	return func(changes []string) (bool, error) {
		x.tell.Line("These have data, which goes with them:")
		for _, c := range changes {
			x.tell.Line("  %s", c)
		}
		if yes {
			return true, nil
		}
		return x.tell.Ask("Change the stack?")
	}
}

func (x *session) outputs(state *stack.State) {
	if len(state.Outputs) > 0 {
		x.tell.Line("Outputs:")
	}
	for _, o := range state.Outputs {
		x.tell.Line("  %-22s %s", aws.ToString(o.OutputKey), aws.ToString(o.OutputValue))
	}
}

// next says what a person does now.
func (x *session) next(o upOptions, state *stack.State) {
	if o.email != "" {
		x.tell.Line("Confirm the mail that AWS has sent to %s: before that, no alert arrives.", o.email)
	}
	x.tell.Line("Next: make core-provision NAME=<core> makes a core; make cloud-status shows how all is.")
}
