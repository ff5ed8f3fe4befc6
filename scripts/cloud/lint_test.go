package main_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/need"
	"edgepdm/test/tools"
)

func TestLintFindsNothing(t *testing.T) {
	need.Long(t)
	out, err := exec.Command(filepath.Join(need.Installed(t, tools.Moto), "bin", "cfn-lint"), templateFile(t)).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("cfn-lint: %v\n%s", err, out)
	}
}

// guard is cfn-guard, and the folder of its package.
func guard(t *testing.T) (program, folder string) {
	t.Helper()
	folder = filepath.Join(need.Installed(t, tools.Guard), "node_modules", "@cdklabs", "cdk-validator-cfnguard")
	processor := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	program = filepath.Join(folder, "bin", "ubuntu", processor, "cfn-guard")
	if _, err := os.Stat(program); runtime.GOOS != "linux" || err != nil {
		need.Lacking(t, "cfn-guard for this machine", tools.HowToGet)
	}
	return program, folder
}

// broken returns the rules that a template breaks.
func broken(t *testing.T, program, template string, rules ...string) []string {
	t.Helper()
	out, err := exec.Command(program, append([]string{"validate", "--structured", "-o", "json", "-S", "none", "-d", template, "-r"}, rules...)...).Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || failed.ExitCode() != 19) { // 19: a rule is broken
		t.Fatalf("cfn-guard: %v\n%s", err, out)
	}
	var reports []struct {
		NotCompliant []struct {
			Rule struct {
				Name string `json:"name"`
			}
		} `json:"not_compliant"`
	}
	if err := json.Unmarshal(out, &reports); err != nil {
		t.Fatalf("cfn-guard: %v\n%s", err, out)
	}
	var names []string
	for _, r := range reports {
		for _, n := range r.NotCompliant {
			names = append(names, n.Rule.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func TestGuardFindsNothing(t *testing.T) {
	need.Long(t)
	program, _ := guard(t)
	rules := filepath.Join(need.Root(t), "scripts", "cloud", "guard")
	if names := broken(t, program, templateFile(t), rules); len(names) > 0 {
		t.Errorf("the template breaks %q", names)
	}
	// Each rule finds what it is for.
	text := readTemplate(t, nil).text
	for rule, change := range map[string][2]string{
		"buckets_are_versioned_encrypted_and_private": {"VersioningConfiguration: {Status: Enabled}", "VersioningConfiguration: {Status: Suspended}"},
		"uploads_and_old_versions_end":                {"AbortIncompleteMultipartUpload: {DaysAfterInitiation: 7}", "ExpirationInDays: 7"},
		"buckets_take_tls_only":                       {`Action: "s3:*"`, `Action: "s3:GetObject"`},
		"topics_take_tls_only":                        {`Action: sns:Publish`, `Action: sns:Subscribe`},
		"queues_take_tls_only":                        {`Action: "sqs:*"`, `Action: "sqs:SendMessage"`},
		"queues_are_encrypted_and_keep_two_weeks":     {"SqsManagedSseEnabled: true", "SqsManagedSseEnabled: false"},
		"what_a_rule_cannot_do_is_kept":               {"ErrorAction: ", "NoAction: "},
		"what_sns_cannot_hand_over_is_kept":           {"      RedrivePolicy: {deadLetterTargetArn: !GetAtt NotifierRedriveQueue.Arn}\n", ""},
		"functions_are_small_programs":                {"Runtime: provided.al2023", "Runtime: go1.x"},
		"logs_end":                                    {", RetentionInDays: 30", ""},
		"alarms_reach_somebody":                       {"AlarmActions: [!Ref EngineerTopic]", "AlarmActions: []"},
		"roles_say_what_they_may":                     {`Action: "s3:GetBucketLocation"`, `Action: "*"`},
		"nothing_costs_by_the_hour_unasked":           {"Condition: HasNotebook", "DeletionPolicy: Delete"},
		"no_key_costs_by_the_month":                   {"Type: AWS::IoT::ThingGroup", "Type: AWS::KMS::Key"},
		"secrets_are_not_in_the_template":             {`Description: Ed25519 key that signs models}`, `SecretString: x}`},
	} {
		if !strings.Contains(text, change[0]) {
			t.Errorf("%s: the template has no %q", rule, change[0])
			continue
		}
		file := filepath.Join(t.TempDir(), "template.yaml")
		if err := os.WriteFile(file, []byte(strings.Replace(text, change[0], change[1], 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if names := broken(t, program, file, rules); !slices.Equal(names, []string{rule}) {
			t.Errorf("with %q for %q the rules %q are broken, want %q", change[1], change[0], names, rule)
		}
	}
}

// controlTowerExceptions are the rules of AWS Control Tower that the template breaks on purpose, and why.
var controlTowerExceptions = map[string]string{
	"s3_bucket_default_encryption_kms_check":             "a customer's key costs by the month and by request; SSE-S3 encrypts",
	"s3_bucket_logging_enabled_check":                    "access logs cost, and nothing here is public: CloudTrail's data events are for those who need them",
	"s3_event_notifications_enabled_check":               "nothing listens",
	"s3_bucket_policy_ssl_requests_only_check":           "it does not read Fn::Sub; our own rule and test hold it",
	"s3_bucket_object_lock_enabled_check":                "a locked bucket cannot be emptied by make cloud-down",
	"sqs_dlq_check":                                      "the queues are dead-letter queues",
	"lambda_inside_vpc_check":                            "the functions call AWS alone; a NAT gateway costs by the hour",
	"ec2_instance_detailed_monitoring_enabled_check":     "the factory is a demonstration",
	"ec2_instance_nitro_encryption_in_transit_check":     "the factory is a t3 instance, and sends over TLS",
	"sagemaker_notebook_no_direct_internet_access_check": "no VPC: a NAT gateway costs by the hour",
	"sagemaker_notebook_instance_inside_vpc_check":       "as above",
	"cloudwatch_log_group_retention_period_check":        "a year of logs costs: 30 days",
	"cloudwatch_log_group_encrypted_check":               "a customer's key costs by the month",
	"step_functions_state_machine_logging_enabled_check": "Step Functions keeps each execution's history for 90 days, and a failed one has an alarm",
	"step_functions_state_machine_tracing_enabled_check": "as above",
	"glue_job_security_config_check":                     "as above: the job writes to buckets with SSE-S3",
}

func TestControlTowersRulesAreKeptOrExcepted(t *testing.T) {
	need.Long(t)
	program, folder := guard(t)
	var rules []string
	for _, service := range []string{"cloudwatch", "ec2", "glue", "identityandaccessmanagement", "keymanagementservice", "kinesis", "lambda", "s3", "sagemaker", "sqs", "stepfunctions"} {
		rules = append(rules, filepath.Join(folder, "rules", "control-tower", "cfn-guard", service))
	}
	names := broken(t, program, templateFile(t), rules...)
	for _, name := range names {
		if controlTowerExceptions[name] == "" {
			t.Errorf("the template breaks %s", name)
		}
	}
	for name := range controlTowerExceptions {
		if !slices.Contains(names, name) {
			t.Errorf("the template keeps %s: it is no exception", name)
		}
	}
}
