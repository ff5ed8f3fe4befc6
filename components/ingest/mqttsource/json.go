package mqttsource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"edgepdm/components/ingest/mapping"
	"edgepdm/components/ingest/rows"
	"edgepdm/components/ingest/source"
)

// jsonFormat reads values of any JSON by their path. A tag is <topic>#<path>, such as plant/press-1#oil.temp, or, within a list,
// plant/press-1#sensors.2.value.
type jsonFormat struct {
	env    *source.Env
	topic  mapping.Topic
	values map[string][]jsonValue // by topic
}

type jsonValue struct {
	path []string
	tag  int
}

// splitJSONTag splits <topic>#<path>. MQTT topics have no #.
func splitJSONTag(tag string) (topic string, path []string, err error) {
	topic, text, ok := strings.Cut(tag, "#")
	if !ok || topic == "" || text == "" {
		return "", nil, fmt.Errorf("%q is not <topic>#<path>, such as plant/press-1#oil.temp", tag)
	}
	return topic, strings.Split(text, "."), nil
}

func newJSON(e *source.Env, t mapping.Topic) *jsonFormat {
	d := &jsonFormat{env: e, topic: t, values: make(map[string][]jsonValue)}
	for _, tag := range e.Tags {
		if topic, path, err := splitJSONTag(tag.Address); err == nil {
			d.values[topic] = append(d.values[topic], jsonValue{path, tag.Index})
		}
	}
	return d
}

func (*jsonFormat) reset() {}

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
	var at time.Time
	if d.topic.TimePath != "" {
		v, _ := find(document, strings.Split(d.topic.TimePath, "."))
		var err error
		if at, err = readTime(v, d.topic.TimeFormat); err != nil {
			return err
		}
	}
	good := true
	if d.topic.QualityPath != "" {
		v, _ := find(document, strings.Split(d.topic.QualityPath, "."))
		good = isGood(v)
	}
	for _, v := range values {
		found, ok := find(document, v.path)
		if !ok {
			continue // a message may have some of the values
		}
		s := rows.Sample{Tag: v.tag, Good: good, TS: at}
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

// find follows a path into a document.
func find(v any, path []string) (any, bool) {
	for _, name := range path {
		switch node := v.(type) {
		case map[string]any:
			next, ok := node[name]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(node) {
				return nil, false
			}
			v = node[i]
		default:
			return nil, false
		}
	}
	return v, true
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
		return number(v), true
	default:
		return 0, false
	}
	x, err := strconv.ParseFloat(text, 64)
	return x, err == nil || errors.Is(err, strconv.ErrRange)
}

// isGood says whether a quality is good: OPC's 0 (UA) and 192 (classic), and the words that gateways use.
func isGood(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		return strings.EqualFold(v, "good")
	case json.Number:
		return v.String() == "0" || v.String() == "192"
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
