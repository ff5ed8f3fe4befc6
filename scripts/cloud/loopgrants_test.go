package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"edgepdm/test/need"
)

// loopStates are the tasks of the state machine, by name, and its text.
func loopStates(t *testing.T) (resources map[string]string, text string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(need.Root(t), "scripts", "cloud", "loop", "loop.asl.json"))
	if err != nil {
		t.Fatal(err)
	}
	var machine struct {
		States map[string]struct{ Type, Resource string }
	}
	if err := json.Unmarshal(raw, &machine); err != nil {
		t.Fatal(err)
	}
	resources = map[string]string{}
	for name, state := range machine.States {
		switch state.Type {
		case "Task":
			resources[name] = state.Resource
		case "Map", "Parallel":
			t.Errorf("%s has states of its own, which this test does not read", name)
		}
	}
	return resources, string(raw)
}

// usesOfLoop are what Step Functions does for the integrations that the state machine uses, as AWS lists it for each of them.
func usesOfLoop(t *testing.T, c *cloudTemplate) []use {
	substitutions := object(c.resolve(c.resources["Loop"].Properties["DefinitionSubstitutions"]))
	_, text := loopStates(t)
	used := map[string]bool{}
	for _, found := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(text, -1) {
		used[found[1]] = true
		if substitutions[found[1]] == nil {
			t.Errorf("the template does not say what ${%s} of the state machine is", found[1])
		}
	}
	for name := range substitutions {
		if !used[name] {
			t.Errorf("the state machine does not use ${%s}", name)
		}
	}
	group := fmt.Sprint(substitutions["ModelPackageGroup"])
	packages := arn("sagemaker", "model-package/"+group+"/{1}")
	pass := use{"iam:PassRole", fmt.Sprint(substitutions["TrainingRoleArn"]), map[string]string{"iam:PassedToService": "sagemaker.amazonaws.com"}}
	job := func(kind, resource string) []use {
		uses := []use{pass}
		for _, action := range []string{"Create" + kind + "Job", "Describe" + kind + "Job", "Stop" + kind + "Job", "AddTags"} {
			uses = append(uses, on("sagemaker:"+action, arn("sagemaker", resource+"/"+testStack+"-{7}"))...)
		}
		for _, action := range []string{"PutTargets", "PutRule", "DescribeRule"} {
			uses = append(uses, on("events:"+action, arn("events", "rule/StepFunctionsGetEventsForSageMaker"+kind+"JobsRule"))...)
		}
		return uses
	}
	var glue []use
	for _, action := range []string{"StartJobRun", "GetJobRun", "GetJobRuns", "BatchStopJobRun"} {
		glue = append(glue, on("glue:"+action, arn("glue", "job/"+fmt.Sprint(substitutions["FeaturesJob"])))...)
	}
	integrations := map[string][]use{
		"arn:aws:states:::lambda:invoke":                          on("lambda:InvokeFunction", arn("lambda", "function:"+fmt.Sprint(substitutions["PublisherName"]))),
		"arn:aws:states:::glue:startJobRun.sync":                  glue,
		"arn:aws:states:::sagemaker:createTrainingJob.sync":       job("Training", "training-job"),
		"arn:aws:states:::sagemaker:createProcessingJob.sync":     job("Processing", "processing-job"),
		"arn:aws:states:::aws-sdk:sagemaker:createModelPackage":   on("sagemaker:CreateModelPackage", packages, arn("sagemaker", "model-package-group/"+group)),
		"arn:aws:states:::aws-sdk:sagemaker:describeModelPackage": on("sagemaker:DescribeModelPackage", packages),
		"arn:aws:states:::aws-sdk:s3:getObject":                   on("s3:GetObject", bucketKey(c.ref("DataBucket"), "evaluation/{7}/{evaluation.json}")),
		"arn:aws:states:::aws-sdk:sfn:listExecutions":             on("states:ListExecutions", c.ref("Loop")),
		"arn:aws:states:::sns:publish":                            on("sns:Publish", fmt.Sprint(substitutions["EngineerTopicArn"])),
	}
	var uses []use
	resources, _ := loopStates(t)
	for name, resource := range resources {
		if integrations[resource] == nil {
			t.Errorf("state %s does %s, and this test does not know what that takes", name, resource)
		}
		uses = append(uses, integrations[resource]...)
	}
	return uses
}

