package localcore

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/test/must"
)

// TestStopEndsIPCFirst: when a classic nucleus stops, connections break and tokens are refused before a component gets
// SIGTERM, and one that ends over it is not started again. On nucleus lite systemd stops the components first.
func TestStopEndsIPCFirst(t *testing.T) {
	for mode, want := range map[Mode]string{Classic: "refused", Lite: "accepted"} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			f := newFixture(t, func(o *Options) { o.Mode, o.StopGap = mode, 300*time.Millisecond })
			term, end := f.fifo("com.test.A", "term"), f.fifo("com.test.A", "end")
			f.deploy(staged{name: "com.test.A", lifecycle: `{run: 'trap "echo > term; read line < end; exit 0" TERM; while :; do sleep 0.01; done'}`},
				staged{name: "com.test.B", lifecycle: `{run: 'until test -e broken; do sleep 0.01; done; exit 1'}`})
			token := f.external("com.test.Ext", allowAll)
			c := f.connect(token)
			closed := make(chan error)
			go func() { closed <- f.core.Close(f.ctx) }()
			seen := "accepted"
			if mode == Classic {
				c.expect("closed")
				d := f.dial()
				d.send(`4 0 0 version=0.1.0 | {"authToken":"` + token + `"}`)
				if d.recv() == "5 0 0" && !f.core.KnowsToken(token) {
					seen = "refused"
				}
				f.write(filepath.Join(f.root, "work/com.test.B/broken"), "") // it gives up before its SIGTERM
			}
			f.hear(term)
			if mode == Lite {
				c.call(1, "GetConfiguration", "{}") // still answered, or this fails
			}
			f.tell(end, "now\n")
			must.OK(t, <-closed)
			if seen != want {
				t.Errorf("mode %d: a token is %s, want %s", mode, seen, want)
			}
			for _, s := range f.core.Components() {
				if s.State != StateFinished || s.Restarts != 0 {
					t.Errorf("status %+v", s)
				}
			}
		})
	}
}

// TestRemovalTakesPoliciesFirst: on a classic nucleus the last calls of a component that is removed are unauthorised.
func TestRemovalTakesPoliciesFirst(t *testing.T) {
	for mode, want := range map[Mode]string{Classic: "UnauthorizedError", Lite: "PublishToTopicResponse"} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			f := newFixture(t, func(o *Options) { o.Mode = mode })
			token, term, end := f.fifo("com.test.A", "token"), f.fifo("com.test.A", "term"), f.fifo("com.test.A", "end")
			f.deploy(staged{name: "com.test.A", config: allowAll,
				lifecycle: `{run: 'trap "echo > term; read line < end; exit 0" TERM; echo $SVCUID > token; while :; do sleep 0.01; done'}`})
			c := f.connect(f.hear(token))
			removed := make(chan error)
			go func() { removed <- f.core.Deploy(f.ctx, Deployment{Remove: []string{"com.test.A"}}) }()
			f.hear(term)
			got := c.call(1, "PublishToTopic", `{"topic":"x","publishMessage":{"binaryMessage":{"message":"MQ=="}}}`)
			if !strings.Contains(got, want) {
				t.Errorf("mode %d: %s, want %s", mode, got, want)
			}
			f.tell(end, "now\n")
			must.OK(t, <-removed)
		})
	}
}

// TestOfflineIoTCore: a classic core that is not provisioned has no connection to AWS, and says so.
func TestOfflineIoTCore(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Offline = true })
	c := f.connect(f.external("com.test.A", allowAll))
	for i, call := range []struct{ op, request, want string }{
		{"PublishToIoTCore", `{"topicName":"a","qos":"1","payload":"MQ=="}`, "Publish to topic a failed: Cannot publish because device is configured to run offline"},
		{"SubscribeToIoTCore", `{"topicName":"a","qos":"1"}`, "Device is not configured to connect to AWS"},
	} {
		if got := c.call(i+1, call.op, call.request); !strings.Contains(got, "model=ServiceError") || !strings.Contains(got, call.want) {
			t.Errorf("%s: %s", call.op, got)
		}
	}
	if _, err := New(Options{Root: filepath.Join(os.TempDir(), "never"), Mode: Lite, Offline: true}); err == nil {
		t.Error("nucleus lite is offline")
	}
}
