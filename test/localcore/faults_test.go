package localcore

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"edgepdm/shared/ipc/eventstream"
	"edgepdm/test/localcore/classic"
	"edgepdm/test/localcore/lite"
	"edgepdm/test/localcore/nucleus"
	"edgepdm/test/must"
)

// connectVariable makes this test program a component that connects by a name and writes what it is answered.
const connectVariable = "LOCALCORE_TEST_CONNECT"

func TestMain(m *testing.M) {
	if name := os.Getenv(connectVariable); name != "" {
		if err := connectByName(name); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// connectByName is the component: the fifo "go" tells it when, the fifo "answer" takes the answer.
func connectByName(name string) error {
	if _, err := os.ReadFile("go"); err != nil {
		return err
	}
	nc, err := net.Dial("unix", os.Getenv(nucleus.SocketVariable))
	if err != nil {
		return err
	}
	defer nc.Close()
	frame, err := eventstream.Append(nil, &eventstream.Message{Type: eventstream.Connect, Version: eventstream.Version,
		Payload: []byte(`{"componentName":"` + name + `"}`)})
	if err != nil {
		return err
	}
	if _, err := nc.Write(frame); err != nil {
		return err
	}
	var m eventstream.Message
	answer := "closed"
	if err := eventstream.NewDecoder(nc, eventstream.MaxFrame).Decode(&m); err == nil {
		answer = fmt.Sprintf("%d %d %d", m.Type, m.Flags, m.StreamID)
	}
	return os.WriteFile("answer", []byte(answer), 0)
}

// TestKillPubSub: subscriptions are open and silent; publishing works, and so do new subscriptions.
func TestKillPubSub(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Mode = Lite })
	c := f.connect(f.external("com.test.A", allowAll))
	c.subscribe(1, "SubscribeToTopic", `{"topic":"x"}`)
	must.OK(t, f.core.KillPubSub())
	publish := `{"topic":"x","publishMessage":{"binaryMessage":{"message":"MQ=="}}}`
	const published = "0 0 2 model=PublishToTopicResponse | {}"
	if got := c.call(2, "PublishToTopic", publish); got != published {
		t.Errorf("publish: %s", got)
	}
	c.subscribe(3, "SubscribeToTopic", `{"topic":"x"}`) // its answer is the next frame: the first heard nothing
	c.send("0 0 2 op=PublishToTopic | " + publish)
	c.expect(`0 0 3 model=SubscriptionResponseMessage | {"binaryMessage":{"message":"MQ==","context":{"topic":"x"}}}`)
	c.expect(published)
}

// TestKillIPC: connections break and tokens are invalid; a process of the component connects by its name.
func TestKillIPC(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.Mode = Lite })
	program, err := os.Executable()
	must.OK(t, err)
	f.deploy(staged{name: "com.test.Other"})
	var starts, answers []string
	for _, c := range [][2]string{{"com.test.A", "com.test.A"}, {"com.test.B", "com.test.A"}} {
		starts, answers = append(starts, f.fifo(c[0], "go")), append(answers, f.fifo(c[0], "answer"))
		f.deploy(staged{name: c[0], lifecycle: fmt.Sprintf(`{run: {Setenv: {%s: %s}, Script: "%s; exec sleep 1000"}}`, connectVariable, c[1], program)})
	}
	token := f.external("com.test.Ext", allowAll)
	c := f.connect(token)
	must.OK(t, f.core.KillIPC())
	c.expect("closed")
	if f.core.KnowsToken(token) {
		t.Error("the token exchange would know the token")
	}
	for _, refused := range []string{`{"authToken":"` + token + `"}`, `{"componentName":"com.test.Other"}`, `{"componentName":"com.test.None"}`} {
		c = f.dial()
		c.send(`4 0 0 version=0.1.0 | ` + refused)
		c.expect("closed")
	}
	for i, want := range []string{"5 1 0", "closed"} { // B is not A
		f.tell(starts[i], "go")
		if got := f.hear(answers[i]); got != want {
			t.Errorf("component %d: %s, want %s", i, got, want)
		}
	}
	c = f.dial()
	c.send(`4 0 0 version=0.1.0 | {"componentName":"com.test.Ext"}`)
	var ack eventstream.Message
	if err := c.dec.Decode(&ack); err != nil || ack.Type != eventstream.ConnectAck || !f.core.KnowsToken(ack.Token) || ack.Token == token {
		t.Fatalf("got %+v, %v", ack, err)
	}
	c.subscribe(1, "SubscribeToTopic", `{"topic":"x"}`)
	f.connect(ack.Token)
	if err := f.core.RestartComponent(f.ctx, "com.test.Other"); err != nil {
		t.Errorf("restart of a component whose token was forgotten: %v", err)
	}
}

func TestClassicHasNoDaemons(t *testing.T) {
	f := newFixture(t, nil)
	if err := errors.Join(f.core.KillPubSub(), f.core.KillIPC()); !errors.Is(err, errNoDaemons) {
		t.Errorf("got %v", err)
	}
}

// TestNucleusAlias: released nucleus lite 2.6.0 has its configuration under one name, later snapshots under two.
func TestNucleusAlias(t *testing.T) {
	for _, alias := range []bool{false, true} {
		t.Run(fmt.Sprint(alias), func(t *testing.T) {
			f := newFixture(t, func(o *Options) { o.Mode, o.NucleusAlias = Lite, alias })
			c := f.connect(f.external("com.test.A", "{}"))
			for name, there := range map[string]bool{lite.Name: true, classic.Name: alias} {
				got := c.call(1, "GetConfiguration", `{"componentName":"`+name+`","keyPath":["awsRegion"]}`)
				if strings.HasPrefix(got, "0 0 1 ") != there {
					t.Errorf("alias %v, %s: %s", alias, name, got)
				}
			}
		})
	}
}
