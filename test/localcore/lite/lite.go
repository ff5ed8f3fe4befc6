// Package lite is the dialect of nucleus lite, a set of programs in C under systemd. Where it differs from the real one on purpose:
//   - An integer of 19 characters or more in a document is refused; the real one passes on a spoiled one, or spoils the
//     subscription. Of two members of one name the last counts, not the first.
//   - A recipe variable that cannot be resolved, and any other {, fails the deployment; the real one runs the script up to
//     that place.
//   - The members of a configuration come in order of their names; the real one keeps the order of their first writing.
//   - The connection to IoT Core, when it is cut, keeps for subscriptions what a classic nucleus's session keeps.
//   - RestartComponent, CreateLocalDeployment and the private operations are not served.
//   - A component that is not found among the recipes is not there; the real one would ask the cloud.
//   - Any process may connect by the name of an external: the core knows none of their processes.
package lite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"edgepdm/shared/ipc/eventstream"
	"edgepdm/test/localcore/nucleus"
)

// Name is the component that nucleus lite is.
const Name = "aws.greengrass.NucleusLite"

const (
	maxAnswer        = 10_000 // bytes of a frame to a client; from one it is the length after the prelude
	maxConnections   = 50
	maxSubscriptions = 100
	maxPolicies      = 4096 // bytes that the policies of one service may take
	maxLeaf          = 1024 // bytes of a configuration value as JSON
)

type dialect struct {
	n     *nucleus.Nucleus
	table map[string]handler
}

// New makes the dialect for a nucleus.
func New(n *nucleus.Nucleus) nucleus.Dialect {
	d := &dialect{n: n}
	d.table = d.operations()
	return d
}

func (*dialect) Traits() nucleus.Traits {
	return nucleus.Traits{Name: Name, Runtime: "aws_nucleus_lite", Version: "2.6.0", Endpoint: "localhost",
		MaxFrame: eventstream.MaxFrameLite, MaxAnswer: maxAnswer, MaxConnections: maxConnections, ExactKeys: true}
}

// request is an operation's request.
type request struct {
	nucleus.Call
	args map[string]any
	bad  bool // a member has another type, or is missing
}

// handler runs on the connection's goroutine and must not wait. It returns the response, or nil to answer later.
type handler func(*request) ([]byte, *nucleus.Error)

// object is a JSON object whose members keep their order.
type object = nucleus.Object

var errorf = nucleus.Errorf

// Handle routes one frame as ggipcd does (ipc_server.c), and says whether the connection goes on: what is wrong with
// a connection is never said.
func (d *dialect) Handle(c *nucleus.Conn, m *eventstream.Message) bool {
	switch {
	case m == nil:
		return false
	case c.Principal == nil:
		return connect(c, m)
	case m.StreamID == 0: // a PING, too
		return false
	case m.Flags&eventstream.TerminateStream != 0:
		for _, s := range c.Opened(m.StreamID) {
			s.End()
		}
		return true
	}
	s := c.Open(m.StreamID, m.Operation, strings.HasPrefix(m.Operation, nucleus.OperationPrefix+"SubscribeTo"))
	operation, known := d.table[strings.TrimPrefix(m.Operation, nucleus.OperationPrefix)]
	value, err := parseLite(m.Payload)
	args, isObject := value.(map[string]any)
	if err != nil {
		c.Log().Warn("refuse IPC request", "operation", m.Operation, "err", err)
	}
	if m.Type != eventstream.ApplicationMessage || m.Flags != 0 || !known || err != nil || !isObject {
		s.Answer(nil, &nucleus.Error{Code: nucleus.ServiceError})
		return true
	}
	response, failed := operation(&request{Call: nucleus.Call{Principal: c.Principal, Operation: m.Operation, Stream: s}, args: args})
	if failed == nil && len(response) > 0 && !s.Fits(response) {
		failed = &nucleus.Error{Code: nucleus.ServiceError}
	}
	s.Answer(response, failed)
	return true
}

func connect(c *nucleus.Conn, m *eventstream.Message) bool {
	value, err := parseLite(m.Payload)
	args, _ := value.(map[string]any)
	token, byToken := args["authToken"].(string)
	name, byName := args["componentName"].(string)
	switch {
	case m.Type != eventstream.Connect || m.StreamID != 0 || m.Flags != 0 || err != nil:
		c.Log().Warn("refuse IPC connection: no CONNECT with a JSON object came first")
	case m.Version != eventstream.Version:
		c.Log().Warn("refuse IPC connection: wrong :version", "version", m.Version)
	case !byToken && byName:
		if token, byName = c.AuthenticateByName(name); byName {
			c.Send(&eventstream.Message{Type: eventstream.ConnectAck, Flags: eventstream.ConnectionAccepted, Token: token})
			return true
		}
		c.Log().Warn("refuse IPC connection: not a process of the component", "name", name)
	case !c.Authenticate(token):
		c.Log().Warn("refuse IPC connection: unknown token")
	default:
		c.Send(&eventstream.Message{Type: eventstream.ConnectAck, Flags: eventstream.ConnectionAccepted})
		return true
	}
	return false
}

