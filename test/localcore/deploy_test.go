package localcore

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/test/localcore/nucleus"
	"edgepdm/test/must"
)

func TestDeployErrors(t *testing.T) {
	dep := func(name, requirement, kind string) string {
		return fmt.Sprintf(`{%s: {VersionRequirement: "%s", DependencyType: %s}}`, name, requirement, kind)
	}
	a := staged{name: "com.test.A"}
	for _, c := range []struct {
		name  string
		stage []staged
		d     Deployment
		want  string
	}{
		{"no such recipe", nil, Deployment{Components: map[string]string{"com.test.A": "1.0.0"}}, "deploy com.test.A: No local or cloud component version satisfies the requirements: required by the deployment"},
		{"a bad recipe", []staged{{name: "com.test.A", lifecycle: "{go: x}"}}, Deployment{}, "Manifests[0].Lifecycle.go: unknown key"},
		{"HARD dependency is missing", []staged{{name: "com.test.A", deps: dep("com.test.B", "*", "HARD")}}, Deployment{}, "deploy com.test.B: No local or cloud component version satisfies the requirements: required by com.test.A"},
		{"SOFT dependency is missing", []staged{{name: "com.test.A", deps: dep("com.test.B", "*", "SOFT")}}, Deployment{}, "deploy com.test.B: No local or cloud component version satisfies the requirements: required by com.test.A"},
		{"dependency of a wrong version", []staged{{name: "com.test.B", deps: dep("com.test.A", "^2.0.0", "SOFT")}, a}, Deployment{}, "deploy com.test.A: No local or cloud component version satisfies the requirements: required by com.test.B, the deployment"},
		{"cycle", []staged{{name: "com.test.A", deps: dep("com.test.B", "*", "SOFT")}, {name: "com.test.B", deps: dep("com.test.A", "*", "HARD")}}, Deployment{}, "dependencies form a cycle: com.test.A -> com.test.B -> com.test.A"},
		{"artifact is missing", []staged{{name: "com.test.A", artifacts: `[{Uri: "s3://B/prog"}]`}}, Deployment{}, "deploy com.test.A: artifact s3://B/prog: open"},
		{"archive", []staged{{name: "com.test.A", artifacts: `[{Uri: "s3://B/x.zip", Unarchive: ZIP}]`}}, Deployment{}, "does not unpack"},
		{"remove what is not there", nil, Deployment{Remove: []string{"com.test.A"}}, "remove com.test.A: there is no such component"},
		{"update what is not there", nil, Deployment{ConfigurationUpdate: map[string]any{"com.test.A": map[string]any{}}}, "update configuration of com.test.A: there is no such component"},
		{"misspelt update", []staged{a}, Deployment{ConfigurationUpdate: map[string]any{"com.test.A": map[string]any{"MERGE": 1}}}, "configuration update of com.test.A.MERGE: unknown key"},
		{"merge that is no object", []staged{a}, Deployment{ConfigurationUpdate: map[string]any{"com.test.A": map[string]any{"merge": 1}}}, "configuration update of com.test.A.merge: must be an object"},
		{"reset that is no pointer", []staged{a}, Deployment{ConfigurationUpdate: map[string]any{"com.test.A": map[string]any{"reset": []any{"x"}}}}, "configuration update of com.test.A.reset[0]: must be a JSON pointer"},
		{"update that is no JSON", []staged{a}, Deployment{ConfigurationUpdate: map[string]any{"com.test.A": map[string]any{"merge": map[string]any{"x": t}}}}, "com.test.A.merge.x: a *testing.T cannot be configuration"},
		{"external of that name", []staged{{name: "com.test.Ext"}}, Deployment{}, "there is an external of that name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, nil)
			f.external("com.test.Ext", "{}")
			if c.d.Components == nil {
				c.d.Components = make(map[string]string)
			}
			for _, s := range c.stage {
				f.put(s)
				c.d.Components[s.name] = "1.0.0"
			}
			err := f.core.Deploy(f.ctx, c.d)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if n := len(f.core.Components()); n != 0 {
				t.Errorf("%d components are there after a deployment that failed", n)
			}
		})
	}
}

