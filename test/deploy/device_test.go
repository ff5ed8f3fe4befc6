package deploy

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
)

// modes are the nuclei on which the same staged tree is deployed.
var modes = []struct {
	name     string
	mode     localcore.Mode
	restarts bool // a configuration changed by the cloud restarts a component; one changed by a local deployment never does
	rejects  bool // a deployment fails when a component rejects its new configuration
	whole    bool // the tree that is handed over may hold what runs
}{
	{"classic", localcore.Classic, false, true, true},
	{"lite", localcore.Lite, true, false, false},
}

// joined is a tree with the versions of several, as a device has them after an upgrade.
func joined(t *testing.T, trees ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, tree := range trees {
		for _, folder := range []string{"recipes", "artifacts"} {
			must.OK(t, os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join(tree, folder))))
		}
	}
	return dir
}

// all are the components of the tree in one version.
func all(version string) map[string]string {
	versions := make(map[string]string)
	for _, name := range projects {
		versions[name] = version
	}
	return versions
}

// The staged tree on a device: deployed with everything that the suite depends on, configured while it runs, upgraded and
// rolled back with a spool that is not empty, a delivered model and raised alarms.
func TestStagedTreeOnTheDevice(t *testing.T) {
	first, second := stage(t, "-version", "1.0.0"), stage(t, "-version", "1.1.0")
	both := joined(t, first, second)
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			trees := map[string]string{"1.0.0": first, "1.1.0": second}
			if m.whole {
				trees = map[string]string{"1.0.0": both, "1.1.0": both}
			}
			p := newPlant(t, trees["1.0.0"], m.mode)
			must.OK(t, p.deploy(all("1.0.0"), p.configuration()))
			for _, c := range p.Core.Components() {
				want := localcore.StateRunning
				if c.Name == event.Suite {
					want = localcore.StateFinished
				}
				if err := p.Core.WaitState(t.Context(), c.Name, want); err != nil {
					t.Errorf("%s: %v", c.Name, err)
				}
			}
			p.PublishModel("2.0.0")
			p.await("the delivered model scores", func() bool { return p.prediction.Model.Version == "2.0.0" })
			p.await("an alarm of each machine is on the forwarder's disk", func() bool {
				return len(p.alarms()) == 3 && !slices.ContainsFunc(p.alarms(), func(id string) bool { return !p.accepted[id] })
			})
			changeConfiguration(t, p, 0.8, false, false)
			changeConfiguration(t, p, 0.75, true, m.restarts)
			refuseBadConfiguration(t, p, m.rejects)
			p.Cloud.SetUplink(false)
			p.await("predictions wait on disk", func() bool { return p.health[event.CloudForwarder].Waiting() >= 50 })
			for _, version := range []string{"1.1.0", "1.0.0"} {
				bringTo(t, p, trees[version], version)
			}
			p.Cloud.SetUplink(true)
			p.mu.Lock()
			accepted := slices.Collect(maps.Keys(p.accepted))
			p.mu.Unlock()
			p.await("all that was accepted is in the cloud", func() bool {
				arrived := p.Cloud.Journal().IDs(localcloud.KindIoT)
				return !slices.ContainsFunc(accepted, func(id string) bool { return arrived[id] == 0 })
			})
			if d := p.Core.Denials(); len(d) != 0 {
				t.Errorf("requests that no recipe grants: %v", d)
			}
		})
	}
}

// changeConfiguration lowers the engine's threshold by a deployment.
func changeConfiguration(t *testing.T, p *plant, threshold float64, fromCloud, restarts bool) {
	t.Helper()
	before := p.pid(event.InferenceEngine)
	d := localcore.Deployment{FromCloud: fromCloud, ConfigurationUpdate: updates(map[string]map[string]any{event.InferenceEngine: {"threshold": threshold}})}
	must.OK(t, p.carryOut(d))
	p.await("the new threshold is in force", func() bool { return p.prediction.Threshold == threshold })
	if restarted := p.pid(event.InferenceEngine) != before; restarted != restarts {
		t.Errorf("the engine was restarted by a change of configuration: %v, want %v", restarted, restarts)
	}
}

// refuseBadConfiguration deploys a threshold that is no probability. The deployment fails where the nucleus asks the
// component; elsewhere the component says why it goes on with the last good configuration, also over a restart.
func refuseBadConfiguration(t *testing.T, p *plant, rejects bool) {
	t.Helper()
	const problem = "threshold: 7 is not between 0 and 1"
	err := p.deploy(nil, map[string]map[string]any{event.InferenceEngine: {"threshold": 7}})
	if rejects != (err != nil && strings.Contains(err.Error(), problem)) {
		t.Errorf("deployment of a bad configuration: %v", err)
	}
	bad := func() bool {
		h := p.health[event.InferenceEngine]
		return h.State == event.StateBadConfig && strings.Contains(h.Detail, problem)
	}
	if !rejects {
		p.await("the engine refuses its configuration", bad)
	}
	p.mu.Lock()
	seen, run := p.prediction.Seq, p.health[event.InferenceEngine].Run
	p.mu.Unlock()
	p.await("the last good configuration stays in force", func() bool { return p.prediction.Seq > seen+2 && p.prediction.Threshold == 0.75 })
	must.OK(t, p.Core.RestartComponent(t.Context(), event.InferenceEngine))
	p.await("the engine runs again", func() bool { return p.health[event.InferenceEngine].Run != run })
	if !rejects {
		p.await("the restarted engine refuses its configuration", bad)
	}
	p.mu.Lock()
	seen = p.prediction.Seq
	p.mu.Unlock()
	p.await("the last good configuration is in force after a restart", func() bool { return p.prediction.Seq > seen+2 && p.prediction.Threshold == 0.75 })
	must.OK(t, p.deploy(nil, map[string]map[string]any{event.InferenceEngine: {"threshold": 0.5}}))
	p.await("a good configuration is taken again", func() bool {
		return p.health[event.InferenceEngine].State == event.StateOK && p.prediction.Threshold == 0.5
	})
}

