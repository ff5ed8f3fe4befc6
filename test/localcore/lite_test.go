package localcore

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/ipc/eventstream"
	"edgepdm/test/localcore/nucleus"
	"edgepdm/test/must"
)

const (
	published     = " model=PublishToTopicResponse | {}"
	badLite       = ` model=ServiceError | {"_message":"Received invalid parameters.","_errorCode":"ServiceError"}`
	emptyLite     = ` model=ServiceError | {"_message":"","_errorCode":"ServiceError"}`
	notLite       = ` model=UnauthorizedError | {"_message":"IPC Operation not authorized.","_errorCode":"UnauthorizedError"}`
	badUpdate     = ` model=InvalidArgumentsError | {"_message":"Received invalid parameters.","_errorCode":"InvalidArgumentsError"}`
	configuration = ` model=GetConfigurationResponse | {"componentName":"com.test.A","value":`
)

// What the recordings do not show, by the reference and the sources of nucleus lite.
var liteConversations = []conversation{
	{"requests before and after CONNECT", `
		A> 4 1 0 version=0.1.0 | {"authToken":"$A"}
		A< closed`},
	{"CONNECT on a stream", `
		A> 4 0 1 version=0.1.0 | {"authToken":"$A"}
		A< closed`},
	{"CONNECT by name", `
		A> 4 0 0 version=0.1.0 | {"componentName":"com.test.None"}
		A< closed`},
	{"CONNECT twice", `
		A connect
		A> 4 0 0 version=0.1.0 | {"authToken":"$A"}
		A< closed`},
	{"frames that are no requests", `
		A connect
		A> 2 0 5
		A< 1 2 5` + emptyLite + `
		A> 0 1 6 op=GetConfiguration | {}
		A< 1 2 6` + emptyLite + `
		A> 0 0 7 | {}
		A< 1 2 7` + emptyLite + `
		A> 0 0 -8 op=GetConfiguration | []
		A< 1 2 -8` + emptyLite + `
		A> 0 2 9 op=GetConfiguration | {}
		A> 0 0 1 op=ValidateAuthorizationToken | {"token":"x"}
		A< 1 2 1 model=UnauthorizedError | {"_message":"Component does not have access to token verification IPC command.","_errorCode":"UnauthorizedError"}`},
	{"one id for two subscriptions, ended at once", `
		B connect
		B> 0 0 1 op=SubscribeToTopic | {"topic":"x"}
		B< 0 0 1 model=SubscribeToTopicResponse | {}
		B> 0 0 1 op=SubscribeToTopic | {"topic":"+"}
		B< 0 0 1 model=SubscribeToTopicResponse | {}
		B> 0 0 2 op=PublishToTopic | {"topic":"x","publishMessage":{"binaryMessage":{"message":"1"}}}
		B< 0 0 1 model=SubscriptionResponseMessage | {"binaryMessage":{"message":"1","context":{"topic":"x"}}}
		B< 0 0 1 model=SubscriptionResponseMessage | {"binaryMessage":{"message":"1","context":{"topic":"x"}}}
		B< 0 0 2` + published + `
		B> 0 2 1
		B> 0 0 2 op=PublishToTopic | {"topic":"x","publishMessage":{"binaryMessage":{"message":"1"}}}
		B< 0 0 2` + published},
	{"documents", `
		B connect
		B> 0 0 1 op=SubscribeToTopic | {"topic":"x/#"}
		B< 0 0 1 model=SubscribeToTopicResponse | {}
		B> 0 0 2 op=PublishToTopic | {"topic":"x/+","publishMessage":{"jsonMessage":{"message":{"b":1,"a":"\n\"\\\u0001/é\ud83d\ude00","B":[-1.5e-7,1e17,null,true,{}]}}}}
		B< 0 0 1 model=SubscriptionResponseMessage | {"jsonMessage":{"message":{"B":[-1.4999999999999999e-07,1.0000000000000000e+17,null,true,{}],"a":"\u000A\"\\\u0001/é😀","b":1},"context":{"topic":"x/+"}}}
		B< 0 0 2` + published + `
		B> 0 0 3 op=PublishToTopic | {"topic":"x","publishMessage":{"jsonMessage":{"message":"text"}}}
		B< 0 0 1 model=SubscriptionResponseMessage | {"jsonMessage":{"message":"text","context":{"topic":"x"}}}
		B< 0 0 3` + published + `
		B> 0 0 4 op=PublishToTopic | {"topic":"x","publishMessage":{"jsonMessage":{"message":9223372036854775808}}}
		B< 1 2 4` + emptyLite + `
		B> 0 0 5 op=PublishToTopic | {"topic":"x","publishMessage":{"jsonMessage":{"message":1e999}}}
		B< 1 2 5` + emptyLite + `
		B> 0 0 6 op=PublishToTopic | {"topic":"x","publishMessage":{"jsonMessage":{"message":[[[[[[[[[[[[1]]]]]]]]]]]]}}}
		B< 0 0 1 model=SubscriptionResponseMessage | {"jsonMessage":{"message":[[[[[[[[[[[[1]]]]]]]]]]]],"context":{"topic":"x"}}}
		B< 0 0 6` + published + `
		B> 0 0 7 op=PublishToTopic | {"topic":"x","publishMessage":{"jsonMessage":{"message":[[[[[[[[[[[[[]]]]]]]]]]]]]}}}
		B< 1 2 7` + emptyLite + `
		B> 0 0 8 op=PublishToTopic | {"topic":"x","publishMessage":{"jsonMessage":{"message":{"l":[-123456789012345678]}}}}
		B< 1 2 8` + emptyLite},
	{"shapes before grants", `
		A connect
		A> 0 0 1 op=PublishToTopic | {"topic":"no","publishMessage":{"jsonMessage":{},"binaryMessage":{"message":"x"}}}
		A< 1 2 1` + badLite + `
		A> 0 0 1 op=PublishToTopic | {"topic":"no","publishMessage":{"binaryMessage":{"message":5}}}
		A< 1 2 1` + badLite + `
		A> 0 0 1 op=PublishToTopic | {"topic":"no","publishMessage":{"jsonMessage":{}}}
		A< 1 2 1` + badLite + `
		A> 0 0 1 op=PublishToTopic | {"publishMessage":{"binaryMessage":{"message":"x"}}}
		A< 1 2 1` + badLite + `
		A> 0 0 1 op=PublishToTopic | {"topic":"no","publishMessage":{"binaryMessage":{"message":"not base64!"}}}
		A< 1 2 1` + notLite + `
		A> 0 0 1 op=PublishToTopic | {"topic":"ok/?","publishMessage":{"binaryMessage":{"message":""}}}
		A< 1 2 1` + notLite + `
		A> 0 0 1 op=SubscribeToTopic | {"topic":7}
		A< 1 2 1` + badLite + `
		A> 0 0 1 op=SubscribeToTopic | {"topic":"no"}
		A< 1 2 1` + notLite + `
		B connect
		B> 0 0 1 op=SubscribeToTopic | {"topic":""}
		B< 1 2 1 model=ServiceError | {"_message":"Failed to bind subscription.","_errorCode":"ServiceError"}
		A> 0 0 1 op=PublishToTopic | {"topic":"things/edgepdm-core/x","publishMessage":{"binaryMessage":{"message":""}}}
		A< 0 0 1` + published},
	{"IoT Core", `
		A connect
		B connect
		A> 0 0 1 op=SubscribeToIoTCore | {"topicName":"cloud/sub/#","qos":1}
		A< 0 0 1 model=SubscribeToIoTCoreResponse | {}
		B> 0 0 1 op=PublishToIoTCore | {"topicName":"cloud/sub/a","qos":2,"payload":"MQ==","retain":true,"userProperties":[{"key":"k","value":"v"}]}
		B< 0 0 1 model=PublishToIoTCoreResponse | {}
		A< 0 0 1 model=IoTCoreMessage | {"message":{"topicName":"cloud/sub/a","payload":"MQ=="}}
		B> 0 0 1 op=PublishToIoTCore | {"topicName":"cloud/sub/b"}
		B< 0 0 1 model=PublishToIoTCoreResponse | {}
		A< 0 0 1 model=IoTCoreMessage | {"message":{"topicName":"cloud/sub/b","payload":""}}
		B> 0 0 1 op=PublishToIoTCore | {"topicName":"x","qos":"high"}
		B< 1 2 1 model=ServiceError | {"_message":"'qos' not a valid value.","_errorCode":"ServiceError"}
		B> 0 0 1 op=PublishToIoTCore | {"topicName":"x","qos":-1}
		B< 1 2 1 model=ServiceError | {"_message":"'qos' not a valid value.","_errorCode":"ServiceError"}
		B> 0 0 1 op=PublishToIoTCore | {"topicName":"x","payload":"!"}
		B< 1 2 1` + badLite + `
		B> 0 0 1 op=PublishToIoTCore | {"topicName":"x","payload":null}
		B< 1 2 1` + badLite + `
		B> 0 0 1 op=PublishToIoTCore | {"topicName":"x/+"}
		B< 1 2 1 model=ServiceError | {"_message":"Failed to publish the message.","_errorCode":"ServiceError"}
		A> 0 0 2 op=SubscribeToIoTCore | {"topicName":"other"}
		A< 1 2 2` + notLite},
	{"configuration", `
		A connect
		A> 0 0 1 op=GetConfiguration | {"componentName":"com.test.A","keyPath":["n"]}
		A< 0 0 1` + configuration + `{"n":"5"}}
		A> 0 0 1 op=GetConfiguration | {"keyPath":"n"}
		A< 1 2 1` + badLite + `
		A> 0 0 1 op=GetConfiguration | {"keyPath":null}
		A< 1 2 1` + badLite + `
		A> 0 0 1 op=UpdateConfiguration | {"keyPath":["n"],"valueToMerge":null,"timestamp":9e9}
		A< 0 0 1 model=UpdateConfigurationResponse | {}
		A> 0 0 1 op=GetConfiguration | {"keyPath":["n"]}
		A< 0 0 1` + configuration + `{"n":null}}
		A> 0 0 1 op=UpdateConfiguration | {"keyPath":["N","deep"],"valueToMerge":[1,"x"],"timestamp":9e9}
		A< 0 0 1 model=UpdateConfigurationResponse | {}
		A> 0 0 1 op=GetConfiguration | {"keyPath":["N"]}
		A< 0 0 1` + configuration + `{"deep":[1,"x"]}}
		A> 0 0 1 op=UpdateConfiguration | {"keyPath":["N","deep","er"],"valueToMerge":1,"timestamp":9e9}
		A< 1 2 1 model=ServiceError | {"_message":"Failed to update the configuration.","_errorCode":"ServiceError"}
		A> 0 0 1 op=UpdateConfiguration | {"keyPath":["accessControl"],"valueToMerge":{},"timestamp":9e9}
		A< 1 2 1 model=InvalidArgumentsError | {"_message":"Config update is not allowed for following field [accessControl]","_errorCode":"InvalidArgumentsError"}
		A> 0 0 1 op=UpdateConfiguration | {"valueToMerge":{"accessControl":{}},"timestamp":9e9}
		A< 1 2 1 model=InvalidArgumentsError | {"_message":"Config update is not allowed for following field [accessControl]","_errorCode":"InvalidArgumentsError"}
		A> 0 0 1 op=UpdateConfiguration | {"keyPath":[5],"valueToMerge":{},"timestamp":9e9}
		A< 1 2 1` + badUpdate + `
		A> 0 0 1 op=UpdateConfiguration | {"keyPath":[],"timestamp":9e9}
		A< 1 2 1` + badUpdate + `
		A> 0 0 1 op=SubscribeToConfigurationUpdate | {"componentName":"aws.greengrass.NucleusLite","keyPath":["awsRegion"]}
		A< 0 0 1 model=SubscribeToConfigurationUpdateResponse | {}
		A> 0 0 2 op=SubscribeToConfigurationUpdate | {"keyPath":["n"]}
		A< 0 0 2 model=SubscribeToConfigurationUpdateResponse | {}
		A> 0 0 3 op=UpdateConfiguration | {"keyPath":["n"],"valueToMerge":2,"timestamp":9e9}
		A< 0 0 2 model=ConfigurationUpdateEvents | {"configurationUpdateEvent":{"componentName":"com.test.A","keyPath":["n"]}}
		A< 0 0 3 model=UpdateConfigurationResponse | {}
		A> 0 0 3 op=UpdateConfiguration | {"keyPath":["n"],"valueToMerge":2,"timestamp":9e9}
		A< 0 0 3 model=UpdateConfigurationResponse | {}`},
}

