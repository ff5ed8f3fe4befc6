package mqttsource

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"edgepdm/components/ingest/rows"
	"edgepdm/components/ingest/source"
)

// sparkplug reads Sparkplug B (Eclipse, version 3.0). A tag is <group>/<node>:<metric> or <group>/<node>/<device>:<metric>.
// Metrics by alias are known from the birth on: a node that was born before the connection is heard by name only, until its
// next birth. No rebirth is asked for, because nothing is ever published.
type sparkplug struct {
	env  *source.Env
	tags map[string]map[string]int // by place (<group>/<node>[/<device>]) and metric

	nodes map[string]*node // by <group>/<node>
}

// node is what births have said.
type node struct {
	seq     uint64 // of the last message
	known   bool   // seq is
	aliases map[uint64]alias
}

// alias stands for a metric of a place.
type alias struct{ place, metric string }

const (
	sparkplugNamespace = "spBv1.0"
	// maxNodes and maxAliases bound what is remembered, of places whose metrics are tags.
	maxNodes   = 4096
	maxAliases = 100_000
	// reasonSequence counts messages that did not arrive: a number was skipped.
	reasonSequence = "sequence"
	// reasonAlias counts metrics whose alias no birth has told.
	reasonAlias = "unknown-alias"
)

func splitSparkplugTag(tag string) (place, metric string, err error) {
	place, metric, ok := strings.Cut(tag, ":")
	if n := strings.Count(place, "/"); !ok || metric == "" || n < 1 || n > 2 {
		return "", "", fmt.Errorf("%q is not <group>/<node>[/<device>]:<metric>", tag)
	}
	return place, metric, nil
}

func newSparkplug(e *source.Env) *sparkplug {
	d := &sparkplug{env: e, tags: make(map[string]map[string]int)}
	for _, t := range e.Tags {
		place, metric, err := splitSparkplugTag(t.Address)
		if err != nil {
			continue
		}
		if d.tags[place] == nil {
			d.tags[place] = make(map[string]int)
		}
		d.tags[place][metric] = t.Index
	}
	d.reset()
	return d
}

func (d *sparkplug) reset() { d.nodes = make(map[string]*node) }

// decode reads a message on spBv1.0/<group>/<type>/<node>[/<device>].
func (d *sparkplug) decode(topic string, payload []byte, put func(rows.Sample)) error {
	parts := strings.Split(topic, "/")
	if len(parts) < 4 || len(parts) > 5 || parts[0] != sparkplugNamespace {
		return nil // such as STATE, which hosts publish
	}
	kind, name := parts[2], parts[1]+"/"+parts[3]
	place := strings.Join(append([]string{name}, parts[4:]...), "/")
	n := d.nodes[name]
	if n == nil {
		if len(d.nodes) >= maxNodes {
			return errors.New("too many nodes")
		}
		n = &node{aliases: make(map[uint64]alias)}
		d.nodes[name] = n
	}
	switch kind {
	case "NDEATH":
		n.known = false
		d.die(name, true, put)
		return nil
	case "DDEATH":
		d.die(place, false, put)
	case "NBIRTH":
		clear(n.aliases)
		n.known = false
	case "DBIRTH", "NDATA", "DDATA":
	default: // commands to nodes
		return nil
	}
	message, err := readPayload(payload)
	if err != nil {
		return err
	}
	if n.known && message.hasSeq && message.seq != (n.seq+1)%256 {
		d.env.Count(reasonSequence, 1)
	}
	n.seq, n.known = message.seq, message.hasSeq
	born := kind == "NBIRTH" || kind == "DBIRTH"
	for _, m := range message.metrics {
		d.metric(n, place, born, message.time, m, put)
	}
	return nil
}

// die makes the values of a place missing, and of a node's devices.
func (d *sparkplug) die(place string, devices bool, put func(rows.Sample)) {
	for other, metrics := range d.tags {
		if other != place && !(devices && strings.HasPrefix(other, place+"/")) {
			continue
		}
		for _, tag := range metrics {
			put(rows.Sample{Tag: tag})
		}
	}
}

func (d *sparkplug) metric(n *node, place string, born bool, at time.Time, m metric, put func(rows.Sample)) {
	name := m.name
	switch {
	case born && m.hasAlias && name != "":
		if _, wanted := d.tags[place][name]; wanted && len(n.aliases) < maxAliases {
			n.aliases[m.alias] = alias{place, name}
		}
	case name == "" && m.hasAlias:
		known, ok := n.aliases[m.alias]
		if !ok || known.place != place {
			d.env.Count(reasonAlias, 1)
			return
		}
		name = known.metric
	}
	tag, wanted := d.tags[place][name]
	switch {
	case !wanted:
		if !born { // a birth names all that a node has
			d.env.Count(rows.ReasonNoTag, 1)
		}
		return
	case m.historical:
		return // of an earlier time: no row is made of it any more
	case !m.null && !m.isNumber:
		d.env.Count(reasonType, 1)
	}
	if !m.time.IsZero() {
		at = m.time
	}
	put(rows.Sample{Tag: tag, Value: m.value, Good: m.isNumber && !m.null && m.good, TS: at})
}

