package localcore

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	aws "github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"edgepdm/test/localcore/nucleus"
	"edgepdm/test/must"
)

// recordedConfiguration is that of com.example.Mqtt in the recordings.
const recordedConfiguration = `{
  accessControl: {
    aws.greengrass.ipc.mqttproxy: {
      "com.example.Mqtt:mqttproxy:1": {operations: ["aws.greengrass#PublishToIoTCore", "aws.greengrass#SubscribeToIoTCore"], resources: ["hello/#", "a/+/b", "exact"]}},
    aws.greengrass.ipc.pubsub: {
      "com.example.Mqtt:pubsub:1": {operations: ["*"], resources: ["*"]}}},
  str: "s", num: 7, flt: 1.25, boo: true, nul: null, "a.b/c": "odd"}`

// recording is a conversation with a real nucleus lite, as testdata/README.md describes it.
type recording struct {
	Case   string
	Frames []recordedFrame
}

type recordedFrame struct {
	Conn, Dir string
	Headers   map[string]any // float64 or string
	Types     map[string]int
	Payload   string
	Closed    bool
	NothingS  float64 `json:"nothing_for_s"`
}

func recordings(t *testing.T) []recording {
	t.Helper()
	file, err := os.Open("testdata/lite-2.6.0.jsonl")
	must.OK(t, err)
	defer file.Close()
	var all []recording
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var r recording
		must.OK(t, json.Unmarshal(lines.Bytes(), &r))
		all = append(all, r)
	}
	if err := lines.Err(); err != nil || len(all) == 0 {
		t.Fatalf("%d recordings, %v", len(all), err)
	}
	return all
}

// cut is a recorded payload of which only the beginning was kept, with its length.
var cut = regexp.MustCompile(`^(.*": ")([A-Za-z0-9]{4})[A-Za-z0-9]*… \((\d+) bytes\)$`)

// whole returns a recorded payload in full length, and the long value in it: one base64 group over and over.
func whole(t *testing.T, payload string) (text, long string) {
	t.Helper()
	parts := cut.FindStringSubmatch(payload)
	if parts == nil {
		return payload, ""
	}
	length, err := strconv.Atoi(parts[3])
	end := `"` + strings.Repeat("}", strings.Count(parts[1], "{"))
	n := length - len(parts[1]) - len(end)
	if err != nil || n%4 != 0 {
		t.Fatalf("cannot complete %s", payload)
	}
	long = strings.Repeat(parts[2], n/4)
	return parts[1] + long + end, long
}

// replayer plays one recording against a core.
type replayer struct {
	t       *testing.T
	f       *fixture
	token   string
	long    string // the newest long value that was sent
	clients map[string]*replayConn
}

// replayConn is one connection. Frames that came in while another stream's was awaited wait in their order.
type replayConn struct {
	nc      net.Conn
	dec     *aws.Decoder
	waiting []received
	ended   bool
	last    float64 // largest stream id sent
}

type received struct {
	stream string
	text   string
}

func newReplayer(t *testing.T, mode Mode) *replayer {
	t.Helper()
	f := newFixture(t, func(o *Options) { o.Mode, o.NucleusAlias = mode, mode == Lite }) // recorded after 2.6.0
	return &replayer{t: t, f: f, token: f.external("com.example.Mqtt", recordedConfiguration), clients: make(map[string]*replayConn)}
}

// send sends a recorded frame. A CONNECT, and a connection's first frame, open a new connection.
func (r *replayer) send(f recordedFrame) {
	r.t.Helper()
	c := r.clients[f.Conn]
	if c == nil || f.Headers[":message-type"] == 4.0 {
		r.settle(f.Conn)
		raw := r.f.dial()
		c = &replayConn{nc: raw.nc, dec: aws.NewDecoder()}
		r.clients[f.Conn] = c
	}
	var m aws.Message
	for _, name := range slices.Sorted(maps.Keys(f.Headers)) {
		switch v := f.Headers[name].(type) {
		case float64:
			m.Headers.Set(name, aws.Int32Value(v))
		case string:
			m.Headers.Set(name, aws.StringValue(v))
		}
	}
	if id, ok := f.Headers[":stream-id"].(float64); ok {
		c.last = max(c.last, id)
	}
	text, long := whole(r.t, f.Payload)
	if long != "" {
		r.long = long
	}
	m.Payload = []byte(strings.ReplaceAll(text, "<SVCUID>", r.token))
	if err := aws.NewEncoder().Encode(c.nc, m); err != nil && !errors.Is(err, syscall.EPIPE) { // what was cut off shows in recv
		r.t.Fatal(err)
	}
}

