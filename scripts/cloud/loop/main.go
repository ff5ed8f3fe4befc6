// Command loop runs the retraining loop on this machine: make loop. The state machine is the one that is deployed; its tasks are
// the real scripts (Spark, XGBoost) and the real function, on the embedded cloud.
package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/localcloud"
	"edgepdm/test/tools"
)

func main() {
	component.Tool("loop", "the retraining loop on this machine", run)
}

const (
	shippedModel = "components/inference-engine/model/model.ubj"
	modelName    = "compressor"
	prefix       = "models/" + modelName
	secret       = "pdm/model-signing-key"
)

// options are the command line.
type options struct {
	rows, baseRows int
	seed           uint64
	drift          string
	dir, report    string
	noDevice       bool
}

func run(ctx context.Context, args []string, s cli.Streams) error {
	var o options
	fs := cli.NewFlagSet(`make loop ARGS="[-rows N] [-base-rows N] [-seed N] [-drift NAMES] [-dir DIR] [-report FILE] [-no-device]"`, s)
	fs.IntVar(&o.rows, "rows", 3000, "rows that the plant sends, `N`")
	fs.IntVar(&o.baseRows, "base-rows", 2000, "rows of the table with which the active model was trained, `N`")
	fs.Uint64Var(&o.seed, "seed", 1, "`seed` of the simulated machines")
	fs.StringVar(&o.drift, "drift", "new-oil=2,load-profile", "`NAMES` of what changes at the machines, as of sensor-simulator generate")
	fs.StringVar(&o.dir, "dir", "loop-run", "work folder `DIR`, emptied at the start")
	fs.StringVar(&o.report, "report", "", "write a JSON report to `FILE` (default: report.json in -dir)")
	fs.BoolVar(&o.noDevice, "no-device", false, "begin with the state machine and end when the model is published, without a core")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if o.rows < 100 || o.baseRows < 100 {
		return cli.Usagef("-rows and -base-rows: at least 100")
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := check(root); err != nil {
		return err
	}
	l := &loop{options: o, root: root, out: s.Out, begun: time.Now()}
	return l.run(ctx)
}

// check says what this machine lacks.
func check(root string) error {
	for _, t := range []tools.Tool{tools.StepFunctions, tools.XGBoost, tools.Spark} {
		if missing := t.Missing(); len(missing) > 0 {
			return fmt.Errorf("%s is missing (Debian: apt-get install %s); then %s", missing[0], t.Packages, tools.HowToGet)
		}
		if !t.Installed(root) {
			return fmt.Errorf("%s is missing: %s", t.What, tools.HowToGet)
		}
	}
	return nil
}

// loop is one run.
type loop struct {
	options options
	root    string
	out     io.Writer
	begun   time.Time
	report  report

	work     string
	cloud    *localcloud.Cloud
	services *services
	device   *device // nil: none
	key      ed25519.PrivateKey
}

// step does a part of the run, tells of it, and notes how long it took.
func (l *loop) step(name string, do func() (detail string, err error)) error {
	begun := time.Now()
	fmt.Fprintf(l.out, "%6.1fs  %s ...\n", time.Since(l.begun).Seconds(), name)
	detail, err := do()
	if err != nil {
		fmt.Fprintf(l.out, "%6.1fs  %s failed: %v\n", time.Since(l.begun).Seconds(), name, err)
		return fmt.Errorf("%s: %w", name, err)
	}
	l.report.Steps = append(l.report.Steps, step{name, seconds(time.Since(begun)), detail})
	fmt.Fprintf(l.out, "%6.1fs  %s: %s\n", time.Since(l.begun).Seconds(), name, detail)
	return nil
}

func (l *loop) run(ctx context.Context) (err error) {
	if err := l.makeDir(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close(context.WithoutCancel(ctx))) }()
	type part struct {
		name string
		do   func(context.Context) (string, error)
	}
	parts := []part{{"start the embedded cloud", l.startCloud}, {"publish the active model", l.publishActive}}
	if !l.options.noDevice {
		l.device = newDevice()
		parts = append(parts, part{"start the core", l.startDevice}, part{"the core's machines run, and drift", l.awaitDrift})
	}
	parts = append(parts, part{"the plant's rows come to the cloud", l.runPlant}, part{"the loop", l.runMachine})
	if !l.options.noDevice {
		parts = append(parts, part{"the core compares", l.awaitPromotion})
	}
	for _, s := range parts {
		if err := l.step(s.name, func() (string, error) { return s.do(ctx) }); err != nil {
			return errors.Join(err, l.writeReport())
		}
	}
	return l.writeReport()
}

