package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"edgepdm/test/localcloud"
	"edgepdm/test/tools"
)

const (
	machineARN   = "arn:aws:states:us-east-1:123456789012:stateMachine:pdm-loop"
	executionARN = "arn:aws:states:us-east-1:123456789012:execution:pdm-loop:offline"
	packageARN   = "arn:aws:sagemaker:us-east-1:123456789012:model-package/pdm-compressor/1"
	publisher    = "model-publisher"
	container    = "/opt/ml/processing" // where a processing job's container has its folders
)

// services stand for what the state machine calls in AWS: the real scripts and the real function, on the embedded cloud.
type services struct {
	root, work string
	cloud      *localcloud.Cloud
	store      store

	mu      sync.Mutex
	notices []string
	approve bool // an engineer approves the model that waits
	looked  int  // at its approval
}

// task runs a Task state of the state machine.
func (s *services) task(ctx context.Context, state string, input json.RawMessage) (any, error) {
	switch state {
	case "FindRunning":
		return map[string]any{"Executions": []any{map[string]string{"ExecutionArn": executionARN}}}, nil
	case "Look", "Publish":
		return s.invoke(ctx, input)
	case "Prepare":
		return s.prepare(ctx, input)
	case "Train":
		return s.train(ctx, input)
	case "Evaluate":
		return s.process(ctx, input)
	case "ReadEvaluation":
		var in struct{ Key string }
		if err := json.Unmarshal(input, &in); err != nil {
			return nil, err
		}
		body, err := s.store.get(ctx, in.Key)
		return map[string]string{"Body": string(body)}, err
	case "Register":
		return map[string]string{"ModelPackageArn": packageARN}, nil
	case "ReadApproval":
		return s.approval()
	case "TellWaits", "TellPublished", "TellNotBetter", "TellRejected", "TellFailed":
		return s.tell(input)
	}
	return nil, fmt.Errorf("there is no service for the state %s", state)
}

// invoke runs the function, as Lambda does.
func (s *services) invoke(ctx context.Context, input json.RawMessage) (any, error) {
	var in struct{ Payload json.RawMessage }
	if err := json.Unmarshal(input, &in); err != nil {
		return nil, err
	}
	answer, err := s.cloud.Invoke(ctx, publisher, in.Payload)
	if kind, message, ok := strings.Cut(fmt.Sprint(err), ": "); err != nil && ok {
		return nil, &taskError{kind, message}
	}
	return map[string]json.RawMessage{"Payload": answer}, err
}

// approval says that nobody has decided yet, and then what the engineer decided.
func (s *services) approval() (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked++
	status := "PendingManualApproval"
	switch {
	case s.looked > 1 && s.approve:
		status = "Approved"
	case s.looked > 1:
		status = "Rejected"
	}
	return map[string]string{"ModelApprovalStatus": status}, nil
}

func (s *services) tell(input json.RawMessage) (any, error) {
	var in struct{ Subject, Message string }
	if err := json.Unmarshal(input, &in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notices = append(s.notices, in.Subject+": "+in.Message)
	return map[string]string{"MessageId": "1"}, nil
}

// prepare is the Glue job: the raw objects become the tables.
func (s *services) prepare(ctx context.Context, input json.RawMessage) (any, error) {
	var in struct{ Arguments map[string]string }
	if err := json.Unmarshal(input, &in); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.work, "glue")
	if err != nil {
		return nil, err
	}
	// What the job reads and writes in S3 are folders here.
	args, local := []string{}, func(uri string) string { return filepath.Join(dir, strings.TrimPrefix(uri, "s3://")) }
	for name, value := range in.Arguments {
		if strings.HasPrefix(value, "s3://") {
			if name != "--out" {
				if err := s.store.fetch(ctx, value, local(value)); err != nil {
					return nil, err
				}
			}
			value = local(value)
		}
		args = append(args, name, value)
	}
	cmd := sparkCommand(ctx, s.root, args)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("features.py: %w\n%s", err, last(out))
	}
	if err := s.store.upload(ctx, local(in.Arguments["--out"]), in.Arguments["--out"]); err != nil {
		return nil, err
	}
	return map[string]string{"Id": "jr_1"}, nil
}

// sparkSettings keep Spark small: what it does for clusters takes minutes here.
const sparkSettings = "--master local[2] --driver-java-options -XX:TieredStopAtLevel=1 --conf spark.ui.enabled=false " +
	"--conf spark.ui.showConsoleProgress=false --conf spark.sql.shuffle.partitions=1 --conf spark.default.parallelism=1 " +
	"--conf spark.sql.files.openCostInBytes=1 --conf spark.sql.files.minPartitionNum=1 --conf spark.sql.adaptive.enabled=false pyspark-shell"

