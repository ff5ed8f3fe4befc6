package train

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/test/moto"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/tools"
)

const trainingRole = "arn:aws:iam::123456789012:role/training"

// cloudTraining runs cloud.sh with a program aws, which is the text of a shell script.
func cloudTraining(t *testing.T, aws string, env []string, args ...string) (string, error) {
	t.Helper()
	bin := t.TempDir()
	must.OK(t, os.WriteFile(filepath.Join(bin, "aws"), []byte("#!/bin/sh\nset -eu\n"+aws), 0o700))
	cmd := exec.CommandContext(t.Context(), filepath.Join(need.Root(t), "scripts", "train", "cloud.sh"), args...)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "AWS_REGION=eu-central-1")
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The AWS CLI starts a job at moto, which checks it; in place of the container the same program runs here as there, in script mode.
func TestTrainsInTheCloud(t *testing.T) {
	need.Long(t)
	venv, aws, server := need.Installed(t, tools.XGBoost), moto.CLI(t), moto.Start(t)
	env := []string{"AWS_ENDPOINT_URL=" + server, "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_DEFAULT_REGION=eu-central-1", "REAL_AWS=" + aws}
	run := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), aws, args...)
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run("s3", "mb", "s3://pdm-models")
	job := filepath.Join(t.TempDir(), "job.json")
	stub := `if [ "$1 $2" = "sagemaker create-training-job" ]; then
  cp "${4#file://}" "` + job + `"
  "$REAL_AWS" "$@"
  exec "` + filepath.Join(venv, "bin", "python") + `" "` + filepath.Join(need.Root(t), "scripts", "train", "testdata", "container.py") + `" "` + job + `" >&2
fi
exec "$REAL_AWS" "$@"
`
	data, dir := simulated(t, "-rows", "300", "-seed", "9", "-faulty", "0.1"), t.TempDir()
	out, err := cloudTraining(t, stub, env, data, dir, "-bucket", "pdm-models", "-role", trainingRole, "-wait", "0", "-search", "1", "-tests", "1", "-cost-miss", "200", "-name", "press")
	if err != nil || !strings.Contains(out, "300 rows of 168 sensors") || !strings.Contains(out, "the model is in "+dir) {
		t.Fatalf("%v\n%s", err, out)
	}
	var sent struct {
		RoleArn                string
		AlgorithmSpecification struct{ TrainingImage string }
		HyperParameters        map[string]string
	}
	must.OK(t, json.Unmarshal(must.Read(t, job), &sent))
	if sent.RoleArn != trainingRole || sent.AlgorithmSpecification.TrainingImage != "492215442770.dkr.ecr.eu-central-1.amazonaws.com/sagemaker-xgboost:3.0-5" ||
		sent.HyperParameters["cost-miss"] != "200" || sent.HyperParameters["sagemaker_program"] != "train.py" {
		t.Errorf("%+v", sent)
	}
	checkGolden(t, dir, nil)
	if r := readTrained(t, dir); r.Data.Rows != 300 || r.Threshold <= 0 {
		t.Errorf("%+v", r)
	}
	// The same rows give the same model here.
	local := train(t, data, append([]string{"-cost-miss", "200", "-name", "press"}, quick...)...)
	if string(must.Read(t, filepath.Join(dir, "model.ubj"))) != string(must.Read(t, filepath.Join(local, "model.ubj"))) {
		t.Error("the model of the cloud differs from the one trained here")
	}
	// With its archive alone it can be evaluated.
	_, said, _ := strings.Cut(out, "train-cloud: job ")
	name, _, _ := strings.Cut(said, " ")
	archive := filepath.Join(t.TempDir(), "model.tar.gz")
	run("s3", "cp", "--only-show-errors", "s3://pdm-models/training/"+name+"/output/model.tar.gz", archive)
	if e, _ := evaluate(t, local, archive, data); e.Active.Threshold != e.Candidate.Threshold || e.Difference.Mean != 0 {
		t.Errorf("%+v", e)
	}
}

// What fails is named with its step.
func TestCloudTrainingSaysWhatFails(t *testing.T) {
	need.Tool(t, "python3", "Debian: apt-get install python3")
	good := tableFile(t, "a,class\n"+strings.Repeat("1,neg\n2,pos\n", 20))
	bad := tableFile(t, "a,class\n1,maybe\n")
	required := []string{"-bucket", "pdm-models", "-role", trainingRole, "-wait", "0"}
	stub := func(fails, says, status string) string {
		return `case "$1 $2" in
"` + fails + `") echo "` + says + `" >&2; exit 1 ;;
"sts get-caller-identity") echo arn:aws:iam::123456789012:user/me ;;
"sagemaker describe-training-job") case "$*" in *FailureReason*) echo "AlgorithmError: no rows" ;; *) printf "` + status + `\tDone\n" ;; esac ;;
esac
`
	}
	for name, c := range map[string]struct {
		aws  string
		env  []string
		args []string
		want string
	}{
		"no bucket":         {stub("", "", ""), nil, []string{good, "out"}, "cloud.sh: name the bucket for the table and the model: -bucket NAME"},
		"no role":           {stub("", "", ""), nil, []string{good, "out", "-bucket", "b"}, "name the role that the training job takes: -role ARN"},
		"no table":          {stub("", "", ""), nil, append([]string{"/nowhere.csv", "out"}, required...), "there is no file /nowhere.csv"},
		"no OUT":            {stub("", "", ""), nil, []string{good}, "usage: cloud.sh"},
		"an unknown flag":   {stub("", "", ""), nil, append([]string{good, "out", "-color", "red"}, required...), "usage: cloud.sh"},
		"a bad table":       {stub("sts get-caller-identity", "asked AWS", ""), nil, append([]string{bad, "out"}, required...), "line 2: the class is 'maybe'"},
		"an unknown region": {stub("", "", ""), []string{"AWS_REGION=mars-north-1"}, append([]string{good, "out"}, required...), "in the region mars-north-1: name it with -image URI"},
		"no credentials": {stub("sts get-caller-identity", "Unable to locate credentials", ""), nil, append([]string{good, "out"}, required...),
			"ask who we are (are there credentials? aws configure): Unable to locate credentials"},
		"no such bucket": {stub("s3 cp", "NoSuchBucket", ""), nil, append([]string{good, "out"}, required...), "upload the table: NoSuchBucket"},
		"no quota":       {stub("sagemaker create-training-job", "ResourceLimitExceeded", ""), nil, append([]string{good, "out"}, required...), "start the training job: ResourceLimitExceeded"},
		"a failed job":   {stub("", "", "Failed"), nil, append([]string{good, "out"}, required...), "is Failed: AlgorithmError: no rows (its log: CloudWatch"},
		"a lost network": {stub("sagemaker describe-training-job", "Could not connect", ""), nil, append([]string{good, "out"}, required...), "look after the job edgepdm-"},
		"no model":       {stub("", "", "Completed"), nil, append([]string{good, t.TempDir()}, required...), "the job's model.tar.gz has not model.ubj and golden.csv"},
	} {
		out, err := cloudTraining(t, c.aws, c.env, c.args...)
		if err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v\n%s\nwant %q", name, err, out, c.want)
		}
	}
}
