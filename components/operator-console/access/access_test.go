package access_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edgepdm/components/operator-console/access"
	"edgepdm/components/operator-console/picture"
	"edgepdm/components/operator-console/trends"
	"edgepdm/components/operator-console/web"
	"edgepdm/test/must"
)

// site is a console beyond loopback, with a clock that the test sets.
type site struct {
	*httptest.Server
	t     *testing.T
	dir   string
	users *access.Users
	ahead atomic.Int64
	given chan web.Command
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), given: make(chan web.Command, 10)}
	s.users = access.OpenUsers(access.UsersFile(s.dir))
	now := func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }
	log := slog.New(slog.DiscardHandler)
	audit := &access.Audit{Path: filepath.Join(s.dir, "audit.jsonl"), Problem: func(err error) { must.OK(t, err) }}
	server := &web.Server{
		Store: picture.NewStore("a"), Now: now, Log: log, Streams: new(atomic.Uint64), Guard: access.NewGuard(s.users, now, log, audit),
		Command: func(_ context.Context, c web.Command) (string, error) { s.given <- c; return "done", nil },
		Metrics: func(io.Writer) error { return nil },
		Trend:   func(string, time.Duration) web.Trend { return web.Trend{Trend: trends.Trend{}} },
	}
	s.Server = httptest.NewTLSServer(server.Handler())
	t.Cleanup(s.Close)
	return s
}

// browser is a browser of its own.
func (s *site) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	must.OK(s.t, err)
	c := *s.Client()
	c.Jar = jar
	return &c
}

func (s *site) post(c *http.Client, path, body string, headers ...string) (status int, text string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+path, strings.NewReader(body))
	must.OK(s.t, err)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return s.do(c, req)
}

func (s *site) get(c *http.Client, path string) (status int, text string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.URL+path, nil)
	must.OK(s.t, err)
	return s.do(c, req)
}

func (s *site) do(c *http.Client, req *http.Request) (status int, text string) {
	s.t.Helper()
	resp, err := c.Do(req)
	must.OK(s.t, err)
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	must.OK(s.t, err)
	return resp.StatusCode, string(data)
}

func (s *site) login(c *http.Client, name, password string) (status int, text string) {
	s.t.Helper()
	body, err := json.Marshal(map[string]string{"name": name, "password": password})
	must.OK(s.t, err)
	return s.post(c, "/api/login", string(body))
}

const acknowledge = `{"to":"alarm","by":"somebody else","message":{"do":"acknowledge"}}`