func (*dialect) Failure(e *nucleus.Error) eventstream.Message {
	text := ""
	if e.Message != nil {
		text = *e.Message
	}
	return eventstream.Message{ContentType: eventstream.ContentTypeJSON, ServiceModelType: nucleus.OperationPrefix + e.Code,
		Payload: appendLite(nil, object{"_message", text, "_errorCode", e.Code})}
}

func (*dialect) AppendJSON(b []byte, v any) []byte { return appendLite(b, v) }

// Matches matches as MQTT 3.1.1 (4.7) says; a topic without a character matches nothing.
func (*dialect) Matches(wanted, published string) bool {
	filter, topic := strings.Split(wanted, "/"), strings.Split(published, "/")
	if strings.HasPrefix(published, "$") && (filter[0] == "+" || filter[0] == "#") || published == "" {
		return false
	}
	for i, level := range filter {
		switch {
		case level == "#" && i == len(filter)-1:
			return true // a/# matches a, too
		case i >= len(topic) || level != "+" && level != topic[i]:
			return false
		}
	}
	return len(filter) == len(topic)
}

// Validate does nothing: nucleus lite asks no component.
func (*dialect) Validate(context.Context, map[string]map[string]any) error { return nil }

// Environment adds what recipe-runner and systemd set. INVOCATION_ID, JOURNAL_STREAM and SYSTEMD_EXEC_PID are left
// out: they would point to a journal that there is not.
func (d *dialect) Environment(env map[string]string, credentials bool) {
	env[nucleus.SocketVariable] = d.n.Server.Path()
	env["LOGNAME"] = env["USER"]
	env["SHELL"] = cmp.Or(os.Getenv("SHELL"), "/bin/sh")
	if credentials && d.n.CredentialsURL != "" {
		env[nucleus.CredentialsVariable] = d.n.CredentialsURL
	}
}

// Fill fills recipe variables in as recipe-runner does when it writes the script: every { begins one. A value in a
// script is escaped for double quotes; one in Setenv arrives as it is.
func (*dialect) Fill(left string, inScript bool, lookup func(namespace, key string) (any, bool)) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(left, "{")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		namespace, key, _ := strings.Cut(name, ":")
		value, ok := lookup(namespace, key)
		if !closed || !ok {
			return "", fmt.Errorf("nucleus lite would cut the script off at {%.40s: it is no recipe variable that can be resolved", rest)
		}
		text, isText := value.(string)
		if !isText {
			text = string(appendLite(nil, value))
		}
		if inScript {
			text = strings.NewReplacer(`"`, `\"`, `\`, `\\`, `$`, `\$`, "`", "\\`").Replace(text)
		}
		b.WriteString(text)
		left = after
	}
}

func (*dialect) CheckPolicies(policies map[string]any) error {
	if values, text := sizes(policies); values+text > maxPolicies {
		return fmt.Errorf("they take %d bytes, and nucleus lite has %d for them", values+text, maxPolicies)
	}
	return nil
}

// Resource fills recipe variables in a policy's resource in. ${*} and its like are no variables.
func (d *dialect) Resource(pattern string) (string, error) {
	const escape = "${"
	var b strings.Builder
	for i, part := range strings.Split(pattern, escape) {
		if i > 0 { // what the escape stands for, and its }
			at := strings.Index(part, "}") + 1
			b.WriteString(escape + part[:at])
			part = part[at:]
		}
		filled, err := d.Fill(part, false, func(namespace, key string) (any, bool) {
			return d.n.ThingName, namespace == "iot" && key == "thingName"
		})
		if err != nil {
			return "", errors.New("only {iot:thingName} can be used in a resource")
		}
		b.WriteString(filled)
	}
	return b.String(), nil
}

func (*dialect) CheckConfiguration(values map[string]any) error { return checkLeaves("", values) }

// checkLeaves refuses configuration values that ggconfigd cannot store.
func checkLeaves(at string, v any) error {
	if m, ok := v.(map[string]any); ok {
		for _, key := range nucleus.SortedKeys(m) {
			if err := checkLeaves(strings.TrimPrefix(at+"."+key, "."), m[key]); err != nil {
				return err
			}
		}
		return nil
	}
	if n := len(appendLite(nil, v)); n > maxLeaf {
		return fmt.Errorf("configuration %s: %d bytes of JSON, and nucleus lite stores at most %d", at, n, maxLeaf)
	}
	return nil
}
