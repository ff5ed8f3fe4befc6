package event

import (
	"strings"
	"time"
)

// State is a component's own view of its condition; the nucleus only knows that the process runs.
type State string

// The states.
const (
	StateStarting      State = "STARTING" // not at work yet
	StateOK            State = "OK"
	StateNoModel       State = "NO_MODEL"       // waits for a model
	StateBadConfig     State = "BAD_CONFIG"     // waits for a configuration that is valid
	StateNotConfigured State = "NOT_CONFIGURED" // what it is for is not configured: nothing to do, and no fault
	StateDegraded      State = "DEGRADED"       // works, but not fully: Detail says what is wrong
)

// Health is a component's report about itself.
type Health struct {
	V          int               `json:"v"`
	Component  string            `json:"component"`
	Version    string            `json:"version"`
	Run        string            `json:"run"` // random at the component's start: counters begin again at zero with it
	TS         time.Time         `json:"ts"`
	IntervalMS int64             `json:"interval_ms,omitempty"` // between such reports, milliseconds; changes are reported at once
	State      State             `json:"state"`
	Detail     string            `json:"detail,omitempty"`
	Conditions []Condition       `json:"conditions,omitempty"` // what is wrong, the oldest first, at most eight
	Counters   map[string]uint64 `json:"counters,omitempty"`
	Model      *ModelRef         `json:"model,omitempty"`
	LifeModel  *ModelRef         `json:"life_model,omitempty"` // of remaining life
	Uplink     Uplink            `json:"uplink,omitempty"`     // of the component that keeps the way to the cloud
	MemoryKB   int64             `json:"memory_kb,omitempty"`  // of the process, resident; missing: it is not known
	Started    time.Time         `json:"started,omitzero"`     // when the process began
	Latency    *Latency          `json:"latency,omitempty"`    // of the engine: from a row's arrival until the nucleus has taken its prediction
}

// Latency says how long something takes, by buckets.
type Latency struct {
	P50US    int64    `json:"p50_us"`    // half of the last one or two minutes took no longer, microseconds: a bound; the highest stands for all above, 0 for none
	P99US    int64    `json:"p99_us"`    // so did 99 %
	BoundsUS []int64  `json:"bounds_us"` // of the buckets, ascending
	Counts   []uint64 `json:"counts"`    // since the start, one more than bounds: no longer than this bound, and longer than the one before
}

// TopicHeartbeat is where the forwarder publishes a Heartbeat in the cloud, on <topicPrefix>/<core>/pdm/v1/health.
const TopicHeartbeat = "pdm/v1/health"

// Heartbeat tells the cloud that a site lives, and how its components are. One that does not come is the news.
type Heartbeat struct {
	V          int       `json:"v"`
	Core       string    `json:"core"`
	TS         time.Time `json:"ts"`
	IntervalMS int64     `json:"interval_ms"`
	Components []Health  `json:"components"` // what each has said last, by name; without counters where they are too many
}

// Uplink says whether the cloud can be reached.
type Uplink string

// The states of the uplink.
const (
	UplinkUp   Uplink = "up"
	UplinkDown Uplink = "down"
)

// DecodeHealth reads a message of a health topic. The error is an *InvalidError.
func DecodeHealth(payload []byte) (Health, error) {
	var h Health
	if err := decode(payload, &h); err != nil {
		return h, err
	}
	if err := checkVersion(h.V); err != nil {
		return h, err
	}
	return h, checkClock(h.TS)
}

// Waiting returns how many records wait in the forwarder's streams that were measured.
func (h Health) Waiting() uint64 {
	n, _ := h.depths()
	return n
}

// Drained reports whether all of the forwarder's streams were measured, and nothing waits in them.
func (h Health) Drained() bool {
	n, measured := h.depths()
	return n == 0 && measured > 0 && measured >= h.Counters[CounterStreams]
}

func (h Health) depths() (n, streams uint64) {
	for name, value := range h.Counters {
		if strings.HasPrefix(name, CounterStream) && strings.HasSuffix(name, CounterStreamDepth) {
			n += value
			streams++
		}
	}
	return n, streams
}
