package localcore

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgepdm/test/must"
)

// dependsOn is a recipe's dependencies, in YAML.
func dependsOn(kind string, on ...string) string {
	var all []string
	for _, d := range on {
		name, requirement, _ := strings.Cut(d, " ")
		all = append(all, fmt.Sprintf(`%s: {VersionRequirement: "%s", DependencyType: %s}`, name, requirement, kind))
	}
	return "{" + strings.Join(all, ", ") + "}"
}

// versions are the components that are there, as name=version.
func (f *fixture) versions() string {
	var all []string
	for _, s := range f.core.Components() {
		all = append(all, strings.TrimPrefix(s.Name, "com.test.")+"="+s.Version)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (f *fixture) deployVersions(components map[string]string, stage string) {
	f.t.Helper()
	must.OK(f.t, f.core.Deploy(f.ctx, Deployment{Components: components, Stage: stage}))
}

// TestDependenciesCome: a suite brings what it depends on, of either kind. A classic nucleus takes the highest version that
// all accept, nucleus lite the first; either keeps a running one that fits, so that a suite with a wide range upgrades
// nothing. What nobody depends on any more goes.
func TestDependenciesCome(t *testing.T) {
	for _, c := range []struct {
		mode                           Mode
		first, upgraded, exact, narrow string
	}{
		{Classic, "A=1.10.0 B=2.0.0 Suite=1.0.0", "A=1.10.0 B=2.0.0 Suite=1.1.0", "A=1.2.0 B=2.0.0 Suite=2.0.0", "A=1.2.0 Suite=3.0.0"},
		{Lite, "A=1.10.0 B=1.0.0 Suite=1.0.0", "A=1.10.0 B=1.0.0 Suite=1.1.0", "A=1.2.0 B=2.0.0 Suite=2.0.0", "A=1.2.0 Suite=3.0.0"},
	} {
		t.Run(fmt.Sprint(c.mode), func(t *testing.T) {
			f := newFixture(t, func(o *Options) { o.Mode = c.mode })
			for _, v := range []string{"1.10.0", "1.2.0", "1.9.0"} { // in this order in the folder
				f.put(staged{name: "com.test.A", version: v})
			}
			for _, v := range []string{"1.0.0", "2.0.0"} {
				f.put(staged{name: "com.test.B", version: v})
			}
			wide := dependsOn("SOFT", "com.test.A >=0.0.0", "com.test.B >=0.0.0")
			f.put(staged{name: "com.test.Suite", version: "1.0.0", deps: wide})
			f.put(staged{name: "com.test.Suite", version: "1.1.0", deps: wide})
			f.put(staged{name: "com.test.Suite", version: "2.0.0", deps: dependsOn("HARD", "com.test.A =1.2.0", "com.test.B =2.0.0")})
			f.put(staged{name: "com.test.Suite", version: "3.0.0", deps: dependsOn("HARD", "com.test.A <1.5.0")})
			for _, step := range [][2]string{{"1.0.0", c.first}, {"1.1.0", c.upgraded}, {"2.0.0", c.exact}, {"3.0.0", c.narrow}} {
				f.deployVersions(map[string]string{"com.test.Suite": step[0]}, "")
				if got := f.versions(); got != step[1] {
					t.Errorf("Suite %s: %s, want %s", step[0], got, step[1])
				}
			}
			must.OK(t, f.core.Deploy(f.ctx, Deployment{Remove: []string{"com.test.Suite"}}))
			if got := f.versions(); got != "" {
				t.Errorf("without the suite there are %s", got)
			}
		})
	}
}

// TestDependencyOfTwo: what two components demand of a third holds together; nucleus lite chooses once.
func TestDependencyOfTwo(t *testing.T) {
	for mode, want := range map[Mode]string{Classic: "A=1.0.0 C=1.9.0 D=1.0.0", Lite: "deploy com.test.D: it does not accept version 1.10.0 of com.test.C"} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			f := newFixture(t, func(o *Options) { o.Mode = mode })
			for _, v := range []string{"1.9.0", "1.10.0"} {
				f.put(staged{name: "com.test.C", version: v})
			}
			f.put(staged{name: "com.test.A", deps: dependsOn("HARD", "com.test.D *", "com.test.C >=1.0.0")})
			f.put(staged{name: "com.test.D", deps: dependsOn("HARD", "com.test.C =1.9.0")})
			err := f.core.Deploy(f.ctx, Deployment{Components: map[string]string{"com.test.A": "1.0.0"}})
			got := f.versions()
			if err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// TestVersionsWithoutASolution: demands that exclude each other in a circle end with an error.
func TestVersionsWithoutASolution(t *testing.T) {
	f := newFixture(t, nil)
	f.put(staged{name: "com.test.A", version: "1.0.0"})
	f.put(staged{name: "com.test.A", version: "2.0.0", deps: dependsOn("HARD", "com.test.B *")})
	f.put(staged{name: "com.test.B", version: "1.0.0", deps: dependsOn("HARD", "com.test.A =1.0.0")})
	f.put(staged{name: "com.test.Suite", version: "1.0.0", deps: dependsOn("HARD", "com.test.A >=1.0.0")})
	err := f.core.Deploy(f.ctx, Deployment{Components: map[string]string{"com.test.Suite": "1.0.0"}})
	if err == nil || !strings.Contains(err.Error(), "no solution") {
		t.Errorf("got %v", err)
	}
}

// TestConfigurationOfADependency: a classic nucleus drops it without a word but in its log, nucleus lite takes it from a
// local deployment. A root of an earlier deployment is one still.
func TestConfigurationOfADependency(t *testing.T) {
	for _, c := range []struct {
		mode  Mode
		cloud bool
		want  int64
	}{{Classic, false, 1}, {Lite, false, 2}, {Lite, true, 1}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			f := newFixture(t, func(o *Options) { o.Mode, o.MergeRestartDelay = c.mode, 1 })
			merge := map[string]any{"com.test.A": map[string]any{"merge": map[string]any{"n": c.want + 1}}}
			f.put(staged{name: "com.test.A", config: "{n: 1}"})
			f.put(staged{name: "com.test.Suite", deps: dependsOn("SOFT", "com.test.A *")})
			n := func() string {
				config, _ := f.core.Configuration("com.test.A")
				return fmt.Sprint(config["n"])
			}
			two := map[string]any{"com.test.A": map[string]any{"merge": map[string]any{"n": 2}}}
			must.OK(t, f.core.Deploy(f.ctx, Deployment{Components: map[string]string{"com.test.Suite": "1.0.0"}, ConfigurationUpdate: two, FromCloud: c.cloud}))
			dropped := strings.Contains(f.log.String(), "no root of the deployment is dropped")
			if got := n(); got != fmt.Sprint(c.want) || dropped != (c.want == 1) {
				t.Errorf("n is %s, want %d; logged %v", got, c.want, dropped)
			}
			f.deployVersions(map[string]string{"com.test.A": "1.0.0"}, "") // a root from now on
			must.OK(t, f.core.Deploy(f.ctx, Deployment{ConfigurationUpdate: merge, FromCloud: c.cloud}))
			if got := n(); got != fmt.Sprint(c.want+1) {
				t.Errorf("as a root: n is %s, want %d", got, c.want+1)
			}
		})
	}
}

// TestOfflineDependencies: a classic core that is not provisioned has no part of the nucleus that its configuration file
// does not name, whatever kind the dependency is of.
func TestOfflineDependencies(t *testing.T) {
	for _, c := range []struct {
		kind     string
		offline  bool
		builtins []string
		want     string
	}{
		{"HARD", false, nil, ""},
		{"HARD", true, nil, "configured to run offline"},
		{"SOFT", true, nil, "configured to run offline"},
		{"HARD", true, []string{tokenExchange}, ""},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			f := newFixture(t, func(o *Options) { o.Offline, o.Builtins = c.offline, c.builtins })
			err := f.tryDeploy(staged{name: "com.test.A", deps: dependsOn(c.kind, tokenExchange+" >=0.0.0")})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestExternalIsADependency: a program that the test is satisfies a dependency.
func TestExternalIsADependency(t *testing.T) {
	for _, mode := range []Mode{Classic, Lite} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			f := newFixture(t, func(o *Options) { o.Mode = mode })
			f.external("com.test.Ext", "{}")
			f.deploy(staged{name: "com.test.A", deps: dependsOn("HARD", "com.test.Ext *")})
			if got := f.versions(); got != "A=1.0.0" {
				t.Error(got)
			}
		})
	}
}

// TestOldVersionsGo: after an upgrade nucleus lite keeps nothing of the old version, a classic one keeps one version.
func TestOldVersionsGo(t *testing.T) {
	for mode, want := range map[Mode]string{Classic: "1.1.0 1.2.0", Lite: "1.2.0"} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			f := newFixture(t, func(o *Options) { o.Mode = mode })
			for _, v := range []string{"1.0.0", "1.1.0", "1.2.0"} {
				f.deploy(staged{name: "com.test.A-B", version: v, artifacts: `[{Uri: "s3://B/data"}]`, files: map[string]string{"data": v}})
			}
			for _, folder := range []string{"recipes/com.test.A-B-*.yaml", "artifacts/com.test.A-B/*"} {
				files, err := filepath.Glob(filepath.Join(f.root, "packages", folder))
				must.OK(t, err)
				var got []string
				for _, file := range files {
					got = append(got, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "com.test.A-B-"), ".yaml"))
				}
				if strings.Join(got, " ") != want {
					t.Errorf("%s: %v, want %s", folder, got, want)
				}
			}
		})
	}
}
