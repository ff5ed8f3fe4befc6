// Package shadows keeps device shadows as aws.greengrass.ShadowManager 2.3 serves them over IPC
// (aws-greengrass/aws-greengrass-shadow-manager, folder ipc/). They are in memory and are not synchronised with a cloud,
// and requests that are published on $aws/things/<thing>/shadow/{get,update,delete} are not served.
// There are no metadata (the time of each member) and no messages on update/documents, which nobody here reads. Of what the shadow manager refuses, it refuses what a component of this project could send.
package shadows

import (
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"
)

const (
	maxThingName = 128
	maxName      = 64
	maxPage      = 100 // names
	perThing     = 20  // requests of one thing in a second
	perSecond    = 200 // requests in all
)

// Codes of refusals.
const (
	unauthorized     = "UnauthorizedError"
	notFound         = "ResourceNotFoundError"
	invalidArguments = "InvalidArgumentsError"
	conflict         = "ConflictError"
	serviceError     = "ServiceError"
)

var namePattern = regexp.MustCompile(`^[a-zA-Z0-9:_-]+$`)

// key names a shadow; the classic shadow of a thing has an empty name.
type key struct{ thing, name string }

// resource is what a policy must allow, and the beginning of the shadow's topics.
func (k key) resource() string {
	if k.name == "" {
		return "$aws/things/" + k.thing + "/shadow"
	}
	return "$aws/things/" + k.thing + "/shadow/name/" + k.name
}

// Shadows are all shadows of a core.
type Shadows struct {
	now  func() time.Time
	send func(topic string, payload []byte)

	mu        sync.Mutex // also orders the messages about a shadow
	documents map[key]document

	second  time.Time // begin of the window in which requests are counted
	total   int
	byThing map[string]int
}

// New makes a shadow manager without shadows, which sends the messages about them with publish.
func New(now func() time.Time, publish func(topic string, payload []byte)) *Shadows {
	return &Shadows{now: now, send: publish, documents: make(map[key]document), byThing: make(map[string]int)}
}

// Request is for one shadow. Allowed returns an error when the caller may not use a resource.
type Request struct {
	Thing, Name string
	Payload     []byte
	Allowed     func(resource string) error
}

// Refusal is why a request is refused: the error on its stream, and what its rejected message says.
type Refusal struct {
	Code, Text string
	status     int // of HTTP
	message    string
}

func badRequest(format string, args ...any) *Refusal {
	text := fmt.Sprintf(format, args...)
	return &Refusal{invalidArguments, text, 400, text}
}

func noSuchShadow(k key) *Refusal {
	name := k.name
	if name == "" {
		name = "Unnamed Shadow"
	}
	return &Refusal{notFound, "No shadow found", 404, "No shadow exists with name: " + name}
}

func (k key) check() *Refusal {
	for _, c := range []struct {
		what, name string
		longest    int
	}{{"ThingName", k.thing, maxThingName}, {"ShadowName", k.name, maxName}} {
		switch {
		case c.name == "" && c.what == "ShadowName": // the classic shadow
		case len(c.name) > c.longest:
			return badRequest("%s has a maximum length of %d", c.what, c.longest)
		case !namePattern.MatchString(c.name):
			return badRequest("%s must match pattern [a-zA-Z0-9:_-]+", c.what)
		}
	}
	return nil
}

// throttle counts a request. The real windows begin with a thing's first request; here all begin together.
func (s *Shadows) throttle(thing string) *Refusal {
	if now := s.now(); now.Sub(s.second) >= time.Second {
		s.second, s.total = now, 0
		clear(s.byThing)
	}
	if s.total >= perSecond || s.byThing[thing] >= perThing {
		return &Refusal{Code: serviceError, Text: "Too Many Requests"}
	}
	s.total++
	s.byThing[thing]++
	return nil
}

