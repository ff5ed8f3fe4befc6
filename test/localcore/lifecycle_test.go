package localcore

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edgepdm/test/localcore/nucleus"
	"edgepdm/test/must"
)

// trace records the states of all components.
type trace struct {
	mu     sync.Mutex
	states map[string][]State
	order  []string // "name state"
}

func (tr *trace) note(name string, _, to State) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.states == nil {
		tr.states = make(map[string][]State)
	}
	tr.states[name] = append(tr.states[name], to)
	tr.order = append(tr.order, name+" "+string(to))
}

func (tr *trace) of(name string) []State {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.states[name])
}

// clock is set by the test.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fifo makes a named pipe in a component's work directory, made early: opening it for writing waits for the component to
// read, which is how tests talk to scripts without sleeping.
func (f *fixture) fifo(component, name string) string {
	f.t.Helper()
	path := filepath.Join(f.root, "work", component, name)
	must.OK(f.t, os.MkdirAll(filepath.Dir(path), 0o700))
	must.OK(f.t, syscall.Mkfifo(path, 0o600))
	return path
}

// tell writes to a fifo once a script reads it.
func (f *fixture) tell(fifo, text string) {
	f.t.Helper()
	must.OK(f.t, os.WriteFile(fifo, []byte(text), 0))
}

// hear waits for a line that a script writes to a fifo.
func (f *fixture) hear(fifo string) string {
	f.t.Helper()
	text := must.Read(f.t, fifo)
	return strings.TrimSpace(string(text))
}

// gone waits until nothing of a process group is alive; what is left may be a zombie that nobody reaps.
func gone(t *testing.T, pgid int) {
	t.Helper()
	eventually(t, fmt.Sprintf("process group %d ends", pgid), func() bool {
		stats, err := filepath.Glob("/proc/[0-9]*/stat")
		must.OK(t, err)
		for _, file := range stats {
			stat, err := os.ReadFile(file)
			_, rest, _ := strings.Cut(string(stat), ") ")
			if f := strings.Fields(rest); err == nil && len(f) > 2 && f[2] == fmt.Sprint(pgid) && f[0] != "Z" {
				return false
			}
		}
		return true
	})
}

func TestLifecycleStates(t *testing.T) {
	for _, c := range []struct {
		name, lifecycle string
		want            []State
		exit            string
	}{
		{"runs", `{install: "true", run: exec sleep 1000}`, []State{StateInstalled, StateStarting, StateRunning}, "exit status 0"},
		{"finishes", `{run: "exit 0"}`, []State{StateInstalled, StateStarting, StateRunning, StateStopping, StateFinished}, "exit status 0"},
		{"only installs", `{install: "true"}`, []State{StateInstalled, StateStarting, StateFinished}, "exit status 0"},
		{"install fails", `{install: "exit 3", run: exec sleep 1000}`, []State{StateErrored, StateNew, StateErrored, StateNew, StateBroken}, "exit status 3"},
		{"install takes too long", `{install: {Script: exec sleep 1000, Timeout: 0.05}, run: "true"}`,
			[]State{StateErrored, StateNew, StateErrored, StateNew, StateBroken}, "signal: terminated"},
		{"run crashes", `{run: "kill -KILL $$"}`, []State{StateInstalled, StateStarting, StateRunning,
			StateErrored, StateStopping, StateInstalled, StateStarting, StateRunning,
			StateErrored, StateStopping, StateInstalled, StateStarting, StateRunning, StateBroken}, "signal: killed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := &trace{}
			f := newFixture(t, func(o *Options) { o.OnState = tr.note })
			last := c.want[len(c.want)-1]
			err := f.tryDeploy(staged{name: "com.test.A", lifecycle: c.lifecycle})
			if c.want[0] == StateErrored && (err == nil || !strings.Contains(err.Error(), "BROKEN")) {
				t.Errorf("deploy: %v, want BROKEN", err)
			} else if c.want[0] != StateErrored && err != nil && last != StateBroken {
				t.Fatal(err)
			}
			f.waitState("com.test.A", last)
			if got := tr.of("com.test.A"); !slices.Equal(got, c.want) {
				t.Errorf("states %v\nwant   %v", got, c.want)
			}
			if s := f.status("com.test.A"); s.LastExit != c.exit && strings.Contains(c.lifecycle, "install") || s.State != last {
				t.Errorf("status %+v, want %s after %q", s, last, c.exit)
			}
		})
	}
}