// message is a Payload of Sparkplug's protobuf schema, as far as it is used.
type message struct {
	time    time.Time
	seq     uint64
	hasSeq  bool
	metrics []metric
}

type metric struct {
	name       string
	alias      uint64
	hasAlias   bool
	time       time.Time
	datatype   uint64
	historical bool
	null       bool
	good       bool
	value      float64
	isNumber   bool
}

// Numbers of Sparkplug's data types that are read from an unsigned field.
const (
	typeInt8  = 1
	typeInt16 = 2
	typeInt32 = 3
	typeInt64 = 4
)

// goodQuality is Sparkplug's property Quality of a good value.
const goodQuality = 192

// fields calls read for each field of a protobuf message.
func fields(b []byte, read func(number protowire.Number, kind protowire.Type, value []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		n = protowire.ConsumeFieldValue(number, kind, b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := read(number, kind, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func varint(kind protowire.Type, b []byte) (uint64, bool) {
	x, n := protowire.ConsumeVarint(b)
	return x, kind == protowire.VarintType && n > 0
}

func millis(x uint64) time.Time {
	if x == 0 || x > math.MaxInt64/1_000_000 {
		return time.Time{}
	}
	return time.UnixMilli(int64(x)) //nolint:gosec // bounded above
}

func readPayload(payload []byte) (message, error) {
	var p message
	err := fields(payload, func(number protowire.Number, kind protowire.Type, value []byte) error {
		x, isVarint := varint(kind, value)
		switch {
		case number == 1 && isVarint:
			p.time = millis(x)
		case number == 3 && isVarint:
			p.seq, p.hasSeq = x, true
		case number == 2 && kind == protowire.BytesType:
			inner, _ := protowire.ConsumeBytes(value)
			m, err := readMetric(inner)
			if err != nil {
				return err
			}
			p.metrics = append(p.metrics, m)
		}
		return nil
	})
	return p, err
}

func readMetric(b []byte) (metric, error) {
	m := metric{good: true}
	var raw uint64
	var isRaw bool
	err := fields(b, func(number protowire.Number, kind protowire.Type, value []byte) error {
		x, isVarint := varint(kind, value)
		switch {
		case number == 1 && kind == protowire.BytesType:
			name, _ := protowire.ConsumeBytes(value)
			m.name = string(name)
		case number == 2 && isVarint:
			m.alias, m.hasAlias = x, true
		case number == 3 && isVarint:
			m.time = millis(x)
		case number == 4 && isVarint:
			m.datatype = x
		case number == 5 && isVarint:
			m.historical = x != 0
		case number == 7 && isVarint:
			m.null = x != 0
		case number == 9 && kind == protowire.BytesType:
			inner, _ := protowire.ConsumeBytes(value)
			good, err := readQuality(inner)
			m.good = good
			return err
		case (number == 10 || number == 11) && isVarint:
			raw, isRaw = x, true
		case number == 12 && kind == protowire.Fixed32Type:
			bits, _ := protowire.ConsumeFixed32(value)
			m.value, m.isNumber = float64(math.Float32frombits(bits)), true
		case number == 13 && kind == protowire.Fixed64Type:
			bits, _ := protowire.ConsumeFixed64(value)
			m.value, m.isNumber = math.Float64frombits(bits), true
		case number == 14 && isVarint:
			m.value, m.isNumber = number01(x), true
		}
		return nil
	})
	if isRaw {
		m.value, m.isNumber = integer(raw, m.datatype), true
	}
	return m, err
}

func number01(x uint64) float64 { return number(x != 0) }

// integer reads a whole number, which Sparkplug carries as unsigned: negative ones in two's complement of their type's size.
func integer(x, datatype uint64) float64 {
	switch datatype {
	case typeInt8:
		return float64(int8(x)) //nolint:gosec // two's complement
	case typeInt16:
		return float64(int16(x)) //nolint:gosec // two's complement
	case typeInt32:
		return float64(int32(x)) //nolint:gosec // two's complement
	case typeInt64:
		return float64(int64(x)) //nolint:gosec // two's complement
	}
	return float64(x)
}

// readQuality looks for the property Quality in a PropertySet: keys are its field 1, values its field 2, in the same order.
func readQuality(b []byte) (good bool, err error) {
	var keys []string
	var values [][]byte
	err = fields(b, func(number protowire.Number, kind protowire.Type, value []byte) error {
		if kind != protowire.BytesType {
			return nil
		}
		inner, _ := protowire.ConsumeBytes(value)
		switch number {
		case 1:
			keys = append(keys, string(inner))
		case 2:
			values = append(values, inner)
		}
		return nil
	})
	good = true
	for i, key := range keys {
		if key != "Quality" || i >= len(values) || err != nil {
			continue
		}
		err = fields(values[i], func(number protowire.Number, kind protowire.Type, value []byte) error {
			if x, ok := varint(kind, value); ok && (number == 3 || number == 4) {
				good = x == goodQuality
			}
			return nil
		})
	}
	return good, err
}
