// Package tools makes what some tests and benchmarks need beyond Go: programs and clients that others wrote, as independent
// peers. They are built and downloaded by `make test-tools` into the project's cache folder, never inside a test.
package tools

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"edgepdm/shared/durable"
)

// HowToGet tells how to get every tool of this package.
const HowToGet = "make test-tools"

// Tool is a folder in the cache, and how it is filled.
type Tool struct {
	Name     string   // of the folder
	What     string   // for people
	Needs    []string // programs that must be there
	Packages string   // of Debian, that have those programs

	version  []string   // a command whose output is part of what the folder was made for
	pins     []string   // files of the repository that are copied into the folder first
	env      []string   // of the commands; DIR stands for the folder
	commands [][]string // run in the folder, unless inPlace; DIR stands for the folder, ROOT for the repository
	inPlace  bool       // the commands make the folder themselves, and keep what they find there
}

const versitygw = "v1.8.0"

// The tools.
var (
	// Versitygw is an S3 that verifies signatures and checksums.
	Versitygw = Tool{
		Name: "versitygw-" + versitygw, What: "the S3 server versitygw", Needs: []string{"go"}, Packages: "golang",
		version: []string{"go", "version"}, env: []string{"GOBIN=DIR", "CGO_ENABLED=0", "GOFLAGS="},
		commands: [][]string{{"go", "install", "-ldflags", "-s -w", "github.com/versity/versitygw/cmd/versitygw@" + versitygw}},
	}
	// Moto has AWS's APIs in Python, and the AWS CLI beside it.
	Moto = Tool{
		Name: "moto-venv", What: "moto (AWS's APIs in Python) and the AWS CLI", Needs: []string{"python3"}, Packages: "python3 python3-venv",
		version: []string{"python3", "--version"}, pins: []string{"test/moto/requirements.txt"},
		commands: [][]string{
			{"python3", "-m", "venv", "."},
			{"bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", "requirements.txt"},
		},
	}
	// JavaScript is the official Greengrass IPC client aws-iot-device-sdk-v2. No package's own scripts run: the client's
	// native code is inside its package.
	JavaScript = Tool{
		Name: "interop-js", What: "the official Greengrass client for JavaScript", Needs: []string{"node", "npm"}, Packages: "nodejs npm",
		version: []string{"node", "--version"}, pins: []string{"test/interop/js/package.json", "test/interop/js/package-lock.json", "test/interop/js/.npmrc"},
		commands: [][]string{{"npm", "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--silent"}},
	}
	// Python is the official Greengrass IPC client awsiotsdk.
	Python = Tool{
		Name: "interop-venv", What: "the official Greengrass client for Python", Needs: []string{"python3"}, Packages: "python3 python3-venv",
		version: []string{"python3", "--version"}, pins: []string{"test/interop/python/requirements.txt"},
		commands: [][]string{
			{"python3", "-m", "venv", "."},
			{"bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
				"--only-binary", ":all:", "--requirement", "requirements.txt"},
		},
	}
	// PlantPeers are the servers of a plant: asyncua (OPC UA) and pymodbus.
	PlantPeers = Tool{
		Name: "plantpeers-venv", What: "an OPC UA and a Modbus server (asyncua, pymodbus)", Needs: []string{"python3"}, Packages: "python3 python3-venv",
		version: []string{"python3", "--version"}, pins: []string{"test/plantpeers/requirements.txt"},
		commands: [][]string{
			{"python3", "-m", "venv", "."},
			{"bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", "requirements.txt"},
		},
	}
	// Moquette is the MQTT broker of a Greengrass core, as its makers publish it.
	Moquette = Tool{
		Name: "moquette", What: "the MQTT broker Moquette", Needs: []string{"mvn", "java", "keytool", "openssl"}, Packages: "maven default-jre-headless openssl",
		version: []string{"java", "--version"}, pins: []string{"test/plantpeers/moquette/pom.xml"},
		commands: [][]string{{"mvn", "-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
			"-DoutputDirectory=DIR/jars", "-DincludeScope=runtime"}},
	}
	// StepFunctions validates state machines, and executes them.
	StepFunctions = Tool{
		Name: "stepfunctions-js", What: "asl-validator and aws-local-stepfunctions", Needs: []string{"node", "npm"}, Packages: "nodejs npm",
		version:  []string{"node", "--version"},
		pins:     []string{"test/tools/stepfunctions/package.json", "test/tools/stepfunctions/package-lock.json", "test/tools/stepfunctions/.npmrc"},
		commands: [][]string{{"npm", "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--silent"}},
	}
	// Spark runs the Glue job here.
	Spark = Tool{
		Name: "spark-venv", What: "Spark for Python", Needs: []string{"python3", "java"}, Packages: "python3 python3-venv openjdk-17-jre-headless",
		version: []string{"python3", "--version"}, pins: []string{"test/tools/spark/requirements.txt"},
		commands: [][]string{
			{"python3", "-m", "venv", "."},
			{"bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", "requirements.txt"},
		},
	}
	// Guard is cfn-guard, and AWS Control Tower's rules for it.
	Guard = Tool{
		Name: "cfnguard-js", What: "cfn-guard", Needs: []string{"node", "npm"}, Packages: "nodejs npm",
		version:  []string{"node", "--version"},
		pins:     []string{"test/tools/cfnguard/package.json", "test/tools/cfnguard/package-lock.json", "test/tools/cfnguard/.npmrc"},
		commands: [][]string{{"npm", "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--silent"}},
	}
	// Axe looks for what keeps people from using a page.
	Axe = Tool{
		Name: "axe-js", What: "axe-core", Needs: []string{"node", "npm"}, Packages: "nodejs npm",
		version:  []string{"node", "--version"},
		pins:     []string{"test/tools/axe/package.json", "test/tools/axe/package-lock.json", "test/tools/axe/.npmrc"},
		commands: [][]string{{"npm", "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--silent"}},
	}
	// XGBoost is what `make train` trains with.
	XGBoost = Tool{
		Name: "train-venv", What: "XGBoost for Python", Needs: []string{"python3"}, Packages: "python3 python3-venv",
		version: []string{"python3", "--version"}, pins: []string{"scripts/train/requirements.txt"}, inPlace: true,
		commands: [][]string{{"ROOT/scripts/train/train.sh", "--install"}},
	}
)