// BROKEN needs three errors out of RUNNING of which each came within the window after the one before.
func TestBrokenRule(t *testing.T) {
	for _, c := range []struct {
		gaps []time.Duration // between errors
		want State
	}{
		{[]time.Duration{59 * time.Minute, 59 * time.Minute}, StateBroken},
		{[]time.Duration{0, 0}, StateBroken},
		{[]time.Duration{time.Hour, 0}, StateRunning},
		{[]time.Duration{0, time.Hour}, StateRunning},
		{[]time.Duration{0, time.Hour, 30 * time.Minute, 30 * time.Minute}, StateBroken},
	} {
		t.Run(fmt.Sprint(c.gaps), func(t *testing.T) {
			ck := &clock{now: time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC)}
			f := newFixture(t, func(o *Options) { o.Now = ck.Now })
			crash := f.fifo("com.test.A", "crash")
			f.deploy(staged{name: "com.test.A", lifecycle: `{run: "until read line < crash; do :; done; exit 1"}`})
			for i := 0; ; i++ {
				comp, _ := f.core.component("com.test.A")
				seen := comp.seen()
				f.tell(crash, "now\n")
				last := i == len(c.gaps)
				want := StateRunning
				if last {
					want = c.want
				}
				if err := f.core.wait(f.ctx, comp, seen, want); err != nil {
					t.Fatalf("after error %d: %v", i+1, err)
				}
				if last {
					break
				}
				ck.advance(c.gaps[i])
			}
			if s := f.status("com.test.A"); s.State != c.want || s.LastExit != "exit status 1" {
				t.Errorf("status %+v, want %s", s, c.want)
			}
		})
	}
}

func TestBrokenIsTakenUpByDeploymentAndRestart(t *testing.T) {
	f := newFixture(t, nil)
	a := staged{name: "com.test.A", lifecycle: `{run: "test -e ok || exit 1; exec sleep 1000"}`}
	if err := f.tryDeploy(a); err != nil {
		t.Log("deploy:", err) // it may be BROKEN before or after the deployment looks
	}
	f.waitState(a.name, StateBroken)
	if err := f.core.WaitState(f.ctx, a.name, StateRunning); err == nil && f.status(a.name).State == StateBroken {
		t.Error("waiting for a BROKEN component to run must fail")
	}
	if err := f.core.StopComponent(f.ctx, a.name); err != nil || f.status(a.name).State != StateBroken {
		t.Errorf("stop of a BROKEN component: %v, %+v", err, f.status(a.name))
	}
	f.write(filepath.Join(f.root, "work", a.name, "ok"), "")
	f.deploy(a)
	if s := f.status(a.name); s.State != StateRunning {
		t.Errorf("status after deployment %+v", s)
	}
	pid := f.status(a.name).PID
	must.OK(t, f.core.RestartComponent(f.ctx, a.name))
	gone(t, pid)
	if s := f.status(a.name); s.State != StateRunning || s.PID == pid || s.Restarts != 4 {
		t.Errorf("status after restart %+v, was pid %d", s, pid)
	}
}

func TestStop(t *testing.T) {
	for _, c := range []struct{ name, run, exit string }{
		{"obeys SIGTERM", `exec sleep 1000`, "signal: terminated"},
		{"cleans up on SIGTERM", `trap "exit 0" TERM; echo > ready; while :; do sleep 1000 & wait; done`, "exit status 0"},
		{"ignores SIGTERM", `trap "" TERM; echo > ready; exec sleep 1000`, "signal: killed"},
		{"leaves a child that ignores SIGTERM", `(trap "" TERM; echo > ready; exec sleep 1000) & wait`, "signal: terminated"},
		{"has a process outside its group that holds the output open", `setsid sleep 3 & echo > ready; wait`, "signal: terminated"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, func(o *Options) { o.StopTimeout = 100 * time.Millisecond })
			ready := f.fifo("com.test.A", "ready")
			f.deploy(staged{name: "com.test.A", lifecycle: "{run: '" + c.run + "'}"})
			if strings.Contains(c.run, "ready") {
				f.hear(ready)
			}
			pid := f.status("com.test.A").PID
			must.OK(t, f.core.StopComponent(f.ctx, "com.test.A"))
			if s := f.status("com.test.A"); s.State != StateFinished || s.PID != 0 || s.LastExit != c.exit {
				t.Errorf("status %+v, want exit %q", s, c.exit)
			}
			gone(t, pid)
		})
	}
}

