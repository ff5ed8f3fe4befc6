package localcore

import (
	"errors"
	"fmt"
	"strings"

	"edgepdm/shared/ipc/eventstream"
	"edgepdm/shared/recipe"
)

const (
	// liteVersion is the nucleus lite that the core stands in for.
	liteVersion = "2.6.0"
	liteNucleus = "aws.greengrass.NucleusLite"

	liteMaxFrame         = 10_000 // bytes, to a client; from one it is the length after the prelude
	liteMaxConnections   = 50
	liteMaxSubscriptions = 100
	liteMaxPolicies      = 4096 // bytes that the policies of one service may take
	liteMaxLeaf          = 1024 // bytes of a configuration value as JSON
)

// lite is the dialect of nucleus lite, a set of programs in C under systemd. Where it differs from the real one on purpose:
//   - An integer of 19 characters or more in a document is refused with a text; the real one passes on a spoiled one, or
//     spoils the subscription.
//   - A recipe variable that cannot be resolved, and any other {, fails the deployment; the real one runs the script up to
//     that place.
//   - The members of a configuration come in order of their names; the real one keeps the order of their first writing.
//   - The connection to IoT Core, when it is cut, keeps for subscriptions what a classic nucleus's session keeps.
//   - RestartComponent, CreateLocalDeployment and the private operations are not served.
//   - A component that is not found among the recipes is not there; the real one would ask the cloud.
//   - Any process may connect by the name of an external: the core knows none of their processes.
func lite(c *Core) *dialect {
	return &dialect{
		nucleus: liteNucleus, runtime: "aws_nucleus_lite", version: liteVersion, endpoint: "localhost",
		maxFrame: eventstream.MaxFrameLite, maxAnswer: liteMaxFrame, maxConnections: liteMaxConnections,
		checkHeaders: liteHeaders,
		handle:       handleLite,
		malformed:    func(*conn) {},
		failure:      liteFailure,
		appendJSON:   appendLite,
		operations:   c.liteOperations(),
		levels:       func(topic string) []string { return strings.Split(topic, "/") },
		matches:      matchesMQTT,
		othersOnly:   func(string, []string) bool { return false }, // receiveMode is ignored

		tooManyPolicies: func(policies map[string]any) bool {
			values, text := liteBytes(policies)
			return values+text > liteMaxPolicies
		},
		resource: c.fillResource,
		checkResource: func(resource string) error {
			if resource == "" {
				return nil
			}
			return validResource(resource)
		},

		exactKeys: true, textScalars: true,
		checkConfiguration: func(values map[string]any) error { return checkLeaves("", values) },
		environment:        c.liteEnvironment,
		fill:               fillLite,
		variableText:       func(v any) string { return string(appendLite(nil, v)) },
		pathEnd:            "/",
		needsRuntime:       true,
		fixedWindow:        true, // StartLimitIntervalSec counts from the first start on
		change:             changeLite,
		resolve:            c.resolveLite,
		fetchTree:          c.fetchLite,
		fetch:              func(_ string, r *recipe.Recipe, m *recipe.Manifest) error { return c.present(r, m) },
		mergesAll:          true,
		hot:                true,
	}
}

// liteHeaders looks for header types other than int32 and string, with which nucleus lite closes the connection. Headers
// that are cut off are the decoder's to refuse.
func liteHeaders(h []byte) bool {
	const int32Type, stringType = 4, 7
	for len(h) > 0 && len(h) > 1+int(h[0]) {
		kind := h[1+int(h[0])]
		h = h[2+int(h[0]):]
		switch {
		case kind == int32Type && len(h) >= 4:
			h = h[4:]
		case kind == stringType && len(h) >= 2 && len(h) >= 2+int(h[0])<<8+int(h[1]):
			h = h[2+int(h[0])<<8+int(h[1]):]
		default:
			return kind == int32Type || kind == stringType
		}
	}
	return true
}

// handleLite routes one frame as ggipcd does (ipc_server.c), and says whether the connection goes on: what is wrong with
// a connection is never said.
func handleLite(c *conn, m *eventstream.Message) bool {
	switch {
	case c.principal == nil:
		return c.connectLite(m)
	case m.StreamID == 0: // a PING, too
		return false
	case m.Flags&eventstream.TerminateStream != 0:
		for _, s := range c.opened(m.StreamID) {
			s.end()
		}
		return true
	}
	s := c.open(m.StreamID, m.Operation, strings.HasPrefix(m.Operation, operationPrefix+"SubscribeTo"))
	r := &request{principal: c.principal, operation: m.Operation, stream: s}
	op, known := c.srv.dialect.operations[m.Operation]
	value, err := parseLite(m.Payload)
	args, isObject := value.(map[string]any)
	if m.Type != eventstream.ApplicationMessage || m.Flags != 0 || !known || err != nil || !isObject {
		s.answer(nil, &opError{code: serviceError})
		return true
	}
	r.args = args
	response, failed := op.handle(r)
	if failed == nil && len(response) > 0 && !s.fits(response) {
		failed = &opError{code: serviceError}
	}
	s.answer(response, failed)
	return true
}