func TestLiteConversations(t *testing.T) { converse(t, Lite, liteConversations) }

// The memory rules of a jsonMessage, at their edges: what arrives, what ends the subscription, what is refused.
func TestLiteDocumentSizes(t *testing.T) {
	list := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("1,", n), ",") + "]" }
	members := func(n int) string {
		m := make(map[string]int)
		for i := range n {
			m[fmt.Sprint(i)] = i
		}
		b := must.JSON(t, m)
		return string(b)
	}
	const refused = ` model=ServiceError | {"_message":"Failed to publish the message.","_errorCode":"ServiceError"}`
	for _, c := range []struct {
		document, answer string
		arrives          bool
	}{
		{list(44), "0 0 1" + published, true},
		{list(45), "0 0 1" + published, false},
		{list(194), "0 0 1" + published, false},
		{list(195), "1 2 1" + refused, true},
		{list(300), "1 2 1" + emptyLite, true},
		{members(23), "0 0 1" + published, true},
		{members(24), "0 0 1" + published, false},
		{members(102), "1 2 1" + refused, true},
	} {
		t.Run(fmt.Sprintf("%.10s of %d", c.document, len(c.document)), func(t *testing.T) {
			f := newFixture(t, func(o *Options) { o.Mode = Lite })
			token := f.external("com.test.A", allowAll)
			sub, pub := f.connect(token), f.connect(token)
			sub.subscribe(1, "SubscribeToTopic", `{"topic":"x"}`)
			if got := pub.call(1, "PublishToTopic", `{"topic":"x","publishMessage":{"jsonMessage":{"message":`+c.document+`}}}`); got != c.answer {
				t.Errorf("%.40s…: got %s, want %s", c.document, got, c.answer)
				return
			}
			if c.arrives && strings.HasPrefix(c.answer, "0") {
				if got := sub.recv(); !strings.Contains(got, "jsonMessage") {
					t.Errorf("%.40s…: got %s", c.document, got)
				}
			}
			pub.call(2, "PublishToTopic", `{"topic":"x","publishMessage":{"binaryMessage":{"message":"later"}}}`)
			got := sub.call(2, "GetConfiguration", `{"keyPath":["nothing"]}`)
			if later := strings.Contains(got, "later"); later != c.arrives {
				t.Errorf("%.40s…: the subscription lives on: %v; got %s", c.document, later, got)
			}
		})
	}
}

