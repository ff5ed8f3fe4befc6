package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
	"edgepdm/test/plant"
)

// chain is the staged suite on an embedded core, with an embedded cloud.
type chain struct{ *plant.Plant }

func startPlant(t *testing.T, mode localcore.Mode) chain {
	t.Helper()
	b := build()
	if b.err != nil {
		t.Fatal(b.err)
	}
	return chain{plant.Start(t, plant.Options{Stage: b.stage, Mode: mode})}
}

func (p chain) deploy() (page string) {
	p.T.Helper()
	c := p.Configuration()
	c["com.edgepdm.Ingest"] = ingested(p.T)
	p.Deploy(c)
	return fmt.Sprintf("http://%s", c["com.edgepdm.OperatorConsole"]["address"])
}

// page uses the console's page: commands of everything that it may command, and a machine's values.
func (p chain) page(address string) {
	p.T.Helper()
	ask := func(method, path, body string) {
		req, err := http.NewRequestWithContext(p.T.Context(), method, address+path, strings.NewReader(body))
		must.OK(p.T, err)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		must.OK(p.T, err)
		defer func() { _ = resp.Body.Close() }()
		if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			p.T.Errorf("%s %s: %s %s %v", path, body, resp.Status, text, err)
		}
	}
	for _, command := range []string{
		`{"to":"alarm","message":{"do":"list"}}`, `{"to":"model","message":{"do":"status"}}`, `{"to":"model-fetch","message":{}}`, `{"to":"test-alarm","message":{}}`,
	} {
		ask(http.MethodPost, "/api/command", command)
	}
	ask(http.MethodGet, "/api/live?thing=compressor-1", "")
}

// rare are grants of what takes a drifted plant, and a candidate: the engine's own tests, with its recipe, use them.
var rare = []string{"pdm/v1/comparison", "pdm/v1/drift/*"}

// unused returns the suite's grants of resources that no request has used.
func (p chain) unused() []localcore.Grant {
	var list []localcore.Grant
	for _, g := range p.Core.Grants() {
		if !g.Used && g.Component != "com.edgepdm.Test" && !slices.Contains(rare, g.Resource) {
			list = append(list, g)
		}
	}
	return list
}

// used waits until a request has used the component's grant.
func (p chain) used(component, resource string) {
	p.T.Helper()
	if !plant.Until(90*time.Second, func() bool {
		for _, g := range p.unused() {
			if g.Component == component && g.Resource == resource {
				return false
			}
		}
		return true
	}) {
		p.T.Fatalf("%s has not used its grant of %s; denied: %+v", component, resource, p.Core.Denials())
	}
}

// label has an engineer acknowledge an alarm, here and from the cloud, with what was found.
func (p chain) label() {
	p.T.Helper()
	const order = `{"v":1,"do":"acknowledge","thing":"silent-1","outcome":"planned"}`
	row := []byte(`{"v":1,"id":"x","thing":"silent-1","ts":"` + time.Now().UTC().Format(time.RFC3339) + `","threshold":0.5}`)
	must.OK(p.T, p.Client.Publish(p.T.Context(), "pdm/v1/prediction/silent-1", row)) // the last one
	ours := func(g localcore.Grant) bool {
		return g.Component == "com.edgepdm.AlarmManager" && (strings.HasSuffix(g.Resource, "/alarm") || strings.HasSuffix(g.Resource, "/snapshot") ||
			g.Resource == "pdm/v1/label/*")
	}
	if !plant.Until(90*time.Second, func() bool {
		err := errors.Join(p.Client.Publish(p.T.Context(), "pdm/v1/command/engineer/alarm", []byte(order)),
			p.Core.PublishFromCloud("edgepdm/edgepdm-core/pdm/v1/command/operator/alarm", []byte(`{"v":1,"do":"list"}`)))
		must.OK(p.T, err)
		return !slices.ContainsFunc(p.unused(), ours)
	}) {
		p.T.Fatalf("not used: %+v; denied: %+v", p.unused(), p.Core.Denials())
	}
}

