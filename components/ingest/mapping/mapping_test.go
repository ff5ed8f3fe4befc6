package mapping_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"edgepdm/components/ingest/ingest"
	"edgepdm/shared/component"
	"edgepdm/test/must"
)

const valid = `
sources:
  - name: broker
    mqtt: {broker: "tcp://10.0.0.3:1883", topics: [{filter: plant/#, format: sitewise}]}
  - name: opc
    opcua: {endpoint: "opc.tcp://10.0.0.4:4840/path"}
  - name: plc
    modbus: {address: "10.0.0.5:502", poll: 500ms}
things:
  - thing: press-1
    line: a
    every: 1s
    sensors:
      - {sensor: temp, source: plc, tag: "holding:40:float32", factor: 0.1, deadBand: 0.5}
      - {sensor: speed, source: opc, tag: "ns=2;s=Speed"}
`

func check(t *testing.T, text string) (ingest.Config, error) {
	t.Helper()
	var raw map[string]any
	must.OK(t, yaml.Unmarshal([]byte(text), &raw))
	return component.CheckConfig(ingest.Spec(""), slog.New(slog.DiscardHandler), raw)
}

func TestValidConfigurationGetsDefaults(t *testing.T) {
	c, err := check(t, valid)
	must.OK(t, err)
	press, plc, opc := c.Things[0], c.Sources[2].Modbus, c.Sources[1].OPCUA
	if press.Every != time.Second || press.AtLeast != 10*time.Second || press.MaxAge != time.Minute || press.Sensors[1].Factor != 1 {
		t.Errorf("%+v", press)
	}
	if plc.Unit != 1 || plc.Poll != 500*time.Millisecond || plc.Timeout != time.Second || opc.Policy != "None" || opc.Mode != "None" || opc.Interval != time.Second {
		t.Errorf("%+v %+v", plc, opc)
	}
	c, err = check(t, strings.NewReplacer("poll: 500ms", "poll: 5m", "tcp://10.0.0.3:1883", "tcp://[::1]:1883").Replace(valid))
	must.OK(t, err)
	if got := c.Things[0].MaxAge; got != 15*time.Minute {
		t.Errorf("a value that is read each 5 m is stale after %v", got)
	}
}

func TestWrongConfigurationNamesTheField(t *testing.T) {
	for _, test := range []struct{ old, new, want string }{
		{"name: broker", "name: ''", "sources[0].name: "},
		{"name: opc", "name: broker", "sources[1].name: "},
		{"name: broker", "name: broker\n    modbus: {address: 'h:1'}", "sources[0].name: "},
		{"tcp://10.0.0.3:1883", "http://h", "sources[0].mqtt.broker: "},
		{"tcp://10.0.0.3:1883", "tcp://u:p@h:1883", "sources[0].mqtt.broker: "},
		{"topics:", "passwordFile: f, topics:", "sources[0].mqtt.passwordFile: "},
		{"topics:", "username: u, passwordFile: f, topics:", "sources[0].mqtt.passwordFile: "},
		{"topics:", "certFile: f, topics:", "sources[0].mqtt.certFile: "},
		{"[{filter: plant/#, format: sitewise}]", "[]", "sources[0].mqtt.topics: "},
		{"filter: plant/#", "filter: ''", "sources[0].mqtt.topics[0].filter: "},
		{"format: sitewise", "format: xml", "sources[0].mqtt.topics[0].format: "},
		{"format: sitewise", "format: sitewise, timePath: ts", "sources[0].mqtt.topics[0].timePath: "},
		{"format: sitewise", "format: json, timeFormat: min", "sources[0].mqtt.topics[0].timeFormat: "},
		{"opc.tcp://10.0.0.4:4840/path", "opc.tcp://:4840", "sources[1].opcua.endpoint: "},
		{"opc.tcp://10.0.0.4:4840/path\"", "opc.tcp://h\", policy: Basic128", "sources[1].opcua.policy: "},
		{"opc.tcp://10.0.0.4:4840/path\"", "opc.tcp://h\", mode: Sign", "sources[1].opcua.mode: "},
		{"opc.tcp://10.0.0.4:4840/path\"", "opc.tcp://h\", policy: Basic256Sha256", "sources[1].opcua.certFile: "},
		{"opc.tcp://10.0.0.4:4840/path\"", "opc.tcp://h\", passwordFile: f", "sources[1].opcua.passwordFile: "},
		{"opc.tcp://10.0.0.4:4840/path\"", "opc.tcp://h\", username: u", "sources[1].opcua.username: "},
		{"opc.tcp://10.0.0.4:4840/path\"", "opc.tcp://h\", interval: 1ms", "sources[1].opcua.interval: "},
		{"10.0.0.5:502", "10.0.0.5", "sources[2].modbus.address: "},
		{"10.0.0.5:502", ":502", "sources[2].modbus.address: "},
		{"10.0.0.5:502", "h:70000", "sources[2].modbus.address: "},
		{"10.0.0.5:502\"", "h:502\", unit: 256", "sources[2].modbus.unit"},
		{"poll: 500ms", "poll: 500", "sources[2].modbus.poll"},
		{"poll: 500ms", "poll: -1s", "sources[2].modbus.poll: "},
		{"poll: 500ms", "timeout: 1m", "sources[2].modbus.timeout: "},
		{"thing: press-1", "thing: a/b", "things[0].thing: "},
		{"line: a", "line: \"\\t\"", "things[0].line: "},
		{"every: 1s", "every: 1ms", "things[0].every: "},
		{"every: 1s", "atLeast: 500ms", "things[0].atLeast: "},
		{"every: 1s", "maxAge: 500ms", "things[0].maxAge: "},
		{"poll: 500ms", "poll: 25h", "sources[2].modbus.poll: "},
		{"every: 1s", "sensor: []", "things[0].sensor: there is no such key"},
		{"sensor: temp", "sensor: ''", "things[0].sensors[0].sensor: "},
		{"sensor: speed", "sensor: temp", "things[0].sensors[1].sensor: "},
		{"source: plc", "source: plk", "things[0].sensors[0].source: "},
		{"tag: \"holding:40:float32\"", "tag: ''", "things[0].sensors[0].tag: "},
		{"holding:40:float32", "holding:40:real", "things[0].sensors[0].tag: "},
		{"ns=2;s=Speed", "ns=x;s=Speed", "things[0].sensors[1].tag: "},
		{"factor: 0.1", "factor: .inf", "things[0].sensors[0].factor: "},
		{"deadBand: 0.5", "deadBand: -1", "things[0].sensors[0].deadBand: "},
		{"deadBand: 0.5", "deadBand: .nan", "things[0].sensors[0].deadBand: "},
	} {
		if !strings.Contains(valid, test.old) {
			t.Fatalf("%q is not in the configuration", test.old)
		}
		_, err := check(t, strings.Replace(valid, test.old, test.new, 1))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s instead of %s: %v, want %q", test.new, test.old, err, test.want)
		}
	}
	_, err := check(t, valid+"  - {thing: press-1, sensors: [{sensor: x, source: plc, tag: 'coil:1'}]}\n")
	if err == nil || !strings.Contains(err.Error(), "things[1].thing: ") {
		t.Errorf("a thing twice: %v", err)
	}
}
