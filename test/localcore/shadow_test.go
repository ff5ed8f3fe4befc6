package localcore

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"edgepdm/test/localcore/nucleus"
	"edgepdm/test/must"
)

// allowShadows grants every operation on every shadow, and the messages about them.
const allowShadows = `{accessControl: {
	aws.greengrass.ShadowManager: {all: {operations: ["*"], resources: ["*"]}},
	aws.greengrass.ipc.pubsub: {all: {operations: ["*"], resources: ["*"]}}}}`

// shadowRig is a core with a shadow manager, a client of it, and another that hears every message about shadows.
type shadowRig struct {
	*fixture
	clock  *clock
	client *client
	heard  *client
	id     int // of the client's last stream
}

func newShadowRig(t *testing.T, grants string) *shadowRig {
	clock := &clock{now: time.Unix(1000, 0)}
	f := newFixture(t, func(o *Options) { o.ShadowManager, o.Now = true, clock.Now })
	r := &shadowRig{fixture: f, clock: clock, client: f.connect(f.external("com.test.A", grants)),
		heard: f.connect(f.external("com.test.B", allowShadows))}
	r.heard.subscribe(1, "SubscribeToTopic", `{"topic":"$aws/things/+/shadow/#"}`)
	return r
}

// ask calls an operation and returns the response, or the error's name and text.
func (r *shadowRig) ask(op, request string) string {
	r.t.Helper()
	r.id++
	head, body, _ := strings.Cut(r.client.call(r.id, op, request), " | ")
	if name, failed := strings.CutPrefix(head, fmt.Sprintf("1 2 %d model=", r.id)); failed {
		var e struct {
			Message string `json:"message"`
		}
		must.OK(r.t, json.Unmarshal([]byte(body), &e))
		return name + ": " + e.Message
	}
	if want := fmt.Sprintf("0 2 %d model=%sResponse", r.id, op); head != want {
		r.t.Fatalf("answer %s | %s, want %s", head, body, want)
	}
	return body
}

// shadow calls an operation on a shadow, written thing or thing/name, and returns the decoded payload.
func (r *shadowRig) shadow(op, shadow, payload string) string {
	r.t.Helper()
	thing, name, _ := strings.Cut(shadow, "/")
	request := map[string]any{"thingName": thing}
	if name != "" {
		request["shadowName"] = name
	}
	if payload != "" {
		request["payload"] = []byte(payload)
	}
	text := must.JSON(r.t, request)
	answer := r.ask(op, string(text))
	var response struct {
		Payload *[]byte `json:"payload"`
	}
	if json.Unmarshal([]byte(answer), &response) != nil {
		return answer // an error
	}
	if response.Payload == nil {
		r.t.Fatalf("%s: response %s has no payload", op, answer)
	}
	return string(*response.Payload)
}

// hear returns the next message about a shadow as `topic payload`.
func (r *shadowRig) hear() string {
	r.t.Helper()
	_, body, _ := strings.Cut(r.heard.recv(), " | ")
	var event struct {
		BinaryMessage struct {
			Message []byte `json:"message"`
			Context struct {
				Topic string `json:"topic"`
			} `json:"context"`
		} `json:"binaryMessage"`
	}
	must.OK(r.t, json.Unmarshal([]byte(body), &event))
	return strings.TrimPrefix(event.BinaryMessage.Context.Topic, "$aws/things/") + " " + string(event.BinaryMessage.Message)
}

func (r *shadowRig) expect(what, got, want string) {
	r.t.Helper()
	if got != want {
		r.t.Fatalf("%s\ngot  %s\nwant %s", what, got, want)
	}
}