// bringTo deploys another version of everything, and looks whether what the components keep is there after it.
func bringTo(t *testing.T, p *plant, tree, version string) {
	t.Helper()
	p.mu.Lock()
	waiting, raised := p.health[event.CloudForwarder].Waiting(), p.alarms()
	p.mu.Unlock()
	must.OK(t, p.carryOut(localcore.Deployment{Components: all(version), Stage: tree}))
	p.await("all components run in version "+version, func() bool {
		for _, name := range projects {
			if h := p.health[name]; name != event.Suite && (h.Version != version || h.State != event.StateOK && h.State != event.StateDegraded) {
				return false
			}
		}
		return true
	})
	p.await("the alarm manager has seen rows enough to raise alarms again", func() bool {
		return p.health[event.AlarmManager].Counters[event.CounterPredictions] > 100
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := p.health[event.CloudForwarder].Waiting(); got < waiting {
		t.Errorf("%s: %d messages wait, before the change %d", version, got, waiting)
	}
	if p.prediction.Model.Version != "2.0.0" || p.prediction.Threshold != 0.5 {
		t.Errorf("%s: the model is %s with threshold %v, before the change 2.0.0 with 0.5", version, p.prediction.Model.Version, p.prediction.Threshold)
	}
	if got := p.alarms(); !slices.Equal(got, raised) {
		t.Errorf("%s: alarms %q, before the change %q", version, got, raised)
	}
}

// A version that finds files of a newer format, as after a rollback, leaves them as they are: rows are scored, with the
// shipped model, no component fails, and those that cannot do their work say why.
func TestFilesOfANewerVersion(t *testing.T) {
	p := newPlant(t, stage(t, "-version", "1.0.0"), localcore.Classic)
	must.OK(t, p.deploy(all("1.0.0"), p.configuration()))
	p.PublishModel("2.0.0")
	p.await("the delivered model scores", func() bool { return p.prediction.Model.Version == "2.0.0" })
	p.await("there are alarms", func() bool { return len(p.alarms()) > 0 })
	for _, name := range projects {
		must.OK(t, p.Core.StopComponent(t.Context(), name))
	}
	newer := p.makeNewer()
	if len(newer) < 8 {
		t.Fatalf("only %d files have a format", len(newer))
	}
	for _, name := range projects {
		must.OK(t, p.Core.RestartComponent(t.Context(), name))
	}
	p.await("the shipped model scores", func() bool { return p.prediction.Model.Version != "2.0.0" })
	for _, name := range []string{event.AlarmManager, event.ModelFetcher} {
		p.await(name+" says why it does not work", func() bool {
			h := p.health[name]
			return h.State == event.StateDegraded && strings.Contains(h.Detail, "format 9")
		})
	}
	for _, c := range p.Core.Components() {
		if c.Name != event.Suite && (c.State != localcore.StateRunning || c.Restarts != 1) {
			t.Errorf("%s is %s after %d restarts", c.Name, c.State, c.Restarts)
		}
	}
	for file, text := range newer {
		if got := string(read(t, file)); got != text {
			t.Errorf("%s was changed to %s", file, got)
		}
	}
}

// makeNewer raises the format in all files that have one in text, and returns them with their content.
func (p *plant) makeNewer() map[string]string {
	p.T.Helper()
	files := make(map[string]string)
	format := regexp.MustCompile(`"format": ?1\b`)
	err := filepath.WalkDir(filepath.Join(p.Root, "work"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) == ".ubj" {
			return err
		}
		text := read(p.T, path)
		if !format.Match(text) {
			return nil
		}
		body, sealed, err := durable.Open(text)
		if err != nil {
			return err
		}
		newer := format.ReplaceAll(body, []byte(`"format":9`))
		if sealed {
			newer = durable.Seal(newer)
		}
		files[path] = string(newer)
		return os.WriteFile(path, []byte(files[path]), 0o600)
	})
	must.OK(p.T, err)
	return files
}

// The configuration that the nucleus in docker starts with is the one that a deployment of the same recipes gives.
func TestDockerConfigurationIsADeployment(t *testing.T) {
	tree := stage(t, "-version", "1.0.0")
	file := filepath.Join(t.TempDir(), "config.yaml")
	command(t, "go", "run", "./scripts/docker", "-stage", tree, "-out", file)
	var rendered struct {
		Services map[string]struct {
			Configuration map[string]any `yaml:"configuration"`
		} `yaml:"services"`
	}
	must.OK(t, yaml.Unmarshal(read(t, file), &rendered))
	p := newPlant(t, tree, localcore.Classic)
	must.OK(t, p.deploy(all("1.0.0"), nil))
	for _, name := range projects {
		want, ok := p.Core.Configuration(name)
		got := rendered.Services[name].Configuration
		if !ok || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(plain(t, got), plain(t, want)) {
			t.Errorf("%s: configuration\n%v, of a deployment\n%v", name, got, want)
		}
	}
}

// plain gives equal values equal types: a core keeps integers as int64.
func plain(t *testing.T, v any) (out any) {
	t.Helper()
	text, err := yaml.Marshal(v)
	if err == nil {
		err = yaml.Unmarshal(text, &out)
	}
	must.OK(t, err)
	return out
}
