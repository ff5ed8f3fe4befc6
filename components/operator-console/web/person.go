package web

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"unicode/utf8"

	"edgepdm/shared/event"
)

// Role is what a person may do.
type Role string

// The roles, each may do what those before it may.
const (
	Viewer   Role = "viewer"
	Operator Role = "operator"
	Engineer Role = "engineer"
)

// Roles lists them, the least first.
func Roles() []Role { return []Role{Viewer, Operator, Engineer} }

// Known says whether there is such a role.
func (r Role) Known() bool { return slices.Contains(Roles(), r) }

// Person is who is at a page.
type Person struct {
	Name  string `json:"name,omitempty"`
	Role  Role   `json:"role,omitempty"`
	Login bool   `json:"login"` // they have logged in
}

// Guard lets people in. A nil Guard lets everybody in as an engineer: on a loopback address, where whoever reaches the page is on the
// machine already.
type Guard interface {
	Who(r *http.Request) (who Person, ok bool)
	Login(w http.ResponseWriter, r *http.Request, name, password string) error
	Logout(w http.ResponseWriter, r *http.Request)
	// Scrapes says whether a request for metrics has the name and password of a login.
	Scrapes(r *http.Request) bool
}

const maxLogin = 1 << 10 // bytes

// who says who sends a request.
func (s *Server) who(r *http.Request) (Person, bool) {
	if s.Guard == nil {
		return Person{Role: Engineer}, true
	}
	return s.Guard.Who(r)
}

// known serves only who is let in.
func (s *Server) known(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, ok := s.who(r); !ok {
			http.Error(w, "log in first", http.StatusUnauthorized)
			return
		}
		serve(w, r)
	}
}

// session says who is at the page.
func (s *Server) session(w http.ResponseWriter, r *http.Request) {
	person, ok := s.who(r)
	s.answer(w, struct {
		Person
		Needed bool `json:"needed"` // a login
	}{person, !ok})
}

// login logs somebody in.
func (s *Server) login(w http.ResponseWriter, r *http.Request) {
	var from struct{ Name, Password string }
	switch {
	case s.Guard == nil:
		http.Error(w, "there is no login on this address", http.StatusNotFound)
		return
	case !readJSON(w, r, maxLogin, &from):
		return
	}
	if err := s.Guard.Login(w, r, from.Name, from.Password); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// logout ends a session.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	if s.Guard != nil {
		s.Guard.Logout(w, r)
	}
	w.WriteHeader(http.StatusNoContent)
}

// readJSON reads the body of a request; with false the answer is given.
func readJSON(w http.ResponseWriter, r *http.Request, limit int64, into any) bool {
	if r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "the body must be application/json", http.StatusUnsupportedMediaType)
		return false
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit)).Decode(into)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return false
	}
	if err != nil {
		http.Error(w, "the body is not understood: "+err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

// answer answers with JSON.
func (s *Server) answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		s.Log.Debug("an answer was not taken", "error", err)
	}
}

const maxBy = 60 // bytes

// nameOf is in whose name a command is given: of the login or, without one, of what the page says.
func nameOf(who Person, claimed string) string {
	if who.Login {
		return who.Name
	}
	if claimed == "" || len(claimed) > maxBy || !utf8.ValidString(claimed) || event.CheckLine(claimed) != nil {
		return "console"
	}
	return claimed
}

// ownHost refuses requests that were sent to another name than this machine's own: a page of somebody else whose name was made to point
// here (DNS rebinding).
func ownHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "this page is at 127.0.0.1 or localhost", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
