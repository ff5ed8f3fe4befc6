package localcore

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/metrics"
	"syscall"
	"testing"
	"time"

	"edgepdm/shared/ipc/eventstream"
	"edgepdm/test/must"
)

// repaired makes the CRCs right of as many frames as data is made of, so that a changed byte reaches what is behind them.
func repaired(data []byte) []byte {
	out := append([]byte(nil), data...)
	for rest := out; len(rest) >= 16; {
		total := binary.BigEndian.Uint32(rest)
		if total < 16 || int64(total) > int64(len(rest)) {
			break
		}
		frame := rest[:total]
		binary.BigEndian.PutUint32(frame[8:], crc32.ChecksumIEEE(frame[:8]))
		end := len(frame) - crc32.Size
		binary.BigEndian.PutUint32(frame[end:], crc32.ChecksumIEEE(frame[:end]))
		rest = rest[total:]
	}
	return out
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func FuzzRequestClassic(f *testing.F) { fuzzRequest(f, Options{ShadowManager: true}) }

func FuzzRequestLite(f *testing.F) { fuzzRequest(f, Options{Mode: Lite}) }

// fuzzRequest sends bytes after an accepted CONNECT. Whatever they are, the server goes on, sends nothing but whole
// frames, closes the connection when the client has said all, and takes memory within bounds.
func fuzzRequest(f *testing.F, o Options) {
	configuration := map[string]any{"n": int64(5), "deep": map[string]any{"leaf": "x"}}
	recipe := filepath.Join(f.TempDir(), "recipe.yaml")
	must.OK(f, os.WriteFile(recipe, []byte(staged{name: "com.test.A", config: allowAll}.recipe()), 0o600))
	o.Root, o.QueueBytes = f.TempDir(), 1<<20
	core, err := New(o)
	must.OK(f, err)
	must.OK(f, core.Start(f.Context()))
	f.Cleanup(func() {
		if err := core.Close(context.Background()); err != nil {
			f.Error(err)
		}
	})
	env, err := core.AddExternal("com.test.A", recipe)
	must.OK(f, err)
	f.Fuzz(func(t *testing.T, repair bool, data []byte) {
		if repair {
			data = repaired(data)
		}
		core.store.Replace("com.test.A", configuration, time.Now().UnixMilli())
		before := allocated()

		nc, err := net.Dial("unix", core.SocketPath())
		must.OK(t, err)
		defer nc.Close()
		must.OK(t, nc.SetDeadline(time.Now().Add(patience)))
		connect, err := eventstream.Append(nil, &eventstream.Message{Type: eventstream.Connect, Version: eventstream.Version,
			Payload: []byte(`{"authToken":"` + env["SVCUID"] + `"}`)})
		must.OK(t, err)
		sent := make(chan struct{})
		go func() { // the server may answer, or close, before it has read everything
			defer close(sent)
			_, _ = nc.Write(append(connect, data...))
			_ = nc.(*net.UnixConn).CloseWrite()
		}()
		decoder := eventstream.NewDecoder(nc, eventstream.MaxFrame)
		var m eventstream.Message
		frames := 0
		for ; ; frames++ {
			if err = decoder.Decode(&m); err != nil {
				break
			}
		}
		<-sent
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after %d frames: %v", frames, err)
		}
		// Each byte of JSON may become a value with its bookkeeping, and each frame an event for each subscription before. A
		// frame of the largest size may be announced.
		if used, most := allocated()-before, uint64(4<<20+core.traits.MaxFrame+1000*len(data)); used > most {
			t.Errorf("%d bytes of input took %d bytes of memory, more than %d", len(data), used, most)
		}
	})
}