func (l *loop) writeReport() error {
	l.report.Seconds = seconds(time.Since(l.begun))
	if l.services != nil {
		l.report.Notices = l.services.notices
	}
	return l.report.write(l.reportFile())
}

func (l *loop) reportFile() string {
	if l.options.report != "" {
		return l.options.report
	}
	return filepath.Join(l.options.dir, "report.json")
}

// dirMark is a file by which a folder is known as an earlier run's, which may be emptied.
const dirMark = ".edgepdm-loop"

func (l *loop) makeDir() (err error) {
	if l.work, err = filepath.Abs(l.options.dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(l.work)
	if _, markErr := os.Stat(filepath.Join(l.work, dirMark)); err == nil && len(entries) > 0 && markErr != nil {
		return fmt.Errorf("-dir: %s is not empty and not of an earlier run", l.work)
	}
	if err := os.RemoveAll(l.work); err != nil {
		return fmt.Errorf("empty -dir: %w", err)
	}
	if err := os.MkdirAll(l.work, 0o755); err != nil {
		return fmt.Errorf("make -dir: %w", err)
	}
	return os.WriteFile(filepath.Join(l.work, dirMark), nil, 0o644)
}

func (l *loop) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := l.stopDevice(ctx)
	if l.cloud == nil {
		return err
	}
	return errors.Join(err, l.cloud.Close(ctx))
}

// startCloud starts the cloud with the function that publishes and its key, and puts there what cloud-up does.
func (l *loop) startCloud(ctx context.Context) (string, error) {
	bootstrap := filepath.Join(l.work, publisher)
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "lambda.norpc", "-o", bootstrap, "./components/model-publisher")
	build.Dir, build.Env = l.root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the publisher: %w\n%s", err, out)
	}
	var err error
	if l.key, err = envelope.GenerateKey(nil); err != nil {
		return "", err
	}
	text, err := envelope.MarshalPrivateKey(l.key)
	if err != nil {
		return "", err
	}
	options := localcloud.Options{
		Dir: filepath.Join(l.work, "cloud"), Secrets: map[string]string{secret: string(text)}, FunctionTimeout: 5 * time.Minute,
		Functions: []localcloud.Function{{Name: publisher, Path: bootstrap, Env: map[string]string{"KEY_PREFIX": prefix, "SIGNING_SECRET": secret}}},
	}
	if d := l.device; d != nil {
		options.Publish = d.heard
	}
	if l.cloud, err = localcloud.New(options); err != nil {
		return "", err
	}
	if err := l.cloud.Start(ctx); err != nil {
		return "", err
	}
	l.services = &services{root: l.root, work: l.work, cloud: l.cloud, approve: true, store: store{l.cloud.S3(), l.cloud.InternalEndpoints().Bucket}}
	scripts, err := sources(l.root)
	if err != nil {
		return "", err
	}
	return "S3, Secrets Manager and the function model-publisher", l.services.store.put(ctx, "loop/"+sourceFile, scripts)
}

// publishActive publishes the shipped model, with the baseline of a table of machines that do not drift.
func (l *loop) publishActive(ctx context.Context) (string, error) {
	base := filepath.Join(l.work, "base.csv")
	if err := table(ctx, base, l.options.baseRows, l.options.seed+1000, ""); err != nil {
		return "", err
	}
	files := make(map[string][]byte)
	model := filepath.Join(l.root, shippedModel)
	for name, path := range map[string]string{"model.ubj": model, "golden.csv": goldenOf(model)} {
		var err error
		if files[name], err = os.ReadFile(path); err != nil {
			return "", err
		}
	}
	archive, err := pack(files)
	if err != nil {
		return "", err
	}
	rows, err := os.ReadFile(base)
	if err != nil {
		return "", err
	}
	if err := errors.Join(l.services.store.put(ctx, "training/0/model.tar.gz", archive), l.services.store.put(ctx, "features/base/base.csv", rows)); err != nil {
		return "", err
	}
	bucket := l.services.store.bucket
	answer, err := l.cloud.Invoke(ctx, publisher, fmt.Appendf(nil, `{"model":"s3://%s/training/0/model.tar.gz","table":"s3://%[1]s/features/base/base.csv"}`, bucket))
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(answer, &l.report.Active); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %s", l.report.Active.Name, l.report.Active.Version), nil
}