func TestLiteLimits(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Mode = Lite })
	token := f.external("com.test.A", allowAll)
	var clients []*client
	const maxConnections, maxSubscriptions = 50, 100
	for range maxConnections {
		clients = append(clients, f.connect(token))
	}
	f.dial().expect("closed")
	c := clients[0]
	for i := range maxSubscriptions {
		c.subscribe(i+1, "SubscribeToTopic", `{"topic":"x"}`)
	}
	if got, want := c.call(101, "SubscribeToTopic", `{"topic":"x"}`), `1 2 101 model=ServiceError | {"_message":"Failed to bind subscription.","_errorCode":"ServiceError"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	clients[1].nc.Close()
	connect, err := eventstream.Append(nil, &eventstream.Message{Type: eventstream.Connect, Version: eventstream.Version,
		Payload: []byte(`{"authToken":"` + token + `"}`)})
	must.OK(t, err)
	var again *client
	eventually(t, "a place is free again", func() bool {
		again = f.dial()
		_, err := again.nc.Write(connect)
		return err == nil && again.recv() == "5 1 0"
	})
	// A response that does not fit becomes an error, an event that does not fit is left out.
	for i := range 10 {
		again.call(1, "UpdateConfiguration", fmt.Sprintf(`{"keyPath":["k%d"],"valueToMerge":"%s","timestamp":9e9}`, i, strings.Repeat("x", 1000)))
	}
	if got := again.call(1, "GetConfiguration", `{}`); got != "1 2 1"+emptyLite {
		t.Errorf("got %.80s", got)
	}
	if got := again.call(1, "UpdateConfiguration", `{"keyPath":["k"],"valueToMerge":"`+strings.Repeat("x", 1023)+`","timestamp":9e9}`); !strings.Contains(got, "Failed to update") {
		t.Errorf("got %.80s", got)
	}
}

// The policies of a service must fit 4096 bytes, or nothing of it is allowed.
func TestLitePolicies(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Mode = Lite })
	policies := `p: {operations: ["*"], resources: ["*"]}`
	few := f.connect(f.external("com.test.A", `{accessControl: {aws.greengrass.ipc.pubsub: {`+policies+`}}}`))
	few.subscribe(1, "SubscribeToTopic", `{"topic":"x"}`)
	for i := range 5 {
		policies += fmt.Sprintf(`, p%d: {operations: ["*"], resources: [%s]}`, i, strings.Repeat("r", 900))
	}
	many := f.connect(f.external("com.test.B", `{accessControl: {aws.greengrass.ipc.pubsub: {`+policies+`}}}`))
	if got := many.call(1, "SubscribeToTopic", `{"topic":"x"}`); got != "1 2 1"+notLite {
		t.Errorf("got %s", got)
	}
}

func TestLiteOffline(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Mode = Lite })
	c := f.connect(f.external("com.test.A", allowAll))
	f.core.SetIoTCoreOnline(false)
	const request = `{"topicName":"x","qos":"1","payload":"MQ=="}`
	if got := c.call(1, "PublishToIoTCore", request); !strings.Contains(got, "Failed to publish the message.") {
		t.Errorf("got %s", got)
	}
	f.core.SetIoTCoreOnline(true)
	if got := c.call(1, "PublishToIoTCore", request); got != "0 0 1 model=PublishToIoTCoreResponse | {}" {
		t.Errorf("got %s", got)
	}
}

func TestLiteEnvironmentAndVariables(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Mode, o.CredentialsURL = Lite, "http://localhost:1/x" })
	dependency := `{aws.greengrass.TokenExchangeService: {VersionRequirement: "*", DependencyType: HARD}}`
	script := `{Setenv: {WORK: "{work:path}x"}, run: {Script: 'env > env.txt; echo "{configuration:/text} {configuration:/n} {configuration:/m}" > text.txt'}}`
	config := `{text: 'a"b$c', n: 1.50, m: {x: yes}}`
	f.deploy(staged{name: "com.test.A", config: config, lifecycle: script, deps: dependency}, staged{name: "com.test.B", lifecycle: `{run: "env > env.txt"}`})
	got := f.environment("com.test.A")
	want := strings.Fields(`AWS_CONTAINER_AUTHORIZATION_TOKEN AWS_CONTAINER_CREDENTIALS_FULL_URI AWS_DEFAULT_REGION
		AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT AWS_IOT_THING_NAME AWS_REGION GGC_VERSION GG_ROOT_CA_PATH HOME LANG
		LOGNAME PATH SHELL SVCUID USER WORK`)
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
		t.Errorf("the environment has %v\nwant %v", keys, want)
	}
	if got["GGC_VERSION"] != f.core.traits.Version || got[nucleus.SocketVariable] != filepath.Join(f.root, "ipc.socket") ||
		got["WORK"] != filepath.Join(f.root, "work/com.test.A")+"/x" {
		t.Errorf("the environment is %v", got)
	}
	if other := f.environment("com.test.B"); other[nucleus.CredentialsVariable] != "" {
		t.Error("credentials without the dependency")
	}
	text, err := os.ReadFile(filepath.Join(f.root, "work/com.test.A/text.txt"))
	if err != nil || string(text) != `a"b$c 1.50 {"x":"yes"}`+"\n" {
		t.Errorf("the script sees %s, %v", text, err)
	}
}

