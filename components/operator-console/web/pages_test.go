package web_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/operator-console/picture"
	"edgepdm/shared/event"
	"edgepdm/test/browser"
	"edgepdm/test/must"
	"edgepdm/test/need"
	"edgepdm/test/tools"
)

// busy fills the picture with something on every page.
func (p *plant) busy() {
	for i := range 12 {
		p.machine(fmt.Sprintf("press-%d", i+1), fmt.Sprintf("line-%d", i/4+1), float64(i%5)/20)
	}
	now := time.Now()
	value, low, high := float32(96.2), float32(60), float32(82)
	t := picture.Thing{
		Line: "line-1", Score: 0.93, Threshold: 0.5, Label: picture.Faulty, TS: now.UnixMilli(), Heard: now.UnixMilli(), Model: "1.2.0", WhyTS: now.UnixMilli(),
		Life: &event.Life{Low: 12, Median: 20, High: 31, Coverage: 0.9, Unit: "hours"}, Quality: &event.Quality{Frozen: []string{"flow_1"}}, Watched: event.Watched{"oil_temp": 96.2},
		Why: []event.Contributor{
			{Sensor: "oil_temp", Name: "oil return temperature", Names: map[string]string{"de": "Ölrücklauftemperatur"}, Value: &value, Low: &low, High: &high, Unit: "°C", Direction: "above", Share: 0.61},
			{Sensor: "particles", Name: "particles in the oil", Direction: "missing", Share: 0.2},
		},
	}
	p.store.Set(picture.Things, "press-1", t.Encode())
	p.alarm("press-1", "machine-fault", "high", "Fault found on line 1, press 1. Immediate attention required.")
	p.alarm("press-2", "no-data", "medium", "No data of 160 sensors of line 1, press 2.")
	p.alarm("line:line-1", "drift", "low", "The data of line 1 are not what the model knows: oil return temperature 71 °C, usually 66.")
	p.set(picture.Alarms, "press-3 machine-fault", map[string]any{
		"thing": "press-3", "fault": "machine-fault", "line": "line-1", "priority": "high", "state": "ACKNOWLEDGED", "active": true, "raised": now,
		"shelved": map[string]any{"until": now.Add(time.Hour), "by": "Ann"}, "acknowledged": map[string]any{"at": now, "by": "Ann", "outcome": "planned", "comment": "belt"},
	})
	p.set(picture.Places, " line-3", map[string]any{"line": "line-3", "since": now, "by": "Ivan", "comment": "belt change"})
	for i, change := range []string{"raised", "shelved", "acknowledged"} {
		p.set(picture.History, fmt.Sprintf("%020d", i+1), map[string]any{"n": i + 1, "ts": now, "change": change, "thing": "press-1", "fault": "machine-fault", "by": "Ann", "why": "bearing"})
	}
	active := map[string]any{"version": "1.1.0", "sha256": strings.Repeat("9f2c", 16)}
	for name, more := range map[string]map[string]any{
		"InferenceEngine": {"model": active, "life_model": active, "memory_kb": 13210},
		"AlarmManager":    {"counters": map[string]any{"alarm.standing": 3, "alarm.unacknowledged": 3, "alarm.raised": 17}},
		"CloudForwarder": {
			"state": "DEGRADED", "detail": "alerts-iot deliver: 403 Forbidden", "uplink": "down", "conditions": []any{map[string]any{"code": "DELIVERY", "place": "alerts-iot deliver", "detail": "403 Forbidden", "since": now}},
			"counters": map[string]any{"streams": 2, "stream.alerts-iot.depth": 12, "stream.alerts-iot.accepted": 120, "stream.predictions.depth": 40210, "stream.predictions.accepted": 1e6, "stream.predictions.oldest_s": 7260, "stream.predictions.bytes": 51000000, "stream.alerts-iot.dead": 2, "stream.alerts-iot.dropped.age": 1},
		},
	} {
		health := map[string]any{"v": 1, "component": "com.edgepdm." + name, "version": "1.2.3", "run": "a", "ts": now, "interval_ms": 3600000, "state": "OK", "started": now.Add(-time.Hour)}
		for key, v := range more {
			health[key] = v
		}
		p.set(picture.Components, "com.edgepdm."+name, health)
	}
	p.set(picture.Comparisons, "fault", map[string]any{
		"ts": now, "active": active, "candidate": map[string]any{"version": "1.2.0", "sha256": "77aa"}, "since": now.Add(-time.Hour), "rows": 86012, "skipped": 12, "agreement": 0.997,
		"faulty": []any{0.031, 0.029}, "p99_us": []any{9.8, 10.2}, "decision": "open",
		"rules": []any{map[string]any{"rule": "rows", "have": "86012", "need": "2000", "ok": true}, map[string]any{"rule": "time", "have": "23h59m", "need": "24h", "ok": false}},
	})
	p.set(picture.Drifts, "line-1", map[string]any{
		"line": "line-1", "state": "DRIFT", "since": now.Add(-time.Hour), "ts": now, "rows": 500, "more": 2,
		"found": []any{map[string]any{"kind": "sensor", "sensor": "oil_temp", "name": "oil return temperature", "unit": "°C", "psi": 0.41, "limit": 0.11, "usual": 66, "now": 71}},
	})
	p.set(picture.Models, "a", map[string]any{"ts": now, "event": "activated", "name": "compressor", "version": "1.1.0", "detail": "promoted"})
}