// Nobody gets news, trends or commands without a login; each role may do what it may; a login that is changed or taken away counts at once;
// a session ends after eight hours, and at the logout.
func TestLogins(t *testing.T) {
	s := newSite(t)
	stranger := s.browser()
	for _, path := range []string{"/api/stream", "/api/trend?thing=a&span=1h", "/api/trend.csv?thing=a&span=1h"} {
		if status, _ := s.get(stranger, path); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, _ := s.post(stranger, "/api/command", acknowledge); status != http.StatusUnauthorized {
		t.Errorf("command: %d", status)
	}
	if status, text := s.get(stranger, "/"); status != http.StatusOK || !strings.Contains(text, "app.js") { // so that it can ask
		t.Errorf("%d %s", status, text)
	}
	if _, text := s.get(stranger, "/api/session"); text != `{"login":false,"needed":true}`+"\n" {
		t.Errorf("%s", text)
	}
	password := make(map[web.Role]string)
	for _, role := range web.Roles() {
		var err error
		password[role], err = s.users.Set("Ann "+string(role), role)
		must.OK(t, err)
	}
	if password[web.Viewer] == password[web.Operator] || len(password[web.Viewer]) != 24 {
		t.Errorf("%q", password)
	}
	for role, want := range map[web.Role]int{web.Viewer: http.StatusForbidden, web.Operator: http.StatusOK, web.Engineer: http.StatusOK} {
		c := s.browser()
		if status, text := s.login(c, "Ann "+string(role), password[role]); status != http.StatusNoContent {
			t.Fatalf("%d %s", status, text)
		}
		if _, text := s.get(c, "/api/session"); text != `{"name":"Ann `+string(role)+`","role":"`+string(role)+`","login":true,"needed":false}`+"\n" {
			t.Errorf("%s", text)
		}
		if status, _ := s.get(c, "/api/trend?thing=a&span=1h"); status != http.StatusOK {
			t.Errorf("%s: %d", role, status)
		}
		status, text := s.post(c, "/api/command", acknowledge)
		if status != want {
			t.Errorf("%s: %d %s", role, status, text)
		}
		if status == http.StatusOK {
			if given := <-s.given; given.By != "Ann "+string(role) || given.Role != role {
				t.Errorf("%+v", given)
			}
		}
		if status, _ := s.post(c, "/api/command", acknowledge, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"); status != http.StatusForbidden {
			t.Errorf("a page of somebody else commands: %d", status)
		}
		s.post(c, "/api/logout", "")
		if status, _ := s.post(c, "/api/command", acknowledge); status != http.StatusUnauthorized {
			t.Errorf("after the logout: %d", status)
		}
	}
	c := s.browser()
	s.login(c, "Ann engineer", password[web.Engineer])
	if _, err := s.users.Set("Ann engineer", web.Viewer); err != nil {
		t.Fatal(err)
	}
	if status, _ := s.post(c, "/api/command", acknowledge); status != http.StatusForbidden {
		t.Errorf("a role that was taken away: %d", status)
	}
	must.OK(t, s.users.Remove("Ann engineer"))
	if status, _ := s.post(c, "/api/command", acknowledge); status != http.StatusUnauthorized {
		t.Errorf("a login that was taken away: %d", status)
	}
	s.login(c, "Ann operator", password[web.Operator])
	s.ahead.Add(int64(8 * time.Hour))
	if status, _ := s.get(c, "/api/trend?thing=a&span=1h"); status != http.StatusUnauthorized {
		t.Errorf("after eight hours: %d", status)
	}
	record := string(must.Read(t, filepath.Join(s.dir, "audit.jsonl")))
	if n := strings.Count(record, `"do":"login","outcome":"ok"`); n != 5 || strings.Contains(record, password[web.Operator]) {
		t.Errorf("%d logins in the record:\n%s", n, record)
	}
	if info, err := os.Stat(access.UsersFile(s.dir)); err != nil || info.Mode().Perm()&0o077 != 0 || strings.Contains(string(must.Read(t, access.UsersFile(s.dir))), password[web.Operator]) {
		t.Errorf("%v %v", info, err)
	}
}

// Guessing is slowed down, for the name and for the address, and the right password opens again after the wait.
func TestGuessing(t *testing.T) {
	s := newSite(t)
	right, err := s.users.Set("Ann", web.Operator)
	must.OK(t, err)
	for range 5 {
		if status, text := s.login(s.browser(), "Ann", "wrong"); status != http.StatusUnauthorized || !strings.Contains(text, "wrong") {
			t.Fatalf("%d %s", status, text)
		}
	}
	if status, text := s.login(s.browser(), "Ann", right); status != http.StatusUnauthorized || !strings.Contains(text, "try again in 2s") {
		t.Errorf("%d %s", status, text)
	}
	if status, _ := s.login(s.browser(), "Bob", "wrong"); status != http.StatusUnauthorized {
		t.Errorf("%d", status)
	}
	s.ahead.Add(int64(3 * time.Second))
	if status, text := s.login(s.browser(), "Ann", "wrong"); !strings.Contains(text, "name or password") {
		t.Errorf("%d %s", status, text)
	}
	if _, text := s.login(s.browser(), "Ann", right); !strings.Contains(text, "try again in 4s") {
		t.Errorf("%s", text)
	}
	s.ahead.Add(int64(time.Minute))
	if status, text := s.login(s.browser(), "Ann", right); status != http.StatusNoContent {
		t.Errorf("%d %s", status, text)
	}
}

// Prometheus says name and password with each request. A login that was taken away counts at once there, too.
func TestScrapes(t *testing.T) {
	s := newSite(t)
	password, err := s.users.Set("prometheus", web.Viewer)
	must.OK(t, err)
	scrape := func(name, password string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/metrics", nil)
		must.OK(t, err)
		if name != "" {
			req.SetBasicAuth(name, password)
		}
		status, _ := s.do(s.browser(), req)
		return status
	}
	if got := []int{scrape("", ""), scrape("prometheus", "wrong"), scrape("prometheus", password), scrape("prometheus", password)}; !slices.Equal(got, []int{401, 401, 200, 200}) {
		t.Errorf("%v", got)
	}
	must.OK(t, s.users.Remove("prometheus"))
	if got := scrape("prometheus", password); got != http.StatusUnauthorized {
		t.Errorf("%d", got)
	}
}

// Hostile bodies are answered, and bounded.
func TestHostileBodies(t *testing.T) {
	s := newSite(t)
	for name, want := range map[string]int{
		`{`: http.StatusBadRequest, ``: http.StatusBadRequest, `{"name":"` + strings.Repeat("x", 2000) + `"}`: http.StatusRequestEntityTooLarge,
		`{"name":"x\u0000","password":"y"}`: http.StatusUnauthorized, `[]`: http.StatusBadRequest,
	} {
		if status, text := s.post(s.browser(), "/api/login", name); status != want {
			t.Errorf("%.20s: %d %s", name, status, text)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/login", strings.NewReader("name=Ann"))
	must.OK(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if status, _ := s.do(s.browser(), req); status != http.StatusUnsupportedMediaType {
		t.Errorf("%d", status)
	}
}

// The console's own certificate is made once, is for the machine's names, and is kept; its key is nobody else's.
func TestOwnCertificate(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	c, err := access.Certificate(dir, []string{"press-hall", "192.0.2.7"}, now)
	must.OK(t, err)
	if err := errors.Join(c.Leaf.VerifyHostname("press-hall"), c.Leaf.VerifyHostname("192.0.2.7")); err != nil {
		t.Error(err)
	}
	again, err := access.Certificate(dir, nil, now.Add(time.Hour))
	must.OK(t, err)
	print, err := access.Fingerprint(access.OwnCertificate(dir))
	must.OK(t, err)
	if !again.Leaf.Equal(c.Leaf) || len(print) != 95 {
		t.Errorf("%s", print)
	}
	info, err := os.Stat(filepath.Join(dir, "console-key.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	later, err := access.Certificate(dir, nil, now.Add(11*365*24*time.Hour))
	must.OK(t, err)
	if later.Leaf.Equal(c.Leaf) {
		t.Error("a certificate that is over stays")
	}
	must.OK(t, os.WriteFile(access.OwnCertificate(dir), []byte("damaged"), 0o600))
	if _, err := access.Certificate(dir, nil, now); err == nil {
		t.Error("a damaged certificate is replaced silently")
	}
}
