package console

import (
	"encoding/json"
	"io"

	"edgepdm/components/operator-console/metrics"
	"edgepdm/components/operator-console/picture"
	"edgepdm/shared/event"
)

// metrics writes what is known as Prometheus reads it.
func (l *listener) metrics(w io.Writer) error {
	components := make(map[string]event.Health)
	for _, name := range l.store.Keys(picture.Components) {
		if h, err := event.DecodeHealth(l.store.Get(picture.Components, name)); err == nil {
			components[name] = h
		}
	}
	p := metrics.Plant{Alarms: make(map[event.Severity]int)}
	l.mu.Lock()
	for _, t := range l.things {
		p.Things++
		switch t.Label {
		case picture.Faulty:
			p.Faulty++
		case picture.NoData:
			p.NoData++
		}
	}
	for _, a := range l.alarms {
		if a.Active && a.Shelved == nil && !a.Suppressed && !a.OutOfService {
			p.Alarms[a.Priority]++
		}
	}
	l.mu.Unlock()
	for _, line := range l.store.Keys(picture.Drifts) {
		var d event.Drift
		if json.Unmarshal(l.store.Get(picture.Drifts, line), &d) == nil && d.State == event.DriftFound {
			p.Drifting++
		}
	}
	return metrics.Write(w, components, p, l.now())
}
