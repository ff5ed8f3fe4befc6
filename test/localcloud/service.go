package localcloud

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// The services, by the names that requests are signed for.
const (
	serviceIoT     = "iotdata"
	serviceSNS     = "sns"
	serviceS3      = "s3"
	servicePolly   = "polly"
	serviceSecrets = "secretsmanager"
)

// service is what all the emulated services have in common.
type service struct {
	name     string
	maxBody  int64
	tooLarge *apiError
	fail     func(http.ResponseWriter, *apiError)
	denials  map[denial]*apiError
	throttle *apiError // the answer while throttled
	// serve answers a request whose body was read and whose signature is right. It returns an error before it has
	// answered anything, or nil.
	serve func(http.ResponseWriter, *http.Request, []byte) *apiError
}

// gatekeeper stands before the services: it reads bodies, checks signatures, and throttles when it is told to.
type gatekeeper struct {
	keys       *keyring
	unanswered atomic.Int64

	mu        sync.Mutex
	throttled map[string]int // requests to refuse, by service
}

func (g *gatekeeper) throttleNext(name string, n int) error {
	switch name {
	case serviceIoT, serviceSNS, serviceS3, servicePolly:
	default:
		return fmt.Errorf("there is no service %q", name)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.throttled[name] = n
	return nil
}

func (g *gatekeeper) takeThrottle(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.throttled[name] <= 0 {
		return false
	}
	g.throttled[name]--
	return true
}

func (g *gatekeeper) handler(s service) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := g.admit(s, w, r)
		if err != nil {
			s.fail(w, err)
		}
		if err != nil || r.Method == http.MethodGet || r.Method == http.MethodHead {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			g.unanswered.Add(1)
		}
	})
}

func (g *gatekeeper) admit(s service, w http.ResponseWriter, r *http.Request) *apiError {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return s.tooLarge
	} else if err != nil {
		return refuse(http.StatusBadRequest, "IncompleteBody", "The body ends early") // nobody is there to read it
	}
	if d := g.keys.verify(r, s.name, body); d != granted {
		return s.denials[d]
	}
	if g.takeThrottle(s.name) {
		return s.throttle
	}
	return s.serve(w, r, body)
}

// denialsAs returns the answers to unauthenticated requests, all 403, with a service's own error codes.
func denialsAs(codeUnsigned, codeUnknown, codeExpired, codeSignature string) map[denial]*apiError {
	const status = http.StatusForbidden
	return map[denial]*apiError{
		unsigned:       refuse(status, codeUnsigned, "Missing Authentication Token"),
		unknownKey:     refuse(status, codeUnknown, "The security token included in the request is invalid."),
		expiredToken:   refuse(status, codeExpired, "The security token included in the request is expired"),
		wrongSignature: refuse(status, codeSignature, "The request signature we calculated does not match the signature you provided."),
		clockSkewed:    refuse(status, codeSignature, "Signature expired or not yet current: check the clock"),
		wrongPayload:   refuse(status, codeSignature, "The payload does not match its hash"),
	}
}
