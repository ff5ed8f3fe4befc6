package mqttsource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"edgepdm/components/ingest/mapping"
	"edgepdm/components/ingest/rows"
	"edgepdm/components/ingest/source"
)

// jsonFormat reads values of any JSON by their path. A tag is <topic>#<path>, such as plant/press-1#oil.temp.
type jsonFormat struct {
	env     *source.Env
	values  map[string][]jsonValue // by topic
	time    aside
	unit    string // of the time
	quality aside
}

type jsonValue struct {
	path []step
	tag  int
}

// aside is where a message says something about its values: at a path, or, after a dot, beside each value.
type aside struct {
	path   []step // empty: it does not
	beside bool
}

// splitJSONTag splits <topic>#<path>. MQTT topics have no #.
func splitJSONTag(tag string) (topic string, path []step, err error) {
	topic, text, ok := strings.Cut(tag, "#")
	if !ok || topic == "" || text == "" {
		return "", nil, fmt.Errorf("%q is not <topic>#<path>, such as plant/press-1#oil.temp", tag)
	}
	path, err = parsePath(text)
	return topic, path, err
}

func parseAside(text string) (a aside, err error) {
	if text != "" {
		text, a.beside = strings.CutPrefix(text, ".")
		a.path, err = parsePath(text)
	}
	return a, err
}

// of looks it up for a value.
func (a aside) of(document any, value []step) any {
	path := a.path
	if a.beside {
		path = slices.Concat(value[:len(value)-1], a.path)
	}
	found, _ := find(document, path)
	return found
}

// checkJSON says whether a topic's paths can be read.
func checkJSON(t mapping.Topic) error {
	if _, err := parseAside(t.TimePath); err != nil {
		return fmt.Errorf("timePath: %w", err)
	}
	if _, err := parseAside(t.QualityPath); err != nil {
		return fmt.Errorf("qualityPath: %w", err)
	}
	return nil
}

// newJSON makes the decoder of a topic that was checked.
func newJSON(e *source.Env, t mapping.Topic) *jsonFormat {
	d := &jsonFormat{env: e, values: make(map[string][]jsonValue), unit: t.TimeFormat}
	d.time, _ = parseAside(t.TimePath)
	d.quality, _ = parseAside(t.QualityPath)
	for _, tag := range e.Tags {
		if topic, path, err := splitJSONTag(tag.Address); err == nil {
			d.values[topic] = append(d.values[topic], jsonValue{path, tag.Index})
		}
	}
	return d
}

func (*jsonFormat) alive() []rows.Tag { return nil }

func (d *jsonFormat) decode(topic string, payload []byte, put func(rows.Sample)) error {
	values := d.values[topic]
	if len(values) == 0 {
		d.env.Count(rows.ReasonNoTag, 1)
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the document")
	}
	for _, v := range values {
		found, ok := find(document, v.path)
		if !ok {
			continue // a message may have some of the values
		}
		s := rows.Sample{Tag: v.tag, Good: len(d.quality.path) == 0 || isGood(d.quality.of(document, v.path))}
		if len(d.time.path) > 0 {
			var err error
			if s.TS, err = readTime(d.time.of(document, v.path), d.unit); err != nil {
				return err
			}
		}
		if s.Value, ok = toNumber(found); !ok {
			if found != nil {
				d.env.Count(reasonType, 1)
			}
			s.Good = false
		}
		put(s)
	}
	return nil
}

// toNumber takes numbers, truth values, and texts that are numbers.
func toNumber(v any) (float64, bool) {
	var text string
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = strings.TrimSpace(v)
	case bool:
		return truth(v), true
	default:
		return 0, false
	}
	x, err := strconv.ParseFloat(text, 64)
	return x, err == nil || errors.Is(err, strconv.ErrRange)
}

// isGood says whether a quality is good: OPC's 0 (UA) and 192 to 255 (classic), true, and the word that gateways use.
func isGood(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		return strings.EqualFold(v, "good")
	case json.Number:
		n, err := v.Int64()
		return err == nil && (n == 0 || n >= goodQuality && n <= 255)
	}
	return false
}

// readTime reads a message's time.
func readTime(v any, format string) (time.Time, error) {
	if format == "rfc3339" {
		text, _ := v.(string)
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return t, fmt.Errorf("time: %w", err)
		}
		return t, nil
	}
	x, ok := toNumber(v)
	unit := map[string]time.Duration{"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "ns": time.Nanosecond}[format]
	const most = float64(1<<63 - 1<<10) // nanoseconds
	if nanos := x * float64(unit); ok && nanos > -most && nanos < most {
		return time.Unix(0, int64(nanos)), nil
	}
	return time.Time{}, fmt.Errorf("time: %.40v is no number of %s since 1970", v, format)
}