// checkPlaces wants the state machine to name no other places in buckets than the roles of its jobs are granted.
func checkPlaces(t *testing.T) {
	t.Helper()
	_, text := loopStates(t)
	known := []string{"${CodeBucket}/${LoopPrefix}", "${DataBucket}/raw", "${DataBucket}/features", "${DataBucket}/training", "${DataBucket}/evaluation"}
	for _, found := range regexp.MustCompile(`s3://(\$\{\w+\}/(?:\$\{\w+\}|[\w-]+))`).FindAllStringSubmatch(text, -1) {
		if !slices.Contains(known, found[1]) {
			t.Errorf("the state machine names s3://%s, and no role of its jobs is known to use that", found[1])
		}
	}
}

// usesOfFeatures are what Glue and the job do: Spark reads, writes beside, and moves into place.
func usesOfFeatures(t *testing.T, c *cloudTemplate) []use {
	checkPlaces(t)
	data, models := c.ref("DataBucket"), c.ref("ModelBucket")
	uses := on("s3:GetObject", bucketKey(testCode, "loop/{features.py}"), bucketKey(data, "raw/{telemetry}/{line=1}/{x}"),
		bucketKey(models, "models/pumps/manifest.dsse.json"), bucketKey(data, "features/{7}/{train}/{x}"))
	uses = append(uses, on("s3:PutObject", bucketKey(data, "features/{7}/{train}/{x}"))...)
	uses = append(uses, on("s3:DeleteObject", bucketKey(data, "features/{7}/{_temporary}/{x}"))...)
	uses = append(uses, on("s3:ListBucket", "arn:aws:s3:::"+data, "arn:aws:s3:::"+models)...)
	for _, action := range []string{"logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"} {
		uses = append(uses, on(action, arn("logs", "log-group:/aws-glue/{jobs}/{output}:{log-stream}:{x}"))...)
	}
	return uses
}

// usesOfTraining are what SageMaker does for a training, and for the comparison of two models.
func usesOfTraining(t *testing.T, c *cloudTemplate) []use {
	checkPlaces(t)
	data, models := c.ref("DataBucket"), c.ref("ModelBucket")
	uses := on("s3:GetObject", bucketKey(testCode, "loop/{sourcedir.tar.gz}"), bucketKey(data, "features/{7}/{holdout}/{x}"),
		bucketKey(models, "models/pumps/{1.2.3}/{model.tar.gz}"), bucketKey(data, "training/{7}/{pdm-7}/{model.tar.gz}"))
	uses = append(uses, on("s3:PutObject", bucketKey(data, "training/{7}/{pdm-7}/{model.tar.gz}"), bucketKey(data, "evaluation/{7}/{evaluation.json}"))...)
	uses = append(uses, on("s3:ListBucket", "arn:aws:s3:::"+data, "arn:aws:s3:::"+models, "arn:aws:s3:::"+testCode)...)
	for _, action := range []string{"logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"} {
		uses = append(uses, on(action, arn("logs", "log-group:/aws/sagemaker/{TrainingJobs}:{log-stream}:{x}"))...)
	}
	image := arn("ecr", "repository/sagemaker-xgboost")
	image = regexp.MustCompile(testAccount).ReplaceAllString(image, "683313688378") // AWS's account in the region
	for _, action := range []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"} {
		uses = append(uses, on(action, image)...)
	}
	uses = append(uses, on("ecr:GetAuthorizationToken", "*")...)
	return append(uses, use{"cloudwatch:PutMetricData", "*", map[string]string{"cloudwatch:namespace": "/aws/sagemaker/TrainingJobs"}})
}
