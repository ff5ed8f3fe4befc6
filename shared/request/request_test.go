package request

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"edgepdm/test/must"
)

const component = "com.edgepdm.Test"

// rig is a work directory whose component ran.
type rig struct {
	t      *testing.T
	work   string
	server *Server
	now    time.Time
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, work: t.TempDir(), now: time.Now()}
	r.server = r.newServer()
	if got := r.server.Take(); len(got) != 0 {
		t.Fatalf("taken are %v", got)
	}
	return r
}

func (r *rig) newServer() *Server {
	return NewServer(component, r.work, func() time.Time { return r.now }, slog.New(slog.DiscardHandler))
}

func (r *rig) call(command string, timeout time.Duration) Call {
	return Call{Component: component, WorkDir: r.work, Command: command, Timeout: timeout}
}

// start begins a call; the channel gets what came of it.
func (r *rig) start(c Call) <-chan result {
	done := make(chan result, 1)
	go func() {
		text, err := c.Do(r.t.Context())
		done <- result{text, err}
	}()
	return done
}

type result struct {
	text string
	err  error
}

// take waits for a request.
func (r *rig) take() *Request {
	r.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-tick.C {
		if got := r.server.Take(); len(got) == 1 {
			return got[0]
		}
	}
	r.t.Fatal("no request comes")
	return nil
}

// files returns what is in the folder.
func (r *rig) files() []string {
	r.t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.work, folder))
	must.OK(r.t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	must.OK(r.t, os.WriteFile(filepath.Join(r.work, folder, name), []byte(text), 0o600))
}

func TestACommandIsDoneAndAnswered(t *testing.T) {
	r := newRig(t)
	type arguments struct{ Thing string }
	a := r.call("paint", time.Minute)
	a.Arguments = arguments{"press-1"}
	var heard []string
	a.Progress = func(text string) { heard = append(heard, text) }
	done := r.start(a)
	q := r.take()
	var got arguments
	if err := q.Arguments(&got); err != nil || got.Thing != "press-1" || q.Command != "paint" || q.By == "" {
		t.Errorf("taken is %+v with %+v, %v", q, got, err)
	}
	if again := r.server.Take(); len(again) != 0 {
		t.Errorf("taken twice: %v", again)
	}
	q.Answer("it is \x1b[31mred\x07\nall of it", nil)
	if end := <-done; end.text != "it is  [31mred \nall of it" || end.err != nil {
		t.Errorf("%+v", end)
	}
	if left := r.files(); len(left) != 0 {
		t.Errorf("left are %v", left)
	}

	done = r.start(r.call("paint", time.Minute))
	r.take().Answer("", errors.New("there is no paint"))
	if end := <-done; end.err == nil || end.err.Error() != "there is no paint" {
		t.Errorf("%+v", end)
	}
	done = r.start(r.call("sing", time.Minute))
	r.take().Unknown()
	if end := <-done; end.err == nil || !strings.Contains(end.err.Error(), `com.edgepdm.Test does not know the command "sing"`) {
		t.Errorf("%+v", end)
	}
}

// A command that nobody takes is withdrawn: it must not be done when nobody expects it any more.
func TestACommandThatNobodyTakes(t *testing.T) {
	r := newRig(t)
	_, err := r.call("paint", time.Millisecond).Do(t.Context())
	if !errors.Is(err, ErrNotTaken) || !strings.Contains(err.Error(), "is it running") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.call("paint", time.Hour).Do(ctx); !errors.Is(err, ErrNotTaken) {
		t.Errorf("%v", err)
	}
	if left, taken := r.files(), r.server.Take(); len(left)+len(taken) != 0 {
		t.Errorf("left are %v, taken %v", left, taken)
	}

	keep := r.call("paint", time.Millisecond)
	keep.Keep = time.Hour
	if _, err := keep.Do(t.Context()); !errors.Is(err, ErrWaits) {
		t.Errorf("%v", err)
	}
	r.now = r.now.Add(59 * time.Minute)
	if taken := r.server.Take(); len(taken) != 1 {
		t.Errorf("taken are %v", taken)
	}
}

func TestACommandThatIsNotAnswered(t *testing.T) {
	r := newRig(t)
	told := make(chan string)
	a := r.call("paint", 500*time.Millisecond)
	a.Progress = func(text string) { told <- text }
	done := r.start(a)
	q := r.take()
	// Each word of the component makes it wait on.
	for _, text := range []string{"one wall", "two walls"} {
		q.Progress(text)
		if got := <-told; got != text {
			t.Errorf("heard %q", got)
		}
	}
	if end := <-done; !errors.Is(end.err, ErrNoAnswer) || !strings.Contains(end.err.Error(), "last word: two walls") {
		t.Errorf("%+v", end)
	}
}

// At most once: what a process took and did not answer is not done by the next one, which says so.
func TestARestartDoesNothingTwice(t *testing.T) {
	r := newRig(t)
	done := r.start(r.call("paint", time.Minute))
	r.take().Progress("one wall")
	r.server = r.newServer()
	if again := r.server.Take(); len(again) != 0 {
		t.Errorf("taken twice: %v", again)
	}
	end := <-done
	if end.err == nil || !strings.Contains(end.err.Error(), "may be done, or not") || !strings.Contains(end.err.Error(), "one wall") {
		t.Errorf("%+v", end)
	}

	// Killed between the answer and the end: the answer stands.
	done = r.start(r.call("paint", time.Minute))
	q := r.take()
	r.write(q.id+suffixAnswer, `{"v":1,"state":"done","text":"painted"}`)
	r.server = r.newServer()
	r.server.Take()
	if end := <-done; end.text != "painted" || end.err != nil {
		t.Errorf("%+v", end)
	}
	if left := r.files(); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
}