// sparkCommand runs features.py on the Spark of this machine.
func sparkCommand(ctx context.Context, root string, args []string) *exec.Cmd {
	python := filepath.Join(tools.Spark.Dir(root), "bin", "python")
	cmd := exec.CommandContext(ctx, python, append([]string{filepath.Join(root, "scripts/cloud/loop/features.py")}, args...)...)
	cmd.Env = append(os.Environ(), "PYSPARK_PYTHON="+python, "SPARK_LOCAL_IP=127.0.0.1", "PYSPARK_SUBMIT_ARGS="+sparkSettings)
	return cmd
}

// train is the training job: what SageMaker's container does in script mode.
func (s *services) train(ctx context.Context, input json.RawMessage) (any, error) {
	var in struct {
		TrainingJobName string
		HyperParameters map[string]string
		InputDataConfig []struct {
			DataSource struct{ S3DataSource struct{ S3Uri string } }
		}
		OutputDataConfig struct{ S3OutputPath string }
	}
	if err := json.Unmarshal(input, &in); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.work, "train")
	if err != nil {
		return nil, err
	}
	code, data, model := filepath.Join(dir, "code"), filepath.Join(dir, "data"), filepath.Join(dir, "model")
	err = errors.Join(s.unpackSources(ctx, in.HyperParameters["sagemaker_submit_directory"], code), os.Mkdir(model, 0o755),
		s.store.fetch(ctx, in.InputDataConfig[0].DataSource.S3DataSource.S3Uri, data))
	if err != nil {
		return nil, err
	}
	args := []string{filepath.Join(code, in.HyperParameters["sagemaker_program"])}
	for name, value := range in.HyperParameters {
		if !strings.HasPrefix(name, "sagemaker_") {
			args = append(args, "--"+name, value)
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(tools.XGBoost.Dir(s.root), "bin", "python"), args...)
	cmd.Dir, cmd.Env = code, append(os.Environ(), "SM_CHANNEL_TRAIN="+data, "SM_MODEL_DIR="+model, "SM_OUTPUT_DATA_DIR="+filepath.Join(dir, "output"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("train.py: %w\n%s", err, last(out))
	}
	archive, err := packDir(model)
	if err != nil {
		return nil, err
	}
	uri := in.OutputDataConfig.S3OutputPath + "/" + in.TrainingJobName + "/output/model.tar.gz"
	if err := s.store.put(ctx, uri, archive); err != nil {
		return nil, err
	}
	return map[string]any{"ModelArtifacts": map[string]string{"S3ModelArtifacts": uri}}, nil
}

// process is a processing job: the container's command, with folders of this machine.
func (s *services) process(ctx context.Context, input json.RawMessage) (any, error) {
	var in struct {
		ProcessingJobName string
		AppSpecification  struct{ ContainerEntrypoint, ContainerArguments []string }
		ProcessingInputs  []struct {
			S3Input struct{ S3Uri, LocalPath string }
		}

		ProcessingOutputConfig struct {
			Outputs []struct {
				S3Output struct{ S3Uri, LocalPath string }
			}
		}
	}
	if err := json.Unmarshal(input, &in); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.work, "process")
	if err != nil {
		return nil, err
	}
	local := func(text string) string { return strings.ReplaceAll(text, container, dir) }
	for _, i := range in.ProcessingInputs {
		if err := s.store.fetch(ctx, i.S3Input.S3Uri, local(i.S3Input.LocalPath)); err != nil {
			return nil, err
		}
	}
	command := append([]string{}, in.AppSpecification.ContainerEntrypoint...)
	for _, argument := range in.AppSpecification.ContainerArguments {
		command = append(command, local(argument))
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PATH="+filepath.Join(tools.XGBoost.Dir(s.root), "bin")+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", in.ProcessingJobName, err, last(out))
	}
	for _, o := range in.ProcessingOutputConfig.Outputs {
		if err := s.store.upload(ctx, local(o.S3Output.LocalPath), o.S3Output.S3Uri); err != nil {
			return nil, err
		}
	}
	return map[string]string{"ProcessingJobName": in.ProcessingJobName}, nil
}

func (s *services) unpackSources(ctx context.Context, uri, dir string) error {
	if err := s.store.fetch(ctx, uri, dir); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "tar", "-xzf", filepath.Join(dir, path.Base(uri)), "-C", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("unpack the scripts: %w\n%s", err, out)
	}
	return nil
}

// packDir packs the files of a folder, as a training job's result is.
func packDir(dir string) ([]byte, error) {
	files := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err == nil {
			files[filepath.ToSlash(name)], err = os.ReadFile(file)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return pack(files)
}

// last returns the end of what a program wrote.
func last(out []byte) string { return string(out[max(0, len(out)-3000):]) }
