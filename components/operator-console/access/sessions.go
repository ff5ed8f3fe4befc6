package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"edgepdm/components/operator-console/web"
)

const (
	cookieName  = "__Host-edgepdm" // sent back to this host over TLS only
	sessionTime = 8 * time.Hour
	maxSessions = 1000

	freeTries = 5 // wrong passwords of a name, or of an address, until there is a wait
	firstWait = 2 * time.Second
	maxWait   = 15 * time.Minute
	forget    = time.Hour // since the last wrong one
	maxTracks = 10_000
	checking  = 2 // passwords that are checked at a time: each takes a processor for a while
)

// Guard lets in who has a login. It is web's Guard beyond loopback.
type Guard struct {
	Users *Users
	Now   func() time.Time
	Log   *slog.Logger
	Audit *Audit

	checks chan struct{}

	mu       sync.Mutex
	sessions map[[sha256.Size]byte]session // by the hash of what the cookie has
	wrong    map[string]track
	scrapers map[[sha256.Size]byte]time.Time // until when a name and password count as right
}

type session struct {
	name  string
	until time.Time
}

// track is how often a password of a name, or from an address, was wrong.
type track struct {
	n    int
	last time.Time
}

// NewGuard returns a guard without sessions.
func NewGuard(users *Users, now func() time.Time, log *slog.Logger, audit *Audit) *Guard {
	return &Guard{
		Users: users, Now: now, Log: log, Audit: audit, checks: make(chan struct{}, checking),
		sessions: make(map[[sha256.Size]byte]session), wrong: make(map[string]track),
		scrapers: make(map[[sha256.Size]byte]time.Time),
	}
}

// Who says who sends a request. ok is false for nobody. A role that was changed, or a login that was removed, counts at once.
func (g *Guard) Who(r *http.Request) (who web.Person, ok bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return who, false
	}
	g.mu.Lock()
	s, known := g.sessions[keyOf(cookie.Value)]
	g.mu.Unlock()
	if !known || !g.Now().Before(s.until) {
		return who, false
	}
	role, err := g.Users.Role(s.name)
	if err != nil || !role.Known() {
		return who, false
	}
	return web.Person{Name: s.name, Role: role, Login: true}, true
}

func keyOf(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

// Login checks a password, and makes a session. The error is for the person.
func (g *Guard) Login(w http.ResponseWriter, r *http.Request, name, password string) error {
	address := addressOf(r)
	tracks := []string{"name " + name, "address " + address}
	if wait := g.wait(tracks); wait > 0 {
		return fmt.Errorf("too many wrong passwords: try again in %v", wait.Round(time.Second))
	}
	select {
	case g.checks <- struct{}{}:
		defer func() { <-g.checks }()
	case <-r.Context().Done():
		return r.Context().Err()
	}
	role, err := g.Users.Check(name, password)
	if err != nil {
		if errors.Is(err, ErrPassword) {
			g.failed(tracks)
			g.Audit.Note(Entry{TS: g.Now(), By: name, From: address, Do: "login", Outcome: "refused"})
			return err
		}
		g.Log.Error("a login could not be checked", "error", err)
		return errors.New("logins cannot be read: see the component's log")
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: crypto/rand
	text := hex.EncodeToString(secret)
	g.mu.Lock()
	for _, t := range tracks {
		delete(g.wrong, t)
	}
	g.prune()
	g.sessions[keyOf(text)] = session{name, g.Now().Add(sessionTime)}
	g.mu.Unlock()
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: text, Path: "/", MaxAge: int(sessionTime / time.Second), HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode,
	})
	g.Audit.Note(Entry{TS: g.Now(), By: name, Role: role, From: address, Do: "login", Outcome: "ok"})
	return nil
}

// Logout ends a session.
func (g *Guard) Logout(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		g.mu.Lock()
		delete(g.sessions, keyOf(cookie.Value))
		g.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, Secure: true, SameSite: http.SameSiteStrictMode})
}

// Scrapes says whether a request has the name and password of a login, as HTTP Basic authentication says them. A password that was right is
// not derived again for an hour: it comes each few seconds.
func (g *Guard) Scrapes(r *http.Request) bool {
	name, password, given := r.BasicAuth()
	if !given || CheckLogin(name) != nil {
		return false
	}
	now, key := g.Now(), keyOf(name+"\x00"+password)
	g.mu.Lock()
	until, known := g.scrapers[key]
	g.mu.Unlock()
	if known && now.Before(until) {
		role, err := g.Users.Role(name)
		return err == nil && role.Known()
	}
	tracks := []string{"name " + name, "address " + addressOf(r)}
	if g.wait(tracks) > 0 {
		return false
	}
	select {
	case g.checks <- struct{}{}:
		defer func() { <-g.checks }()
	case <-r.Context().Done():
		return false
	}
	if _, err := g.Users.Check(name, password); err != nil {
		if errors.Is(err, ErrPassword) {
			g.failed(tracks)
		}
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.scrapers) >= maxSessions {
		clear(g.scrapers)
	}
	g.scrapers[key] = now.Add(time.Hour)
	return true
}

// prune removes sessions that are over, and the ones that end first where there are too many. mu is held.
func (g *Guard) prune() {
	now := g.Now()
	for key, s := range g.sessions {
		if !now.Before(s.until) {
			delete(g.sessions, key)
		}
	}
	for len(g.sessions) >= maxSessions {
		var first [sha256.Size]byte
		var until time.Time
		for key, s := range g.sessions {
			if until.IsZero() || s.until.Before(until) {
				first, until = key, s.until
			}
		}
		delete(g.sessions, first)
	}
}

// wait is how long it is until a password is checked again.
func (g *Guard) wait(tracks []string) (wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.Now()
	for _, name := range tracks {
		t := g.wrong[name]
		if t.n < freeTries {
			continue
		}
		pause := min(firstWait<<min(t.n-freeTries, 10), maxWait)
		wait = max(wait, t.last.Add(pause).Sub(now))
	}
	return min(wait, maxWait) // the clock may have been set
}

// failed counts a wrong password.
func (g *Guard) failed(tracks []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.Now()
	for name, t := range g.wrong {
		if now.Sub(t.last).Abs() > forget {
			delete(g.wrong, name)
		}
	}
	for _, name := range tracks {
		t, known := g.wrong[name]
		if !known && len(g.wrong) >= maxTracks {
			continue // somebody makes up names: their address is known
		}
		g.wrong[name] = track{t.n + 1, now}
	}
}

func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
