package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"edgepdm/components/operator-console/picture"
	"edgepdm/components/operator-console/trends"
	"edgepdm/components/operator-console/web"
	"edgepdm/test/browser"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// plant is a console with a picture that the test makes.
type plant struct {
	t      *testing.T
	store  *picture.Store
	server *web.Server
	url    string
	given  chan web.Command
}

func newPlant(t *testing.T) *plant {
	t.Helper()
	p := newServer(t)
	site := httptest.NewServer(p.server.Handler())
	t.Cleanup(site.Close)
	p.url = site.URL + "/"
	return p
}

// newServer returns a console that is not served yet.
func newServer(t *testing.T) *plant {
	t.Helper()
	p := &plant{t: t, store: picture.NewStore("a"), given: make(chan web.Command, 100)}
	p.server = &web.Server{
		Store: p.store, Now: time.Now, Log: slog.New(slog.DiscardHandler), Streams: new(atomic.Uint64),
		Command: func(_ context.Context, c web.Command) (string, error) {
			p.given <- c
			return "done: " + string(c.To), nil
		},
		Live: func(string, string) web.Live {
			low, high, hot := float32(60), float32(82), float32(96.2)
			x := float32(4.1)
			return web.Live{TS: time.Now().UnixMilli(), Model: "m", Values: []*float32{&x, &hot, nil}, Sensors: []web.Sensor{
				{Sensor: "flow_1", Unit: "m³/min"}, {Sensor: "oil_temp", Name: "oil return temperature", Names: map[string]string{"de": "Ölrücklauftemperatur"}, Unit: "°C", Low: &low, High: &high}, {Sensor: "particles"},
			}}
		},
		Trend: func(thing string, length time.Duration) web.Trend {
			low, high := float32(60), float32(82)
			tr := web.Trend{Trend: trends.Trend{Series: map[string]*trends.Values{"score": {}, "oil_temp": {}}}, Sensors: []web.Sensor{{Sensor: "oil_temp", Name: "oil return temperature", Unit: "°C", Low: &low, High: &high}}}
			now := time.Now()
			for i := range 60 {
				at := now.Add(length * time.Duration(i-60) / 60)
				score, oil := float32(i)/100, 70+float32(i%7)
				tr.Times = append(tr.Times, float64(at.Unix()))
				for v, x := range map[*trends.Values]float32{tr.Series["score"]: score, tr.Series["oil_temp"]: oil} {
					v.Mean, v.Min, v.Max = append(v.Mean, &x), append(v.Min, &x), append(v.Max, &x)
				}
			}
			return tr
		},
	}
	p.set(picture.Site, "site", map[string]any{"core": "press-hall-1", "zone": "Europe/Berlin", "language": "en"})
	return p
}

func (p *plant) set(kind picture.Kind, key string, value any) {
	p.t.Helper()
	data, err := json.Marshal(value)
	must.OK(p.t, err)
	p.store.Set(kind, key, data)
}

func (p *plant) machine(name, line string, score float64) {
	t := picture.Thing{Line: line, Score: score, Threshold: 0.5, TS: time.Now().UnixMilli(), Heard: time.Now().UnixMilli(), Model: "1.2.0"}
	if score >= t.Threshold {
		t.Label = picture.Faulty
	}
	p.store.Set(picture.Things, name, t.Encode())
}

func (p *plant) alarm(thing, fault, priority, text string) {
	p.set(picture.Alarms, thing+" "+fault, map[string]any{
		"thing": thing, "fault": fault, "line": "line-1", "priority": priority, "state": "UNACKNOWLEDGED", "active": true, "raised": time.Now(), "since": time.Now(), "text": text,
	})
}

// clean fails for what the console of the browser says, and for requests to anywhere else.
func (p *plant) clean(page *browser.Page) {
	p.t.Helper()
	if c := page.Complaints(); len(c) > 0 {
		p.t.Errorf("the browser says %q", c)
	}
	for _, r := range page.Requests() {
		if !strings.HasPrefix(r, p.url) && !strings.HasPrefix(r, "data:") {
			p.t.Errorf("the page asks for %s", r)
		}
	}
}