func TestLiteRefusesRecipes(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Mode = Lite })
	for want, s := range map[string]staged{
		"cut the script off at {configuration:/none}": {lifecycle: `{run: "echo {configuration:/none}"}`},
		"cut the script off at {HOME}":                {lifecycle: `{run: "echo ${HOME}"}`},
		"cut the script off at {com.test.B":           {lifecycle: `{run: "echo {com.test.B:artifacts:path}"}`},
		"nucleus lite stores at most 1024":            {config: `{a: {b: ` + strings.Repeat("x", 1023) + `}}`},
	} {
		s.name = "com.test.A"
		if err := f.tryDeploy(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f.write(filepath.Join(f.stage, "recipes", "com.test.A-1.0.0.yaml"), strings.Replace(staged{name: "com.test.A"}.recipe(), `, runtime: "*"`, "", 1))
	err := f.core.Deploy(f.ctx, Deployment{Components: map[string]string{"com.test.A": "1.0.0"}})
	if err == nil || !strings.Contains(err.Error(), "no manifest") {
		t.Errorf("a manifest without a runtime: %v", err)
	}
}

// A merge by a local deployment is hot, whatever the script has of it; one by the cloud restarts the component.
func TestLiteConfigurationRestarts(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Mode, o.MergeRestartDelay = Lite, 10*time.Millisecond })
	out := f.fifo("com.test.A", "out")
	f.deploy(staged{name: "com.test.A", config: "{n: 1}", lifecycle: `{run: "echo {configuration:/n} > out; exec sleep 1000"}`})
	if got := f.hear(out); got != "1" {
		t.Errorf("started with %s", got)
	}
	pid := f.status("com.test.A").PID
	watcher := f.connect(f.external("com.test.W", allowAll))
	watcher.subscribe(1, "SubscribeToConfigurationUpdate", `{"componentName":"com.test.A","keyPath":[]}`)
	f.update("com.test.A", map[string]any{"merge": map[string]any{"n": "2"}})
	watcher.expect(`0 0 1 model=ConfigurationUpdateEvents | {"configurationUpdateEvent":{"componentName":"com.test.A","keyPath":["n"]}}`)
	if s := f.status("com.test.A"); s.PID != pid {
		t.Errorf("a local deployment restarted: %+v", s)
	}
	deployed := make(chan error)
	go func() {
		deployed <- f.core.Deploy(f.ctx, Deployment{FromCloud: true, ConfigurationUpdate: map[string]any{
			"com.test.A": map[string]any{"merge": map[string]any{"m": "3"}}}})
	}()
	watcher.expect(`0 0 1 model=ConfigurationUpdateEvents | {"configurationUpdateEvent":{"componentName":"com.test.A","keyPath":["m"]}}`)
	if got := f.hear(out); got != "2" {
		t.Errorf("started again with %s", got)
	}
	must.OK(t, <-deployed)
	gone(t, pid)
	if s := f.status("com.test.A"); s.State != StateRunning || s.PID == pid || s.Restarts != 1 {
		t.Errorf("status %+v, was pid %d", s, pid)
	}
	if config, _ := f.core.Configuration("com.test.A"); config["n"] != "2" || config["m"] != "3" {
		t.Errorf("configuration %v", config)
	}
}