func TestCloseStopsInReverseOrderAndHurries(t *testing.T) {
	tr := &trace{}
	f := newFixture(t, func(o *Options) { o.OnState, o.StopTimeout = tr.note, time.Hour })
	ready := f.fifo("com.test.A", "ready")
	dep := `{com.test.%s: {VersionRequirement: "*", DependencyType: %s}}`
	f.deploy(
		staged{name: "com.test.C", deps: fmt.Sprintf(dep, "B", "HARD")},
		staged{name: "com.test.B", deps: fmt.Sprintf(dep, "A", "SOFT")},
		staged{name: "com.test.A", lifecycle: `{run: 'trap "" TERM; echo > ready; exec sleep 1000'}`})
	f.hear(ready)
	var pids []int
	var names []string
	for _, s := range f.core.Components() {
		pids, names = append(pids, s.PID), append(names, s.Name)
	}
	if want := []string{"com.test.A", "com.test.B", "com.test.C"}; !slices.Equal(names, want) {
		t.Errorf("started %v, want %v", names, want)
	}
	hurry, cancel := context.WithCancel(f.ctx)
	comp, _ := f.core.component("com.test.A")
	seen := comp.seen()
	closed := make(chan error)
	go func() { closed <- f.core.Close(hurry) }()
	must.OK(t, f.core.wait(f.ctx, comp, seen, StateStopping)) // an hour of patience has begun
	cancel()
	must.OK(t, <-closed)
	for _, pid := range pids {
		gone(t, pid)
	}
	var stops []string
	for _, e := range tr.order {
		if name, ok := strings.CutSuffix(e, " STOPPING"); ok {
			stops = append(stops, name)
		}
	}
	if want := []string{"com.test.C", "com.test.B", "com.test.A"}; !slices.Equal(stops, want) {
		t.Errorf("stopped %v, want %v", stops, want)
	}
}

// environment reads what the run step wrote with "env > env.txt".
func (f *fixture) environment(name string) map[string]string {
	f.t.Helper()
	f.waitState(name, StateFinished)
	text := must.Read(f.t, filepath.Join(f.root, "work", name, "env.txt"))
	got := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
		if k != "PWD" && k != "_" && k != "SHLVL" && k != "OLDPWD" { // the shell's own
			got[k] = v
		}
	}
	return got
}

func TestEnvironment(t *testing.T) {
	t.Setenv("SECRET_OF_THE_HOST", "x")
	f := newFixture(t, func(o *Options) { o.ThingName, o.Region = "thing", "eu-west-1" })
	f.deploy(staged{name: "com.test.A", config: "{n: 7}",
		lifecycle: `{Setenv: {FROM_LIFECYCLE: "1", BOTH: lifecycle}, run: {Script: "env > env.txt; ls -ld . > mode.txt", Setenv: {FROM_STEP: "{configuration:/n}", BOTH: step}}}`})
	got := f.environment("com.test.A")
	want := strings.Fields(`AWS_CONTAINER_AUTHORIZATION_TOKEN AWS_DEFAULT_REGION AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH
		AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT AWS_IOT_THING_NAME AWS_REGION AWS_USE_FIPS_ENDPOINT BOTH
		FROM_LIFECYCLE FROM_STEP GGC_VERSION GG_ROOT_CA_PATH HOME LANG PATH SVCUID USER`)
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
		t.Errorf("the environment has %v\nwant %v", keys, want)
	}
	socket := filepath.Join(f.root, "ipc.socket")
	for k, v := range map[string]string{"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1", "AWS_IOT_THING_NAME": "thing",
		"BOTH": "step", "FROM_STEP": "7", "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH": socket, nucleus.SocketVariable: socket,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN": got["SVCUID"]} {
		if got[k] != v {
			t.Errorf("%s is %q, want %q", k, got[k], v)
		}
	}
	if len(got["SVCUID"]) != 16 {
		t.Errorf("SVCUID is %q", got["SVCUID"])
	}
	if mode, err := os.ReadFile(filepath.Join(f.root, "work/com.test.A/mode.txt")); err != nil || !strings.HasPrefix(string(mode), "drwx------") {
		t.Errorf("work directory: %s, %v", mode, err)
	}
}

func TestTokensDieWithTheirProcess(t *testing.T) {
	f := newFixture(t, nil)
	out := f.fifo("com.test.A", "token")
	f.deploy(staged{name: "com.test.A", config: allowAll, lifecycle: `{run: 'echo $SVCUID > token; exec sleep 1000'}`})
	first := f.hear(out)
	c := f.connect(first)
	c.subscribe(1, "SubscribeToTopic", `{"topic":"x"}`)
	restarted := make(chan error)
	go func() { restarted <- f.core.RestartComponent(f.ctx, "com.test.A") }()
	c.expect("closed")
	second := f.hear(out)
	must.OK(t, <-restarted)
	if first == second {
		t.Error("a new start must have a new token")
	}
	c = f.dial()
	c.send(`4 0 0 version=0.1.0 | {"authToken":"` + first + `"}`)
	c.expect("5 0 0")
	c.expect("closed")
	f.connect(second)
}