// text is a frame in one line: type, flags, stream, other headers by name, payload. A header's type shows when it is not
// the one that IPC uses.
func frameText(headers map[string]any, types map[string]int, payload string) string {
	want := map[string]int{":message-type": 4, ":message-flags": 4, ":stream-id": 4}
	text := fmt.Sprintf("%v %v %v", headers[":message-type"], headers[":message-flags"], headers[":stream-id"])
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		expected, mandatory := want[name]
		if !mandatory {
			text += fmt.Sprintf(" %s=%s", name, strings.TrimPrefix(fmt.Sprint(headers[name]), nucleus.OperationPrefix))
			expected = 7
		}
		if types[name] != expected {
			text += fmt.Sprintf(" (%s has type %d)", name, types[name])
		}
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, ":content-type=application/json", "json"), "service-model-type=", "")
	if payload != "" {
		text += " | " + payload
	}
	return text
}

// read reads one frame.
func (c *replayConn) read(t *testing.T) received {
	t.Helper()
	m, err := c.dec.Decode(c.nc, nil)
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) {
		c.ended = true
		return received{text: "closed"}
	}
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	headers, types := make(map[string]any), make(map[string]int)
	for _, h := range m.Headers {
		headers[h.Name] = fmt.Sprint(h.Value.Get())
		switch h.Value.(type) {
		case aws.Int32Value:
			types[h.Name] = 4
		case aws.StringValue:
			types[h.Name] = 7
		}
	}
	return received{fmt.Sprint(headers[":stream-id"]), frameText(headers, types, string(m.Payload))}
}

// recv returns the next frame of a stream; order between streams is no promise.
func (r *replayer) recv(conn, stream string) string {
	r.t.Helper()
	c := r.clients[conn]
	for i, f := range c.waiting {
		if f.stream == stream {
			c.waiting = slices.Delete(c.waiting, i, i+1)
			return f.text
		}
	}
	for {
		f := c.read(r.t)
		if f.stream == stream || c.ended {
			return f.text
		}
		c.waiting = append(c.waiting, f)
	}
}

// nothing proves that nothing more is due on a connection: the answer to one more request is what comes next.
func (r *replayer) nothing(conn string) string {
	r.t.Helper()
	c := r.clients[conn]
	if len(c.waiting) == 0 {
		id := c.last + 1
		r.send(recordedFrame{Conn: conn, Headers: map[string]any{":message-type": 0.0, ":message-flags": 0.0, ":stream-id": id,
			"operation": nucleus.OperationPrefix + "GetConfiguration"}, Payload: `{"keyPath":["str"]}`})
		f := c.read(r.t)
		if f.stream == fmt.Sprint(id) {
			return "nothing"
		}
		return f.text
	}
	return r.recv(conn, c.waiting[0].stream)
}

// settle fails the test when a connection that is done with has received what nobody asked for.
func (r *replayer) settle(conn string) {
	r.t.Helper()
	if c := r.clients[conn]; c != nil && (!c.ended || len(c.waiting) > 0) {
		if got := r.nothing(conn); got != "nothing" {
			r.t.Errorf("on %s there is more: %s", conn, got)
		}
	}
}

// play plays the recording and hands check what each recorded frame from the nucleus is answered with.
func (r *replayer) play(rec recording, check func(i int, want recordedFrame)) {
	r.t.Helper()
	for i, f := range rec.Frames {
		if f.Dir == "send" {
			if c := r.clients[f.Conn]; c == nil || !c.ended || f.Headers[":message-type"] == 4.0 {
				r.send(f)
			}
			continue
		}
		check(i, f)
	}
	for _, conn := range slices.Sorted(maps.Keys(r.clients)) {
		r.settle(conn)
	}
}

// deviation is a frame that the core answers otherwise than the real nucleus lite, on purpose.
type deviation struct {
	frame  int    // its index in the recording
	got    string // what the core answers
	reason string
}

const (
	membersInOrder = "the members of a configuration come in order of their names, not of their first writing: JSON objects have no order"
	integersKept   = "an integer that nucleus lite spoils is refused, so that no test passes with one"
)

func refusedInteger(stream int) string {
	return fmt.Sprintf(`1 2 %d json ServiceError | {"_message":"","_errorCode":"ServiceError"}`, stream)
}

const sortedConfiguration = `{"a.b/c":"odd","accessControl":{"aws.greengrass.ipc.mqttproxy":{"com.example.Mqtt:mqttproxy:1":` +
	`{"operations":["aws.greengrass#PublishToIoTCore","aws.greengrass#SubscribeToIoTCore"],"resources":["hello/#","a/+/b","exact"]}},` +
	`"aws.greengrass.ipc.pubsub":{"com.example.Mqtt:pubsub:1":{"operations":["*"],"resources":["*"]}}},` +
	`"boo":"true","flt":"1.25","nul":"null","num":"7","str":"s"}`

func wholeConfiguration(stream int) string {
	return fmt.Sprintf(`0 0 %d json GetConfigurationResponse | {"componentName":"com.example.Mqtt","value":%s}`, stream, sortedConfiguration)
}

