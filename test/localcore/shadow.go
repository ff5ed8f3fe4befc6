package localcore

import (
	"encoding/base64"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// The device shadows of aws.greengrass.ShadowManager, as its version 2.3 serves them over IPC
// (aws-greengrass/aws-greengrass-shadow-manager, folder ipc/). They are in memory and are not synchronised with a cloud,
// and requests that are published on $aws/things/<thing>/shadow/{get,update,delete} are not served.
const (
	shadowService = "aws.greengrass.ShadowManager"
	conflict      = "ConflictError"

	maxThingName       = 128
	maxShadowName      = 64
	shadowsAThing      = 20  // requests of one thing in a second
	shadowsInAll       = 200 // requests in a second
	defaultShadowPage  = 25
	maxShadowPage      = 100
	shadowNotFound     = "No shadow found"
	shadowRateExceeded = "Too Many Requests"
)

var shadowNamePattern = regexp.MustCompile(`^[a-zA-Z0-9:_-]+$`)

// shadowKey names a shadow; the classic shadow of a thing has an empty name.
type shadowKey struct{ thing, name string }

// resource is what a policy must allow, and the beginning of the shadow's topics.
func (k shadowKey) resource() string {
	if k.name == "" {
		return "$aws/things/" + k.thing + "/shadow"
	}
	return "$aws/things/" + k.thing + "/shadow/name/" + k.name
}

// shadows are all shadows of a core.
type shadows struct {
	core *Core

	mu        sync.Mutex // also orders the messages about a shadow
	documents map[shadowKey]shadowDocument

	second  time.Time // begin of the window in which requests are counted
	total   int
	byThing map[string]int
}

// shadowOperations are the operations of a core with a shadow manager.
func shadowOperations(c *Core) map[string]func(*request) ([]byte, *opError) {
	s := &shadows{core: c, documents: make(map[shadowKey]shadowDocument), byThing: make(map[string]int)}
	return map[string]func(*request) ([]byte, *opError){
		"GetThingShadow":           s.get,
		"UpdateThingShadow":        s.update,
		"DeleteThingShadow":        s.delete,
		"ListNamedShadowsForThing": s.list,
	}
}

// shadowRefusal is why a request for a shadow is refused: the error on its stream, and what its rejected message says.
type shadowRefusal struct {
	err  *opError
	code int // an HTTP status
	text string
}

func badShadowRequest(format string, args ...any) *shadowRefusal {
	err := errorf(invalidArguments, format, args...)
	return &shadowRefusal{err, 400, *err.message}
}

func noSuchShadow(k shadowKey) *shadowRefusal {
	err := errorf(resourceNotFound, shadowNotFound)
	err.details = object{{"resourceType", "shadow"}}
	name := k.name
	if name == "" {
		name = "Unnamed Shadow"
	}
	return &shadowRefusal{err, 404, "No shadow exists with name: " + name}
}

// shadowOf reads which shadow a request means.
func shadowOf(r *request) shadowKey {
	thing, _ := get[string](&r.decoder, r.fields, "thingName")
	name, _ := get[string](&r.decoder, r.fields, "shadowName")
	return shadowKey{thing, name}
}

func checkThingName(thing string) *shadowRefusal {
	switch {
	case thing == "":
		return badShadowRequest("ThingName is missing")
	case len(thing) > maxThingName:
		return badShadowRequest("ThingName has a maximum length of %d", maxThingName)
	case !shadowNamePattern.MatchString(thing):
		return badShadowRequest("ThingName must match pattern [a-zA-Z0-9:_-]+")
	}
	return nil
}

func (k shadowKey) check() *shadowRefusal {
	if refusal := checkThingName(k.thing); refusal != nil {
		return refusal
	}
	switch {
	case len(k.name) > maxShadowName:
		return badShadowRequest("ShadowName has a maximum length of %d", maxShadowName)
	case k.name != "" && !shadowNamePattern.MatchString(k.name):
		return badShadowRequest("ShadowName must match pattern [a-zA-Z0-9:_-]+")
	}
	return nil
}

// throttle counts a request. The real windows begin with a thing's first request; here all begin together.
func (s *shadows) throttle(thing string) *opError {
	if thing == "" {
		return nil
	}
	if now := s.core.opts.Now(); now.Sub(s.second) >= time.Second {
		s.second, s.total = now, 0
		clear(s.byThing)
	}
	if s.total >= shadowsInAll || s.byThing[thing] >= shadowsAThing {
		return errorf(serviceError, shadowRateExceeded)
	}
	s.total++
	s.byThing[thing]++
	return nil
}

func (s *shadows) authorise(r *request, resource string) *shadowRefusal {
	if err := s.core.authz.check(r.principal.name, shadowService, r.operation, resource); err != nil {
		return &shadowRefusal{errorf(unauthorized, "%s", err), 401, "Unauthorized"}
	}
	return nil
}

// serve carries an operation on one shadow out, and publishes what it refuses. do also returns the request's client token,
// which the refusal carries.
func (s *shadows) serve(r *request, operation string, do func(shadowKey) (response []byte, token string, _ *shadowRefusal)) ([]byte, *opError) {
	k := shadowOf(r)
	if r.err != nil {
		return nil, r.err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.throttle(k.thing); err != nil {
		return nil, err
	}
	var response []byte
	var token string
	refusal := k.check()
	if refusal == nil {
		response, token, refusal = do(k)
	}
	if r.err != nil {
		return nil, r.err
	}
	if refusal != nil {
		message := map[string]any{"code": refusal.code, "message": refusal.text}
		s.publish(k, operation+"/rejected", message, token)
		return nil, refusal.err
	}
	return appendGson(nil, object{{"payload", response}}), nil
}

// publish adds the time and the client token, if there is one, to a message about a shadow and publishes it. It returns
// the message.
func (s *shadows) publish(k shadowKey, what string, message map[string]any, token string) []byte {
	message["timestamp"] = s.core.opts.Now().Unix()
	if token != "" {
		message["clientToken"] = token
	}
	payload, err := encodeShadow(message)
	if err != nil { // only what was decoded from JSON is in it
		s.core.log.Error("encode message about a shadow", "err", err)
		return nil
	}
	topic := k.resource() + "/" + what
	s.core.pubsub.publish(shadowService, topic, appendGson(nil, object{{"binaryMessage",
		object{{"message", payload}, {"context", object{{"topic", topic}}}}}}))
	return payload
}

func (s *shadows) get(r *request) ([]byte, *opError) {
	return s.serve(r, "get", func(k shadowKey) ([]byte, string, *shadowRefusal) {
		if refusal := s.authorise(r, k.resource()); refusal != nil {
			return nil, "", refusal
		}
		d, ok := s.documents[k]
		if !ok {
			return nil, "", noSuchShadow(k)
		}
		state := d.state()
		if delta := d.delta(); delta != nil {
			state["delta"] = delta
		}
		return s.publish(k, "get/accepted", map[string]any{"state": state, "metadata": d.metadata(), "version": d.version}, ""), "", nil
	})
}

func (s *shadows) update(r *request) ([]byte, *opError) {
	return s.serve(r, "update", func(k shadowKey) ([]byte, string, *shadowRefusal) {
		payload, _ := r.blob(r.fields, "payload")
		if len(payload) == 0 {
			return nil, "", badShadowRequest("Missing update payload")
		}
		if refusal := s.authorise(r, k.resource()); refusal != nil {
			return nil, "", refusal
		}
		u, refusal := decodeShadowUpdate(payload)
		if refusal != nil {
			return nil, "", refusal
		}
		old, exists := s.documents[k]
		if refusal := u.check(old); refusal != nil {
			return nil, u.token, refusal
		}
		now := s.core.opts.Now().Unix()
		d := old.updated(u.state, now)
		if refusal := d.checkSize(); refusal != nil {
			return nil, u.token, refusal
		}
		s.documents[k] = d
		if delta := d.delta(); delta != nil {
			s.publish(k, "update/delta", map[string]any{"state": delta,
				"metadata": deltaMetadata(delta, d.desiredMeta), "version": d.version}, u.token)
		}
		documents := map[string]any{"previous": nil, "current": d.whole()}
		if exists {
			documents["previous"] = old.whole()
		}
		s.publish(k, "update/documents", documents, u.token)
		return s.publish(k, "update/accepted", map[string]any{"state": u.sent, "metadata": stamp(u.sent, now),
			"version": d.version}, u.token), u.token, nil
	})
}

// delete forgets a shadow. One of the same name that is made later begins at version 1, as the shadow manager's does
// (UpdateThingShadowRequestHandler looks only for documents that are not deleted), although AWS IoT goes on from the
// deleted one's version for 48 hours.
func (s *shadows) delete(r *request) ([]byte, *opError) {
	return s.serve(r, "delete", func(k shadowKey) ([]byte, string, *shadowRefusal) {
		if refusal := s.authorise(r, k.resource()); refusal != nil {
			return nil, "", refusal
		}
		d, ok := s.documents[k]
		if !ok {
			return nil, "", noSuchShadow(k)
		}
		delete(s.documents, k)
		s.publish(k, "delete/accepted", map[string]any{"version": d.version}, "")
		return []byte{}, "", nil
	})
}

// list answers a page of a thing's named shadows. Its policy's resource is the thing's name, and nothing is published.
func (s *shadows) list(r *request) ([]byte, *opError) {
	thing := shadowOf(r).thing
	token, _ := get[string](&r.decoder, r.fields, "nextToken")
	size, hasSize := get[int](&r.decoder, r.fields, "pageSize")
	if r.err != nil {
		return nil, r.err
	}
	if !hasSize {
		size = defaultShadowPage
	}
	if refusal := checkThingName(thing); refusal != nil {
		return nil, refusal.err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.throttle(thing); err != nil {
		return nil, err
	}
	if refusal := s.authorise(r, thing); refusal != nil {
		return nil, refusal.err
	}
	if size < 1 || size > maxShadowPage {
		return nil, errorf(invalidArguments, "pageSize argument must be between 1 and 100")
	}
	offset, err := openPageToken(token, r.principal.name, thing)
	if err != nil {
		return nil, err
	}
	var names []string
	for k := range maps.Keys(s.documents) {
		if k.thing == thing && k.name != "" {
			names = append(names, k.name)
		}
	}
	slices.Sort(names)
	names = names[min(offset, len(names)):]
	names = names[:min(size, len(names))]
	response := object{{"results", names}, {"timestamp", float64(s.core.opts.Now().UnixMilli()) / 1000}}
	if len(names) == size { // there may be more, or not
		response = append(response, member{"nextToken", pageToken(offset+size, r.principal.name, thing)})
	}
	return appendGson(nil, response), nil
}

// pageToken names the next page. As on a nucleus it is of no use to another component or for another thing.
func pageToken(offset int, component, thing string) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%d %s %s", offset, component, thing))
}

// openPageToken is the inverse of pageToken. Without a token the first page is meant.
func openPageToken(token, component, thing string) (offset int, _ *opError) {
	if token == "" {
		return 0, nil
	}
	text, err := base64.StdEncoding.DecodeString(token)
	number, _, _ := strings.Cut(string(text), " ")
	if err == nil {
		_, err = fmt.Sscan(number, &offset)
	}
	if err != nil || offset < 0 || pageToken(offset, component, thing) != token {
		return 0, errorf(invalidArguments, "Invalid nextToken argument")
	}
	return offset, nil
}
