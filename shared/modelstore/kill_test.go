package modelstore

import (
	"bufio"
	"cmp"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/modelstore/internal/disk"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
)

// envKillDir is set in the environment of a child process: the folder with its inbox and its store.
const envKillDir = "MODELSTORE_KILL_DIR"

func killOptions(t testing.TB) Options {
	return Options{Keys: []ed25519.PublicKey{modeltest.PublicOf(modeltest.Key(t, 1))}, Now: modeltest.Now}
}

// TestKill kills a process that takes, activates, holds, promotes, rejects and rolls back models, again and again, and checks
// after each kill that the active model is the one that was reported last, or the one that was about to become it, and the
// candidate likewise.
func TestKill(t *testing.T) {
	executable, err := os.Executable()
	must.OK(t, err)
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(21, 22))
	rounds := 15
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		said := runKilled(t, executable, dir, 1+random.IntN(20))
		s, err := OpenStore(filepath.Join(dir, "store"), killOptions(t))
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		_ = state(t, s) // that what is there loads
		current, _ := s.Current()
		if got := cmp.Or(current.Manifest.Version, "-"); got != said["active"] && got != said["begun"] {
			t.Fatalf("round %d: %s is active; %v", round, got, said)
		}
		held, _ := s.Candidate()
		if got := cmp.Or(held.Manifest.Version, "-"); got != said["held"] && got != said["holding"] {
			t.Fatalf("round %d: %s is held; %v", round, got, said)
		}
		tidyKilled(t, s)
		for _, e := range s.Quarantined() {
			if !e.Reason.unproven() {
				t.Fatalf("round %d: %+v", round, e)
			}
		}
		must.OK(t, s.Close())
	}
}

// tidyKilled is tidy, but for the attempt that a killed process did not end.
func tidyKilled(t *testing.T, s *Store) {
	t.Helper()
	if err := os.Remove(s.path(attemptFile)); err != nil && !disk.Missing(err) {
		t.Fatal(err)
	}
	tidy(t, s)
}

// runKilled starts a child and kills it after so many of its reports. It returns the models that it reported last: active and
// held, and begun and holding, which were to become that.
func runKilled(t *testing.T, executable, dir string, reports int) (said map[string]string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), executable, "-test.run", "^TestKillChild$")
	child.Env = append(os.Environ(), envKillDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	must.OK(t, err)
	must.OK(t, child.Start())
	said = make(map[string]string)
	lines := bufio.NewScanner(out)
	for n := 1; lines.Scan(); n++ {
		var verb, version string
		if _, err := fmt.Sscan(lines.Text(), &verb, &version); err != nil {
			t.Fatalf("child: %s", lines.Text())
		}
		switch said[verb] = version; verb {
		case "active":
			said["begun"] = version
		case "held":
			said["holding"] = version
		case "begun", "holding":
		default:
			t.Fatalf("child: %s", lines.Text())
		}
		if n == reports+1 { // it goes on while the signal is on its way, and what it reports until then counts
			must.OK(t, child.Process.Kill())
		}
	}
	if err := child.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("child: %v", err)
	}
	return said
}

// TestKillChild is the process that is killed. It takes one new version after the other, each of them delivered by itself,
// and rolls every third one back. Every fourth is held first, and then promoted, rejected, or left until the next takes its place.
func TestKillChild(t *testing.T) {
	dir := os.Getenv(envKillDir)
	if dir == "" {
		t.Skip("runs as a child of TestKill")
	}
	say := func(verb string, i Installed) {
		version := i.Manifest.Version
		if version == "" {
			version = "-"
		}
		if _, err := fmt.Println(verb, version); err != nil {
			os.Exit(1)
		}
	}
	box := inbox.Inbox{Dir: filepath.Join(dir, "inbox")}
	s, err := OpenStore(filepath.Join(dir, "store"), killOptions(t))
	must.OK(t, err)
	current, _ := s.Current()
	say("active", current)
	held, _ := s.Candidate()
	say("held", held)
	highest := patch(held.Manifest.Version) // of the versions that were ever tried
	for _, e := range s.Quarantined() {
		highest = max(highest, patch(e.Version))
	}
	key := modeltest.Key(t, 1)
	for n := max(highest, patch(current.Manifest.Version)) + 1; n < 10_000; n++ { // should the parent be gone, it ends
		p := modeltest.Publish(t, modeltest.TinyModel, fmt.Sprintf("1.0.%d", n))
		d, err := box.Begin(fmt.Sprintf("d%d-%d", os.Getpid(), n))
		must.OK(t, err)
		sealed, err := envelope.Sign(p.Manifest, key)
		must.OK(t, err)
		modeltest.Write(t, d.Dir, envelope.EnvelopeFile, sealed)
		modeltest.Write(t, d.Dir, inbox.ArchiveFile, p.Archive)
		must.OK(t, d.Commit())
		c, err := s.Take(*d)
		must.OK(t, err)
		if current, ok := s.Current(); ok && n%4 == 0 {
			say("holding", c.Installed)
			must.OK(t, s.Hold(c))
			say("held", c.Installed)
			must.OK(t, box.Remove(d.ID))
			switch n % 12 {
			case 0:
				say("holding", Installed{})
				say("begun", c.Installed)
				must.OK(t, s.Promote())
				say("active", c.Installed)
				say("held", Installed{})
			case 4:
				say("holding", Installed{})
				must.OK(t, s.Reject("test"))
				say("held", Installed{})
				say("active", current)
			}
			continue
		}
		say("holding", Installed{})
		say("begun", c.Installed)
		must.OK(t, s.Activate(c))
		say("active", c.Installed)
		say("held", Installed{})
		if previous, ok := s.Previous(); ok && n%3 == 0 {
			say("begun", previous)
			back, err := s.Rollback("test")
			must.OK(t, err)
			say("active", back)
		}
		must.OK(t, box.Remove(d.ID))
	}
}

// patch returns the last number of a version, 0 of none.
func patch(version string) int {
	n, _ := strconv.Atoi(version[strings.LastIndexByte(version, '.')+1:])
	return n
}
