package interop

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"strings"

	"edgepdm/test/localcore"
)

// kind is a core to run the cases on.
type kind struct {
	name    string
	options localcore.Options
}

func kinds() []kind {
	return []kind{
		{"classic", localcore.Options{}},
		{"classic with shadows", localcore.Options{ShadowManager: true}},
		{"lite", localcore.Options{Mode: localcore.Lite}},
	}
}

// expectation is what a case sees, as JSON. A kind of core, a client, or both together may differ from the rest.
type expectation struct {
	all string
	but map[string]string // by "kind", "client" or "kind client"
}

func (e expectation) of(kind, client string) string {
	return cmp.Or(e.but[kind+" "+client], e.but[kind], e.but[client], e.all)
}

func expectations() map[string]expectation {
	failed := func(code string) string { return fmt.Sprintf(`{"error":%q}`, code) }
	octets := make([]byte, 256)
	for i := range octets {
		octets[i] = byte(i)
	}
	return map[string]expectation{
		"refused": {all: `{"refused":true}`},

		"publish json": {all: `{"topic":"interop/json","json":{"text":"Grüße, 世界 🚀 \"\\\n","whole":42,"ratio":1.5,
			"list":[1,"two",true],"object":{"a":"b"}}}`},
		"publish binary":       {all: `{"topic":"interop/binary","binary":"` + base64.StdEncoding.EncodeToString(octets) + `"}`},
		"publish empty binary": {all: `{"topic":"interop/empty","binary":""}`},
		"publish 7000 bytes":   {all: `{"length":7000}`},
		"subscribe wildcard":   {all: `["interop/a/x","interop/c/x"]`},
		"receive from others":  {all: `{"own":0}`, but: map[string]string{"lite": `{"own":1}`}},
		"close subscription":   {all: `{"second":{"n":2},"afterClose":0}`},
		"topic with wildcard": {all: failed("InvalidArgumentsError"), but: map[string]string{
			"javascript": failed("InternalError"), // its model of PublishToTopic lacks InvalidArgumentsError
			"lite":       `{}`}},
		"publish unauthorized":   {all: failed("UnauthorizedError")},
		"subscribe unauthorized": {all: failed("UnauthorizedError")},

		"iot core": {all: `{"topic":"interop/cloud/1","payload":"AAH+/w=="}`},
		"iot core properties": {all: `{"user":[{"key":"a","value":"b"}],"responseTopic":"interop/answer","correlation":"aWQ="}`,
			but: map[string]string{"lite": `{"user":[],"responseTopic":"","correlation":""}`}},
		"iot core unauthorized": {all: failed("UnauthorizedError")},

		"get configuration": {
			all: `{"map":{"limit":5,"name":"Pumpe ü"},"leaf":{"text":"hello"},"list":{"list":[1,"two"]},"deep":{"limit":5}}`,
			but: map[string]string{"lite": `{"map":{"limit":"5","name":"Pumpe ü"},"leaf":{"text":"hello"},"list":{"list":["1","two"]},
				"deep":{"limit":"5"}}`}},
		"get configuration of another": {all: `{"componentName":"com.edgepdm.Other","value":{"x":1}}`,
			but: map[string]string{"lite": `{"componentName":"com.edgepdm.Other","value":{"x":"1"}}`}},
		"get configuration missing": {all: failed("ResourceNotFoundError")},
		"update configuration":      {all: `{"component":"com.edgepdm.Interop","keyPath":["settings","limit"],"value":{"limit":9}}`},
		"update configuration at a whole second": {all: `{}`, but: map[string]string{
			"lite javascript": failed("InvalidArgumentsError")}}, // it writes the time without a fraction
		"update configuration of the past": {all: `{"answer":{"error":"FailedUpdateConditionCheckError"},"value":{"name":"Pumpe ü"}}`,
			but: map[string]string{"lite": `{"answer":{},"value":{"name":"Pumpe ü"}}`}},
		"update configuration, an object onto a leaf": {all: failed("InvalidArgumentsError"), but: map[string]string{
			"lite": failed("ServiceError")}},
		"subscribe to missing configuration": {all: failed("ResourceNotFoundError")},

		"update state": {all: failed("ResourceNotFoundError"), but: map[string]string{"lite": failed("ServiceError")}}, // the core does not run the program

		"shadow": {all: `["ServiceError","ServiceError","ServiceError","ServiceError"]`, but: map[string]string{
			"classic with shadows": `{
				"updated": {"state": {"desired": {"speed": 5}, "reported": {"speed": 4}}, "version": 1},
				"event": {"state": {"desired": {"speed": 5}, "reported": {"speed": 4}}, "version": 1},
				"got": {"state": {"desired": {"speed": 5}, "reported": {"speed": 4}, "delta": {"speed": 5}}, "version": 1},
				"conflict": {"error": "ConflictError"}, "invalid": {"error": "InvalidArgumentsError"},
				"listed": true, "deleted": {"error": "ResourceNotFoundError"}}`}},
		"shadow unauthorized": {all: failed("ServiceError"), but: map[string]string{"classic with shadows": failed("UnauthorizedError")}},

		"validation of configurations": {all: `{"subscribed":{},"report":{"error":"InvalidArgumentsError"}}`,
			but: map[string]string{"lite": `{"subscribed":{"error":"ServiceError"},"report":{"error":"ServiceError"}}`}},
		"operations without a provider": {all: withoutProvider("ServiceError"), but: map[string]string{
			"lite": withoutProvider("UnauthorizedError")}},
	}
}

// withoutProvider is what all operations answer that the core has no component for; nucleus lite itself refuses to
// validate a token.
func withoutProvider(ofToken string) string {
	var list []string
	for operation := range strings.FieldsSeq(`AuthorizeClientDeviceAction CancelLocalDeployment CreateDebugPassword
		CreateLocalDeployment DeferComponentUpdate GetClientDeviceAuthToken GetComponentDetails GetLocalDeploymentStatus
		GetSecretValue ListComponents ListLocalDeployments PauseComponent PutComponentMetric RestartComponent ResumeComponent
		StopComponent SubscribeToCertificateUpdates SubscribeToComponentUpdates VerifyClientDeviceIdentity`) {
		list = append(list, fmt.Sprintf(`%q:{"error":"ServiceError"}`, operation))
	}
	list = append(list, fmt.Sprintf(`"ValidateAuthorizationToken":{"error":%q}`, ofToken))
	return "{" + strings.Join(list, ",") + "}"
}