// Three starts within the window that the first one opens are all that systemd allows.
func TestLiteBrokenRule(t *testing.T) {
	for _, c := range []struct {
		gaps []time.Duration // between errors
		want State
	}{
		{[]time.Duration{29 * time.Minute, 29 * time.Minute}, StateBroken},
		{[]time.Duration{40 * time.Minute, 40 * time.Minute}, StateRunning}, // on a classic nucleus BROKEN
	} {
		t.Run(fmt.Sprint(c.gaps), func(t *testing.T) {
			ck := &clock{now: time.Date(2026, 11, 23, 17, 0, 0, 0, time.UTC)}
			f := newFixture(t, func(o *Options) { o.Mode, o.Now, o.RestartDelay = Lite, ck.Now, time.Millisecond })
			crash := f.fifo("com.test.A", "crash")
			f.deploy(staged{name: "com.test.A", lifecycle: `{run: "until read line < crash; do :; done; exit 1"}`})
			comp, _ := f.core.component("com.test.A")
			for i := range len(c.gaps) + 1 {
				seen := comp.seen()
				f.tell(crash, "now\n")
				if i < len(c.gaps) {
					if err := f.core.wait(f.ctx, comp, seen, StateRunning); err != nil {
						t.Fatalf("after error %d: %v", i+1, err)
					}
					ck.advance(c.gaps[i])
				} else if err := f.core.wait(f.ctx, comp, seen, c.want); err != nil {
					t.Errorf("%v: %v", c.gaps, err)
				}
			}
		})
	}
}

