package ingestcli_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/components/ingest/ingestcli"
	"edgepdm/shared/cli"
	"edgepdm/test/must"
	"edgepdm/test/plantpeers"
)

// run runs the program as a person does.
func run(t *testing.T, args ...string) (code int, out, err string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	program := cli.Program{Name: "ingest", Version: "1.0.0", Summary: "test", Commands: []cli.Command{
		{Name: "check", Summary: "test a configuration", Run: ingestcli.Check}, {Name: "browse", Summary: "list variables", Run: ingestcli.Browse},
	}}
	code = program.Main(t.Context(), args, cli.Streams{In: strings.NewReader(""), Out: &stdout, Err: &stderr})
	return code, stdout.String(), stderr.String()
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must.OK(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

const plc = `
sources: [{name: plc, modbus: {address: "127.0.0.1:%d", poll: 50ms}}]
things: [{thing: press-1, every: 50ms, sensors: [{sensor: temp, source: plc, tag: "holding:%d", factor: 0.1}]}]
`

func TestCheckPrintsRows(t *testing.T) {
	server := plantpeers.Modbus(t)
	server.Do("holding 4 705")
	asJSON := fmt.Sprintf(`{"sources": [{"name": "plc", "modbus": {"address": "127.0.0.1:%d"}}],
		"things": [{"thing": "press-1", "every": "50ms", "sensors": [{"sensor": "temp", "source": "plc", "tag": "holding:4", "factor": 0.1}]}]}`, server.Port)
	for name, text := range map[string]string{"c.yaml": fmt.Sprintf(plc, server.Port, 4), "c.json": asJSON} {
		code, out, err := run(t, "check", "-config", file(t, name, text), "-rows", "2")
		if code != 0 || strings.Count(out, `"temp":70.5`) != 2 || err != "" {
			t.Errorf("%s: exit code %d, %q, %q", name, code, out, err)
		}
	}
	code, out, err := run(t, "check", "-config", file(t, "c.yaml", fmt.Sprintf(plc, server.Port, 300)), "-for", "1s")
	if code != 1 || !strings.Contains(out, " for unknown-tag") || !strings.Contains(err, "source plc: ") || !strings.Contains(err, "every value is refused") ||
		strings.Count(err, "is refused by the server") != 1 || !strings.Contains(err, "tag=holding:300") || !strings.Contains(err, "press-1/temp") {
		t.Errorf("an address that is not there: exit code %d, %q, %q", code, out, err)
	}
}

func TestCheckOfWhatIsWrong(t *testing.T) {
	closed := plantpeers.FreePort(t)
	good := fmt.Sprintf(plc, closed, 4)
	for _, test := range []struct {
		name, text string
		more       []string
		code       int
		out, err   string
	}{
		{"valid", good, []string{"-for", "0s"}, 0, "is valid: 1 sources, 1 things", ""},
		{"nobody listens", good, []string{"-for", "300ms"}, 1, "", "source plc: connect to 127.0.0.1:"},
		{"a field", strings.Replace(good, "poll: 50ms", "poll: 1ms", 1), nil, 1, "", "sources[0].modbus.poll: 1ms is not between 10ms and 1h"},
		{"a tag", strings.Replace(good, "holding:4", "hold:4", 1), nil, 1, "", "things[0].sensors[0].tag: "},
		{"a key", strings.Replace(good, "tag:", "tagg:", 1), nil, 1, "", "tagg"},
		{"no YAML", "sources: [", nil, 1, "", "read "},
		{"a list", "- a", nil, 1, "", "read "},
		{"empty", "", nil, 1, "", "has no sources"},
		{"rows", good, []string{"-rows", "0"}, 2, "", "-rows"},
		{"for", good, []string{"-for", "-1s"}, 2, "", "-for"},
		{"flag", good, []string{"-x"}, 2, "", "-x"},
	} {
		code, out, err := run(t, append([]string{"check", "-config", file(t, "c.yaml", test.text)}, test.more...)...)
		if code != test.code || !strings.Contains(out, test.out) || !strings.Contains(err, test.err) {
			t.Errorf("%s: exit code %d, %q, %q", test.name, code, out, err)
		}
	}
	if code, _, err := run(t, "check"); code != 2 || !strings.Contains(err, "-config is required") {
		t.Errorf("exit code %d, %q", code, err)
	}
	if code, _, err := run(t, "check", "-config", "/nowhere/c.yaml"); code != 1 || !strings.Contains(err, "/nowhere/c.yaml") {
		t.Errorf("exit code %d, %q", code, err)
	}
	if code, out, err := run(t, "check", "-help"); code != 0 || !strings.Contains(out+err, "-rows") {
		t.Errorf("exit code %d, %q, %q", code, out, err)
	}
}

func TestBrowseCommand(t *testing.T) {
	server := plantpeers.OPCUA(t)
	url := fmt.Sprintf("opc.tcp://127.0.0.1:%d", server.Port)
	config := file(t, "c.yaml", "sources: [{name: opc, opcua: {endpoint: \""+url+"\"}}]\n")
	for _, args := range [][]string{{"-endpoint", url}, {"-config", config, "-source", "opc"}} {
		code, out, err := run(t, append([]string{"browse"}, args...)...)
		if code != 0 || !strings.Contains(out, "ns=2;s=Oil.Temp\tPress1/Oil.Temp\t70.5\n") {
			t.Errorf("%v: exit code %d, %q, %q", args, code, out, err)
		}
	}
	for _, args := range [][]string{nil, {"-endpoint", "10.0.0.7"}, {"-endpoint", url, "-config", config}, {"-config", config, "-source", "plc"}, {"-config", config}} {
		if code, out, err := run(t, append([]string{"browse"}, args...)...); code != 2 || out != "" || err == "" {
			t.Errorf("%v: exit code %d, %q, %q", args, code, out, err)
		}
	}
	if code, _, err := run(t, "browse", "-endpoint", fmt.Sprintf("opc.tcp://127.0.0.1:%d", plantpeers.FreePort(t))); code != 1 || !strings.Contains(err, "endpoints") {
		t.Errorf("nobody listens: exit code %d, %q", code, err)
	}
}