// The life of a shadow, with every message about it.
func TestShadowLife(t *testing.T) {
	r := newShadowRig(t, allowShadows)
	r.expect("get of none", r.shadow("GetThingShadow", "press", ""), "ResourceNotFoundError: No shadow found")
	r.expect("message", r.hear(), `press/shadow/get/rejected {"code":404,"message":"No shadow exists with name: Unnamed Shadow","timestamp":1000}`)
	r.expect("delete of none", r.shadow("DeleteThingShadow", "press/door", ""), "ResourceNotFoundError: No shadow found")
	r.expect("message", r.hear(), `press/shadow/name/door/delete/rejected {"code":404,"message":"No shadow exists with name: door","timestamp":1000}`)

	accepted := `{"clientToken":"t<1>","state":{"desired":{"property":"0.53"}},"timestamp":1000,"version":1}`
	r.expect("the workshop's update", r.shadow("UpdateThingShadow", "press", `{"state":{"desired":{"property":"0.53"},"delta":{"x":1}},"clientToken":"t<1>"}`), accepted)
	r.expect("message", r.hear(), `press/shadow/update/delta {"clientToken":"t<1>","state":{"property":"0.53"},"timestamp":1000,"version":1}`)
	r.expect("message", r.hear(), "press/shadow/update/accepted "+accepted)

	r.clock.advance(5 * time.Second)
	accepted = `{"state":{"reported":{"property":"0.53"}},"timestamp":1005,"version":2}`
	r.expect("report, with the version that it follows", r.shadow("UpdateThingShadow", "press", `{"state":{"reported":{"property":"0.53"}},"version":1}`), accepted)
	document := `{"state":{"desired":{"property":"0.53"},"reported":{"property":"0.53"}},`
	r.expect("message", r.hear(), "press/shadow/update/accepted "+accepted)
	r.expect("get", r.shadow("GetThingShadow", "press", ""), strings.TrimSuffix(document, ",")+`,"timestamp":1005,"version":2}`)
	r.expect("message", r.hear(), `press/shadow/get/accepted `+document+`"timestamp":1005,"version":2}`)

	r.expect("conflict", r.shadow("UpdateThingShadow", "press", `{"state":{"desired":{"property":null}},"version":1,"clientToken":"c"}`), "ConflictError: Version conflict")
	r.expect("message", r.hear(), `press/shadow/update/rejected {"clientToken":"c","code":409,"message":"Version conflict","timestamp":1005}`)

	r.expect("delete", r.shadow("DeleteThingShadow", "press", ""), "")
	r.expect("message", r.hear(), `press/shadow/delete/accepted {"timestamp":1005,"version":2}`)
	r.expect("get of the deleted one", r.shadow("GetThingShadow", "press", ""), "ResourceNotFoundError: No shadow found")
	r.hear()
	r.expect("it begins again", r.shadow("UpdateThingShadow", "press", `{"state":{"reported":{}},"version":1}`),
		`{"state":{"reported":{}},"timestamp":1005,"version":1}`)
}

// Requests that are refused, each with its rejected message.
func TestShadowRefusals(t *testing.T) {
	r := newShadowRig(t, allowShadows)
	long := func(n int) string { return strings.Repeat("x", n) }
	for i, c := range []struct {
		shadow, payload string
		want            string // error
		code            int
	}{
		{"press", "", "InvalidArgumentsError: Missing update payload", 400},
		{"press", `{`, "ServiceError: unexpected EOF", 500},
		{"press", `{"version":1}`, "InvalidArgumentsError: Invalid JSON: state: is missing but it is required", 400},
		{"press", `{"state":5}`, "InvalidArgumentsError: Invalid JSON: state: must be an object or null", 400},
		{"press", `{"state":{"desired":[1]}}`, "InvalidArgumentsError: Invalid JSON: state.desired: must be desired or reported, and an object or null", 400},
		{"press", `{"state":{"wanted":{}}}`, "InvalidArgumentsError: Invalid JSON: state.wanted: must be desired or reported, and an object or null", 400},
		{"press", `{"state":{},"version":2}`, "InvalidArgumentsError: Invalid version", 400},
		{"press", `{"state":{"desired":{"a":"` + long(5000) + `"},"reported":{"a":"` + long(3200) + `"}}}`, "InvalidArgumentsError: The payload exceeds the maximum size allowed", 413},
		{long(129), `{"state":{}}`, "InvalidArgumentsError: ThingName has a maximum length of 128", 400},
		{"a b", `{"state":{}}`, "InvalidArgumentsError: ThingName must match pattern [a-zA-Z0-9:_-]+", 400},
		{"press/" + long(65), `{"state":{}}`, "InvalidArgumentsError: ShadowName has a maximum length of 64", 400},
		{"press/ü", `{"state":{}}`, "InvalidArgumentsError: ShadowName must match pattern [a-zA-Z0-9:_-]+", 400},
	} {
		r.clock.advance(time.Second) // the rate is another matter
		if got := r.shadow("UpdateThingShadow", c.shadow, c.payload); got != c.want {
			t.Errorf("%d: got %s, want %s", i, got, c.want)
		}
		if got := r.hear(); !strings.Contains(got, "/update/rejected ") || !strings.Contains(got, fmt.Sprintf(`"code":%d,`, c.code)) {
			t.Errorf("%d: message %s, want code %d", i, got, c.code)
		}
	}
	r.expect("nothing was made", r.shadow("GetThingShadow", "press", ""), "ResourceNotFoundError: No shadow found")
	r.id++
	if got, want := r.client.call(r.id, "UpdateThingShadow", `{"thingName":"press","payload":"!"}`),
		fmt.Sprintf("1 2 %d ct=text/plain | InternalServerError", r.id); got != want {
		t.Errorf("payload that is no base64: %s", got)
	}
}

