// Package metrics writes what the components say of their health in Prometheus' text format, version 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
package metrics

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"edgepdm/shared/event"
)

// ContentType is that of the format.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Plant is what is written besides the components' health.
type Plant struct {
	Things, Faulty, NoData int
	Alarms                 map[event.Severity]int // that stand and are not quiet
	Drifting               int                    // lines
}

// levels are counters that go up and down, by their name or the end of it.
var levels = []string{
	"alarm.standing", "alarm.unacknowledged", "alarm.stale", "alarm.flood_min", "notice.pending", "alert.pending", "uplink.down", "page.streams", "streams",
	".depth", ".bytes", ".oldest_s", "drift.unlike",
}

func isLevel(counter string) bool {
	return slices.ContainsFunc(levels, func(l string) bool {
		return counter == l || strings.HasPrefix(l, ".") && strings.HasPrefix(counter, event.CounterStream) && strings.HasSuffix(counter, l)
	})
}

// family is a metric with its samples.
type family struct {
	name, kind, help string
	samples          []sample
}

type sample struct {
	labels []string // name and value in turn
	value  float64
}

func (f *family) add(value float64, labels ...string) {
	f.samples = append(f.samples, sample{labels, value})
}

// Write writes all metrics. now says which component is silent.
func Write(w io.Writer, components map[string]event.Health, p Plant, now time.Time) error {
	up := family{name: "edgepdm_component_up", kind: "gauge", help: "Whether the component is heard and does what it is for."}
	memory := family{name: "edgepdm_component_memory_bytes", kind: "gauge", help: "Resident memory of the component's process."}
	started := family{name: "edgepdm_component_start_time_seconds", kind: "gauge", help: "When the component's process began, in seconds since 1970."}
	info := family{name: "edgepdm_component_info", kind: "gauge", help: "Version and state of the component, always 1."}
	problems := family{name: "edgepdm_component_conditions", kind: "gauge", help: "Things that are wrong with the component now."}
	counts := family{name: "edgepdm_component_events_total", kind: "counter", help: "What the component has counted since its process began, by the counter's name in its health messages."}
	now0 := family{name: "edgepdm_component_level", kind: "gauge", help: "What the component has at the moment, by the counter's name in its health messages."}
	models := family{name: "edgepdm_model_info", kind: "gauge", help: "The model that is active in a role, always 1."}
	uplink := family{name: "edgepdm_uplink_up", kind: "gauge", help: "Whether the cloud can be reached."}
	for _, name := range slices.Sorted(maps.Keys(components)) {
		h := components[name]
		label := []string{"component", strings.TrimPrefix(name, "com.edgepdm.")}
		works := (h.State == event.StateOK || h.State == event.StateNotConfigured || h.State == event.StateDegraded) && heard(h, now)
		up.add(flag(works), label...)
		info.add(1, append(slices.Clone(label), "version", h.Version, "state", string(h.State))...)
		problems.add(float64(len(h.Conditions)), label...)
		if h.MemoryKB > 0 {
			memory.add(float64(h.MemoryKB)*1024, label...)
		}
		if !h.Started.IsZero() {
			started.add(float64(h.Started.Unix()), label...)
		}
		for _, counter := range slices.Sorted(maps.Keys(h.Counters)) {
			f := &counts
			if isLevel(counter) {
				f = &now0
			}
			f.add(float64(h.Counters[counter]), append(slices.Clone(label), "counter", counter)...)
		}
		for role, model := range map[event.Role]*event.ModelRef{event.RoleFault: h.Model, event.RoleLife: h.LifeModel} {
			if model != nil {
				models.add(1, "role", string(role), "version", model.Version, "sha256", model.SHA256)
			}
		}
		if h.Uplink != "" {
			uplink.add(flag(h.Uplink == event.UplinkUp))
		}
	}
	things := family{name: "edgepdm_machines", kind: "gauge", help: "Machines that are watched, by the model's last word."}
	things.add(float64(p.Things-p.Faulty-p.NoData), "verdict", "sound")
	things.add(float64(p.Faulty), "verdict", "faulty")
	things.add(float64(p.NoData), "verdict", "no-data")
	alarms := family{name: "edgepdm_alarms", kind: "gauge", help: "Alarms that stand and are neither shelved nor suppressed nor out of service."}
	for _, s := range []event.Severity{event.SeverityHigh, event.SeverityMedium, event.SeverityLow} {
		alarms.add(float64(p.Alarms[s]), "priority", string(s))
	}
	drift := family{name: "edgepdm_lines_drifting", kind: "gauge", help: "Lines whose data are not what the model knows."}
	drift.add(float64(p.Drifting))
	out := bufio.NewWriter(w)
	for _, f := range []family{up, info, problems, memory, started, counts, now0, models, uplink, things, alarms, drift} {
		write(out, f)
	}
	return out.Flush()
}

// heard says whether a component's health messages come.
func heard(h event.Health, now time.Time) bool {
	return now.Sub(h.TS) < 3*time.Duration(h.IntervalMS)*time.Millisecond+5*time.Second
}

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// write writes a family; bufio keeps an error for Flush.
func write(out *bufio.Writer, f family) {
	if len(f.samples) == 0 {
		return
	}
	_, _ = fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
	for _, s := range f.samples {
		_, _ = out.WriteString(f.name)
		for i := 0; i < len(s.labels); i += 2 {
			sep := ","
			if i == 0 {
				sep = "{"
			}
			_, _ = fmt.Fprintf(out, `%s%s="%s"`, sep, s.labels[i], escape.Replace(strings.ToValidUTF8(s.labels[i+1], "�")))
		}
		if len(s.labels) > 0 {
			_ = out.WriteByte('}')
		}
		_, _ = out.WriteString(" " + strconv.FormatFloat(s.value, 'g', -1, 64) + "\n")
	}
}

var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