// All returns every tool.
func All() []Tool {
	return []Tool{Versitygw, Moto, JavaScript, Python, PlantPeers, Moquette, XGBoost, StepFunctions, Spark, Guard, Axe}
}

// Dir returns the tool's folder.
func (t Tool) Dir(root string) string { return filepath.Join(root, ".cache", t.Name) }

// Missing returns the programs that the tool needs and this machine lacks.
func (t Tool) Missing() []string {
	var missing []string
	for _, program := range t.Needs {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	return missing
}

// Installed reports whether the folder is complete, and of the pins and the interpreter that are wanted now.
func (t Tool) Installed(root string) bool {
	if len(t.Missing()) > 0 {
		return false
	}
	wanted, err := t.stamp(root)
	if err != nil {
		return false
	}
	have, err := os.ReadFile(t.stampFile(root))
	return err == nil && string(have) == wanted
}

func (t Tool) stampFile(root string) string { return filepath.Join(t.Dir(root), ".tools-stamp") }

// stamp is a hash of all that the folder is made from.
func (t Tool) stamp(root string) (string, error) {
	sum := sha256.New()
	version, err := exec.Command(t.version[0], t.version[1:]...).Output()
	if err != nil {
		return "", fmt.Errorf("ask for the version of %s: %w", t.version[0], err)
	}
	_, _ = fmt.Fprintf(sum, "%s%s%q", t.Dir(root), version, t.commands) // a hash takes everything
	for _, pin := range t.pins {
		text, err := os.ReadFile(filepath.Join(root, pin))
		if err != nil {
			return "", fmt.Errorf("read pins: %w", err)
		}
		_, _ = fmt.Fprintf(sum, "%d %s", len(text), text)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Install fills the folder, unless it is Installed. Another process that does the same is waited for.
func (t Tool) Install(ctx context.Context, root string) (err error) {
	dir := t.Dir(root)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	lock, err := durable.LockWait(dir + ".lock")
	if err != nil {
		return fmt.Errorf("lock the cache of %s: %w", filepath.Base(dir), err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if t.Installed(root) {
		return nil
	}
	if err := t.fill(ctx, root, dir); err != nil {
		return err
	}
	wanted, err := t.stamp(root)
	if err != nil {
		return err
	}
	if err := os.WriteFile(t.stampFile(root), []byte(wanted), 0o600); err != nil {
		return fmt.Errorf("write stamp: %w", err)
	}
	return nil
}

func (t Tool) fill(ctx context.Context, root, dir string) error {
	if t.inPlace {
		return t.run(ctx, root, root)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove what is stale: %w", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("make cache: %w", err)
	}
	for _, pin := range t.pins {
		text, err := os.ReadFile(filepath.Join(root, pin))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(pin)), text, 0o600)
		}
		if err != nil {
			return fmt.Errorf("copy pins: %w", err)
		}
	}
	return t.run(ctx, root, dir)
}

// run runs the commands in a folder.
func (t Tool) run(ctx context.Context, root, folder string) error {
	places := strings.NewReplacer("DIR", t.Dir(root), "ROOT", root)
	for _, command := range t.commands {
		words := make([]string, len(command))
		for i, word := range command {
			words[i] = places.Replace(word)
		}
		cmd := exec.CommandContext(ctx, words[0], words[1:]...)
		cmd.Dir, cmd.Env = folder, os.Environ()
		for _, variable := range t.env {
			cmd.Env = append(cmd.Env, places.Replace(variable))
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("run %q: %w\n%s", words, err, out)
		}
	}
	return nil
}
