package main_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"edgepdm/test/need"
)

// What the stack of the tests is.
const (
	testStack   = "pdm"
	testRegion  = "us-east-1"
	testAccount = "123456789012"
	testCode    = "pdm-code"
)

// resource is one of a template, as it is written: intrinsic functions are objects such as {"Ref": "Name"}.
type resource struct {
	Type       string
	Condition  string
	Properties map[string]any
}

// cloudTemplate is the template, and what makes values of its functions.
type cloudTemplate struct {
	text       string
	parameters map[string]map[string]any
	mappings   map[string]any
	conditions map[string]any
	resources  map[string]resource
	outputs    map[string]any
	values     map[string]string // of parameters
}

func templateFile(t testing.TB) string {
	t.Helper()
	return filepath.Join(need.Root(t), "scripts", "cloud", "template.yaml")
}

// readTemplate reads the template with values for parameters, and the defaults for the others.
func readTemplate(t testing.TB, values map[string]string) *cloudTemplate {
	t.Helper()
	text, err := os.ReadFile(templateFile(t))
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseTemplate(string(text), values)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func parseTemplate(text string, values map[string]string) (*cloudTemplate, error) {
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(text), &node); err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	all, err := plain(node.Content[0])
	if err != nil {
		return nil, err
	}
	root := all.(map[string]any)
	c := &cloudTemplate{
		text: text, mappings: object(root["Mappings"]), conditions: object(root["Conditions"]), outputs: object(root["Outputs"]),
		parameters: map[string]map[string]any{}, resources: map[string]resource{},
		values: map[string]string{
			"CodeBucket": testCode, "NotifierKey": "notifier.zip", "PublisherKey": "publisher.zip", "LoopPrefix": "loop/",
			"AWS::StackName": testStack, "AWS::Region": testRegion, "AWS::AccountId": testAccount, "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com",
		},
	}
	for name, p := range object(root["Parameters"]) {
		c.parameters[name] = object(p)
		if value, has := object(p)["Default"]; has {
			c.values[name] = fmt.Sprint(value)
		}
	}
	maps.Copy(c.values, values)
	for name, value := range object(root["Resources"]) {
		r := object(value)
		condition, _ := r["Condition"].(string)
		c.resources[name] = resource{Type: r["Type"].(string), Condition: condition, Properties: object(r["Properties"])}
	}
	return c, nil
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// list makes a list of what may be one value in place of it.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

func texts(v any) []string {
	var all []string
	for _, one := range list(v) {
		all = append(all, fmt.Sprint(one))
	}
	return all
}

// plain makes of a node what JSON has, and of CloudFormation's tags their long form.
func plain(n *yaml.Node) (any, error) {
	var value any
	switch n.Kind {
	case yaml.AliasNode:
		return nil, fmt.Errorf("line %d: CloudFormation takes no alias", n.Line)
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			v, err := plain(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			m[n.Content[i].Value] = v
		}
		value = m
	case yaml.SequenceNode:
		l := []any{}
		for _, one := range n.Content {
			v, err := plain(one)
			if err != nil {
				return nil, err
			}
			l = append(l, v)
		}
		value = l
	default:
		value = n.Value
	}
	switch {
	case !strings.HasPrefix(n.Tag, "!") || strings.HasPrefix(n.Tag, "!!"):
		return value, nil
	case n.Tag == "!Ref":
		return map[string]any{"Ref": value}, nil
	default:
		return map[string]any{"Fn::" + strings.TrimPrefix(n.Tag, "!"): value}, nil
	}
}

// exists tells whether a resource is made with the parameters.
func (c *cloudTemplate) exists(name string) bool {
	condition := c.resources[name].Condition
	return condition == "" || c.holds(condition)
}

func (c *cloudTemplate) holds(condition string) bool {
	return c.resolve(c.conditions[condition]) == true
}

// resolve makes a value of all functions in v.
func (c *cloudTemplate) resolve(v any) any {
	switch v := v.(type) {
	case []any:
		var l []any
		for _, one := range v {
			if one := c.resolve(one); one != nil {
				l = append(l, one)
			}
		}
		return l
	case map[string]any:
		if len(v) == 1 {
			for name, argument := range v {
				if name == "Ref" || strings.HasPrefix(name, "Fn::") {
					return c.function(name, argument)
				}
			}
		}
		m := map[string]any{}
		for name, one := range v {
			m[name] = c.resolve(one)
		}
		return m
	default:
		return v
	}
}

func (c *cloudTemplate) text1(v any) string { return fmt.Sprint(c.resolve(v)) }

func (c *cloudTemplate) function(name string, argument any) any {
	l, _ := argument.([]any)
	switch name {
	case "Ref":
		return c.ref(argument.(string))
	case "Fn::GetAtt":
		if s, ok := argument.(string); ok {
			name, attribute, _ := strings.Cut(s, ".")
			return c.attribute(name, attribute)
		}
		return c.attribute(l[0].(string), l[1].(string))
	case "Fn::Sub":
		own := map[string]any{}
		text, ok := argument.(string)
		if !ok {
			text, own = l[0].(string), object(l[1])
		}
		return c.substitute(text, own)
	case "Fn::Join":
		return strings.Join(texts(c.resolve(l[1])), l[0].(string))
	case "Fn::Split":
		var parts []any
		for _, part := range strings.Split(c.text1(l[1]), l[0].(string)) {
			parts = append(parts, part)
		}
		return parts
	case "Fn::FindInMap":
		return object(object(c.mappings[c.text1(l[0])])[c.text1(l[1])])[c.text1(l[2])]
	case "Fn::If":
		if c.holds(l[0].(string)) {
			return c.resolve(l[1])
		}
		return c.resolve(l[2])
	case "Fn::Equals":
		return c.text1(l[0]) == c.text1(l[1])
	case "Fn::Not":
		return c.resolve(l[0]) != true
	case "Fn::Base64":
		return c.resolve(argument)
	default:
		panic("no function " + name)
	}
}

var placeholder = regexp.MustCompile(`\$\{(!?)([^}]+)\}`)

func (c *cloudTemplate) substitute(text string, own map[string]any) string {
	return placeholder.ReplaceAllStringFunc(text, func(found string) string {
		parts := placeholder.FindStringSubmatch(found)
		if parts[1] == "!" {
			return "${" + parts[2] + "}"
		}
		if v, has := own[parts[2]]; has {
			return c.text1(v)
		}
		if name, attribute, has := strings.Cut(parts[2], "."); has {
			return c.attribute(name, attribute)
		}
		return c.ref(parts[2])
	})
}

func arn(service, name string) string {
	return "arn:aws:" + service + ":" + testRegion + ":" + testAccount + ":" + name
}

// names are what CloudFormation makes of a resource: what Ref is, and its ARN.
func (c *cloudTemplate) names(name string) (ref, full string) {
	r, ok := c.resources[name]
	if !ok {
		panic("no resource " + name)
	}
	given := func(property string) string { return c.text1(r.Properties[property]) }
	switch r.Type {
	case "AWS::S3::Bucket":
		ref = testStack + "-" + strings.ToLower(name)
		return ref, "arn:aws:s3:::" + ref
	case "AWS::SNS::Topic":
		full = arn("sns", given("TopicName"))
		return full, full
	case "AWS::SQS::Queue":
		return "https://sqs." + testRegion + ".amazonaws.com/" + testAccount + "/" + given("QueueName"), arn("sqs", given("QueueName"))
	case "AWS::Lambda::Function":
		return given("FunctionName"), arn("lambda", "function:"+given("FunctionName"))
	case "AWS::Logs::LogGroup":
		return given("LogGroupName"), arn("logs", "log-group:"+given("LogGroupName")+":*")
	case "AWS::IAM::Role":
		return testStack + "-" + name, "arn:aws:iam::" + testAccount + ":role/" + testStack + "-" + name
	case "AWS::IoT::ThingGroup":
		return given("ThingGroupName"), arn("iot", "thinggroup/"+given("ThingGroupName"))
	case "AWS::IoT::Thing":
		return given("ThingName"), arn("iot", "thing/"+given("ThingName"))
	case "AWS::IoT::Policy":
		return given("PolicyName"), arn("iot", "policy/"+given("PolicyName"))
	case "AWS::IoT::RoleAlias":
		return given("RoleAlias"), arn("iot", "rolealias/"+given("RoleAlias"))
	case "AWS::KinesisFirehose::DeliveryStream":
		return given("DeliveryStreamName"), arn("firehose", "deliverystream/"+given("DeliveryStreamName"))
	case "AWS::CloudWatch::Alarm":
		return given("AlarmName"), arn("cloudwatch", "alarm:"+given("AlarmName"))
	case "AWS::StepFunctions::StateMachine":
		full = arn("states", "stateMachine:"+given("StateMachineName"))
		return full, full
	case "AWS::SecretsManager::Secret":
		full = arn("secretsmanager", "secret:"+given("Name")+"-a1b2c3")
		return full, full
	case "AWS::Glue::Job":
		return given("Name"), arn("glue", "job/"+given("Name"))
	case "AWS::CloudWatch::Dashboard":
		return given("DashboardName"), ""
	default:
		return testStack + "-" + name, "arn:of:" + name
	}
}

func (c *cloudTemplate) ref(name string) string {
	if value, has := c.values[name]; has {
		return value
	}
	ref, _ := c.names(name)
	return ref
}

func (c *cloudTemplate) attribute(name, attribute string) string {
	ref, full := c.names(name)
	switch attribute {
	case "QueueName":
		return full[strings.LastIndex(full, ":")+1:]
	case "GroupId":
		return ref
	default: // Arn, RoleAliasArn, ModelPackageGroupArn
		return full
	}
}

// ofType lists the resources of a type.
func (c *cloudTemplate) ofType(kind string) []string {
	var names []string
	for name, r := range c.resources {
		if r.Type == kind {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestTemplateHasAllParametersAndOutputs(t *testing.T) {
	c := readTemplate(t, nil)
	for _, name := range []string{
		"Email", "CodeBucket", "NotifierKey", "PublisherKey", "LoopPrefix", "NotifierArchitecture", "TopicPrefix", "ThingGroupName", "AlertLanguage",
		"ModelName", "ComponentVersion", "ModelPublicKey", "FactoryCore", "Notebook", "LoopSchedule", "TrainingInstance", "HeartbeatMinutes",
	} {
		if c.parameters[name] == nil {
			t.Errorf("no parameter %s", name)
		}
	}
	for _, name := range []string{
		"DataBucket", "ModelBucket", "AudioBucket", "AlertTopicArn", "EngineerTopicArn", "ThingGroupName", "CoreRoleAlias", "CoreRoleArn", "DevicePolicyPrefix",
		"ClientDevicePolicyName", "NotifierName", "PublisherName", "LoopArn", "SigningSecretArn", "DashboardUrl",
	} {
		if c.outputs[name] == nil {
			t.Errorf("no output %s", name)
		}
	}
	for _, name := range []string{"FactoryInstance", "NotebookInstance", "LoopOnSchedule", "Deployment", "AlertEmail"} {
		if c.exists(name) {
			t.Errorf("%s is made though nobody asked for it", name)
		}
	}
	// What names its resources begins with the stack's name, so that two stacks live in one account.
	for name, r := range c.resources {
		for property, value := range r.Properties {
			if strings.HasSuffix(property, "Name") && r.Type != "AWS::Logs::LogStream" && strings.Contains(r.Type, "::"+strings.TrimSuffix(property, "Name")) {
				if text := c.text1(value); !strings.Contains(text, testStack) {
					t.Errorf("%s of %s is %q, without the stack's name", property, name, text)
				}
			}
		}
	}
}

// TestEachPlaceIsGuardedByAPolicy: rules look at policies; a bucket without one would pass them.
func TestEachPlaceIsGuardedByAPolicy(t *testing.T) {
	c := readTemplate(t, nil)
	guarded := map[string]bool{}
	for _, kind := range []string{"AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"} {
		for _, name := range c.ofType(kind) {
			for _, property := range []string{"Bucket", "Topics", "Queues"} {
				for _, place := range texts(c.resolve(c.resources[name].Properties[property])) {
					guarded[place] = true
				}
			}
		}
	}
	for _, kind := range []string{"AWS::S3::Bucket", "AWS::SNS::Topic", "AWS::SQS::Queue"} {
		for _, name := range c.ofType(kind) {
			if !guarded[c.ref(name)] {
				t.Errorf("%s has no policy", name)
			}
		}
	}
	// A queue of what failed has an alarm.
	watched := map[string]bool{}
	for _, name := range c.ofType("AWS::CloudWatch::Alarm") {
		for _, d := range list(c.resolve(c.resources[name].Properties["Dimensions"])) {
			watched[fmt.Sprint(object(d)["Value"])] = true
		}
	}
	for _, name := range c.ofType("AWS::SQS::Queue") {
		if !watched[c.attribute(name, "QueueName")] {
			t.Errorf("no alarm watches %s", name)
		}
	}
}
