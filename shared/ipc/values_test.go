package ipc_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/ipc"
	"edgepdm/shared/ipc/eventstream"
	"edgepdm/test/must"
)

func TestTimestamps(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Unix(1795448155, 0), "1795448155.0"},
		{time.Unix(1795448155, 250_000_000), "1795448155.25"},
		{time.Unix(1795448155, 123_456_789), "1795448155.123456"},
		{time.Unix(1795448155, 1_000), "1795448155.000001"},
		{time.Unix(1795448155, 999), "1795448155.0"},
		{time.Unix(100, 0).In(time.FixedZone("x", 3600)), "100.0"},
		{time.Unix(0, 0), "0.0"},
		{time.Unix(-1, 0), "-1.0"},
		{time.Unix(-1, 250_000_000), "-0.75"},
		{time.Unix(-2, 500_000_000), "-1.5"},
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), "253402300799.0"},
	} {
		text := string(must.JSON(t, ipc.Timestamp{Time: c.at}))
		if text != c.want {
			t.Errorf("%v is %s, want %s", c.at, text, c.want)
		}
		var back ipc.Timestamp
		if err := json.Unmarshal([]byte(text), &back); err != nil || !back.Equal(c.at.Truncate(time.Microsecond)) {
			t.Errorf("%s is %v, want %v, %v", text, back, c.at, err)
		}
	}
	for text, want := range map[string]time.Time{
		"1795448155":      time.Unix(1795448155, 0),
		"1.795448155E9":   time.Unix(1795448155, 0),
		"1.7954481555e+9": time.Unix(1795448155, 500_000_000),
		"null":            {},
	} {
		var got ipc.Timestamp
		if err := json.Unmarshal([]byte(text), &got); err != nil || !got.Equal(want) {
			t.Errorf("%s is %v, want %v, %v", text, got, want, err)
		}
	}
	for _, text := range []string{`"1795448155"`, `true`, `{}`, `1e300`, `-1e12`, `253402300800`} {
		if err := json.Unmarshal([]byte(text), new(ipc.Timestamp)); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestDocuments(t *testing.T) {
	d, err := ipc.NewDocument(map[string]any{"n": 1.5, "absent": nil})
	if err != nil || string(must.JSON(t, d)) != `{"absent":null,"n":1.5}` {
		t.Errorf("%s, %v", d, err)
	}
	var v struct{ N float64 }
	if err := d.Decode(&v); err != nil || v.N != 1.5 {
		t.Errorf("%+v, %v", v, err)
	}
	for _, bad := range []any{nil, make(chan int), math.NaN()} {
		if d, err := ipc.NewDocument(bad); err == nil {
			t.Errorf("%v is %s", bad, d)
		}
	}
	if err := ipc.Document(nil).Decode(&v); err == nil {
		t.Error("an absent document is decoded")
	}
	if err := ipc.Document(`[]`).Decode(&v); err == nil {
		t.Error("a list is decoded into a struct")
	}
	var held ipc.GetConfigurationResponse
	text := []byte(`{"value":{"a":1}}`)
	must.OK(t, json.Unmarshal(text, &held))
	clear(text)
	if string(held.Value) != `{"a":1}` {
		t.Errorf("the document refers to the payload: %q", held.Value)
	}
}

func TestBlobs(t *testing.T) {
	for want, b := range map[string]ipc.Blob{`""`: nil, `"AAH/"`: {0, 1, 255}, `"eA=="`: ipc.Blob("x")} {
		if got := string(must.JSON(t, b)); got != want {
			t.Errorf("%v is %s, want %s", b, got, want)
		}
	}
}

// Every request is refused without a word on the wire, with an error that names the field.
func TestInvalidRequestsAreNotSent(t *testing.T) {
	client := dial(t, listen(t, true, func(_ *peer, m *eventstream.Message) { t.Errorf("sent: %s", m.Payload) }))
	text := "PEM"
	shadow := func(name string) ipc.GetThingShadowRequest {
		return ipc.GetThingShadowRequest{ThingName: "t", ShadowName: name}
	}
	metric := func(m ipc.Metric) ipc.PutComponentMetricRequest {
		return ipc.PutComponentMetricRequest{Metrics: []ipc.Metric{{Name: "ok", Unit: ipc.UnitCount}, m}}
	}
	value := ipc.Document("{}")
	now := ipc.Timestamp{Time: time.Unix(1, 0)}
	for _, c := range []struct {
		want string
		do   operationCase
	}{
		{"PublishToTopic: topic: required", done((*ipc.Client).PublishToTopic, ipc.PublishToTopicRequest{}, "", "")},
		{"PublishToTopic: publishMessage: union PublishMessage: exactly one of jsonMessage, binaryMessage must be set, not 0",
			done((*ipc.Client).PublishToTopic, ipc.PublishToTopicRequest{Topic: "t"}, "", "")},
		{"PublishToTopic: publishMessage: union PublishMessage: exactly one of jsonMessage, binaryMessage must be set, not 2",
			done((*ipc.Client).PublishToTopic, ipc.PublishToTopicRequest{Topic: "t", PublishMessage: ipc.PublishMessage{
				JSONMessage: &ipc.JSONMessage{Message: value}, BinaryMessage: &ipc.BinaryMessage{}}}, "", "")},
		{"PublishToTopic: publishMessage: jsonMessage: message: required",
			done((*ipc.Client).PublishToTopic, ipc.PublishToTopicRequest{Topic: "t", PublishMessage: ipc.PublishMessage{
				JSONMessage: &ipc.JSONMessage{Message: ipc.Document(" null ")}}}, "", "")},
		{"SubscribeToTopic: topic: required", stream((*ipc.Client).SubscribeToTopic, ipc.SubscribeToTopicRequest{}, "", "", ipc.SubscriptionResponseMessage{})},
		{"PublishToIoTCore: qos: required", done((*ipc.Client).PublishToIoTCore, ipc.PublishToIoTCoreRequest{TopicName: "t"}, "", "")},
		{"UpdateConfiguration: timestamp: required", done((*ipc.Client).UpdateConfiguration, ipc.UpdateConfigurationRequest{ValueToMerge: value}, "", "")},
		{"UpdateConfiguration: valueToMerge: required", done((*ipc.Client).UpdateConfiguration, ipc.UpdateConfigurationRequest{Timestamp: now}, "", "")},
		{"UpdateState: state: required", done((*ipc.Client).UpdateState, ipc.UpdateStateRequest{}, "", "")},
		{"SendConfigurationValidityReport: configurationValidityReport: deploymentId: required",
			done((*ipc.Client).SendConfigurationValidityReport, ipc.SendConfigurationValidityReportRequest{
				ConfigurationValidityReport: ipc.ConfigurationValidityReport{Status: ipc.ConfigurationAccepted}}, "", "")},
		{"DeferComponentUpdate: recheckAfterMs: must be at least 0", done((*ipc.Client).DeferComponentUpdate,
			ipc.DeferComponentUpdateRequest{DeploymentID: "d", RecheckAfterMs: -1}, "", "")},
		{"CreateLocalDeployment: componentToRunWithInfo.C: systemResourceLimits: cpus: must be a number of at least 0",
			unary((*ipc.Client).CreateLocalDeployment, ipc.CreateLocalDeploymentRequest{ComponentToRunWithInfo: map[string]ipc.RunWithInfo{
				"C": {SystemResourceLimits: &ipc.SystemResourceLimits{CPUs: math.NaN()}}}}, "", "", ipc.CreateLocalDeploymentResponse{})},
		{"GetThingShadow: thingName: required", unary((*ipc.Client).GetThingShadow, ipc.GetThingShadowRequest{}, "", "", ipc.GetThingShadowResponse{})},
		{"GetThingShadow: shadowName: longer than 64 bytes", unary((*ipc.Client).GetThingShadow, shadow(strings.Repeat("x", 65)), "", "", ipc.GetThingShadowResponse{})},
		{"GetThingShadow: shadowName: has other characters than a-zA-Z0-9:_-", unary((*ipc.Client).GetThingShadow, shadow("a/b"), "", "", ipc.GetThingShadowResponse{})},
		{"ListNamedShadowsForThing: pageSize: must be 1 to 100", unary((*ipc.Client).ListNamedShadowsForThing,
			ipc.ListNamedShadowsForThingRequest{ThingName: "t", PageSize: 101}, "", "", ipc.ListNamedShadowsForThingResponse{})},
		{"PutComponentMetric: metrics[1]: name: longer than 32 bytes", done((*ipc.Client).PutComponentMetric,
			metric(ipc.Metric{Name: strings.Repeat("ü", 17), Unit: ipc.UnitCount}), "", "")},
		{"PutComponentMetric: metrics[1]: value: must be a number of at least 0", done((*ipc.Client).PutComponentMetric,
			metric(ipc.Metric{Name: "m", Unit: ipc.UnitCount, Value: math.Inf(1)}), "", "")},
		{"SubscribeToCertificateUpdates: certificateOptions: certificateType: required", stream((*ipc.Client).SubscribeToCertificateUpdates,
			ipc.SubscribeToCertificateUpdatesRequest{}, "", "", ipc.CertificateUpdateEvent{})},
		{"GetClientDeviceAuthToken: credential: union CredentialDocument: exactly one of mqttCredential must be set, not 0",
			unary((*ipc.Client).GetClientDeviceAuthToken, ipc.GetClientDeviceAuthTokenRequest{}, "", "", ipc.GetClientDeviceAuthTokenResponse{})},
		{"AuthorizeClientDeviceAction: resource: required", unary((*ipc.Client).AuthorizeClientDeviceAction,
			ipc.AuthorizeClientDeviceActionRequest{ClientDeviceAuthToken: text, Operation: text}, "", "", ipc.AuthorizeClientDeviceActionResponse{})},
	} {
		_, err := c.do.do(t.Context(), client)
		if err == nil || err.Error() != c.want || !errors.Is(err, ipc.ErrInvalidRequest) {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
	documents := ipc.CreateLocalDeploymentRequest{ComponentToConfiguration: map[string]ipc.Document{"C": ipc.Document("null")}}
	if _, err := client.CreateLocalDeployment(t.Context(), documents); !errors.Is(err, ipc.ErrInvalidRequest) {
		t.Errorf("null in a map: %v", err)
	}
}

// An event of which this package knows no member is not handed to a reader who would have to look for nil.
func TestEventsWithoutAKnownMemberAreLeftOut(t *testing.T) {
	client := dial(t, listen(t, true, func(p *peer, m *eventstream.Message) {
		p.respond(m, "{}", 0)
		for _, event := range []string{`{}`, `{"message":null}`, `{"later":{"topicName":"t"}}`, `[]`, `{"message":{"topicName":"t"}}`} {
			p.event(m.StreamID, event)
		}
	}))
	sub, err := client.SubscribeToIoTCore(t.Context(), ipc.SubscribeToIoTCoreRequest{TopicName: "t", QoS: ipc.AtLeastOnce})
	must.OK(t, err)
	if e := <-sub.Events(); e.Message.TopicName != "t" || sub.Garbled() != 4 {
		t.Errorf("%+v after %d others", e, sub.Garbled())
	}
}

// Nucleus lite refuses null, so no zero value may give it.
func TestNothingEncodesNull(t *testing.T) {
	client := reflect.TypeFor[*ipc.Client]()
	for _, name := range operationNames() {
		method, _ := client.MethodByName(name)
		request := method.Type.In(2)
		text, err := json.Marshal(reflect.Zero(request).Interface())
		if err != nil && !errors.Is(err, ipc.ErrInvalidRequest) {
			t.Errorf("%v: %v", request, err)
		}
		if strings.Contains(string(text), "null") {
			t.Errorf("%v is %s", request, text)
		}
	}
}

func TestConfigurationValues(t *testing.T) {
	for answer, want := range map[string]map[string]any{
		`{"value":{"a":"5"}}`: {"a": "5"}, `{"value":{}}`: {}, `{}`: nil, `{"value":null}`: nil,
	} {
		client := dial(t, listen(t, true, func(p *peer, m *eventstream.Message) { p.respond(m, answer, 0) }))
		if value, err := client.Configuration(t.Context(), "k"); err != nil || !reflect.DeepEqual(value, want) {
			t.Errorf("%s is %#v, %v", answer, value, err)
		}
	}
	client := dial(t, listen(t, true, func(p *peer, m *eventstream.Message) { p.respond(m, `{"value":[1]}`, 0) }))
	if value, err := client.Configuration(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "GetConfiguration: ") {
		t.Errorf("a list is %v, %v", value, err)
	}
}