// Every recipe grants what its component uses on all its ways, and nothing else: on both nuclei each grant is used, and
// nothing is denied.
func TestRecipesGrantExactlyWhatIsUsed(t *testing.T) {
	for name, mode := range map[string]localcore.Mode{"classic": localcore.Classic, "lite": localcore.Lite} {
		t.Run(name, func(t *testing.T) {
			p := startPlant(t, mode)
			page := p.deploy()
			p.used("com.edgepdm.CloudForwarder", "pdm/v1/ack/prediction") // rows are scored, and on their way
			p.Command("test-alarm", `{"v":1,"thing":"press-1"}`)
			p.used("com.edgepdm.CloudForwarder", "pdm/v1/ack/alert")
			p.used("com.edgepdm.AlarmManager", "pdm/v1/reply/operator/test-alarm")

			p.Command("alarm", `{"v":1,"do":"list"}`)
			p.used("com.edgepdm.AlarmManager", "pdm/v1/reply/operator/alarm")
			coretest.Configure(t, p.Core, "com.edgepdm.AlarmManager", map[string]any{"cloudCommands": true, "silence": "1s"})
			p.label()

			coretest.Configure(t, p.Core, "com.edgepdm.AlarmManager", map[string]any{"voice": map[string]any{
				"enabled": true, "player": []any{}, "rtp": map[string]any{"address": "127.0.0.1:5004"}, "clips": map[string]any{"bucket": "no-bucket"},
			}})
			p.used("com.edgepdm.AlarmManager", "edgepdm/*/pdm/v1/audio")

			p.PublishModel("1.1.0")
			p.Command("model-fetch", `{"v":1}`)
			p.used("com.edgepdm.ModelFetcher", "pdm/v1/model/delivered")
			p.used("com.edgepdm.InferenceEngine", "pdm/v1/model/*")
			p.Put(envelope.EnvelopeFile, []byte("{}"))
			p.Command("model-fetch", `{"v":1}`)
			p.used("com.edgepdm.ModelFetcher", "pdm/v1/model/refused")
			p.used("com.edgepdm.ModelFetcher", "pdm/v1/reply/operator/model-fetch")

			coretest.Configure(t, p.Core, "com.edgepdm.SensorSimulator", map[string]any{"batch": 4})
			p.used("com.edgepdm.SensorSimulator", "pdm/v1/telemetry-batch")
			p.used("com.edgepdm.InferenceEngine", "pdm/v1/prediction-batch")
			p.used("com.edgepdm.Ingest", "pdm/v1/telemetry/*")
			p.used("com.edgepdm.Ingest", "pdm/v1/telemetry-batch")
			coretest.Configure(t, p.Core, "com.edgepdm.CloudForwarder", map[string]any{"predictionSink": "iotcore-ipc", "telemetrySample": "1s"})
			p.used("com.edgepdm.CloudForwarder", "edgepdm/*")
			p.used("com.edgepdm.CloudForwarder", "pdm/v1/telemetry/#")
			p.used("com.edgepdm.CloudForwarder", "pdm/v1/telemetry-batch")

			p.page(page)
			must.OK(t, p.Client.Publish(t.Context(), "pdm/v1/command/demo/fault", []byte(`{"v":1,"do":"inject","thing":"compressor-1","fault":"overheating","for_s":1}`)))
			p.used("com.edgepdm.SensorSimulator", "pdm/v1/reply/demo/fault")
			p.used("com.edgepdm.OperatorConsole", "pdm/v1/telemetry/#")

			if unused := p.unused(); len(unused) > 0 {
				t.Errorf("recipes grant what is not used: %+v", unused)
			}
			if denials := p.Core.Denials(); len(denials) > 0 {
				t.Errorf("recipes do not grant what is used: %+v", denials)
			}
			for _, c := range p.Core.Components() {
				if c.State == localcore.StateBroken || c.State == localcore.StateErrored {
					t.Errorf("%s is %s: %s", c.Name, c.State, c.LastExit)
				}
			}
		})
	}
}
