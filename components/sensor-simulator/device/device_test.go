package device_test

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore/devices"
	"edgepdm/test/must"
)

const thing = "press-1"

// program builds sensor-simulator, and makes a core that takes thing as a client device. It returns the command line for that.
func program(t *testing.T) (line []string, cloud *localcloud.Cloud, messages *ipc.Subscription[ipc.TopicMessage]) {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "sensor-simulator")
	if out, err := exec.Command("go", "build", "-o", binary, "..").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cloud, err := localcloud.New(localcloud.Options{Dir: dir, Publish: func(string, []byte) error { return nil }})
	must.OK(t, err)
	must.OK(t, cloud.Start(t.Context()))
	t.Cleanup(func() { must.OK(t, cloud.Close(context.Background())) })
	core := coretest.Start(t)
	broker, err := core.StartClientDevices(devices.Options{
		Roots: cloud.Devices().Roots(), Associated: cloud.Devices().Associated,
		Publishable: []string{"pdm/v1/telemetry/${thing}", "$aws/things/${thing}/shadow/update"},
		Mapping: map[string]devices.Mapping{
			"telemetry": {Topic: "pdm/v1/telemetry/+", Source: devices.LocalMQTT, Target: devices.Pubsub},
			"shadow":    {Topic: "$aws/things/+/shadow/update", Source: devices.LocalMQTT, Target: devices.Pubsub},
		},
	})
	must.OK(t, err)
	cert, key, err := cloud.Devices().Create(thing, dir)
	must.OK(t, err)
	cloud.Devices().Associate(thing, func() localcloud.DiscoveredCore {
		return localcloud.DiscoveredCore{Thing: "edgepdm-core", CAs: []string{broker.CA()}, Addresses: []localcloud.DiscoveredAddress{{Host: "127.0.0.1", Port: broker.Port()}}}
	})
	messages = coretest.Subscribe(t, coretest.Client(t, core), "#")
	ends := cloud.Endpoints()
	return []string{binary, "device", "-thing", thing, "-cert", cert, "-key", key, "-discovery", ends.Discovery, "-ca", ends.CAFile}, cloud, messages
}

// run runs a command line to its end, and returns what it says and its exit code.
func run(t *testing.T, line ...string) (out, problem string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(t.Context(), line[0], line[1:]...)
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else {
		must.OK(t, err)
	}
	return stdout.String(), stderr.String(), code
}

func TestRowsOfADeviceAreTelemetry(t *testing.T) {
	line, _, messages := program(t)
	out, problem, code := run(t, append(line, "-rows", "20", "-rate", "200", "-line", "line-7", "-fault", "overheating", "-drift", "new-oil,recalibrated:oil_temp=0.5")...)
	if code != 0 || out != "20 rows published, 0 dropped\n" {
		t.Fatalf("exit code %d: %s%s", code, out, problem)
	}
	for seq := uint64(1); seq <= 20; seq++ {
		m := <-messages.Events()
		row, err := event.DecodeTelemetry(m.Payload)
		if err != nil || m.Topic != event.TelemetryTopic(thing) || row.Seq != seq || row.Line != "line-7" || !row.Simulated || len(row.Values) < 100 {
			t.Fatalf("on %s: %v, %s", m.Topic, err, m.Payload)
		}
	}
}

func TestRowsOfADeviceUpdateItsShadow(t *testing.T) {
	line, _, messages := program(t)
	if out, problem, code := run(t, append(line, "-rows", "2", "-rate", "200", "-output", "shadow")...); code != 0 {
		t.Fatalf("exit code %d: %s%s", code, out, problem)
	}
	m := <-messages.Events()
	row, err := event.DecodeShadow(thing, []byte(strings.Replace(string(m.Payload), "{", `{"version":1,`, 1)), time.Now())
	if err != nil || m.Topic != event.ShadowUpdateTopic(thing) || len(row.Readings) < 100 || !row.Simulated {
		t.Errorf("on %s: %v, %s", m.Topic, err, m.Payload)
	}
}

func TestExitCodesSayWhichStepFailed(t *testing.T) {
	line, cloud, _ := program(t)
	if out, problem, code := run(t, append(line, "-check")...); code != 0 || !strings.HasPrefix(out, thing+" reaches edgepdm-core at 127.0.0.1:") {
		t.Errorf("exit code %d: %s%s", code, out, problem)
	}
	for _, test := range []struct {
		name string
		more []string
		code int
		says string
	}{
		{"usage", []string{"-rate", "0"}, 2, "-rate"},
		{"a drift that there is not", []string{"-drift", "rust"}, 2, "-drift"},
		{"drift of a recorded machine", []string{"-drift", "new-oil", "-input", "x.csv"}, 2, "-drift"},
		{"no thing's name", []string{"-thing", "a b"}, 2, "-thing"},
		{"certificate", []string{"-cert", "none.pem"}, 10, "certificate: open none.pem"},
		{"discovery", []string{"-discovery", "127.0.0.1:1", "-cache", "none"}, 11, "discovery: ask 127.0.0.1:1"},
		{"another's certificate", []string{"-thing", "press-2"}, 15, "policy:"},
	} {
		out, problem, code := run(t, append(line, append(test.more, "-check")...)...)
		if code != test.code || !strings.Contains(problem, test.says) {
			t.Errorf("%s: exit code %d: %s%s", test.name, code, out, problem)
		}
	}
	cloud.SetUplink(false) // the answer is cached
	if out, problem, code := run(t, append(line, "-check")...); code != 0 {
		t.Errorf("without internet: exit code %d: %s%s", code, out, problem)
	}
}
