package web_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"edgepdm/components/operator-console/access"
	"edgepdm/components/operator-console/picture"
	"edgepdm/components/operator-console/web"
	"edgepdm/test/browser"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// Every button gives the command that it names.
func TestEveryAction(t *testing.T) {
	need.Long(t)
	p := newPlant(t)
	p.busy()
	p.set(picture.Site, "site", map[string]any{"zone": "Europe/Berlin", "language": "en", "demo": true})
	p.set(picture.Alarms, "press-4 machine-fault", map[string]any{"thing": "press-4", "fault": "machine-fault", "priority": "high", "state": "ACKNOWLEDGED", "latched": true, "raised": time.Now()})
	page := browser.Open(t, p.url)
	fill := func(values map[string]string) string { // of the open dialog, and send it
		script := ""
		for name, value := range values {
			script += fmt.Sprintf("document.querySelector('dialog [name=%s]').value = %q;", name, value)
		}
		return "(() => {" + script + "document.querySelector('dialog form').requestSubmit(); return 0 })()"
	}
	const press = `{"thing":"press-1","fault":"machine-fault"}`
	for _, c := range []struct {
		page, button string // the text of the button; with "row: " of an alarm's row
		within       string // selector
		dialogs      []map[string]string
		to           web.Destination
		want         string
	}{
		{"alarms", "Acknowledge", "tr[data-key^='press-1 ']", []map[string]string{{"outcome": "no-fault-found", "comment": "dust"}}, web.ToAlarms, `{"do":"acknowledge","outcome":"no-fault-found","comment":"dust","alarms":[` + press + `]}`},
		{"alarms", "Shelve", "tr[data-key^='press-1 ']", []map[string]string{{"for": "4h", "comment": "parts"}}, web.ToAlarms, `{"do":"shelve","for":"4h","comment":"parts","alarms":[` + press + `]}`},
		{"alarms", "Unshelve", "tr[data-key^='press-3 ']", nil, web.ToAlarms, `{"do":"unshelve","alarms":[{"thing":"press-3","fault":"machine-fault"}]}`},
		{"alarms", "Reset", "tr[data-key^='press-4 ']", nil, web.ToAlarms, `{"do":"reset","alarms":[{"thing":"press-4","fault":"machine-fault"}]}`},
		{"alarms", "Take out of service", "main", []map[string]string{{"place": "line line-2"}, {"comment": "belt"}}, web.ToAlarms, `{"do":"out-of-service","line":"line-2","comment":"belt"}`},
		{"alarms", "Return to service", "main", nil, web.ToAlarms, `{"do":"return-to-service","line":"line-3"}`},
		{"machine/press-1", "Acknowledge", "main", []map[string]string{{"outcome": "confirmed"}}, web.ToAlarms, `{"do":"acknowledge","outcome":"confirmed","alarms":[` + press + `]}`},
		{"models", "Promote", "main", []map[string]string{{"reason": "checked"}}, web.ToModels, `{"do":"promote","reason":"checked"}`},
		{"models", "Reject", "main", []map[string]string{{"reason": "worse"}}, web.ToModels, `{"do":"reject","reason":"worse"}`},
		{"models", "Roll back", "main .panel", []map[string]string{{"reason": "noise"}}, web.ToModels, `{"do":"rollback","reason":"noise"}`},
		{"models", "Roll back", "main .panel .row + .row", []map[string]string{{"reason": "late"}}, web.ToModels, `{"do":"rollback","role":"life","reason":"late"}`},
		{"models", "Look for a new model", "main", nil, web.ToFetch, `{}`},
		{"link", "Send dead letters again", "main", nil, web.ToReplay, `{}`},
		{"health", "Raise a test alarm", "main", nil, web.ToTest, `{}`},
		{"demo", "Inject the fault", "main", nil, web.ToPlant, `{"do":"inject","thing":"press-1","fault":"overheating","for_s":20}`},
		{"demo", "Cut the uplink", "main", nil, web.ToDemo, `{"do":"cut"}`},
		{"demo", "Restore the uplink", "main", nil, web.ToDemo, `{"do":"restore"}`},
		{"demo", "Publish a model", "main", nil, web.ToDemo, `{"do":"publish"}`},
	} {
		t.Run(c.page+" "+c.button, func(t *testing.T) {
			page.Evaluate(fmt.Sprintf("location.hash = '#/%s'", c.page), nil)
			find := fmt.Sprintf("[...document.querySelectorAll(%q)].flatMap(e => [...e.querySelectorAll('button')]).find(b => b.textContent === %q && b.offsetParent && !b.disabled)", c.within, c.button)
			page.Until("the button "+c.button, find)
			page.Evaluate(find+".click()", nil)
			for _, values := range c.dialogs {
				page.Until("the dialog", "document.querySelector('dialog[open] form')")
				page.Evaluate(fill(values), nil)
			}
			got := <-p.given
			data, err := json.Marshal(got.Message)
			must.OK(t, err)
			var have, want any
			must.OK(t, json.Unmarshal(data, &have))
			must.OK(t, json.Unmarshal([]byte(c.want), &want))
			if got.To != c.to || fmt.Sprint(have) != fmt.Sprint(want) {
				t.Errorf("%s %s, want %s %s", got.To, data, c.to, c.want)
			}
		})
	}
	p.clean(page)
}

