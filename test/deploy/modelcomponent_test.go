package deploy

import (
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// signedModel is the folder that pack and sign leave for the demonstration's second model.
func (p *plant) signedModel(version string, flags ...string) string {
	p.T.Helper()
	dir, keys := p.T.TempDir(), p.T.TempDir()
	key := filepath.Join(keys, "model-key.pem")
	must.OK(p.T, envelope.SavePrivateKey(key, p.Key))
	command(p.T, "go", append([]string{"run", "./components/model-fetcher", "pack", "-dir", "scripts/demo/second-model", "-version", version, "-out", dir}, flags...)...)
	command(p.T, "go", "run", "./components/model-fetcher", "sign", "-key", key, "-dir", dir)
	return dir
}

// A model as a component, on both nuclei: from a package to the engine's predictions, without a bucket, credentials or the
// token exchange service; and the next one.
func TestModelComponent(t *testing.T) {
	tree := stage(t, "-version", "1.0.0", "-offline", "-only", "inference-engine,model-fetcher,sensor-simulator")
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			stages := joined(t, tree)
			p := newPlant(t, stages, m.mode, func(o *localcore.Options) { o.CredentialsURL = "" })
			p.Cloud.SetUplink(false)
			c := p.configuration()
			c[event.ModelFetcher] = map[string]any{
				"directory": "../com.edgepdm.Model", "publicKeys": c[event.ModelFetcher]["publicKeys"], "poll": "1s", "healthInterval": "300ms",
			}
			delete(c, event.AlarmManager)
			delete(c, event.CloudForwarder)
			versions := map[string]string{event.InferenceEngine: "1.0.0", event.ModelFetcher: "1.0.0", event.SensorSimulator: "1.0.0"}
			must.OK(t, p.deploy(versions, c))
			p.await("the folder is missed", func() bool {
				return strings.Contains(p.health[event.ModelFetcher].Detail, "is the model's component deployed")
			})
			for _, version := range []string{"2.0.0", "2.1.0"} {
				tree := stage(t, "-model", p.signedModel(version))
				if m.whole {
					tree = joined(t, stages, tree)
				}
				must.OK(t, p.carryOut(localcore.Deployment{Stage: tree, Components: map[string]string{"com.edgepdm.Model": version}}))
				must.OK(t, p.Core.WaitState(t.Context(), "com.edgepdm.Model", localcore.StateFinished))
				p.await("it scores", func() bool { return p.prediction.Model.Version == version })
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			for name, h := range p.health {
				if h.State != event.StateOK {
					t.Errorf("%s is %s: %s", name, h.State, h.Detail)
				}
			}
		})
	}
}

func TestModelRecipeFollowsTheSchema(t *testing.T) {
	text := strings.ReplaceAll(string(read(t, need.Root(t), "recipes", "model-component.yaml")), "{COMPONENT_VERSION}", "1.2.3")
	must.OK(t, schema(t).Validate(instance(t, text)))
	// Nucleus lite takes any brace in a script for a recipe variable.
	script := parse(t, text).Manifests[0].Run.Script
	if rest := strings.ReplaceAll(script, "{artifacts:path}", ""); strings.ContainsAny(rest, "{}") {
		t.Errorf("script %s", script)
	}
}