// News come by themselves; an acknowledgement is given in somebody's name with what was found.
func TestAnAlarmIsSeenAndAcknowledged(t *testing.T) {
	need.Long(t)
	p := newPlant(t)
	p.machine("press-1", "line-1", 0.02)
	page := browser.Open(t, p.url)
	page.Until("the machine", "document.querySelector('.vrow b')?.textContent === 'press-1'")
	p.machine("press-1", "line-1", 0.93)
	p.alarm("press-1", "machine-fault", "high", "Fault found on line 1, press 1.")
	page.Until("the alarm", "document.querySelector('.vrow')?.innerText.includes('High') && document.querySelector('#alarmbar').innerText.includes('Fault found')")
	page.Type("#who input", "Ann"+kb.Enter)
	page.Click("#alarmbar a")
	page.Until("the alarms", "document.querySelector('tbody tr[data-key=\"press-1 machine-fault\"]')")
	page.Click("tbody tr input")
	page.Click("section .row button.main")
	page.Until("the dialog", "document.querySelector('dialog[open]')")
	page.Evaluate("document.querySelector('dialog select').value = 'confirmed'", nil)
	page.Type("dialog input", "bearing"+kb.Enter)
	c := <-p.given
	var message struct {
		Do, Outcome, Comment string
		Alarms               []struct{ Thing, Fault string }
	}
	data, err := json.Marshal(c.Message)
	must.OK(t, err)
	must.OK(t, json.Unmarshal(data, &message))
	if c.By != "Ann" || c.To != web.ToAlarms || message.Do != "acknowledge" || message.Outcome != "confirmed" || message.Comment != "bearing" || len(message.Alarms) != 1 {
		t.Errorf("%+v %s", c, data)
	}
	page.Until("the answer", "document.querySelector('#toast').innerText.includes('done: alarm')")
	p.clean(page)
}

// Names and texts of others are text, whatever they look like.
func TestHostileTexts(t *testing.T) {
	need.Long(t)
	p := newPlant(t)
	const evil = `<img src=x onerror="window.owned=1"><script>window.owned=1</script>"'&`
	p.machine(evil, evil, 0.9)
	p.machine("press-1", evil, 0.9)
	p.alarm(evil, evil, "high", evil)
	p.set(picture.Components, evil, map[string]any{"component": evil, "version": evil, "ts": time.Now(), "state": evil, "detail": evil, "conditions": []any{map[string]any{"code": evil, "place": evil, "detail": evil}}, "counters": map[string]any{evil: 1}})
	p.set(picture.Drifts, evil, map[string]any{"line": evil, "state": "DRIFT", "found": []any{map[string]any{"kind": evil, "sensor": evil, "unit": evil}}, "unknown": []any{evil}})
	p.set(picture.Comparisons, "fault", map[string]any{"candidate": map[string]any{"version": evil}, "active": map[string]any{"version": evil}, "decision": "open", "faulty": []any{0, 0}, "p99_us": []any{1, 1}, "rules": []any{map[string]any{"rule": evil, "have": evil, "need": evil}}})
	p.set(picture.Models, "a", map[string]any{"event": evil, "name": evil, "version": evil, "detail": evil})
	p.set(picture.History, "1", map[string]any{"change": evil, "thing": evil, "fault": evil, "by": evil, "why": evil})
	p.set(picture.Places, evil, map[string]any{"thing": evil, "by": evil, "comment": evil})
	page := browser.Open(t, p.url)
	for _, address := range []string{"", "alarms", "models", "link", "health", "machine/press-1"} {
		page.Evaluate("location.hash = '#/' + encodeURI("+fmt.Sprintf("%q", address)+")", nil)
		page.Until("the page "+address, "document.querySelector('main h2')")
		var owned bool
		page.Evaluate("Boolean(window.owned) || document.querySelectorAll('main img, main script').length > 0", &owned)
		if owned {
			t.Errorf("%s: a text became markup", address)
		}
	}
	p.clean(page)
}