// Who uses the keyboard only gets to the content, to an alarm's button, into its dialog, and out of it to where they were.
func TestKeyboard(t *testing.T) {
	need.Long(t)
	p := newPlant(t)
	p.alarm("press-1", "machine-fault", "high", "Fault found.")
	page := browser.Open(t, p.url+"#/alarms")
	page.Until("the alarm", "document.querySelector('tbody tr')")
	page.Press(kb.Tab)
	page.Until("the link to the content", "document.activeElement.id === 'skip' && document.activeElement.getBoundingClientRect().left >= 0")
	page.Press(kb.Enter)
	page.Until("the content, on the same page", "document.activeElement.id === 'main' && document.querySelector('tbody tr')")
	const inRow = "document.activeElement.closest('tbody tr') && document.activeElement.textContent === 'Acknowledge'"
	var there bool
	for range 20 {
		page.Press(kb.Tab)
		if page.Evaluate("Boolean("+inRow+")", &there); there {
			break
		}
	}
	if !there {
		t.Fatal("Tab does not lead to the alarm's button")
	}
	page.Press(kb.Enter)
	page.Until("the dialog has the focus", "document.activeElement.closest('dialog[open]')")
	page.Press(kb.Escape)
	page.Until("the focus is back", "!document.querySelector('dialog') && "+inRow)
	page.Press(kb.Enter)
	page.Until("the dialog", "document.activeElement.closest('dialog[open]')")
	page.Type("dialog input[name=comment]", "dust"+kb.Enter)
	if c := <-p.given; string(c.Message["comment"]) != `"dust"` {
		t.Errorf("%s", c.Message)
	}
	p.clean(page)
}

// guard lets everybody in as somebody.
type guard struct{ web.Person }

func (g guard) Who(*http.Request) (web.Person, bool)                         { return g.Person, true }
func (guard) Login(http.ResponseWriter, *http.Request, string, string) error { return nil }
func (guard) Logout(http.ResponseWriter, *http.Request)                      {}
func (guard) Scrapes(*http.Request) bool                                     { return false }