// runPlant lets machines run that have drifted, and people judge the alarms.
func (l *loop) runPlant(ctx context.Context) (string, error) {
	path := filepath.Join(l.work, "plant.csv")
	if err := table(ctx, path, l.options.rows, l.options.seed, l.options.drift); err != nil {
		return "", err
	}
	_, rows, err := readRows(path, time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC))
	if err != nil {
		return "", err
	}
	if len(rows) < l.options.rows {
		return "", fmt.Errorf("the plant gave %d rows of %d", len(rows), l.options.rows)
	}
	m, err := l.published(ctx)
	if err != nil {
		return "", err
	}
	if err := score(filepath.Join(l.root, shippedModel), m.Threshold, rows); err != nil {
		return "", err
	}
	r, err := told(rows, event.ModelRef{Version: m.Version, SHA256: m.Model.SHA256})
	if err != nil {
		return "", err
	}
	alarms, faulty := 0, 0
	for _, x := range rows {
		if x.alarm {
			alarms++
		}
		if x.faulty {
			faulty++
		}
	}
	return fmt.Sprintf("%d rows with %s, %d of them faulty; the active model calls %d faulty", len(rows), l.options.drift, faulty, alarms),
		r.write(func(key string, content []byte) error { return l.services.store.put(ctx, key, content) })
}

// published returns the manifest as devices verify it.
func (l *loop) published(ctx context.Context) (envelope.Manifest, error) {
	sealed, err := l.services.store.get(ctx, prefix+"/"+envelope.EnvelopeFile)
	if err != nil {
		return envelope.Manifest{}, err
	}
	return envelope.Verify(sealed, []ed25519.PublicKey{l.key.Public().(ed25519.PublicKey)})
}

// runMachine executes the state machine.
func (l *loop) runMachine(ctx context.Context) (string, error) {
	bucket := l.services.store.bucket
	m := &machine{
		root: l.root, tasks: l.timed, seen: func(machineEvent) {},
		substitutions: offline(bucket),
	}
	input := map[string]any{"reason": "drift on " + line, "base": "s3://" + bucket + "/features/base/base.csv", "search": 1, "tests": 1}
	output, err := m.execute(ctx, l.work, executionARN, input)
	if err != nil {
		return "", err
	}
	if err := json.Unmarshal(output, &l.report.Outcome); err != nil {
		return "", err
	}
	if l.report.Outcome.Result == "published" {
		manifest, err := l.published(ctx)
		if err != nil {
			return "", err
		}
		l.report.Candidate = &candidate{Version: manifest.Version, Rollout: manifest.Rollout, Threshold: manifest.Threshold}
	}
	return l.report.Outcome.text(), nil
}

// offline fills the state machine's placeholders, as the template does, with one bucket for all.
func offline(bucket string) map[string]string {
	return map[string]string{
		"StackName": "pdm", "DataBucket": bucket, "ModelBucket": bucket, "CodeBucket": bucket, "LoopPrefix": "loop/", "ModelName": modelName,
		"FeaturesJob": "pdm-features", "TrainingRoleArn": "arn:aws:iam::123456789012:role/pdm-training", "TrainingInstance": "ml.m5.large",
		"TrainingImage": "sagemaker-xgboost:3.0-5", "ModelPackageGroup": "pdm-" + modelName, "PublisherName": publisher,
		"EngineerTopicArn": "arn:aws:sns:us-east-1:123456789012:pdm-operations",
	}
}

// timed runs a task as a step of its own.
func (l *loop) timed(ctx context.Context, state string, input json.RawMessage) (result any, err error) {
	err = l.step("  "+state, func() (string, error) {
		result, err = l.services.task(ctx, state, input)
		if err != nil {
			return "", err
		}
		return l.detail(state, result), nil
	})
	if failed, ok := errors.AsType[*taskError](err); ok {
		return nil, failed
	}
	return result, err
}
