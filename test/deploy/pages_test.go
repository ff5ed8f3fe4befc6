package deploy

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"edgepdm/test/moto"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// section is a page's shell commands below the headings from one (included) to another (excluded); empty: from the
// beginning, or to the end.
func section(t *testing.T, page, from, to string) string {
	t.Helper()
	text := string(read(t, need.Root(t), "docs", page))
	cut := func(heading string) int {
		i := strings.Index(text, "\n## "+heading)
		if i < 0 {
			t.Fatalf("%s has no heading %q", page, heading)
		}
		return i
	}
	end := len(text)
	if to != "" {
		end = cut(to)
	}
	start := 0
	if from != "" {
		start = cut(from)
	}
	var commands strings.Builder
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text[start:end], -1) {
		commands.WriteString(block[1])
	}
	return commands.String()
}

// reader follows the pages in a folder, with the real AWS CLI, and with stand-ins for what builds.
type reader struct {
	t    *testing.T
	dir  string
	stub *stub
	init string // the names, which a new shell needs again
}

func newReader(t *testing.T) (*reader, *greengrassCloud) {
	t.Helper()
	aws, services := moto.CLI(t), moto.Start(t)
	cloud, greengrass := newGreengrassCloud(t)
	s := newStub(t)
	// moto runs a function in docker: what would call it is only checked.
	s.script("aws", "url="+services+"\n[ \"$1\" != greengrassv2 ] || url="+greengrass+`
[ "$1 $2" != "sns publish" ] || set -- "$@" --generate-cli-skeleton output
exec `+aws+` --endpoint-url "$url" "$@"`+"\n")
	s.script("curl", `[ "$1" = -fsSo ] && echo authority >"$2"`+"\n")
	s.script("sleep", "")
	tree := stage(t, "-version", "1.0.0", "-only", "sensor-simulator,suite", "-bucket", names["BUCKET"])
	fetcher := filepath.Join(t.TempDir(), "model-fetcher")
	command(t, "go", "build", "-o", fetcher, "./components/model-fetcher")
	zip := filepath.Join(t.TempDir(), "polly-notifier.zip")
	command(t, "go", "run", "./scripts/lambdazip", "-out", zip)
	s.script("make", `echo "$@" >>`+s.dir+`/made
case $1 in
stage) cp -R `+tree+` cloud-build && mkdir -p cloud-build/artifacts/com.edgepdm.Suite/0.9.0 && echo old >cloud-build/artifacts/com.edgepdm.Suite/0.9.0/of-before ;;
build) mkdir -p bin && cp `+fetcher+` bin/ ;;
lambda-zip) mkdir -p bin/lambda && cp `+zip+` bin/lambda/polly-notifier.zip ;;
esac
`)
	return &reader{t: t, dir: t.TempDir(), stub: s, init: section(t, "account.md", "Names", "What you may do") + "VERSION=1.0.0\n"}, cloud
}