func TestShadowAuthorisation(t *testing.T) {
	r := newShadowRig(t, `{accessControl: {aws.greengrass.ShadowManager: {
		own: {operations: ["aws.greengrass#UpdateThingShadow"], resources: ["$aws/things/press-*/shadow"]},
		named: {operations: ["aws.greengrass#GetThingShadow"], resources: ["$aws/things/press-1/shadow/name/door"]}}}}`)
	const denied = "UnauthorizedError: Principal com.test.A is not authorized to perform aws.greengrass.ShadowManager:aws.greengrass#"
	for _, c := range []struct{ op, shadow, payload, want string }{
		{"UpdateThingShadow", "press-1", `{"state":{}}`, `{"state":{},"timestamp":1000,"version":1}`},
		{"UpdateThingShadow", "press-1/door", `{"state":{}}`, denied + "UpdateThingShadow on resource $aws/things/press-1/shadow/name/door"},
		{"UpdateThingShadow", "saw", `{"state":{}}`, denied + "UpdateThingShadow on resource $aws/things/saw/shadow"},
		{"GetThingShadow", "press-1", "", denied + "GetThingShadow on resource $aws/things/press-1/shadow"},
		{"GetThingShadow", "press-1/door", "", "ResourceNotFoundError: No shadow found"},
		{"DeleteThingShadow", "press-1", "", denied + "DeleteThingShadow on resource $aws/things/press-1/shadow"},
	} {
		r.expect(c.op+" of "+c.shadow, r.shadow(c.op, c.shadow, c.payload), c.want)
	}
	r.hear() // accepted
	r.expect("message", r.hear(), `press-1/shadow/name/door/update/rejected {"code":401,"message":"Unauthorized","timestamp":1000}`)
	for _, g := range r.core.Grants() {
		if g.Component == "com.test.A" && (!g.Enforced || !g.Used) {
			t.Errorf("grant %+v", g)
		}
	}
}

func TestShadowList(t *testing.T) {
	r := newShadowRig(t, allowShadows)
	for _, shadow := range []string{"press", "press/c", "press/a", "press/b", "saw/z"} {
		if got := r.shadow("UpdateThingShadow", shadow, `{"state":{"reported":{"a":1}}}`); !strings.Contains(got, `"version":1`) {
			t.Fatal(got)
		}
	}
	for _, c := range []struct{ request, want string }{
		{`{"thingName":"press"}`, `{"results":["a","b","c"],"timestamp":1000.0}`},
		{`{"thingName":"press","pageSize":2}`, `{"results":["a","b"],"timestamp":1000.0,"nextToken":"b"}`},
		{`{"thingName":"press","pageSize":2,"nextToken":"b"}`, `{"results":["c"],"timestamp":1000.0}`},
		{`{"thingName":"none"}`, `{"results":[],"timestamp":1000.0}`},
		{`{"thingName":"press","pageSize":0}`, `InvalidArgumentsError: pageSize argument must be between 1 and 100`},
	} {
		r.expect(c.request, r.ask("ListNamedShadowsForThing", c.request), c.want)
	}
}

// A thing has 20 requests a second, all things together 200; refusals for the rate are not published.
func TestShadowRate(t *testing.T) {
	r := newShadowRig(t, allowShadows)
	const tooMany = "ServiceError: Too Many Requests"
	for i := range 25 {
		if got := r.shadow("GetThingShadow", "press/x", ""); (got == tooMany) != (i >= 20) {
			t.Errorf("request %d of a thing: %s", i, got)
		}
	}
	for i := 20; i < 205; i++ {
		if got := r.shadow("GetThingShadow", fmt.Sprintf("thing-%d", i/10), ""); (got == tooMany) != (i >= 200) {
			t.Errorf("request %d: %s", i, got)
		}
	}
	for range 200 {
		if got := r.hear(); !strings.Contains(got, "get/rejected") {
			t.Fatal(got)
		}
	}
	r.clock.advance(time.Second)
	r.expect("a second later", r.shadow("UpdateThingShadow", "press", `{"state":null}`),
		`{"state":null,"timestamp":1001,"version":1}`)
}

// Without a shadow manager every operation answers as a nucleus without the plugin, and its grants are ignored.
func TestNoShadowManager(t *testing.T) {
	f := newFixture(t, nil)
	c := f.connect(f.external("com.test.A", allowShadows))
	for i, op := range []string{"GetThingShadow", "UpdateThingShadow", "DeleteThingShadow", "ListNamedShadowsForThing"} {
		if got, want := c.call(i+1, op, `{"thingName":"press"}`), "Operation aws.greengrass#"+op+" is not supported by Greengrass"; !strings.Contains(got, want) {
			t.Errorf("%s: %s", op, got)
		}
	}
	for _, g := range f.core.Grants() {
		if g.Service == nucleus.ShadowService && g.Enforced {
			t.Errorf("grant %+v", g)
		}
	}
	if _, err := New(Options{Root: t.TempDir(), Mode: Lite, ShadowManager: true}); err == nil {
		t.Error("nucleus lite with a shadow manager")
	}
}
