package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/test/coretest"
	"edgepdm/test/localcore"
	"edgepdm/test/must"
)

// A grant that a deployment took away ends no component: it is DEGRADED, and names the operation and the topic. With the grant
// back it is OK.
func TestEachGrantCanBeMissed(t *testing.T) {
	for name, mode := range map[string]localcore.Mode{"classic": localcore.Classic, "lite": localcore.Lite} {
		t.Run(name, func(t *testing.T) {
			p := startPlant(t, mode)
			p.deploy()
			coretest.Configure(t, p.Core, event.CloudForwarder, map[string]any{"telemetrySample": "1m"})
			p.used("com.edgepdm.CloudForwarder", "pdm/v1/ack/prediction")
			healths, err := p.Client.Subscribe(t.Context(), event.FilterHealth, ipc.ReceiveFromOthers)
			must.OK(t, err)
			grants := slices.DeleteFunc(p.Core.Grants(), func(g localcore.Grant) bool { return !matters(g) })
			for _, g := range grants {
				p.grant(g, without(grants, g))
				must.OK(t, p.Core.RestartComponent(t.Context(), g.Component))
				topic, _, _ := strings.Cut(g.Resource, "*")
				place := strings.TrimPrefix(g.Operation, "aws.greengrass#") + " " + topic
				p.awaitHealth(healths, g.Component, place, func(h event.Health) bool {
					return h.State == event.StateDegraded && slices.ContainsFunc(h.Conditions, func(c event.Condition) bool {
						return c.Code == event.CodeNotAuthorized && strings.HasPrefix(c.Place, place)
					})
				})
				p.grant(g, grants)
			}
			for _, c := range p.Core.Components() {
				if strings.HasPrefix(c.Name, "com.edgepdm.") && c.Name != "com.edgepdm.Test" && c.Name != "com.edgepdm.Suite" {
					p.awaitHealth(healths, c.Name, "OK", func(h event.Health) bool { return h.State == event.StateOK })
				}
			}
		})
	}
}

// matters tells whether a component can tell that it lacks the grant, and needs it: it cannot say in its health messages that
// these are refused, predictions leave one by one where batches are, and labels need somebody's verdict.
func matters(g localcore.Grant) bool {
	switch {
	case !strings.HasPrefix(g.Component, "com.edgepdm.") || g.Component == "com.edgepdm.Test" || g.Service != "aws.greengrass.ipc.pubsub":
		return false
	case g.Component == event.OperatorConsole: // it hears telemetry while somebody looks, and a command that is refused is told to who gave it
		return g.Operation != "aws.greengrass#PublishToTopic" && !strings.HasPrefix(g.Resource, "pdm/v1/telemetry")
	case slices.Contains(rare, g.Resource), g.Resource == "pdm/v1/reply/engineer/model", g.Resource == "pdm/v1/reply/demo/fault": // nobody has asked
		return false
	case g.Operation == "aws.greengrass#PublishToTopic":
		return g.Resource != event.HealthTopic(g.Component) && g.Resource != event.TopicPredictionBatch && g.Resource != event.TopicTelemetryBatch &&
			!strings.HasPrefix(g.Resource, "pdm/v1/model/") && !strings.HasPrefix(g.Resource, "pdm/v1/label/")
	}
	return true
}

// without returns all grants but one.
func without(grants []localcore.Grant, one localcore.Grant) []localcore.Grant {
	return slices.DeleteFunc(slices.Clone(grants), func(g localcore.Grant) bool { return sameGrant(g, one) })
}

func sameGrant(g, one localcore.Grant) bool {
	return g.Component == one.Component && g.Policy == one.Policy && g.Operation == one.Operation && g.Resource == one.Resource
}

// grant gives the component of g, by its policy, what the list has; what does not matter stays.
func (p chain) grant(g localcore.Grant, list []localcore.Grant) {
	p.T.Helper()
	var resources []any
	for _, other := range p.Core.Grants() {
		if other.Component == g.Component && other.Policy == g.Policy && other.Operation == g.Operation && !matters(other) {
			resources = append(resources, other.Resource)
		}
	}
	for _, other := range list {
		if other.Component == g.Component && other.Policy == g.Policy && other.Operation == g.Operation {
			resources = append(resources, other.Resource)
		}
	}
	if resources == nil {
		resources = []any{}
	}
	coretest.Configure(p.T, p.Core, g.Component, map[string]any{"accessControl": map[string]any{
		g.Service: map[string]any{g.Policy: map[string]any{"resources": resources}},
	}})
}

// awaitHealth commands until a health message of the component is as wanted.
func (p chain) awaitHealth(healths *ipc.Subscription[ipc.TopicMessage], component, what string, is func(event.Health) bool) {
	p.T.Helper()
	late := time.After(90 * time.Second)
	again := time.NewTicker(time.Second)
	defer again.Stop()
	var last event.Health
	for {
		select {
		case m := <-healths.Events():
			if h, err := event.DecodeHealth(m.Payload); err == nil && h.Component == component {
				if last = h; is(h) {
					return
				}
			}
		case <-again.C:
			p.Command("test-alarm", `{"v":1,"thing":"press-1"}`)
			p.Command("model-fetch", `{"v":1}`)
			p.Command("alarm", `{"v":1,"do":"list"}`)
			must.OK(p.T, p.Client.Publish(p.T.Context(), event.TopicEngineerAlarm, []byte(`{"v":1,"do":"list"}`)))
			happened, err := event.Encode(event.ModelEvent{V: event.Version, ID: "model-1", Event: event.ModelActivated, TS: time.Now()})
			if err == nil {
				err = p.Client.Publish(p.T.Context(), event.ModelTopic(event.ModelActivated), happened)
			}
			must.OK(p.T, err)
			label := event.Label{V: event.Version, ID: "label-1", Thing: "press-1", Fault: event.FaultMachine, Outcome: "confirmed", Since: time.Now(), TS: time.Now()}
			must.OK(p.T, p.Client.Publish(p.T.Context(), event.LabelTopic("press-1"), must.JSON(p.T, label)))
		case <-late:
			p.T.Fatalf("%s never: %s; last health %+v; components %+v", component, what, last, p.Core.Components())
		}
	}
}
