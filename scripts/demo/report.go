package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"

	"edgepdm/shared/event"
	"edgepdm/test/localcloud"
	"edgepdm/test/localcore"
)

// report is what a run of the demo measured.
type report struct {
	Published   uint64            `json:"published"`   // rows
	Asked       uint64            `json:"asked"`       // rows that the flags ask for in the time that the run took
	Predictions uint64            `json:"predictions"` // received on the prediction topics
	Unscored    uint64            `json:"unscored"`    // rows that are neither scored nor invalid
	Invalid     uint64            `json:"invalid"`     // rows that the engine refused, by its count
	LatencyMS   percentiles       `json:"latency_ms"`  // from a row's timestamp to the arrival of its prediction
	Components  []componentReport `json:"components"`
	Models      []string          `json:"models"`     // versions that made predictions
	Alerts      int               `json:"alerts"`     // alarms raised
	Delivered   int               `json:"delivered"`  // ids of predictions and alerts that arrived in the cloud
	Lost        int               `json:"lost"`       // ids that the spool accepted, and alerts, that did not arrive
	Unaccepted  int               `json:"unaccepted"` // predictions that the spool never accepted
	Duplicates  int               `json:"duplicates"` // arrivals of an id after its first
	Audio       int               `json:"audio"`      // sound files in the cloud
	Swaps       int               `json:"swaps"`      // models that took over
	Refused     []string          `json:"refused"`    // why models were refused
	Alarms      alarmReport       `json:"alarms"`
	Explained   explainedReport   `json:"explained"`
	Life        lifeReport        `json:"life"`
	Drift       driftReport       `json:"drift"`
	Shadow      shadowReport      `json:"shadow"`
}

// explainedReport is how much of what was found says what points to it.
type explainedReport struct {
	Alerts      int `json:"alerts"`      // alarms of machines' faults that were raised and say it
	Of          int `json:"of"`          // alarms of machines' faults that were raised
	Predictions int `json:"predictions"` // of faulty rows, that say it: not each does
}

// lifeReport is how remaining life compares with the truth of the simulated machines.
type lifeReport struct {
	Rows      int     `json:"rows"`       // predictions with a remaining life
	Coverage  float64 `json:"coverage"`   // share of them whose truth is from low to high
	MeanWidth float64 `json:"mean_width"` // from low to high, hours
	Alerts    int     `json:"alerts"`     // alarms of machines' faults that were raised and tell it
}

// insight counts what alarms and predictions say of why and when.
func (o *observer) insight() (e explainedReport, l lifeReport) {
	e.Predictions = o.explained
	l = lifeReport{Rows: o.life.rows, Coverage: round(o.life.coverage(), 3), MeanWidth: round(o.life.meanWidth(), 1)}
	for _, a := range o.alerts {
		if !raised(&a) {
			continue
		}
		e.Of++
		if len(a.Reasons) > 0 {
			e.Alerts++
		}
		if a.Life != nil {
			l.Alerts++
		}
	}
	return e, l
}

// alarmReport is what the alarm manager counted, in all its runs.
type alarmReport struct {
	Raised       uint64 `json:"raised"`
	Acknowledged uint64 `json:"acknowledged"`
	Shelved      uint64 `json:"shelved"`
	Suppressed   uint64 `json:"suppressed"`
	Chattering   uint64 `json:"chattering"`
	Spoken       uint64 `json:"spoken"` // announcements that were heard
}

// alarms adds up the runs of the alarm manager.
func (o *observer) alarms() (all alarmReport) {
	for _, h := range o.runs {
		if h.Component != event.AlarmManager {
			continue
		}
		all.Raised += h.Counters["alarm.raised"]
		all.Acknowledged += h.Counters["alarm.acknowledged"]
		all.Shelved += h.Counters["alarm.shelved"]
		all.Suppressed += h.Counters["alarm.suppressed"]
		all.Chattering += h.Counters["alarm.chattering"]
		all.Spoken += h.Counters["voice.spoken"]
	}
	return all
}

type percentiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

type componentReport struct {
	Name     string  `json:"name"`
	RSSMB    float64 `json:"rss_mb"` // peak resident memory, MiB
	CPUS     float64 `json:"cpu_s"`  // processor time of all its processes, seconds
	Restarts int     `json:"restarts"`
}

func makeReport(o *observer, components []localcore.Status, journal localcloud.Journal) report {
	a, d := o.balance(), o.delivery(journal)
	o.mu.Lock()
	defer o.mu.Unlock()
	r := report{
		Published: a.published, Predictions: a.predictions, Unscored: a.unscored, Invalid: a.invalid,
		LatencyMS:  percentiles{percentile(o.latencies, 50), percentile(o.latencies, 99)},
		Components: []componentReport{}, Models: append([]string{}, o.models...),
		Alerts: d.alerts, Delivered: d.delivered, Lost: d.lost, Unaccepted: d.unaccepted, Duplicates: d.duplicates, Audio: d.audio, Swaps: o.swaps,
		Refused: append([]string{}, o.refused...), Alarms: o.alarms(),
	}
	r.Explained, r.Life = o.insight()
	r.Drift, r.Shadow = o.drift.report(), o.shadow.report()
	for _, c := range components {
		if c.Name == event.Suite {
			continue // it has no program
		}
		r.Components = append(r.Components, componentReport{
			Name: c.Name, RSSMB: round(float64(c.PeakRSS)/(1<<20), 1), CPUS: round(c.CPU, 2), Restarts: c.Restarts,
		})
	}
	return r
}

// percentile returns the nearest-rank percentile p, 0 of no values.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return round(sorted[max(rank, 1)-1], 3)
}

func round(x float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(x*scale) / scale
}

func (r report) write(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode report: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