// fits tells whether a response can be sent. An event that does not fit is left out.
func (s *stream) fits(response []byte) bool {
	m := s.message(s.operation+"Response", response)
	frame, err := eventstream.Append(nil, &m)
	return err == nil && len(frame) <= liteMaxFrame
}

func (c *conn) connectLite(m *eventstream.Message) bool {
	value, err := parseLite(m.Payload)
	args, _ := value.(map[string]any)
	token, byToken := args["authToken"].(string)
	name, byName := args["componentName"].(string)
	switch {
	case m.Type != eventstream.Connect || m.StreamID != 0 || m.Flags != 0 || err != nil:
		c.log.Warn("refuse IPC connection: no CONNECT with a JSON object came first")
	case m.Version != eventstream.Version:
		c.log.Warn("refuse IPC connection: wrong :version", "version", m.Version)
	case !byToken && byName:
		if token, byName = c.srv.authenticateByName(c, name); byName {
			c.send(&eventstream.Message{Type: eventstream.ConnectAck, Flags: eventstream.ConnectionAccepted, Token: token})
			return true
		}
		c.log.Warn("refuse IPC connection: not a process of the component", "name", name)
	case !c.srv.authenticate(c, token):
		c.log.Warn("refuse IPC connection: unknown token")
	default:
		c.send(&eventstream.Message{Type: eventstream.ConnectAck, Flags: eventstream.ConnectionAccepted})
		return true
	}
	return false
}

func liteFailure(e *opError) eventstream.Message {
	text := ""
	if e.message != nil {
		text = *e.message
	}
	return eventstream.Message{ContentType: eventstream.ContentTypeJSON, ServiceModelType: operationPrefix + e.code,
		Payload: appendLite(nil, object{{"_message", text}, {"_errorCode", e.code}})}
}

// matchesMQTT matches as MQTT 3.1.1 (4.7) says; a topic without a character matches nothing.
func matchesMQTT(filter, topic []string) bool {
	if strings.HasPrefix(topic[0], "$") && (filter[0] == "+" || filter[0] == "#") || len(topic) == 1 && topic[0] == "" {
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

// liteEnvironment adds what recipe-runner and systemd set. INVOCATION_ID, JOURNAL_STREAM and SYSTEMD_EXEC_PID are left
// out: they would point to a journal that there is not.
func (c *Core) liteEnvironment(env map[string]string, s *spec) {
	env[socketVariable] = c.server.path
	env["LOGNAME"] = env["USER"]
	env["SHELL"] = hostValue("SHELL", "/bin/sh")
	if s.credentials && c.opts.CredentialsURL != "" {
		env[credentialsVariable] = c.opts.CredentialsURL
	}
}

// fillLite fills recipe variables in as recipe-runner does when it writes the script: every { begins one. A value in a
// script is escaped for double quotes; one in Setenv arrives as it is.
func fillLite(text string, inScript bool, lookup func(namespace, key string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
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
		if inScript {
			value = strings.NewReplacer(`"`, `\"`, `\`, `\\`, `$`, `\$`, "`", "\\`").Replace(value)
		}
		b.WriteString(value)
		text = after
	}
}

// fillResource fills recipe variables in a policy's resource in. ${*} and its like are no variables.
func (c *Core) fillResource(pattern string) (string, error) {
	const escape = "${"
	var b strings.Builder
	for i, part := range strings.Split(pattern, escape) {
		if i > 0 {
			b.WriteString(escape)
		}
		held := ""
		if i > 0 { // what the escape stands for, and its }
			at := strings.Index(part, "}") + 1
			held, part = part[:at], part[at:]
		}
		filled, err := fillLite(part, false, func(namespace, key string) (string, bool) {
			return c.opts.ThingName, namespace == "iot" && key == "thingName"
		})
		if err != nil {
			return "", errors.New("only {iot:thingName} can be used in a resource")
		}
		b.WriteString(held + filled)
	}
	return b.String(), nil
}

// checkLeaves refuses configuration values that ggconfigd cannot store.
func checkLeaves(at string, v any) error {
	if m, ok := v.(map[string]any); ok {
		for _, key := range sortedKeys(m) {
			if err := checkLeaves(strings.TrimPrefix(at+"."+key, "."), m[key]); err != nil {
				return err
			}
		}
		return nil
	}
	if n := len(appendLite(nil, v)); n > liteMaxLeaf {
		return fmt.Errorf("configuration %s: %d bytes of JSON, and nucleus lite stores at most %d", at, n, liteMaxLeaf)
	}
	return nil
}