// addresses are all pages.
var addresses = map[string]string{"overview": "", "machine": "machine/press-1", "alarms": "alarms", "models": "models", "link": "link", "health": "health"}

// open shows a page and waits for what is on it.
func (p *plant) open(view browser.View, name string) *browser.Page {
	p.t.Helper()
	page := browser.OpenAs(p.t, p.url+"#/"+addresses[name], view)
	page.Until("the page "+name, "document.querySelector('main h2') && document.querySelector('#site').textContent")
	page.Until("its content", map[string]string{
		"overview": "document.querySelectorAll('.vrow').length >= 12", "machine": "document.querySelectorAll('.uplot').length === 2 && document.querySelector('.bars .fill')",
		"alarms": "document.querySelectorAll('tbody tr[data-key]').length === 4", "models": "document.querySelectorAll('main table').length >= 3",
		"link": "document.querySelectorAll('main tbody tr').length === 2", "health": "document.querySelectorAll('main .panel').length === 3",
	}[name])
	return page
}

// No page keeps anybody from using it, by axe-core, in light and in dark; none is wider than a phone.
func TestPagesAreForEverybody(t *testing.T) {
	need.Long(t)
	axe := string(must.Read(t, filepath.Join(need.Installed(t, tools.Axe), "node_modules", "axe-core", "axe.min.js")))
	p := newPlant(t)
	p.busy()
	for name := range addresses {
		for theme, view := range map[string]browser.View{"light": {Calm: true}, "dark": {Dark: true, Calm: true}, "phone": {Width: 390, Height: 844, Calm: true}} {
			t.Run(name+" "+theme, func(t *testing.T) {
				p := *p
				p.t = t
				page := p.open(view, name)
				var wide bool
				if page.Evaluate("document.documentElement.scrollWidth > innerWidth", &wide); wide {
					t.Error("the page is wider than its window")
				}
				page.Evaluate("(() => { "+axe+"; return 0 })()", nil)
				var violations []struct {
					ID, Help string
					Nodes    []struct{ HTML, FailureSummary string }
				}
				page.Evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)", &violations)
				for _, v := range violations {
					data, err := json.MarshalIndent(v.Nodes[:min(3, len(v.Nodes))], "", " ")
					must.OK(t, err)
					t.Errorf("%s: %s\n%s", v.ID, v.Help, data)
				}
				p.clean(page)
			})
		}
	}
}

// Ten thousand machines are a list of which some rows are elements, in the order of urgency.
func TestTenThousandMachines(t *testing.T) {
	need.Long(t)
	p := newPlant(t)
	for i := range 10_000 {
		p.machine(fmt.Sprintf("m-%d", i), fmt.Sprintf("line-%d", i%20), float64(i%100)/250)
	}
	p.alarm("m-7777", "machine-fault", "high", "Fault found.")
	page := browser.Open(t, p.url)
	page.Until("the list", "document.querySelector('.vrow b')?.textContent === 'm-7777'")
	var nodes int
	if page.Evaluate("document.querySelectorAll('*').length", &nodes); nodes > 2000 {
		t.Errorf("%d elements", nodes)
	}
	page.Evaluate("document.querySelector('.vlist').scrollTo(0, 1e9)", nil)
	page.Until("the end of the list", "[...document.querySelectorAll('.vrow')].some(r => r.getAttribute('aria-posinset') === '10000')")
	page.Type("input[type=search]", "m-4242")
	page.Until("what is searched for", "document.querySelector('.vrow b')?.textContent === 'm-4242'")
	p.clean(page)
}

// The page speaks the browser's language where the site names none, and the one that a person chooses.
func TestGerman(t *testing.T) {
	need.Long(t)
	p := newPlant(t)
	p.busy()
	p.set(picture.Site, "site", map[string]any{"core": "Halle 1", "zone": "Europe/Berlin", "language": ""})
	page := browser.OpenAs(t, p.url+"#/machine/press-1", browser.View{Languages: "de-DE,de"})
	page.Until("German", "document.querySelector('main').innerText.includes('Ölrücklauftemperatur') && document.documentElement.lang === 'de'")
	page.Evaluate("(() => { const s = document.querySelector('#language'); s.value = 'en'; s.dispatchEvent(new Event('change')); return 0 })()", nil)
	page.Until("English", "document.querySelector('main').innerText.includes('oil return temperature')")
	p.clean(page)
}
