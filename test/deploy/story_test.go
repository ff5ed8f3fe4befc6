package deploy

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
)

// The suite alone, as the documented command deploys it, brings all that it depends on. What is merged into one of them
// is dropped by a classic nucleus, with a line in its log only, and taken by nucleus lite; once it is named it is taken.
func TestSuiteBringsItsDependencies(t *testing.T) {
	tree := stage(t, "-version", "1.0.0")
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			p := newPlant(t, tree, m.mode)
			merges := p.configuration()
			delete(merges, event.SensorSimulator) // no dependency
			must.OK(t, p.deploy(map[string]string{event.Suite: "1.0.0"}, merges))
			var there []string
			for _, c := range p.Core.Components() {
				there = append(there, c.Name)
				if c.Version != "1.0.0" {
					t.Errorf("%s %s is there", c.Name, c.Version)
				}
			}
			for _, name := range []string{event.Suite, event.AlarmManager, event.InferenceEngine, event.ModelFetcher, event.CloudForwarder} {
				if !slices.Contains(there, name) {
					t.Errorf("%s is not there: %v", name, there)
				}
			}
			if got := p.silence(); (got == "0s") != (m.mode == localcore.Lite) {
				t.Errorf("merged into a dependency: silence is %s", got)
			}
			if m.mode == localcore.Lite {
				return // the tree that is handed over again is another story
			}
			must.OK(t, p.deploy(map[string]string{event.AlarmManager: "1.0.0"}, map[string]map[string]any{event.AlarmManager: merges[event.AlarmManager]}))
			if got := p.silence(); got != "0s" {
				t.Errorf("merged into a component that is named: silence is %s", got)
			}
		})
	}
}

// silence is the alarm manager's, as it is configured.
func (p *plant) silence() any {
	configuration, _ := p.Core.Configuration(event.AlarmManager)
	return configuration["silence"]
}

// On nucleus lite a second deployment that hands over the tree of what runs fails, and what runs goes on. One that hands
// over only what is new succeeds, and of the old version nothing is left.
func TestSecondDeploymentOnLite(t *testing.T) {
	first, second := stage(t, "-version", "1.0.0"), stage(t, "-version", "1.1.0")
	p := newPlant(t, first, localcore.Lite)
	must.OK(t, p.deploy(all("1.0.0"), p.configuration()))
	p.await("rows are scored", func() bool { return p.prediction.Seq > 3 })
	before := p.pid(event.InferenceEngine)
	for _, tree := range []string{first, joined(t, first, second)} {
		err := p.carryOut(localcore.Deployment{Components: all("1.0.0"), Stage: tree})
		if err == nil || !strings.Contains(err.Error(), "text file busy") {
			t.Errorf("a tree with what runs: %v", err)
		}
	}
	p.mu.Lock()
	seen := p.prediction.Seq
	p.mu.Unlock()
	p.await("rows are scored after it", func() bool { return p.prediction.Seq > seen+3 })
	if p.pid(event.InferenceEngine) != before {
		t.Error("a deployment that failed restarted the engine")
	}
	must.OK(t, p.carryOut(localcore.Deployment{Components: all("1.1.0"), Stage: second}))
	p.await("the engine runs in the new version", func() bool { return p.health[event.InferenceEngine].Version == "1.1.0" })
	old := filepath.Join(p.Root, "packages", "artifacts", event.InferenceEngine, "1.0.0")
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v", old, err)
	}
}

// A core that is not provisioned has no token exchange service: what depends on it, in either way, is refused, unless the
// core's configuration file names the service.
func TestOfflineCore(t *testing.T) {
	tree := stage(t, "-version", "1.0.0")
	for _, named := range []bool{false, true} {
		p := newPlant(t, tree, localcore.Classic, func(o *localcore.Options) {
			o.Offline = true
			if named {
				o.Builtins = []string{"aws.greengrass.TokenExchangeService"}
			}
		})
		err := p.deploy(map[string]string{event.Suite: "1.0.0", event.SensorSimulator: "1.0.0"}, map[string]map[string]any{event.SensorSimulator: {"rate": 10}})
		switch {
		case !named && (err == nil || !strings.Contains(err.Error(), "configured to run offline")):
			t.Errorf("without the service: %v", err)
		case named && err != nil:
			t.Fatal(err)
		case named:
			p.await("rows are scored", func() bool { return p.prediction.Seq > 3 })
		}
	}
}