func TestDeployArtifacts(t *testing.T) {
	f := newFixture(t, nil)
	f.deploy(staged{name: "com.test.A", lifecycle: `{run: "exec {artifacts:path}/prog"}`,
		artifacts: `[{Uri: "s3://B/some/where/prog", Permission: {Execute: OWNER}}, {Uri: "s3://B/data", Permission: {Read: ALL}}]`,
		files:     map[string]string{"prog": "#!/bin/sh\necho > done\n", "data": "x", "other": "x"}})
	f.waitState("com.test.A", StateFinished)
	if _, err := os.Stat(filepath.Join(f.root, "work/com.test.A/done")); err != nil {
		t.Error(err)
	}
	dir := filepath.Join(f.root, "packages/artifacts/com.test.A/1.0.0")
	for name, mode := range map[string]os.FileMode{"prog": 0o500, "data": 0o400} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != mode {
			t.Errorf("artifact %s: %v, %v, want %v", name, info, err, mode)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("artifacts are %v, %v", entries, err)
	}
}

func TestDeployChanges(t *testing.T) {
	dep := `{com.test.A: {VersionRequirement: ">=1.0.0", DependencyType: HARD}}`
	a := staged{name: "com.test.A", config: "{n: 1, text: a, deep: {x: 1}}", lifecycle: `{Setenv: {T: "{configuration:/text}"}, run: exec sleep 1000}`}
	b := staged{name: "com.test.B", deps: dep}
	f := newFixture(t, nil)
	f.deploy(a, b)
	watcher := f.connect(f.external("com.test.W", allowAll))
	watcher.subscribe(1, "SubscribeToConfigurationUpdate", `{"componentName":"com.test.A","keyPath":[]}`)
	pids := func() [2]int { return [2]int{f.status("com.test.A").PID, f.status("com.test.B").PID} }
	first := pids()

	f.deploy(a, b) // nothing changed
	if got := pids(); got != first {
		t.Errorf("a deployment without a change restarted: %v, then %v", first, got)
	}

	f.update("com.test.A", map[string]any{"merge": map[string]any{"N": 2, "deep": map[string]any{"x": 5, "y": 1.0}}})
	watcher.expect(`0 0 1 model=ConfigurationUpdateEvents | {"configurationUpdateEvent":{"componentName":"com.test.A","keyPath":["deep","x"]}}`)
	watcher.expect(`0 0 1 model=ConfigurationUpdateEvents | {"configurationUpdateEvent":{"componentName":"com.test.A","keyPath":["deep","y"]}}`)
	watcher.expect(`0 0 1 model=ConfigurationUpdateEvents | {"configurationUpdateEvent":{"componentName":"com.test.A","keyPath":["n"]}}`)
	if got, want := watcher.call(2, "GetConfiguration", `{"componentName":"com.test.A"}`),
		`0 2 2 model=GetConfigurationResponse | {"componentName":"com.test.A","value":{"deep":{"x":5,"y":1.0},"n":2,"text":"a"}}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := pids(); got != first {
		t.Errorf("a change of configuration restarted: %v, then %v", first, got)
	}

	f.update("com.test.A", map[string]any{"merge": map[string]any{"text": "b"}, "reset": []any{"/deep"}})
	if got := pids(); got[0] == first[0] || got[1] != first[1] {
		t.Errorf("a change of lifecycle text must restart the component, and only it: %v, then %v", first, got)
	}
	if config, _ := f.core.Configuration("com.test.A"); string(f.core.dialect.AppendJSON(nil, config)) != `{"deep":{"x":1},"n":2,"text":"b"}` {
		t.Errorf("configuration is %v", config)
	}

	second := pids()
	next := a
	next.version, next.config = "1.1.0", "{n: 9, new: true}"
	f.deploy(next)
	if got, s := pids(), f.status("com.test.A"); got[0] == second[0] || s.Version != "1.1.0" || s.State != StateRunning {
		t.Errorf("upgrade: %v, then %v, %+v", second, got, s)
	}
	if config, _ := f.core.Configuration("com.test.A"); string(f.core.dialect.AppendJSON(nil, config)) != `{"deep":{"x":1},"n":2,"new":true,"text":"b"}` {
		t.Errorf("configuration after the upgrade is %v", config) // what is there stays, new keys get their defaults
	}

	pid := f.status("com.test.A").PID
	must.OK(t, f.core.Deploy(f.ctx, Deployment{Remove: []string{"com.test.A"}}))
	if s := f.status("com.test.A"); s.PID != pid {
		t.Errorf("a dependency of another component was removed: %+v", s)
	}
	must.OK(t, f.core.Deploy(f.ctx, Deployment{Remove: []string{"com.test.B"}})) // A goes with it
	gone(t, pid)
	if _, ok := f.core.Configuration("com.test.A"); ok || len(f.core.Components()) != 0 {
		t.Errorf("after the removal there are %v", f.core.Components())
	}
	if err := f.core.WaitState(f.ctx, "com.test.A", StateRunning); err == nil {
		t.Error("a component that was removed cannot be waited for")
	}
	f.deploy(a) // and back
}

func TestGrantsAreReported(t *testing.T) {
	f := newFixture(t, nil)
	config := func(resource string) string {
		return `{accessControl: {aws.greengrass.ipc.pubsub: {p: {operations: ["aws.greengrass#PublishToTopic", "aws.greengrass#NoSuch"], resources: [` + resource + `]}},
			aws.greengrass.ShadowManager: {s: {operations: ["*"], resources: ["*"]}}}}`
	}
	c := f.connect(f.external("com.test.A", config("used, unused, 'bad?'")))
	publish := `{"topic":"%s","publishMessage":{"binaryMessage":{"message":"MQ=="}}}`
	for i, topic := range []string{"used", "denied", "denied"} {
		c.call(i+1, "PublishToTopic", fmt.Sprintf(publish, topic))
	}
	want := []string{"PublishToTopic unused true false", "PublishToTopic used true true",
		"NoSuch unused false false", "NoSuch used false false", "* * false false"}
	report := func() []string {
		var got []string
		for _, g := range f.core.Grants() {
			got = append(got, fmt.Sprint(strings.TrimPrefix(g.Operation, nucleus.OperationPrefix), " ", g.Resource, " ", g.Enforced, " ", g.Used))
		}
		return got
	}
	slices.Sort(want)
	got := report()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("grants %q\nwant   %q", got, want)
	}
	denials := f.core.Denials()
	if len(denials) != 1 || fmt.Sprint(denials[0]) != "{com.test.A aws.greengrass.ipc.pubsub aws.greengrass#PublishToTopic denied 2}" {
		t.Errorf("denials %+v", denials)
	}
	for _, text := range []string{"operation not registered", "resource is not valid"} {
		if !strings.Contains(f.log.String(), text) {
			t.Errorf("the log lacks %q", text)
		}
	}
	f.update("com.test.A", map[string]any{"merge": map[string]any{"accessControl": map[string]any{
		"aws.greengrass.ipc.pubsub": map[string]any{"p": map[string]any{"resources": []string{"used", "denied"}}}}}})
	if got, want := c.call(4, "PublishToTopic", fmt.Sprintf(publish, "denied")), "0 2 4 model=PublishToTopicResponse | {}"; got != want {
		t.Errorf("after a deployment grants it: %s", got)
	}
	if got := report(); !slices.Contains(got, "PublishToTopic used true true") || slices.Contains(got, "PublishToTopic unused true false") {
		t.Errorf("grants after the deployment %q", got)
	}
}

func TestConfigurationOperations(t *testing.T) {
	f := newFixture(t, nil)
	f.deploy(staged{name: "com.test.Other", config: `{x: 1, accessControl: {aws.greengrass.ipc.pubsub: {p: {operations: ["*"], resources: ["*"]}}}}`})
	c := f.connect(f.external("com.test.A", `{Str: s, num: 7, flt: 1.25, int: 1.0, boo: true, nul: null, l: [1, {a: 2}], m: {k: {d: "="}}, "a.b/c": odd}`))
	failed := func(code, text string) string {
		return fmt.Sprintf(`model=%s | {"message":"%s",%s,"_message":"%s","_errorCode":"%s"}`, code, text, unsupportedText, text, code)
	}
	now := fmt.Sprintf("%.3f", float64(time.Now().UnixMilli())/1000+60)
	for i, s := range []struct{ op, request, want string }{
		{"GetConfiguration", `{}`, `{"componentName":"com.test.A","value":{"a.b/c":"odd","boo":true,"flt":1.25,"int":1.0,"l":[1,{"a":2}],"m":{"k":{"d":"\u003d"}},"nul":null,"num":7,"Str":"s"}}`},
		{"GetConfiguration", `{"keyPath":["str"]}`, `{"componentName":"com.test.A","value":{"Str":"s"}}`},
		{"GetConfiguration", `{"keyPath":["a.b/c"],"componentName":null}`, `{"componentName":"com.test.A","value":{"a.b/c":"odd"}}`},
		{"GetConfiguration", `{"keyPath":["M","K"]}`, `{"componentName":"com.test.A","value":{"d":"\u003d"}}`},
		{"GetConfiguration", `{"keyPath":["l"]}`, `{"componentName":"com.test.A","value":{"l":[1,{"a":2}]}}`},
		{"GetConfiguration", `{"keyPath":["l","0"]}`, failed(nucleus.ResourceNotFound, "Key not found")},
		{"GetConfiguration", `{"componentName":"com.test.Other"}`, `{"componentName":"com.test.Other","value":{"accessControl":{"aws.greengrass.ipc.pubsub":{"p":{"operations":["*"],"resources":["*"]}}},"x":1}}`},
		{"GetConfiguration", `{"componentName":"com.test.None"}`, failed(nucleus.ResourceNotFound, "Key not found")},
		{"UpdateConfiguration", `{"valueToMerge":{"num":8}}`, failed(nucleus.InvalidArguments, "Timestamp is required")},
		{"UpdateConfiguration", `{"timestamp":1.0}`, failed(nucleus.InvalidArguments, "ValueToMerge is required")},
		{"UpdateConfiguration", `{"timestamp":1.0,"valueToMerge":8}`, "text/plain"},
		{"UpdateConfiguration", `{"timestamp":"1","valueToMerge":{}}`, "text/plain"},
		{"UpdateConfiguration", `{"timestamp":1.0,"valueToMerge":{"num":8}}`, failed("FailedUpdateConditionCheckError", "Proposed timestamp is older than the config\\u0027s latest modified timestamp")},
		{"UpdateConfiguration", `{"timestamp":` + now + `,"valueToMerge":{"accessControl":{}}}`, failed(nucleus.InvalidArguments, "Config update is not allowed for following fields [accessControl]")},
		{"UpdateConfiguration", `{"timestamp":` + now + `,"keyPath":["accesscontrol","x"],"valueToMerge":{}}`, failed(nucleus.InvalidArguments, "Config update is not allowed for following fields [accessControl]")},
		{"UpdateConfiguration", `{"timestamp":` + now + `,"componentName":"com.test.Other","keyPath":["m"],"valueToMerge":{"k":{"d":8},"accessControl":null}}`, "{}"},
		{"GetConfiguration", `{"keyPath":["m"]}`, `{"componentName":"com.test.A","value":{"accessControl":null,"k":{"d":8.0}}}`},
		{"UpdateConfiguration", `{"timestamp":` + now + `,"keyPath":["num"],"valueToMerge":{"x":1}}`, failed(nucleus.InvalidArguments, "num in com.test.A is already a leaf, cannot become a container")},
		{"SubscribeToConfigurationUpdate", `{"keyPath":["none"]}`, failed(nucleus.ResourceNotFound, "Key not found")},
		{"SubscribeToConfigurationUpdate", `{"componentName":"com.test.None","keyPath":[]}`, failed(nucleus.ResourceNotFound, "Key not found")},
	} {
		got := c.call(i+1, s.op, s.request)
		head, want := fmt.Sprintf("0 2 %d model=%sResponse | ", i+1, s.op), s.want
		switch {
		case want == "text/plain":
			head, want = fmt.Sprintf("1 2 %d ct=", i+1), "text/plain | InternalServerError"
		case strings.HasPrefix(want, "model="):
			head = fmt.Sprintf("1 2 %d ", i+1)
		}
		if got != head+want {
			t.Errorf("%s %s\ngot  %s\nwant %s", s.op, s.request, got, head+want)
		}
	}
	c.send(`0 0 21 op=SubscribeToConfigurationUpdate | {"keyPath":["M"]}`)
	c.expect(`0 0 21 model=SubscribeToConfigurationUpdateResponse | {}`)
	c.send(`0 0 22 op=UpdateConfiguration | {"timestamp":` + now + `,"keyPath":["m"],"valueToMerge":{"k":{"d":9},"new":1}}`)
	c.expect(`0 0 21 model=ConfigurationUpdateEvents | {"configurationUpdateEvent":{"componentName":"com.test.A","keyPath":["m","k","d"]}}`)
	c.expect(`0 0 21 model=ConfigurationUpdateEvents | {"configurationUpdateEvent":{"componentName":"com.test.A","keyPath":["m","new"]}}`)
	c.expect(`0 2 22 model=UpdateConfigurationResponse | {}`)
	c.send(`0 2 21`)
	c.send(`0 0 23 op=UpdateConfiguration | {"timestamp":` + now + `,"keyPath":["m"],"valueToMerge":{"new":2}}`)
	c.expect(`0 2 23 model=UpdateConfigurationResponse | {}`)
}

func TestExternals(t *testing.T) {
	f := newFixture(t, nil)
	token := f.external("com.test.A", "{}")
	file := filepath.Join(f.root, "env", "com.test.A.env")
	text := must.Read(t, file)
	if want := fmt.Sprintf("SVCUID=%s\n%s=%s\n", token, nucleus.SocketVariable, f.core.SocketPath()); string(text) != want {
		t.Errorf("environment file is %s, want %s", text, want)
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("environment file: %v, %v", info, err)
	}
	f.update("com.test.A", map[string]any{"merge": map[string]any{"added": 1}})
	if config, _ := f.core.Configuration("com.test.A"); config["added"] != int64(1) {
		t.Errorf("configuration of the external is %v", config)
	}
	recipe := filepath.Join(t.TempDir(), "r.yaml")
	f.write(recipe, staged{name: "com.test.A"}.recipe())
	for name, want := range map[string]string{"com.test.A": "there is a component", "com.test.B": "not of com.test.B"} {
		if _, err := f.core.AddExternal(name, recipe); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}

func TestStaged(t *testing.T) {
	f := newFixture(t, nil)
	if _, err := Staged(f.stage); err == nil {
		t.Error("an empty stage is accepted")
	}
	for _, v := range []string{"1.9.0", "1.10.0", "1.10.0-rc1", "0.1.0"} {
		f.put(staged{name: "com.test.A", version: v})
	}
	f.put(staged{name: "com.test.B"})
	if got, err := Staged(f.stage); err != nil || fmt.Sprint(got) != "map[com.test.A:1.10.0 com.test.B:1.0.0]" {
		t.Errorf("got %v, %v", got, err)
	}
	f.write(filepath.Join(f.stage, "recipes", "misnamed.yaml"), staged{name: "com.test.C"}.recipe())
	if _, err := Staged(f.stage); err == nil || !strings.Contains(err.Error(), "must be called com.test.C-1.0.0.yaml") {
		t.Errorf("a recipe by another name: %v", err)
	}
}

func TestRootIsUsedAgain(t *testing.T) {
	f := newFixture(t, nil)
	a := staged{name: "com.test.A", lifecycle: `{run: "echo x >> kept; exec sleep 1000"}`}
	kept := func(want string) {
		t.Helper()
		eventually(t, "the work directory is kept", func() bool {
			text, err := os.ReadFile(filepath.Join(f.root, "work/com.test.A/kept"))
			return err == nil && string(text) == want
		})
	}
	f.deploy(a)
	kept("x\n")
	if _, err := New(Options{Root: f.root}); err == nil || !strings.Contains(err.Error(), "another core runs on "+f.root) {
		t.Errorf("a second core on the same root: %v", err)
	}
	must.OK(t, f.core.Close(f.ctx))
	if err := f.core.Deploy(f.ctx, Deployment{}); err == nil {
		t.Error("a core that was closed deploys")
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(f.root, "ipc.socket")}) // as after a crash
	must.OK(t, err)
	l.SetUnlinkOnClose(false)
	l.Close()
	g := newFixture(t, func(o *Options) { o.Root, o.Stage = f.root, f.stage })
	g.stage = f.stage
	g.deploy(a)
	kept("x\nx\n")
	g.connect(g.external("com.test.B", "{}"))
}

func TestLongRoot(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("long/", 25))
	f := newFixture(t, func(o *Options) { o.Root = long })
	out := f.fifo("com.test.A", "out")
	f.deploy(staged{name: "com.test.A", lifecycle: `{run: 'echo $` + nucleus.SocketVariable + ` > out; test -S $` + nucleus.SocketVariable + ` && exec sleep 1000'}`})
	if got := f.hear(out); got != "../../ipc.socket" {
		t.Errorf("the component gets %s", got)
	}
	f.connect(f.external("com.test.B", "{}"))
	if s := f.status("com.test.A"); s.State != StateRunning || s.Restarts != 0 {
		t.Errorf("status %+v", s)
	}
	alias := f.core.SocketPath()
	must.OK(t, f.core.Close(f.ctx))
	if _, err := os.Lstat(filepath.Dir(filepath.Dir(alias))); !os.IsNotExist(err) {
		t.Errorf("the short path is left behind: %v", err)
	}
}

func TestOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"nucleus lite has no shadow manager": {Root: t.TempDir(), Mode: Lite, ShadowManager: true},
		"a root directory is required":       {},
		"make root":                          {Root: "/dev/null/x"},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for addr, want := range map[string]string{"0.0.0.0:0": "not on loopback", "nonsense": "broker address", "example.com:1": "not on loopback"} {
		c, err := New(Options{Root: t.TempDir(), BrokerAddr: addr})
		must.OK(t, err)
		if err := c.Start(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("broker on %s: %v, want %s", addr, err, want)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