var liteDeviations = map[string][]deviation{
	"configuration_reads": {
		{3, wholeConfiguration(1), membersInOrder},
		{27, wholeConfiguration(13), membersInOrder},
	},
	"integers_of_18_19_and_20_characters": {
		{10, refusedInteger(2), integersKept},
		{11, "nothing", integersKept},
		{13, refusedInteger(3), integersKept},
	},
}

// Each conversation that was recorded with a real nucleus lite goes the same way with the core, or differs in a place and
// for a reason that is listed.
func TestReplayLite(t *testing.T) {
	replayed, deviating := 0, 0
	all := recordings(t)
	for _, rec := range all {
		t.Run(rec.Case, func(t *testing.T) {
			r := newReplayer(t, Lite)
			deviations := make(map[int]deviation)
			for _, d := range liteDeviations[rec.Case] {
				deviations[d.frame] = d
			}
			r.play(rec, func(i int, want recordedFrame) {
				text := frameText(want.Headers, want.Types, want.Payload)
				switch {
				case want.Closed:
					text = "closed"
				case want.NothingS > 0:
					text = "nothing"
				}
				d, known := deviations[i]
				got := ""
				if text == "nothing" || known && d.got == "nothing" {
					got = r.nothing(want.Conn)
				} else {
					got = r.recv(want.Conn, fmt.Sprint(want.Headers[":stream-id"]))
				}
				switch {
				case known && got == text:
					t.Errorf("frame %d: it does not deviate: %s", i, got)
				case known && got != d.got:
					t.Errorf("frame %d\ngot             %s\nwant, deviating %s\nrecorded        %s", i, got, d.got, text)
				case !known && got != text:
					t.Errorf("frame %d\ngot      %s\nrecorded %s", i, got, text)
				}
			})
			replayed++
			if len(deviations) > 0 {
				deviating++
				for _, d := range liteDeviations[rec.Case] {
					t.Logf("frame %d deviates: %s", d.frame, d.reason)
				}
			}
		})
	}
	for name := range liteDeviations {
		if !slices.ContainsFunc(all, func(r recording) bool { return r.Case == name }) {
			t.Errorf("there is no case %s", name)
		}
	}
	t.Logf("%d of %d recorded cases were replayed, %d of them with listed deviations", replayed, len(all), deviating)
}

// classicAnswers are the recorded conversations as the reference says that a classic nucleus answers them.
type classicAnswers struct {
	Case string
	Says string // what the reference says of classic, in short, with its section
	// Got has, for each recorded frame from the nucleus, what comes instead: frames in the form of frameText, joined by
	// " && "; "closed"; "nothing"; "-" after the connection was closed. <SENT> is the long value that was sent.
	Got []string
}

// silentOnClassic are the recorded cases of which the reference says nothing for a classic nucleus.
var silentOnClassic = []string{
	"connect_empty_payload", "publish_topic_empty", "publish_topic_257_bytes", "publish_null_member",
	"publish_without_message", "payload_is_not_json", "payload_empty",
}

func TestReplayClassic(t *testing.T) {
	data := must.Read(t, "testdata/classic.json")
	var table []classicAnswers
	must.OK(t, json.Unmarshal(data, &table))
	all := recordings(t)
	left := make(map[string]recording)
	for _, rec := range all {
		left[rec.Case] = rec
	}
	for _, c := range table {
		rec, ok := left[c.Case]
		if delete(left, c.Case); !ok || c.Says == "" {
			t.Errorf("case %s: recorded %v, says %q", c.Case, ok, c.Says)
			continue
		}
		t.Run(c.Case, func(t *testing.T) {
			r := newReplayer(t, Classic)
			n := 0
			r.play(rec, func(i int, want recordedFrame) {
				if n++; n > len(c.Got) {
					t.Fatalf("the table ends before frame %d", i)
				}
				for wanted := range strings.SplitSeq(c.Got[n-1], " && ") {
					got := wanted
					switch wanted {
					case "-":
					case "nothing":
						got = r.nothing(want.Conn)
					case "closed":
						got = r.recv(want.Conn, "")
					default:
						got = r.recv(want.Conn, strings.Fields(wanted)[2])
					}
					if wanted = strings.ReplaceAll(wanted, "<SENT>", r.long); got != wanted {
						t.Errorf("frame %d\ngot  %s\nwant %s", i, got, wanted)
					}
				}
			})
			if n != len(c.Got) {
				t.Errorf("the table has %d answers, the recording %d", len(c.Got), n)
			}
		})
	}
	if names := slices.Sorted(maps.Keys(left)); !slices.Equal(names, slices.Sorted(slices.Values(silentOnClassic))) {
		t.Errorf("without an entry in the table: %v; listed as such: %v", names, silentOnClassic)
	}
	t.Logf("%d of %d recorded cases were played with a classic core; the reference says nothing of %v", len(table), len(all), silentOnClassic)
}
