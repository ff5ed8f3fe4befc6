package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"edgepdm/shared/event"
	"edgepdm/test/localcore"
)

// The aims.
const (
	aimMemory = 64.0 // MiB, of each program
	aimEngine = 30.0 // percent of a core
)

// coreReport is what machines of one core cost, and what became of their rows.
type coreReport struct {
	Mode      string          `json:"mode"`
	Things    int             `json:"things"`
	EveryS    float64         `json:"every_s"` // between two rows of a machine
	Batch     int             `json:"batch"`   // rows a message
	TookS     float64         `json:"took_s"`
	BehindS   float64         `json:"behind_s"` // the most that a message was published late
	Account   account         `json:"account"`
	LatencyMS percentiles     `json:"latency_ms"` // from a row's time to the arrival of its prediction
	Alerts    int             `json:"alerts"`
	Raised    uint64          `json:"raised"`       // alarms, also those that are told in a summary only
	Expected  int             `json:"expected"`     // machines that were given one
	Shown     int             `json:"shown"`        // machines that the console's page shows
	PageMB    float64         `json:"page_mb"`      // of the page's first message
	HealthB   int             `json:"health_bytes"` // of the largest health message
	Programs  []programReport `json:"programs"`
}

type percentiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

type programReport struct {
	Name  string  `json:"name"`
	CPU   float64 `json:"cpu_percent"` // of a core, while machines published
	RSSMB float64 `json:"rss_mb"`      // peak
	RowUS float64 `json:"row_us"`      // processor time a row
}

// account is what became of the rows, by what each component counted.
type account struct {
	Asked       uint64 `json:"asked"`
	Published   uint64 `json:"published"`
	Refused     uint64 `json:"refused"`     // that the nucleus did not take
	Rows        uint64 `json:"rows"`        // that the engine received
	Predictions uint64 `json:"predictions"` // that were seen
	Once        int    `json:"once"`        // machines of which each row was predicted once
	Watched     uint64 `json:"watched"`     // predictions that the alarm manager received
	Forwarded   uint64 `json:"forwarded"`   // predictions that the forwarder has on disk, or left on the site by its sample
	Unheard     uint64 `json:"unheard"`     // messages that the driver lost: the account is void
	// Lost are what components counted as lost, invalid or beyond a bound, by component and counter.
	Lost map[string]uint64 `json:"lost,omitempty"`

	forwarderDrained bool
}

// missing is how many rows are not where they should be.
func (a account) missing() uint64 {
	less := func(n uint64) uint64 { return a.Published - min(n, a.Published) }
	return max(less(a.Rows), less(a.Predictions), less(a.Watched), less(a.Forwarded))
}

// losses are counters that must be zero.
var losses = map[string][]string{
	event.InferenceEngine: {"telemetry.missed", "telemetry.unheard", "telemetry.dropped", "telemetry.garbled", "telemetry.jumps", "telemetry.two-senders", "telemetry.repeated", "prediction.refused", "ledger.failed"},
	event.AlarmManager:    {"prediction.missed", "prediction.jumps", "prediction.unwatched", "message.invalid", "alert.dropped", "alarm.refused", "event.dropped", "ledger.failed"},
	event.CloudForwarder:  {"prediction.missed", "message.invalid", "message.refused", "message.overrun", "stream.predictions.dropped", "ledger.failed"},
	event.OperatorConsole: {"message.invalid", "thing.unshown", "trend.unkept"},
}

func (s *site) account(m *machines) account {
	a := account{Asked: m.asked, Published: m.published, Refused: m.refused, Unheard: s.message.Dropped(), Lost: make(map[string]uint64)}
	a.Predictions, _ = s.watcher.seen()
	rounds := uint64(s.options.length / s.options.every)
	s.watcher.mu.Lock()
	for _, sum := range s.watcher.rows {
		if sum == rounds*(rounds+1)/2 {
			a.Once++
		}
	}
	s.watcher.mu.Unlock()
	for _, name := range suite {
		h := s.watcher.of(name)
		for counter, n := range h.Counters {
			if n > 0 && (slices.Contains(losses[name], counter) || strings.HasPrefix(counter, event.CounterTelemetryInvalid)) {
				a.Lost[name+" "+counter] = n
			}
		}
	}
	a.Rows = s.watcher.of(event.InferenceEngine).Counters["telemetry.rows"]
	a.Watched = s.watcher.of(event.AlarmManager).Counters[event.CounterPredictions]
	forwarder := s.watcher.of(event.CloudForwarder)
	a.Forwarded = forwarder.Counters["prediction.skipped"] + forwarder.Counters["stream.predictions.accepted"] + forwarder.Counters["stream.label-changes.accepted"]
	a.forwarderDrained = forwarder.Drained()
	return a
}

// page is what the console's page knows first.
type page struct {
	things, bytes int
}

// shown asks the console for its page, as a browser does.
func (s *site) shown(ctx context.Context) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.console+"/api/stream", nil)
	if err != nil {
		return page{}, fmt.Errorf("ask the console: %w", err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return page{}, fmt.Errorf("ask the console: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		text, data := strings.CutPrefix(lines.Text(), "data: ")
		if !data {
			continue
		}
		var all struct {
			Set struct {
				Things map[string]json.RawMessage `json:"things"`
			} `json:"set"`
		}
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return page{}, fmt.Errorf("read the console's page: %w", err)
		}
		return page{len(all.Set.Things), len(text)}, nil
	}
	return page{}, fmt.Errorf("read the console's page: %w", cmp.Or(lines.Err(), io.ErrUnexpectedEOF))
}

