package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/test/cloudtest"
	"edgepdm/test/coretest"
	"edgepdm/test/lifemodel"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// The program is killed in the middle of the downloads of both roles. Both go on when it is started again, and each has a
// record of its own, which status shows.
func TestAKillDuringBothDownloads(t *testing.T) {
	need.Long(t)
	program := coretest.Build(t)
	cloud := cloudtest.Start(t)
	ends := cloud.Endpoints()
	key, err := envelope.GenerateKey(nil)
	must.OK(t, err)
	archives := map[event.Role][]byte{}
	for i, role := range []event.Role{"", event.RoleLife} {
		archives[role] = make([]byte, 20*mega)
		if _, err := rand.NewChaCha8([32]byte{byte(i + 1)}).Read(archives[role]); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, cloud, key, archives[""])
	m, _ := lifemodel.Publish(t, "2.0.0", time.Now().UTC().Truncate(time.Second))
	sum := sha256.Sum256(archives[event.RoleLife])
	m.Archive = envelope.Archive{SHA256: hex.EncodeToString(sum[:]), Size: 20 * mega}
	sealed, err := envelope.Sign(m, key)
	must.OK(t, err)
	cloudtest.Put(t, cloud, archives[event.RoleLife], "models/life", "2.0.0", inbox.ArchiveFile)
	cloudtest.Put(t, cloud, sealed, "models/life", envelope.EnvelopeFile)

	line := newLine(t, strings.TrimPrefix(ends.S3, "http://"), 20*mega)
	core := coretest.Start(t)
	env := coretest.Environment(t, core, name, "model-fetcher", slog.New(slog.DiscardHandler))
	coretest.Configure(t, core, name, map[string]any{
		"bucket": ends.Bucket, "lifePrefix": "models/life",
		"publicKeys": []any{base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))},
		"endpoints":  map[string]any{"s3": "http://" + line.address},
	})
	events := coretest.Subscribe(t, coretest.Client(t, core), event.ModelTopic(event.ModelDelivered))
	coretest.Setenv(&env, cloudtest.Environment(cloud))
	var more []string
	for name, value := range cloudtest.Environment(cloud) {
		more = append(more, name+"="+value)
	}
	first := coretest.StartProgram(t, env, more, program)
	box := inbox.Inbox{Dir: filepath.Join(env.WorkDir, "inbox")}
	awaitBoth(t, box)
	must.OK(t, first.Process.Kill())
	_ = first.Wait()
	line.mend()
	coretest.StartProgram(t, env, more, program)
	heard := map[string]event.Role{}
	for timeout := time.After(patience); len(heard) < 2; {
		select {
		case m := <-events.Events():
			e, err := event.DecodeModelEvent(m.Payload)
			must.OK(t, err)
			heard[e.Name] = e.Role
		case <-timeout:
			t.Fatalf("delivered are %v", heard)
		}
	}
	if heard[lifemodel.Name] != event.RoleLife || heard["compressor"] != "" {
		t.Errorf("%v", heard)
	}
	ready, err := box.Ready()
	must.OK(t, err)
	for _, d := range ready {
		if got := must.Read(t, d.Path(inbox.ArchiveFile)); !bytes.Equal(got, archives[d.Role()]) {
			t.Errorf("%s: other bytes", d.ID)
		}
	}
	if len(ready) != 2 {
		t.Errorf("%d are ready", len(ready))
	}
	status := exec.Command(program, "status", "-dir", env.WorkDir, "-timeout", "1s") //nolint:gosec // the program under test
	out, _ := status.CombinedOutput()                                                // there is no engine to be asked
	for _, want := range []string{
		"last decision: compressor 1.0.0 delivered", "last decision of life models: tiny-life 2.0.0 delivered", "waits for the engine: tiny-life 2.0.0, 20971520 bytes (3 features, remaining life up to 100 hours",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("status says %s, want %q", out, want)
		}
	}
}

// awaitBoth waits until downloads of both roles are on disk in part.
func awaitBoth(t *testing.T, box inbox.Inbox) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		begun, err := box.Incoming()
		if err != nil || len(begun) != 2 {
			continue
		}
		under := 0
		for _, id := range begun {
			at, err := download.ReadStatus(filepath.Join(box.Dir, "incoming", id, inbox.ArchiveFile))
			if err == nil && at.Bytes > 0 {
				under++
			}
		}
		if under == 2 {
			return
		}
	}
	t.Fatal("the downloads do not come far enough")
}
