package main_test

import (
	"encoding/json"
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

// A use is a request that something makes as the stack configures it. Parts of its resource in braces may be anything: {press-1}.
// With any other part changed the request must be denied, and likewise with another context.
type use = request

// everywhere are the actions that AWS evaluates without a resource.
var everywhere = []string{
	"polly:SynthesizeSpeech", "polly:DescribeVoices", "cloudwatch:PutMetricData", "ecr:GetAuthorizationToken",
	"iot:CreateKeysAndCertificate", "iot:DescribeEndpoint",
	"greengrass:GetComponentVersionArtifact", "greengrass:ResolveComponentCandidates", "greengrass:GetDeploymentConfiguration",
	"greengrass:ListThingGroupsForCoreDevice",
}

// problems says what a policy lacks for the uses, and what it has beyond them.
func problems(policy []statement, uses []use) []string {
	var found []string
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	braces := strings.NewReplacer("{", "", "}", "")
	for _, u := range uses {
		real := u
		real.resource = braces.Replace(u.resource)
		if !allowed(policy, real) {
			say("missing: %v", real)
		}
		for _, near := range neighbours(u) {
			near.resource = braces.Replace(near.resource)
			if allowed(policy, near) {
				say("surplus: %v is allowed, too", near)
			}
		}
	}
	for _, s := range policy {
		for _, action := range s.actions {
			if strings.ContainsAny(action, "*?") && s.allow {
				say("surplus: %s has the pattern %s", s.sid, action)
			}
			for _, resource := range s.resources {
				if resource == "*" && s.allow && !slices.Contains(everywhere, action) {
					say("surplus: %s is allowed on everything", action)
				}
				if !slices.ContainsFunc(uses, func(u use) bool {
					u.resource = braces.Replace(u.resource)
					return s.coversBy(action, resource, u)
				}) {
					say("surplus: nothing uses %s on %s", action, resource)
				}
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

var part = regexp.MustCompile(`\{[^}]*\}|[^:/{}]+`)

// neighbours are the requests beside a use, each with one thing changed.
func neighbours(u use) []request {
	var all []request
	if u.resource != "*" {
		for _, at := range part.FindAllStringIndex(u.resource, -1) {
			if u.resource[at[0]] != '{' {
				near := u
				near.resource = u.resource[:at[0]] + "other" + u.resource[at[1]:]
				all = append(all, near)
			}
		}
	}
	for key := range u.context {
		near := u
		near.context = maps.Clone(u.context)
		near.context[key] = "other"
		all = append(all, near)
	}
	return all
}

// rolePolicy is what a role may do.
func (c *cloudTemplate) rolePolicy(role string) []statement {
	var all []statement
	for _, policy := range list(c.resources[role].Properties["Policies"]) {
		all = append(all, statements(c.resolve(object(policy)["PolicyDocument"]))...)
	}
	return all
}

// needs are the requests of an operation that the code asks for, on what the stack's configuration names.
type needs map[string][]use

// all are the uses of the operations that the packages call. An operation that is called and not in needs, or the other way round, is
// an error: the grants are made for the code that is there.
func (n needs) all(t *testing.T, packages ...string) []use {
	t.Helper()
	found := calls(t, packages...)
	for _, operation := range found {
		if n[operation] == nil {
			t.Errorf("%q call %s, and this test does not know on what", packages, operation)
		}
	}
	var uses []use
	for operation, requests := range n {
		if !slices.Contains(found, operation) {
			t.Errorf("%q do not call %s: its grants are surplus", packages, operation)
		}
		uses = append(uses, requests...)
	}
	return uses
}

// on makes uses of one action on several resources.
func on(action string, resources ...string) []use {
	var uses []use
	for _, resource := range resources {
		uses = append(uses, use{action: action, resource: resource})
	}
	return uses
}

func bucketKey(bucket any, key string) string { return fmt.Sprintf("arn:aws:s3:::%v/%s", bucket, key) }

const testVersion = "1.2.3"

// configuration is that of a component in the stack's deployment, above the recipe's default.
func (c *cloudTemplate) configuration(t *testing.T, component, recipe string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(need.Root(t), "recipes", recipe, "recipe.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		ComponentConfiguration struct {
			DefaultConfiguration map[string]any `yaml:"DefaultConfiguration"`
		} `yaml:"ComponentConfiguration"`
	}
	if err := yaml.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	have := r.ComponentConfiguration.DefaultConfiguration
	of := object(c.resolve(object(c.resources["Deployment"].Properties["Components"])[component]))
	if of["ComponentVersion"] != testVersion {
		t.Errorf("%s is deployed in version %v", component, of["ComponentVersion"])
	}
	var more map[string]any
	if err := json.Unmarshal([]byte(fmt.Sprint(object(of["ConfigurationUpdate"])["Merge"])), &more); err != nil {
		t.Fatalf("%s: %v", component, err)
	}
	merge(t, component, have, more)
	return have
}

// merge merges as a nucleus does, and refuses what the recipe does not know.
func merge(t *testing.T, path string, have, more map[string]any) {
	t.Helper()
	for key, value := range more {
		old, known := have[key]
		if !known {
			t.Errorf("%s has no setting %s", path, key)
		}
		if inner, is := old.(map[string]any); is {
			merge(t, path+"."+key, inner, object(value))
			continue
		}
		have[key] = value
	}
}

// deployed is the template with everything on.
func deployed(t *testing.T) *cloudTemplate {
	return readTemplate(t, map[string]string{
		"ComponentVersion": testVersion, "FactoryCore": "yes", "Notebook": "yes", "LoopSchedule": "rate(30 days)", "Email": "you@example.com",
		"TopicPrefix": "plant", "ModelName": "pumps", "AlertLanguage": "de-DE", "ModelPublicKey": "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=",
	})
}

// usesOfCores are what the components of a core do, and its nucleus for them.
func usesOfCores(t *testing.T, c *cloudTemplate) []use {
	forwarder := c.configuration(t, "com.edgepdm.CloudForwarder", "cloud-forwarder")
	fetcher := c.configuration(t, "com.edgepdm.ModelFetcher", "model-fetcher")
	manager := c.configuration(t, "com.edgepdm.AlarmManager", "alarm-manager")
	core := map[string]string{"credentials-iot:ThingName": "core-1"}
	var messages []use
	for _, topic := range []string{"{prediction}/{press-1}", "{alert}/{press-1}", "{health}"} {
		messages = append(messages, use{"iot:Publish", arn("iot", fmt.Sprintf("topic/%v/core-1/{pdm}/{v1}/%s", forwarder["topicPrefix"], topic)), core})
	}
	prefix := fmt.Sprint(fetcher["prefix"])
	models := func(object string) []string { // those of remaining life beside those of faults
		return []string{bucketKey(fetcher["bucket"], prefix+"/"+object), bucketKey(fetcher["bucket"], prefix+"-life/"+object)}
	}
	bucket := "arn:aws:s3:::" + fmt.Sprint(fetcher["bucket"])
	archive := object(forwarder["archive"])
	puts := func(action string) []use {
		var uses []use
		for _, stream := range []string{"predictions", "telemetry"} {
			key := fmt.Sprintf("%v/%s/core=core-1/{date=2026-11-23}/{press-1-5f3a-1-7.json.gz}", archive["prefix"], stream)
			uses = append(uses, use{action, bucketKey(archive["bucket"], key), core})
		}
		return uses
	}
	uses := needs{
		"iotdataplane.Publish":       messages,
		"s3.PutObject":               puts("s3:PutObject"),
		"s3.CreateMultipartUpload":   puts("s3:PutObject"),
		"s3.UploadPart":              puts("s3:PutObject"),
		"s3.CompleteMultipartUpload": puts("s3:PutObject"),
		"s3.AbortMultipartUpload":    puts("s3:AbortMultipartUpload"),
		"sns.Publish":                on("sns:Publish", append(texts(forwarder["escalationTopicArns"]), fmt.Sprint(forwarder["alertTopicArn"]))...),
	}.all(t, "./components/cloud-forwarder")
	uses = append(uses, needs{
		"s3.GetObject":        append(on("s3:GetObject", append(models("{manifest.dsse.json}"), models("{1.2.3}/{model.tar.gz}")...)...), on("s3:ListBucket", bucket)...),
		"s3.HeadObject":       on("s3:GetObject", models("{model.tar.gz}")...),
		"s3.GetObjectVersion": on("s3:GetObjectVersion", models("{1.2.3}/{model.tar.gz}")...),
	}.all(t, "./components/model-fetcher/fetcher")...)
	clips := object(object(manager["voice"])["clips"])
	uses = append(uses, needs{
		"s3.GetObject": append(on("s3:GetObject", bucketKey(clips["bucket"], fmt.Sprint(clips["prefix"])+"/{5f3a.pcm}"),
			bucketKey(clips["bucket"], fmt.Sprint(clips["prefix"])+"/{phrases}/{de}/{machine-fault.pcm}")), on("s3:ListBucket", "arn:aws:s3:::"+fmt.Sprint(clips["bucket"]))...),
	}.all(t, "./components/alarm-manager")...)
	needs{}.all(t, "./components/inference-engine", "./components/ingest", "./components/sensor-simulator")
	// The nucleus fetches the programs from where `make stage` has put them.
	uses = append(uses, on("s3:GetObject", bucketKey(testCode, "com.edgepdm.AlarmManager/{1.2.3}/{alarm-manager-linux-arm64}"))...)
	return append(uses, on("s3:GetBucketLocation", "arn:aws:s3:::"+testCode)...)
}

// environment is that of a function, and usesOfFunction what Lambda does as its role.
func (c *cloudTemplate) environment(function string) map[string]any {
	return object(c.resolve(object(c.resources[function].Properties["Environment"])["Variables"]))
}

func (c *cloudTemplate) usesOfFunction(function string) []use {
	p := c.resources[function].Properties
	group := c.text1(object(p["LoggingConfig"])["LogGroup"])
	uses := on("logs:CreateLogStream", arn("logs", "log-group:"+group+":{log-stream}:{2026}"))
	uses = append(uses, on("logs:PutLogEvents", arn("logs", "log-group:"+group+":{log-stream}:{2026}"))...)
	for _, name := range c.ofType("AWS::Lambda::EventInvokeConfig") {
		config := object(c.resolve(c.resources[name].Properties))
		if config["FunctionName"] == c.ref(function) {
			uses = append(uses, on("sqs:SendMessage", fmt.Sprint(object(object(config["DestinationConfig"])["OnFailure"])["Destination"]))...)
		}
	}
	return uses
}

func usesOfNotifier(t *testing.T, c *cloudTemplate) []use {
	e := c.environment("Notifier")
	clip := bucketKey(e["BUCKET_NAME"], "audio/{5f3a.pcm}")
	return append(c.usesOfFunction("Notifier"), needs{
		"polly.SynthesizeSpeech": on("polly:SynthesizeSpeech", "*"),
		"polly.DescribeVoices":   on("polly:DescribeVoices", "*"),
		"s3.HeadObject":          append(on("s3:GetObject", clip), on("s3:ListBucket", "arn:aws:s3:::"+fmt.Sprint(e["BUCKET_NAME"]))...),
		"s3.PutObject":           on("s3:PutObject", clip),
		"iotdataplane.Publish":   on("iot:Publish", arn("iot", fmt.Sprintf("topic/%v/{core-1}/pdm/v1/audio", e["SITE_TOPIC_PREFIX"]))),
	}.all(t, "./components/polly-notifier")...)
}

func usesOfPublisher(t *testing.T, c *cloudTemplate) []use {
	e := c.environment("Publisher")
	models := func(object string) string { return bucketKey(e["BUCKET_NAME"], fmt.Sprint(e["KEY_PREFIX"])+"/"+object) }
	data := c.ref("DataBucket")
	return append(c.usesOfFunction("Publisher"), needs{
		"s3.GetObject": append(on("s3:GetObject", models("{manifest.dsse.json}"), bucketKey(data, "training/{pdm-1}/{model.tar.gz}"), bucketKey(data, "features/{1}/{train.csv.gz}")),
			on("s3:ListBucket", "arn:aws:s3:::"+fmt.Sprint(e["BUCKET_NAME"]), "arn:aws:s3:::"+data)...),
		"s3.HeadObject":                 on("s3:GetObject", models("{1.2.3}/{model.tar.gz}")),
		"s3.PutObject":                  on("s3:PutObject", models("{1.2.3}/{model.tar.gz}"), models("{manifest.dsse.json}")),
		"s3.ListObjectsV2":              on("s3:ListBucket", "arn:aws:s3:::"+data),
		"s3.GetObjectVersion":           {}, // the code of devices' downloads comes with the package; the function looks at what is newest
		"secretsmanager.GetSecretValue": on("secretsmanager:GetSecretValue", fmt.Sprint(e["SIGNING_SECRET"])),
	}.all(t, "./components/model-publisher")...)
}

// usesOfRules are the actions of the topic rules.
func usesOfRules(t *testing.T, c *cloudTemplate) []use {
	var uses []use
	for _, name := range c.ofType("AWS::IoT::TopicRule") {
		payload := object(c.resolve(c.resources[name].Properties["TopicRulePayload"]))
		for _, action := range append(list(payload["Actions"]), payload["ErrorAction"]) {
			for kind, a := range object(action) {
				of := object(a)
				if of["RoleArn"] != c.attribute("RuleRole", "Arn") {
					t.Errorf("%s: %s is done as %v", name, kind, of["RoleArn"])
				}
				switch kind {
				case "Firehose":
					uses = append(uses, on("firehose:PutRecord", arn("firehose", "deliverystream/"+fmt.Sprint(of["DeliveryStreamName"])))...)
				case "CloudwatchMetric":
					uses = append(uses, use{"cloudwatch:PutMetricData", "*", map[string]string{"cloudwatch:namespace": fmt.Sprint(of["MetricNamespace"])}})
				case "CloudwatchLogs":
					group := arn("logs", "log-group:"+fmt.Sprint(of["LogGroupName"])+":{log-stream}:{x}")
					for _, action := range []string{"logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"} {
						uses = append(uses, on(action, group)...)
					}
				case "Sqs":
					url := fmt.Sprint(of["QueueUrl"])
					uses = append(uses, on("sqs:SendMessage", arn("sqs", url[strings.LastIndex(url, "/")+1:]))...)
				default:
					t.Errorf("%s: no action %s is known here", name, kind)
				}
			}
		}
	}
	return uses
}

// usesOfFirehose are what AWS says that Firehose needs to write into a bucket.
func usesOfFirehose(t *testing.T, c *cloudTemplate) []use {
	var uses []use
	for _, name := range c.ofType("AWS::KinesisFirehose::DeliveryStream") {
		to := object(c.resolve(c.resources[name].Properties["ExtendedS3DestinationConfiguration"]))
		bucket := fmt.Sprint(to["BucketARN"])
		for _, action := range []string{"s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"} {
			uses = append(uses, on(action, bucket)...)
		}
		for _, prefix := range []string{"Prefix", "ErrorOutputPrefix"} {
			first, _, _ := strings.Cut(fmt.Sprint(to[prefix]), "/")
			for _, action := range []string{"s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"} {
				uses = append(uses, on(action, bucket+"/"+first+"/{x}")...)
			}
		}
		log := object(to["CloudWatchLoggingOptions"])
		uses = append(uses, on("logs:PutLogEvents", arn("logs", fmt.Sprintf("log-group:%v:log-stream:%v", log["LogGroupName"], log["LogStreamName"])))...)
	}
	return uses
}

// usesOfFactory are the AWS CLI's commands of the instance's script.
func usesOfFactory(t *testing.T, c *cloudTemplate) []use {
	thing := c.attribute("FactoryThing", "Arn")
	certificate := arn("iot", "cert/{5f3a}")
	on1 := map[string][]use{
		"create-keys-and-certificate": on("iot:CreateKeysAndCertificate", "*"),
		"describe-endpoint":           on("iot:DescribeEndpoint", "*"),
		"attach-policy":               on("iot:AttachPolicy", certificate),
		"attach-thing-principal":      on("iot:AttachThingPrincipal", certificate),
		"add-thing-to-thing-group":    on("iot:AddThingToThingGroup", thing, c.attribute("ThingGroup", "Arn")),
	}
	var uses []use
	for _, found := range regexp.MustCompile(`\baws (\S+) (\S+)`).FindAllStringSubmatch(c.text1(c.resources["FactoryInstance"].Properties["UserData"]), -1) {
		if found[1] != "iot" || on1[found[2]] == nil {
			t.Errorf("the script calls aws %s %s, and this test does not know on what", found[1], found[2])
		}
		uses = append(uses, on1[found[2]]...)
	}
	return uses
}

// usesOfStarts are the targets of the rules that start the loop.
func usesOfStarts(t *testing.T, c *cloudTemplate) []use {
	var uses []use
	for _, name := range c.ofType("AWS::Events::Rule") {
		for _, target := range list(c.resolve(c.resources[name].Properties["Targets"])) {
			of := object(target)
			if of["RoleArn"] != c.attribute("LoopStartRole", "Arn") {
				t.Errorf("%s starts %v as %v", name, of["Arn"], of["RoleArn"])
			}
			uses = append(uses, on("states:StartExecution", fmt.Sprint(of["Arn"]))...)
		}
	}
	return uses
}

// roles are the stack's roles, and what is done as each of them.
var roles = map[string]func(*testing.T, *cloudTemplate) []use{
	"CoreRole": usesOfCores, "NotifierRole": usesOfNotifier, "PublisherRole": usesOfPublisher, "RuleRole": usesOfRules,
	"FirehoseRole": usesOfFirehose, "FactoryRole": usesOfFactory, "LoopStartRole": usesOfStarts,
	"LoopRole": usesOfLoop, "FeaturesRole": usesOfFeatures, "TrainingRole": usesOfTraining,
}

func TestRolesMayDoWhatIsDoneAndNothingMore(t *testing.T) {
	need.Long(t)
	c := deployed(t)
	for _, role := range c.ofType("AWS::IAM::Role") {
		if roles[role] == nil {
			t.Errorf("%s: nobody knows what it is for", role)
		}
	}
	for role, usesOf := range roles {
		t.Run(role, func(t *testing.T) {
			uses, policy := usesOf(t, c), c.rolePolicy(role)
			if len(uses) == 0 || len(policy) == 0 {
				t.Fatalf("%d uses, %d statements", len(uses), len(policy))
			}
			for _, problem := range problems(policy, uses) {
				t.Error(problem)
			}
			mutants(t, policy, uses)
		})
	}
}

// mutants changes a policy that has no problem, in both directions, and wants each change to be found.
func mutants(t *testing.T, policy []statement, uses []use) {
	t.Helper()
	try := func(what string, i int, change func(*statement)) {
		t.Helper()
		mutant := slices.Clone(policy)
		s := mutant[i]
		s.actions, s.resources = slices.Clone(s.actions), slices.Clone(s.resources)
		change(&s)
		mutant[i] = s
		if len(problems(mutant, uses)) == 0 {
			t.Errorf("%s in statement %s is not found", what, s.sid)
		}
	}
	for i, s := range policy {
		for k, action := range s.actions {
			service, _, _ := strings.Cut(action, ":")
			try("without "+action, i, func(s *statement) { s.actions = slices.Delete(s.actions, k, k+1) })
			try("with "+service+":DeleteEverything", i, func(s *statement) { s.actions = append(s.actions, service+":DeleteEverything") })
			try("with "+service+":*", i, func(s *statement) { s.actions[k] = service + ":*" })
		}
		for k, resource := range s.resources {
			try("without "+resource, i, func(s *statement) { s.resources = slices.Delete(s.resources, k, k+1) })
			try("with a resource more", i, func(s *statement) { s.resources = append(s.resources, resource+"-other") })
			if resource == "*" {
				if s.condition != nil {
					try("without its condition", i, func(s *statement) { s.condition = nil })
				}
				continue
			}
			try("* in place of "+resource, i, func(s *statement) { s.resources[k] = "*" })
			fixed := strings.TrimRight(resource, "*:/")
			wider := fixed[:strings.LastIndexAny(fixed, ":/")+1] + "*"
			try(wider+" in place of "+resource, i, func(s *statement) { s.resources[k] = wider })
		}
	}
}

// TestServicesMayUseQueuesAndTopics: what AWS's services do by themselves is in the policies of the queue and of the topic.
func TestServicesMayUseQueuesAndTopics(t *testing.T) {
	c := deployed(t)
	document := func(name string) []statement {
		return statements(c.resolve(c.resources[name].Properties["PolicyDocument"]))
	}
	redrive := document("NotifierRedriveQueuePolicy")
	queue := c.attribute("NotifierRedriveQueue", "Arn")
	tls := func(source string) map[string]string {
		return map[string]string{"aws:SourceArn": source, "aws:SourceAccount": testAccount, "aws:SecureTransport": "true"}
	}
	operations := document("EngineerTopicPolicy")
	topic := c.ref("EngineerTopic")
	for _, x := range []struct {
		policy []statement
		request
		want bool
	}{
		{redrive, request{"sqs:SendMessage", queue, tls(c.ref("AlertTopic"))}, true},
		{redrive, request{"sqs:SendMessage", queue, tls(c.ref("EngineerTopic"))}, false},
		{redrive, request{"sqs:ReceiveMessage", queue, tls(c.ref("AlertTopic"))}, false},
		{redrive, request{"sqs:SendMessage", queue, map[string]string{"aws:SourceArn": c.ref("AlertTopic"), "aws:SecureTransport": "false"}}, false},
		{operations, request{"sns:Publish", topic, tls(c.attribute("DriftAlarm", "Arn"))}, true},
		{operations, request{"sns:Publish", topic, tls(arn("cloudwatch", "alarm:another"))}, false},
	} {
		if got := allowed(x.policy, x.request); got != x.want {
			t.Errorf("%v: %v, want %v", x.request, got, x.want)
		}
	}
	// Every alarm of the stack reaches the topic: its ARN is one that the topic's policy allows.
	for _, name := range c.ofType("AWS::CloudWatch::Alarm") {
		if !allowed(operations, request{"sns:Publish", topic, tls(c.attribute(name, "Arn"))}) {
			t.Errorf("%s may not publish", name)
		}
	}
}