func (s *site) report(m *machines, before, after []localcore.Status, took time.Duration, shown page) *coreReport {
	o := s.options
	r := &coreReport{
		Mode: o.mode, Things: o.things, EveryS: o.every.Seconds(), Batch: o.batch, TookS: round(took.Seconds(), 1), BehindS: round(m.behind.Seconds(), 2),
		Account: s.account(m), Expected: (o.things + len(m.models) - 1) / len(m.models), Shown: shown.things, PageMB: round(float64(shown.bytes)/(1<<20), 1),
	}
	if o.length/o.every <= faultyRound+votes {
		r.Expected = 0 // the run is over before enough rows vote
	}
	now := s.core.Components()
	for i, c := range after {
		cpu := c.CPU - before[i].CPU
		r.Programs = append(r.Programs, programReport{
			Name: c.Name, CPU: round(100*cpu/took.Seconds(), 1), RSSMB: round(float64(now[i].PeakRSS)/(1<<20), 1),
			RowUS: round(1e6*cpu/float64(max(m.published, 1)), 1),
		})
	}
	s.watcher.mu.Lock()
	defer s.watcher.mu.Unlock()
	slices.Sort(s.watcher.latencies)
	r.LatencyMS = percentiles{rank(s.watcher.latencies, 50), rank(s.watcher.latencies, 99), rank(s.watcher.latencies, 100)}
	r.Alerts, r.Raised, r.HealthB = len(s.watcher.alerts), s.watcher.health[event.AlarmManager].Counters["alarm.raised"], s.watcher.largest
	return r
}

// votes is how many rows of a fault the alarm manager wants by default.
const votes = 5

// rank returns the nearest-rank percentile of sorted values, 0 of none.
func rank(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return round(sorted[max(int(math.Ceil(p/100*float64(len(sorted)))), 1)-1], 1)
}

func round(x float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(x*scale) / scale
}

func (r *coreReport) print(out io.Writer) {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\nprogram\t%% of a core\tµs a row\tpeak MiB\t\n")
	for _, p := range r.Programs {
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t%.1f\t\n", strings.TrimPrefix(p.Name, "com.edgepdm."), p.CPU, p.RowUS, p.RSSMB)
	}
	_ = t.Flush() // to a terminal or a pipe: nobody reads what could not be written
	a := r.Account
	say(out, "\nrows: %d asked, %d published, %d received by the engine; predictions: %d seen, %d watched, %d forwarded or left on the site",
		a.Asked, a.Published, a.Rows, a.Predictions, a.Watched, a.Forwarded)
	say(out, "a row's time → its prediction at a subscriber: p50 %.1f ms, p99 %.1f ms, at most %.1f ms; a message was published at most %.2f s late",
		r.LatencyMS.P50, r.LatencyMS.P99, r.LatencyMS.Max, r.BehindS)
	say(out, "alerts: %d, of %d alarms (a flood is summed up), %d machines were given a fault; the console shows %d machines in a first message of %.1f MB; the largest health message has %d bytes\n",
		r.Alerts, r.Raised, r.Expected, r.Shown, r.PageMB, r.HealthB)
}

// judge returns which aims were missed.
func (r *coreReport) judge() error {
	var errs []error
	miss := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	a := r.Account
	if a.Published < a.Asked || a.Refused > 0 {
		miss("%d of %d rows were published, and %d of them refused by the nucleus", a.Published, a.Asked, a.Refused)
	}
	if a.Unheard > 0 {
		miss("the account is void: the driver itself lost %d messages", a.Unheard)
	}
	if a.Rows != a.Published || a.Predictions != a.Published || a.Watched != a.Published || a.Forwarded != a.Published {
		miss("of %d rows the engine received %d, %d predictions were seen, the alarm manager took %d, the forwarder %d", a.Published, a.Rows, a.Predictions, a.Watched, a.Forwarded)
	}
	if a.Once != r.Things {
		miss("of %d of %d machines each row was predicted once", a.Once, r.Things)
	}
	for _, what := range slices.Sorted(maps.Keys(a.Lost)) {
		miss("%s is %d", what, a.Lost[what])
	}
	if r.Raised < uint64(r.Expected) || r.Alerts == 0 && r.Expected > 0 {
		miss("%d machines were given a fault: %d alarms, %d alerts", r.Expected, r.Raised, r.Alerts)
	}
	if r.Shown != r.Things {
		miss("the console shows %d of %d machines", r.Shown, r.Things)
	}
	for _, p := range r.Programs {
		if p.RSSMB > aimMemory {
			miss("%s took %.1f MiB, the aim is %.0f", p.Name, p.RSSMB, aimMemory)
		}
		if p.Name == event.InferenceEngine && p.CPU > aimEngine {
			miss("%s took %.1f %% of a core, the aim is %.0f", p.Name, p.CPU, aimEngine)
		}
	}
	return errors.Join(errs...)
}