// serve carries an operation on one shadow out, and publishes what it refuses. do also returns the request's client token,
// which the refusal carries.
func (s *Shadows) serve(q Request, operation string, do func(key) (response []byte, token string, _ *Refusal)) ([]byte, *Refusal) {
	k := key{q.Thing, q.Name}
	s.mu.Lock()
	defer s.mu.Unlock()
	if refusal := s.throttle(k.thing); refusal != nil {
		return nil, refusal // it is not published
	}
	var response []byte
	var token string
	refusal := k.check()
	if refusal == nil && operation == "update" && len(q.Payload) == 0 {
		refusal = badRequest("Missing update payload")
	}
	if refusal == nil {
		if err := q.Allowed(k.resource()); err != nil {
			refusal = &Refusal{unauthorized, err.Error(), 401, "Unauthorized"}
		} else {
			response, token, refusal = do(k)
		}
	}
	if refusal != nil {
		s.publish(k, operation+"/rejected", map[string]any{"code": refusal.status, "message": refusal.message}, token)
	}
	return response, refusal
}

// publish adds the time and the client token, if there is one, to a message about a shadow and publishes it. It returns
// the message.
func (s *Shadows) publish(k key, what string, message map[string]any, token string) []byte {
	message["timestamp"] = s.now().Unix()
	if token != "" {
		message["clientToken"] = token
	}
	payload := encode(message)
	s.send(k.resource()+"/"+what, payload)
	return payload
}

// Get returns a shadow's document.
func (s *Shadows) Get(q Request) ([]byte, *Refusal) {
	return s.serve(q, "get", func(k key) ([]byte, string, *Refusal) {
		d, ok := s.documents[k]
		if !ok {
			return nil, "", noSuchShadow(k)
		}
		return s.publish(k, "get/accepted", map[string]any{"state": d.state(), "version": d.version}, ""), "", nil
	})
}

// Update merges the payload into a shadow, which is made when it is not there.
func (s *Shadows) Update(q Request) ([]byte, *Refusal) {
	return s.serve(q, "update", func(k key) ([]byte, string, *Refusal) {
		u, refusal := decodeUpdate(q.Payload)
		if refusal != nil {
			return nil, "", refusal
		}
		old := s.documents[k]
		if refusal := u.check(old); refusal != nil {
			return nil, u.token, refusal
		}
		d := old.updated(u.state)
		if refusal := d.checkSize(); refusal != nil {
			return nil, u.token, refusal
		}
		s.documents[k] = d
		if delta := d.delta(); delta != nil {
			s.publish(k, "update/delta", map[string]any{"state": delta, "version": d.version}, u.token)
		}
		return s.publish(k, "update/accepted", map[string]any{"state": u.sent, "version": d.version}, u.token), u.token, nil
	})
}

// Delete forgets a shadow. One of the same name that is made later begins at version 1, as the shadow manager's does
// (UpdateThingShadowRequestHandler looks only for documents that are not deleted), although AWS IoT goes on from the
// deleted one's version for 48 hours.
func (s *Shadows) Delete(q Request) ([]byte, *Refusal) {
	return s.serve(q, "delete", func(k key) ([]byte, string, *Refusal) {
		d, ok := s.documents[k]
		if !ok {
			return nil, "", noSuchShadow(k)
		}
		delete(s.documents, k)
		s.publish(k, "delete/accepted", map[string]any{"version": d.version}, "")
		return []byte{}, "", nil
	})
}

// List returns a page of the names of a thing's named shadows and, when there may be more, what names the next page.
// Nothing is published.
func (s *Shadows) List(thing, after string, size int) (names []string, next string, _ *Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if refusal := s.throttle(thing); refusal != nil {
		return nil, "", refusal
	}
	if size < 1 || size > maxPage {
		return nil, "", badRequest("pageSize argument must be between 1 and %d", maxPage)
	}
	for k := range s.documents {
		if k.thing == thing && k.name > after { // the classic shadow has no name
			names = append(names, k.name)
		}
	}
	slices.Sort(names)
	names = names[:min(size, len(names))]
	if len(names) == size {
		next = names[size-1]
	}
	return names, next, nil
}