// What lies in the folder for whatever reason is not done.
func TestWhatIsNoRequest(t *testing.T) {
	r := newRig(t)
	encode := func(m message) string {
		text := must.JSON(t, m)
		return string(text)
	}
	for id, c := range map[string]struct{ text, why string }{
		"OLD":    {encode(message{V: format, ID: "OLD", Created: r.now.Add(-time.Hour), Valid: 60}), "expired"},
		"FUTURE": {encode(message{V: format, ID: "FUTURE", Created: r.now.Add(time.Hour), Valid: 60}), "expired"},
		"LONG":   {encode(message{V: format, ID: "LONG", Created: r.now.Add(-8 * 24 * time.Hour), Valid: 1 << 62}), "expired"},
		"NEWER":  {encode(message{V: format + 1, ID: "NEWER", Created: r.now, Valid: 60}), "format is 2"},
		"COPY":   {encode(message{V: format, ID: "OTHER", Created: r.now, Valid: 60}), "copy"},
		"TEXT":   {"paint", "read TEXT.taken"},
		"LARGE":  {strings.Repeat(" ", maxFile+1), "more than 16384 bytes"},
	} {
		r.write(id+suffixRequest, c.text)
		if taken := r.server.Take(); len(taken) != 0 {
			t.Errorf("%s: taken are %v", id, taken)
		}
		var a answer
		text, err := os.ReadFile(filepath.Join(r.work, folder, id+suffixAnswer))
		if err == nil {
			err = json.Unmarshal(text, &a)
		}
		if err != nil || a.State != stateFailed || !strings.Contains(a.Text, c.why) {
			t.Errorf("%s: answered %s, %v", id, text, err)
		}
	}
	must.OK(t, syscall.Mkfifo(filepath.Join(r.work, folder, "PIPE"+suffixRequest), 0o600))
	must.OK(t, os.Symlink("/etc/passwd", filepath.Join(r.work, folder, "LINK"+suffixRequest)))
	r.write("not an id"+suffixRequest, encode(message{V: format, ID: "not an id", Created: r.now, Valid: 60}))
	if taken := r.server.Take(); len(taken) != 0 {
		t.Errorf("taken are %v", taken)
	}
	// What nobody fetches goes.
	r.now = r.now.Add(2 * keepFor)
	r.server.Take()
	for _, name := range r.files() {
		if strings.HasSuffix(name, suffixAnswer) {
			t.Errorf("%s is left", name)
		}
	}
}

func TestManyRequestsAreTakenInTurn(t *testing.T) {
	r := newRig(t)
	for i := range maxTake + 1 {
		id := "R" + string(rune('A'+i))
		m := message{V: format, ID: id, Created: r.now, Valid: 60}
		text := must.JSON(t, m)
		r.write(id+suffixRequest, string(text))
	}
	if first, second := len(r.server.Take()), len(r.server.Take()); first != maxTake || second != 1 {
		t.Errorf("taken are %d, then %d", first, second)
	}
}

// A component that has not run has no folder, and none is made. A link does not lead root elsewhere.
func TestWhereNoComponentRan(t *testing.T) {
	work, other := t.TempDir(), t.TempDir()
	a := Call{Component: component, WorkDir: work, Command: "paint", Timeout: time.Minute}
	if _, err := a.Do(t.Context()); err == nil || !strings.Contains(err.Error(), "has not run there yet with an accepted configuration") {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(work); len(left) != 0 || err != nil {
		t.Errorf("left are %v, %v", left, err)
	}
	must.OK(t, os.Symlink(other, filepath.Join(work, folder)))
	if _, err := a.Do(t.Context()); err == nil {
		t.Error("a link to elsewhere was followed")
	}
	if left, err := os.ReadDir(other); len(left) != 0 || err != nil {
		t.Errorf("left are %v, %v", left, err)
	}
}

// Root's request belongs to the component's user.
func TestRootLeavesWhatTheComponentCanRead(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("takes root: it alone can give files away")
	}
	r := newRig(t)
	dir := filepath.Join(r.work, folder)
	must.OK(t, os.Chown(dir, 12345, 12346))
	a := r.call("paint", time.Millisecond)
	a.Keep = time.Hour
	if _, err := a.Do(t.Context()); !errors.Is(err, ErrWaits) {
		t.Fatal(err)
	}
	names := r.files()
	if len(names) != 1 {
		t.Fatalf("left are %v", names)
	}
	info, err := os.Stat(filepath.Join(dir, names[0]))
	must.OK(t, err)
	if owner := info.Sys().(*syscall.Stat_t); owner.Uid != 12345 || owner.Gid != 12346 || info.Mode().Perm() != 0o600 {
		t.Errorf("it belongs to %d:%d, mode %v", owner.Uid, owner.Gid, info.Mode())
	}
}