// do runs commands as a person does who stops at the first that fails, and returns what they print.
func (r *reader) do(commands string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "bash", "-euo", "pipefail", "-c", r.init+commands)
	cmd.Dir = r.dir
	cmd.Env = []string{
		"PATH=" + r.stub.dir + ":" + os.Getenv("PATH"), "HOME=" + r.dir, "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_PAGER=",
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// inventory lists everything that the pages make in an account.
const inventory = `aws s3api list-buckets --query 'Buckets[].Name' --output text
aws iam list-roles --query 'Roles[].RoleName' --output text
aws iot list-things --query 'things[].thingName' --output text
aws iot list-thing-groups --query 'thingGroups[].groupName' --output text
aws iot list-policies --query 'policies[].policyName' --output text
aws iot list-certificates --query 'certificates[].certificateId' --output text
aws iot list-role-aliases --query 'roleAliases' --output text
aws sns list-topics --query 'Topics[].TopicArn' --output text
aws lambda list-functions --query 'Functions[].FunctionName' --output text
aws sqs list-queues --query 'QueueUrls || ` + "`[]`" + `' --output text
aws logs describe-log-groups --query 'logGroups[].logGroupName' --output text
`

// A reader follows the pages from an empty account to a core that runs the suite, with the notifier, and back.
func TestPagesFromAnEmptyAccountAndBack(t *testing.T) {
	r, cloud := newReader(t)
	r.do(section(t, "account.md", "What you may do", "Remove the core"))
	checkCoreFiles(t, filepath.Join(r.dir, "core-files"))
	// One shell: a step uses what an earlier one set.
	r.do(section(t, "console.md", "1. Build", "9. Remove"))
	if made := string(read(t, r.stub.dir, "made")); made != "stage VERSION=1.0.0 ARCH=all BUCKET="+names["BUCKET"]+"\nbuild\nlambda-zip VERSION=1.0.0\n" {
		t.Errorf("made %q", made)
	}
	keys := strings.Fields(r.do(`aws s3api list-objects-v2 --bucket "$BUCKET" --query 'Contents[].Key' --output text`))
	if len(keys) == 0 || slices.ContainsFunc(keys, func(key string) bool { return !strings.HasPrefix(key, "com.edgepdm.SensorSimulator/1.0.0/") }) {
		t.Errorf("uploaded are %q", keys)
	}
	registered, deployed, _ := cloud.state()
	if len(registered) != 2 || !strings.HasSuffix(registered[1], "com.edgepdm.Suite:versions:1.0.0") {
		t.Errorf("registered are %q", registered)
	}
	if want := []string{"1.0.0 INACTIVE", "1.1.0 INACTIVE", "1.0.0 ACTIVE"}; !slices.Equal(deployed, want) {
		t.Errorf("deployed were %q, want %q", deployed, want)
	}
	function := r.do(`aws lambda get-policy --function-name edgepdm-notifier --query Policy --output text
aws sns list-subscriptions --query 'Subscriptions[].Endpoint' --output text`)
	for _, want := range []string{"sns.amazonaws.com", ":edgepdm-alerts", "function:edgepdm-notifier", "you@example.com"} {
		if !strings.Contains(function, want) {
			t.Errorf("%s is missing in %s", want, function)
		}
	}
	r.do(section(t, "voice.md", "Clips of Amazon Polly", "When it fails"))
	// A bucket of which a part was deleted and a part written again.
	r.do(`aws s3 rm "s3://$BUCKET/` + keys[0] + `"; aws s3 cp core-files/device.pem "s3://$BUCKET/audio/a.mp3"; aws s3 cp core-files/device.pem "s3://$BUCKET/audio/a.mp3"`)

	deploy := regexp.MustCompile(`(?s)deploy\(\) \{.*?\n\}\n`).FindString(section(t, "console.md", "5. Deployment", "6. Look"))
	r.do(deploy + section(t, "console.md", "9. Remove", ""))
	r.do(section(t, "account.md", "Remove the core", ""))
	if left := strings.Fields(r.do(inventory)); len(left) != 0 {
		t.Errorf("left in the account: %q", left)
	}
	registered, deployed, removed := cloud.state()
	if len(registered) != 0 || len(deployed) != 0 || !slices.Equal(removed, []string{names["CORE"]}) {
		t.Errorf("left in Greengrass: %q, %q; devices removed: %q", registered, deployed, removed)
	}
	// The command for the bucket is right in the one region that differs.
	r.do(`AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1; ` + regexp.MustCompile(`aws s3 mb .*`).FindString(section(t, "console.md", "2. Bucket", "")))
}

// checkCoreFiles looks at what is copied to a device: nobody else reads its key, and each nucleus gets its configuration.
func checkCoreFiles(t *testing.T, dir string) {
	t.Helper()
	info, err := os.Stat(dir)
	must.OK(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("others may look for the key: %v", info.Mode())
	}
	for _, name := range []string{"device.key", "device.pem", "AmazonRootCA1.pem"} {
		if len(read(t, dir, name)) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
	for file, nucleus := range map[string][2]string{
		"config-classic.yaml": {"aws.greengrass.Nucleus", "/greengrass/v2"},
		"config-lite.yaml":    {"aws.greengrass.NucleusLite", "/var/lib/greengrass"},
	} {
		var config struct {
			System   map[string]string `yaml:"system"`
			Services map[string]struct {
				Configuration map[string]any `yaml:"configuration"`
			} `yaml:"services"`
		}
		must.OK(t, yaml.Unmarshal(read(t, dir, file), &config))
		for key, want := range map[string]string{"privateKeyPath": nucleus[1] + "/device.key", "thingName": names["CORE"]} {
			if config.System[key] != want {
				t.Errorf("%s: %s is %q, want %q", file, key, config.System[key], want)
			}
		}
		settings := config.Services[nucleus[0]].Configuration
		for _, key := range []string{"awsRegion", "iotDataEndpoint", "iotCredEndpoint", "iotRoleAlias", "runWithDefault"} {
			if settings[key] == nil || settings[key] == "" {
				t.Errorf("%s: %s is not set", file, key)
			}
		}
	}
}

// dependents are actions that AWS asks for beside a command's own: jobs and shadows of deployments, the artifacts of a
// component that is registered, and the role that is given to an alias or a function.
var dependents = []string{
	"iam:GetRole", "iam:PassRole", "iot:CancelJob", "iot:CreateJob", "iot:DeleteJob", "iot:DeleteThingShadow", "iot:DescribeJob",
	"iot:DescribeJobExecution", "iot:DescribeThing", "iot:DescribeThingGroup", "iot:GetThingShadow", "iot:UpdateJob",
	"iot:UpdateThingShadow", "s3:GetObject",
}

// The operator's policy allows what the pages' commands need, and nothing else.
func TestOperatorsPolicyFitsTheCommands(t *testing.T) {
	special := map[string]string{
		"sts get-caller-identity": "", "s3 mb": "s3:CreateBucket", "s3 cp": "s3:PutObject", "s3 rb": "s3:DeleteBucket",
		"s3api list-object-versions": "s3:ListBucketVersions", "s3api delete-objects": "s3:DeleteObjectVersion",
	}
	wanted := make(map[string]bool)
	for _, action := range dependents {
		wanted[action] = true
	}
	for _, page := range []string{"account.md", "console.md", "voice.md"} {
		for _, m := range regexp.MustCompile(`\baws ([a-z0-9]+) ([a-z0-9-]+)`).FindAllStringSubmatch(section(t, page, "", ""), -1) {
			action, ok := special[m[1]+" "+m[2]]
			if !ok {
				service := map[string]string{"greengrassv2": "greengrass", "s3api": "s3"}[m[1]]
				if service == "" {
					service = m[1]
				}
				action = service + ":"
				for word := range strings.SplitSeq(m[2], "-") {
					action += strings.ToUpper(word[:1]) + word[1:]
				}
			}
			if action != "" {
				wanted[action] = true
			}
		}
	}
	var policy struct {
		Statement []struct {
			Action []string
		}
	}
	must.OK(t, json.Unmarshal(heredoc(t, "account.md", "operator.json"), &policy))
	allowed := make(map[string]bool)
	for _, s := range policy.Statement {
		for _, action := range s.Action {
			allowed[action] = true
		}
	}
	for action := range wanted {
		if !allowed[action] {
			t.Errorf("%s is needed, and not allowed", action)
		}
	}
	for action := range allowed {
		if !wanted[action] {
			t.Errorf("%s is allowed, and no command needs it", action)
		}
	}
}