// no component was started again.
func (p *plant) checkStarts() {
	p.T.Helper()
	for _, c := range p.Core.Components() {
		if c.Name != event.Suite && (c.State != localcore.StateRunning || c.Restarts != 0) {
			p.T.Errorf("%s is %s after %d restarts", c.Name, c.State, c.Restarts)
		}
	}
}

// Daemons of nucleus lite crash: without ggpubsubd all subscriptions are silent, with a new ggipcd no token is valid. The
// plant goes on without a restart of a component.
func TestDaemonsOfLiteCrash(t *testing.T) {
	p := newPlant(t, stage(t, "-version", "1.0.0"), localcore.Lite)
	must.OK(t, p.deploy(all("1.0.0"), p.configuration()))
	scored := func(after string) {
		t.Helper()
		p.mu.Lock()
		seen := p.prediction.Seq
		p.mu.Unlock()
		p.await("rows are scored after "+after, func() bool { return p.prediction.Seq > seen+5 })
	}
	scored("the start")
	must.OK(t, p.Core.KillPubSub())
	p.listen()
	p.await("the engine and the forwarder noticed that they hear nothing", func() bool {
		return p.health[event.InferenceEngine].Counters[event.CounterDeaf] > 0 && p.health[event.CloudForwarder].Counters[event.CounterDeaf] > 0
	})
	scored("a crash of ggpubsubd")
	for range 3 { // more often than systemd starts a component again
		must.OK(t, p.Core.KillIPC())
		p.observer.AuthToken, p.observer.ComponentName = "", "com.edgepdm.TestObserver"
		p.listen()
		scored("a crash of ggipcd")
	}
	p.checkStarts()
}

// The token exchange service has no credentials, as before the first connection to AWS: nothing ends, the forwarder keeps
// what is to be delivered, and delivers when there are some. It says why it does not deliver; nucleus lite does not tell
// it more than that there is no uplink.
func TestNoCredentials(t *testing.T) {
	tree := stage(t, "-version", "1.0.0")
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			p := newPlant(t, tree, m.mode)
			p.Cloud.RefuseCredentials(403)
			must.OK(t, p.deploy(all("1.0.0"), p.configuration()))
			p.await("the forwarder tells what it lacks", func() bool {
				h := p.health[event.CloudForwarder]
				told := strings.Contains(h.Detail, "token exchange service: 403") || m.mode == localcore.Lite
				return h.Waiting() >= 20 && h.Uplink == event.UplinkDown && told
			})
			p.checkStarts()
			p.Cloud.RefuseCredentials(0)
			p.await("all that waited is in the cloud", func() bool {
				arrived := p.Cloud.Journal().IDs(localcloud.KindIoT)
				return len(p.accepted) >= 20 && !slices.ContainsFunc(slices.Collect(maps.Keys(p.accepted)), func(id string) bool { return arrived[id] == 0 })
			})
			p.checkStarts()
		})
	}
}

// A local deployment that names what runs, to change its configuration, copies its artifacts again: they are root's until
// the next start. The engine goes on with what it has, and nothing is told as an error.
func TestHotDeploymentOnClassic(t *testing.T) {
	p := newPlant(t, stage(t, "-version", "1.0.0"), localcore.Classic)
	must.OK(t, p.deploy(all("1.0.0"), p.configuration()))
	p.await("rows are scored", func() bool { return p.prediction.Seq > 3 })
	before := p.pid(event.InferenceEngine)
	must.OK(t, p.deploy(all("1.0.0"), map[string]map[string]any{event.InferenceEngine: {"threshold": 0.75}}))
	p.await("the new threshold is in force", func() bool {
		return p.prediction.Threshold == 0.75 && p.health[event.InferenceEngine].State == event.StateOK
	})
	if p.pid(event.InferenceEngine) != before {
		t.Error("the engine was started again")
	}
	files, err := filepath.Glob(filepath.Join(p.Root, "packages", "artifacts", event.InferenceEngine, "1.0.0", "*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("artifacts %v, %v", files, err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0 {
			t.Errorf("%s can be read: %v, %v", file, info, err)
		}
	}
	if text := string(read(t, filepath.Join(p.Root, "logs", event.InferenceEngine+".log"))); strings.Contains(text, "level=ERROR") {
		t.Errorf("the engine tells an error:\n%s", text)
	}
	must.OK(t, p.Core.RestartComponent(t.Context(), event.InferenceEngine))
	p.await("the engine runs after its next start", func() bool {
		return p.prediction.Threshold == 0.75 && p.health[event.InferenceEngine].State == event.StateOK
	})
}