func TestUpdateState(t *testing.T) {
	tr := &trace{}
	f := newFixture(t, func(o *Options) { o.OnState = tr.note })
	out := f.fifo("com.test.A", "token")
	f.deploy(staged{name: "com.test.A", lifecycle: `{run: 'echo $SVCUID > token; exec sleep 1000'}`})
	c := f.connect(f.hear(out))
	for i, c2 := range []struct{ payload, want string }{
		{`{"state":"RUNNING"}`, `model=UpdateStateResponse | {}`}, // it is RUNNING: no more than a warning
		{`{"state":"FINISHED"}`, `model=ServiceError | {` + unsupportedText + `,"_errorCode":"ServiceError"}`},
		{`{}`, `model=ServiceError | {` + unsupportedText + `,"_errorCode":"ServiceError"}`},
	} {
		kind := "1 2"
		if strings.HasPrefix(c2.want, "model=UpdateState") {
			kind = "0 2"
		}
		if got, want := c.call(i+1, "UpdateState", c2.payload), fmt.Sprintf("%s %d %s", kind, i+1, c2.want); got != want {
			t.Errorf("%s: got %s, want %s", c2.payload, got, want)
		}
	}
	pid := f.status("com.test.A").PID
	comp, _ := f.core.component("com.test.A")
	seen := comp.seen()
	c.send(`0 0 4 op=UpdateState | {"state":"ERRORED"}`)
	f.hear(out) // it was started again
	must.OK(t, f.core.wait(f.ctx, comp, seen, StateRunning))
	gone(t, pid)
	want := []State{StateErrored, StateStopping, StateInstalled, StateStarting, StateRunning}
	if got := tr.of("com.test.A")[seen-2:]; !slices.Equal(got[len(got)-5:], want) {
		t.Errorf("states %v, want %v", got, want)
	}
}

func TestLogFile(t *testing.T) {
	f := newFixture(t, nil)
	f.deploy(staged{name: "com.test.A", lifecycle: `{install: "echo one", run: {Script: "echo '  two words '; echo; echo bad >&2; printf %070000d 5"}}`})
	f.waitState("com.test.A", StateFinished)
	text := must.Read(t, filepath.Join(f.root, "logs", "com.test.A.log"))
	const stamp = `(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z `
	for _, want := range []string{
		`\[INFO\] \(Copier\) com\.test\.A: stdout\. one\. \{scriptName=services\.com\.test\.A\.lifecycle\.install, serviceName=com\.test\.A, currentState=NEW\}$`,
		`\[INFO\] \(Copier\) com\.test\.A: stdout\. two words\. \{scriptName=services\.com\.test\.A\.lifecycle\.run\.Script, serviceName=com\.test\.A, currentState=(STARTING|RUNNING)\}$`,
		`\[WARN\] \(Copier\) com\.test\.A: stderr\. bad\. \{`,
		`\[INFO\] \(Copier\) com\.test\.A: stdout\. 0{65536}\. `,
		`\[INFO\] \(Copier\) com\.test\.A: stdout\. 0{4463}5\. `,
	} {
		if len(want) > 200 || strings.Contains(want, "65536") { // RE2 repeats at most 1000 times
			continue
		}
		if !regexp.MustCompile(stamp + strings.NewReplacer("0{4463}", "0+").Replace(want)).Match(text) {
			t.Errorf("the log lacks %s", want)
		}
	}
	if n := strings.Count(string(text), "0000005. "); n != 1 || strings.Contains(string(text), strings.Repeat("0", maxLogLine+1)) {
		t.Errorf("the long line must be cut: %d", n)
	}
}

func TestUsage(t *testing.T) {
	f := newFixture(t, nil)
	done := f.fifo("com.test.A", "done")
	f.deploy(staged{name: "com.test.A", lifecycle: `{run: 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo > done; exec sleep 1000'}`})
	f.hear(done)
	s := f.status("com.test.A")
	if s.PeakRSS < 100<<10 || s.PeakRSS > 1<<30 || s.CPU <= 0 {
		t.Errorf("usage while it runs: %+v", s)
	}
	must.OK(t, f.core.StopComponent(f.ctx, "com.test.A"))
	if after := f.status("com.test.A"); after.PeakRSS < 100<<10 || after.CPU <= 0 || after.PID != 0 {
		t.Errorf("usage after it ran: %+v", after)
	}
}