// Nobody sees buttons that they may not use.
func TestButtonsOfRoles(t *testing.T) {
	need.Long(t)
	for _, c := range []struct {
		role    web.Role
		buttons map[string]string // by page
	}{
		{web.Viewer, map[string]string{"alarms": "", "machine/press-1": "", "models": "", "link": "", "health": ""}},
		{web.Operator, map[string]string{"alarms": "Acknowledge Shelve Unshelve", "machine/press-1": "Acknowledge Shelve", "models": "Look for a new model", "link": "", "health": "Raise a test alarm"}},
	} {
		t.Run(string(c.role), func(t *testing.T) {
			p := newServer(t)
			p.server.Guard = guard{web.Person{Name: "Ann", Role: c.role, Login: true}}
			site := httptest.NewServer(p.server.Handler())
			t.Cleanup(site.Close)
			p.url = site.URL + "/"
			p.busy()
			page := browser.Open(t, p.url)
			page.Until("who it is", "document.querySelector('#who').innerText.includes('Ann')")
			for address, want := range c.buttons {
				page.Evaluate(fmt.Sprintf("location.hash = '#/%s'", address), nil)
				page.Until("the page "+address, "document.querySelector('main h2') && document.querySelector('main [data-needs]')")
				var seen []string
				page.Evaluate("[...new Set([...document.querySelectorAll('main button:not(.sensors button)')].filter(b => b.offsetParent && b.dataset.needs).map(b => b.textContent))].sort()", &seen)
				if got := strings.Join(seen, " "); got != want {
					t.Errorf("%s: %q, want %q", address, got, want)
				}
			}
			p.clean(page)
		})
	}
}

// Beyond the machine, a page over TLS asks for a login, refuses a wrong one, and shows the plant after a right one.
func TestLoginInTheBrowser(t *testing.T) {
	need.Long(t)
	dir := t.TempDir()
	users := access.OpenUsers(access.UsersFile(dir))
	password, err := users.Set("Ann", web.Operator)
	must.OK(t, err)
	certificate, err := access.Certificate(dir, []string{"127.0.0.1"}, time.Now())
	must.OK(t, err)
	log := slog.New(slog.DiscardHandler)
	var later atomic.Int64 // nanoseconds
	p := newServer(t)
	p.server.TLS = &certificate
	p.server.Guard = access.NewGuard(users, func() time.Time { return time.Now().Add(time.Duration(later.Load())) }, log, &access.Audit{Path: dir + "/audit.jsonl", Problem: func(error) {}})
	site := httptest.NewUnstartedServer(p.server.Handler())
	site.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	site.StartTLS()
	t.Cleanup(site.Close)
	p.machine("press-1", "line-1", 0.1)
	page := browser.OpenAs(t, site.URL, browser.View{Insecure: true})
	page.Until("the login", "document.querySelector('dialog.login[open]')")
	page.Type("dialog input[name=name]", "Ann")
	page.Type("dialog input[name=password]", "wrong"+kb.Enter)
	page.Until("the refusal", "document.querySelector('dialog [role=alert]').textContent && !document.querySelector('dialog input[name=password]').value")
	later.Store(int64(time.Hour)) // the next try comes after the back-off
	page.Type("dialog input[name=password]", password+kb.Enter)
	page.Until("the plant", "document.querySelector('.vrow b')?.textContent === 'press-1' && document.querySelector('#who').innerText.includes('Ann (operator)')")
}

// A page says that it has lost its console, and is right again when another one is there, which knows other machines.
func TestTheConsoleIsStartedAgain(t *testing.T) {
	need.Long(t)
	p := newServer(t)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must.OK(t, err)
	address := listener.Addr().String()
	p.url = "http://" + address + "/"
	first := &http.Server{Handler: p.server.Handler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = first.Serve(listener) }()
	p.machine("press-1", "line-1", 0.1)
	page := browser.Open(t, p.url)
	page.Until("the machine", "document.querySelector('.vrow b')?.textContent === 'press-1'")
	must.OK(t, first.Close())
	page.Until("the banner", "!document.querySelector('#banner').hidden && document.querySelector('#banner').innerText.includes('No connection')")
	p.store = picture.NewStore("b")
	p.server.Store = p.store
	p.machine("press-2", "line-1", 0.1)
	listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	must.OK(t, err)
	second := &http.Server{Handler: p.server.Handler(), ReadHeaderTimeout: time.Minute}
	go func() { _ = second.Serve(listener) }()
	defer func() { _ = second.Close() }()
	page.Until("the machine of the new one only", "document.querySelector('#banner').hidden && [...document.querySelectorAll('.vrow')].filter(r => !r.hidden).map(r => r.querySelector('b').textContent).join() === 'press-2'")
}
