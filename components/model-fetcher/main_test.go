package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/test/cloudtest"
	"edgepdm/test/coretest"
	"edgepdm/test/localcloud"
	"edgepdm/test/must"
)

const (
	name     = "com.edgepdm.ModelFetcher"
	patience = time.Minute
	mega     = 1 << 20
)

// The program itself, as a nucleus starts it, is killed in the middle of a download, and goes on when it is started again.
func TestTheProgramSurvivesAKill(t *testing.T) {
	program := coretest.Build(t)
	cloud := cloudtest.Start(t)
	ends := cloud.Endpoints()
	key, err := envelope.GenerateKey(nil)
	must.OK(t, err)
	archive := make([]byte, 20*mega)
	if _, err := rand.NewChaCha8([32]byte{1}).Read(archive); err != nil {
		t.Fatal(err)
	}
	publish(t, cloud, key, archive)

	line := newLine(t, strings.TrimPrefix(ends.S3, "http://"), 10*mega)
	core := coretest.Start(t)
	env := coretest.Environment(t, core, name, "model-fetcher", slog.New(slog.DiscardHandler))
	coretest.Configure(t, core, name, map[string]any{
		"bucket": ends.Bucket, "publicKeys": []any{base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))},
		"endpoints": map[string]any{"s3": "http://" + line.address},
	})
	events := coretest.Subscribe(t, coretest.Client(t, core), event.ModelTopic(event.ModelDelivered))
	coretest.Setenv(&env, cloudtest.Environment(cloud))
	var more []string
	for name, value := range cloudtest.Environment(cloud) {
		more = append(more, name+"="+value)
	}
	start := func() *exec.Cmd { return coretest.StartProgram(t, env, more, program) }
	first := start()
	box := inbox.Inbox{Dir: filepath.Join(env.WorkDir, "inbox")}
	at := awaitBytes(t, box, 8*mega)
	must.OK(t, first.Process.Kill())
	_ = first.Wait()
	line.mend()
	second := start()
	select {
	case <-events.Events():
	case <-time.After(patience):
		t.Fatal("nothing is delivered")
	}
	ready, err := box.Ready()
	if err != nil || len(ready) != 1 {
		t.Fatalf("ready are %v, %v", ready, err)
	}
	if got, err := os.ReadFile(ready[0].Path(inbox.ArchiveFile)); err != nil || !bytes.Equal(got, archive) {
		t.Errorf("%d bytes of %d: %v", len(got), len(archive), err)
	}
	if rest := line.passed(); rest > 20*mega-at+mega {
		t.Errorf("%d bytes came after the kill; %d of %d were on disk", rest, at, len(archive))
	}
	must.OK(t, second.Process.Signal(os.Interrupt))
	if err := second.Wait(); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

// publish uploads a signed model, past the line.
func publish(t *testing.T, cloud *localcloud.Cloud, key ed25519.PrivateKey, archive []byte) {
	t.Helper()
	features := []string{"vibration"}
	sum := sha256.Sum256(archive)
	id := hex.EncodeToString(sum[:])
	now := time.Now()
	sealed, err := envelope.Sign(envelope.Manifest{
		Format: 1, Name: "compressor", Version: "1.0.0", Created: now, Expires: now.Add(time.Hour),
		Archive: envelope.Archive{SHA256: id, Size: int64(len(archive))}, Model: envelope.ModelFile{File: "model.ubj", SHA256: id, Size: 1},
		Objective: "binary:logistic", Features: features, Schema: event.SchemaOf(features), Threshold: 0.5, Trainer: "xgboost 3.0.5",
		Golden: []envelope.GoldenRow{{Values: event.Values{1}, Margin: 0.25}},
	}, key)
	must.OK(t, err)
	cloudtest.Put(t, cloud, archive, fetcher.Default().Prefix, "1.0.0", inbox.ArchiveFile)
	cloudtest.Put(t, cloud, sealed, fetcher.Default().Prefix, envelope.EnvelopeFile)
}

// awaitBytes waits until so many bytes of the download are on disk, and returns how many are.
func awaitBytes(t *testing.T, box inbox.Inbox, n int64) int64 {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		begun, err := box.Incoming()
		if err != nil || len(begun) != 1 {
			continue
		}
		at, err := download.ReadStatus(filepath.Join(box.Dir, "incoming", begun[0], inbox.ArchiveFile))
		if err == nil && at.Bytes >= n {
			return at.Bytes
		}
	}
	t.Fatal("the download does not come far enough")
	return 0
}

// line passes TCP on, and stops in the middle of what comes back until it is mended.
type line struct {
	address string

	mu    sync.Mutex
	moved *sync.Cond
	left  int64 // bytes that may pass; -1 = all
	count int64 // bytes that passed since the line was mended
}

func newLine(t *testing.T, target string, n int64) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must.OK(t, err)
	l := &line{address: listener.Addr().String(), left: n}
	l.moved = sync.NewCond(&l.mu)
	var working sync.WaitGroup
	working.Go(func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			working.Go(func() { l.pass(in, target) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.mend()
		working.Wait()
	})
	return l
}

func (l *line) pass(in net.Conn, target string) {
	defer func() { _ = in.Close() }()
	out, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.Close()
	}()
	_, _ = io.Copy(in, gate{l, out})
}

// gate lets bytes through while the line does.
type gate struct {
	line *line
	r    io.Reader
}

func (g gate) Read(p []byte) (int, error) {
	l := g.line
	l.mu.Lock()
	for l.left == 0 {
		l.moved.Wait()
	}
	if l.left > 0 {
		p = p[:min(int64(len(p)), l.left)]
	}
	l.mu.Unlock()
	n, err := g.r.Read(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left > 0 {
		l.left = max(l.left-int64(n), 0)
	} else {
		l.count += int64(n)
	}
	return n, err
}

// mend lets everything through, and begins to count.
func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left >= 0 {
		l.left, l.count = -1, 0
	}
	l.moved.Broadcast()
}

func (l *line) passed() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}
