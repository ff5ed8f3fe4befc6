package localcore

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/test/must"
)

// TestCLI: greengrass-cli may use local topics until the first deployment.
func TestCLI(t *testing.T) {
	f := newFixture(t, nil)
	must.OK(t, f.core.AddCLI())
	files, err := filepath.Glob(filepath.Join(f.root, "cli_ipc_info", "user-*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	text := must.Read(t, files[0])
	var info struct {
		Token  string `json:"cli_auth_token"`
		Socket string `json:"domain_socket_path"`
	}
	if err := json.Unmarshal(text, &info); err != nil || info.Socket != f.core.SocketPath() {
		t.Fatalf("%s, %v", text, err)
	}
	c := f.connect(info.Token)
	publish := `{"topic":"x","publishMessage":{"binaryMessage":{"message":"MQ=="}}}`
	if got := c.call(1, "PublishToTopic", publish); got != "0 2 1 model=PublishToTopicResponse | {}" {
		t.Errorf("before a deployment: %s", got)
	}
	f.deploy(staged{name: "com.test.A"})
	if got := c.call(2, "PublishToTopic", publish); !strings.Contains(got, "UnauthorizedError") {
		t.Errorf("after a deployment: %s", got)
	}
	if got := c.call(3, "GetConfiguration", `{"componentName":"com.test.A"}`); !strings.HasPrefix(got, "0 2 3 ") {
		t.Errorf("the token is not good any more: %s", got)
	}
	g := newLite(t)
	if err := g.AddCLI(); err == nil {
		t.Error("nucleus lite has a CLI principal")
	}
}

// newLite is a core that is never started.
func newLite(t *testing.T) *Core {
	t.Helper()
	c, err := New(Options{Root: t.TempDir(), Mode: Lite})
	must.OK(t, err)
	t.Cleanup(func() {
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return c
}