// A component that waits for its next start can be stopped.
func TestLiteStopBeforeTheNextStart(t *testing.T) {
	tr := &trace{}
	f := newFixture(t, func(o *Options) { o.Mode, o.RestartDelay, o.OnState = Lite, time.Hour, tr.note })
	f.deploy(staged{name: "com.test.A", lifecycle: `{run: "exit 1"}`})
	f.waitState("com.test.A", StateStopping)
	must.OK(t, f.core.StopComponent(f.ctx, "com.test.A"))
	if s := f.status("com.test.A"); s.State != StateFinished || s.Restarts != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestLiteUpdateState(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Mode = Lite })
	out := f.fifo("com.test.A", "token")
	f.deploy(staged{name: "com.test.A", lifecycle: `{run: 'echo $SVCUID > token; exec sleep 1000'}`})
	c := f.connect(f.hear(out))
	pid := f.status("com.test.A").PID
	for state, want := range map[string]string{`"RUNNING"`: "UpdateStateResponse", `"ERRORED"`: "UpdateStateResponse", `"LOST"`: "Failed to update the lifecycle state.", "5": "Received invalid parameters."} {
		if got := c.call(1, "UpdateState", `{"state":`+state+`}`); !strings.Contains(got, want) {
			t.Errorf("%s: got %s", state, got)
		}
	}
	if s := f.status("com.test.A"); s.PID != pid || s.State != StateRunning {
		t.Errorf("status %+v", s)
	}
}
