package mqttsource

import (
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	"edgepdm/components/ingest/rows"
	"edgepdm/components/ingest/source"
)

// sparkplug reads Sparkplug B (Eclipse, version 3.0). A tag is <group>/<node>:<metric> or <group>/<node>/<device>:<metric>.
// Metrics by alias are known from the birth on: a node that was born before the connection is heard by name only, until its
// next birth. No rebirth is asked for, because nothing is ever published. What is remembered is bounded by the tags.
type sparkplug struct {
	env    *source.Env
	nodes  map[string]*node  // by <group>/<node>; those with tags
	places map[string]*place // by <group>/<node>[/<device>]; those with tags
}

// node is what a node's messages have said.
type node struct {
	seq     uint64 // of the last message
	known   bool   // seq is
	session uint64 // bdSeq of the birth
	hasBd   bool   // session is known
	aliases map[uint64]*known
}

// place is a node's or a device's metrics.
type place struct {
	tags  []rows.Tag
	names map[string]*known
	born  bool // its birth was heard
	alive bool // it was heard, and has not died
}

// known is a metric that is a tag.
type known struct {
	place    *place
	tag      int
	datatype uint64 // as its birth said; 0: no birth was heard
	named    bool   // by the birth under way
}

const (
	sparkplugNamespace = "spBv1.0"
	// reasonSequence counts messages that did not arrive: a number was skipped.
	reasonSequence = "sequence"
	// reasonAlias counts metrics whose alias no birth has told.
	reasonAlias = "unknown-alias"
	// metricSession is the metric by which a node's death belongs to a birth.
	metricSession = "bdSeq"
)

func splitSparkplugTag(tag string) (place, metric string, err error) {
	place, metric, ok := strings.Cut(tag, ":")
	parts := strings.Split(place, "/")
	if !ok || metric == "" || len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[1] == "" || parts[len(parts)-1] == "" {
		return "", "", fmt.Errorf("%q is not <group>/<node>[/<device>]:<metric>", tag)
	}
	return place, metric, nil
}

func newSparkplug(e *source.Env) *sparkplug {
	d := &sparkplug{env: e, nodes: make(map[string]*node), places: make(map[string]*place)}
	for _, t := range e.Tags {
		name, metric, err := splitSparkplugTag(t.Address)
		if err != nil {
			continue
		}
		p := d.places[name]
		if p == nil {
			p = &place{names: make(map[string]*known)}
			d.places[name] = p
		}
		p.tags = append(p.tags, t)
		p.names[metric] = &known{place: p, tag: t.Index}
		parts := strings.SplitN(name, "/", 3)
		d.nodes[parts[0]+"/"+parts[1]] = &node{aliases: make(map[uint64]*known)}
	}
	return d
}

// alive gives the tags of what lives: a metric is sent only when it changes, and until a death is told it is what it was.
func (d *sparkplug) alive() (tags []rows.Tag) {
	for _, p := range d.places {
		if p.alive {
			tags = append(tags, p.tags...)
		}
	}
	return tags
}

// decode reads a message on spBv1.0/<group>/<type>/<node>[/<device>].
func (d *sparkplug) decode(topic string, payload []byte, put func(rows.Sample)) error {
	parts := strings.Split(topic, "/")
	if len(parts) < 4 || len(parts) > 5 || parts[0] != sparkplugNamespace {
		return nil // such as STATE, which hosts publish
	}
	kind, name := parts[2], parts[1]+"/"+parts[3]
	switch kind {
	case "NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH":
	default: // commands to nodes
		return nil
	}
	n := d.nodes[name]
	if n == nil {
		d.env.Count(rows.ReasonNoTag, 1)
		return nil
	}
	m, err := readPayload(payload, func(metric) error { return nil })
	if err != nil {
		return err
	}
	if kind == "NDEATH" {
		return d.nodeDeath(n, name, payload, put)
	}
	d.sequence(n, kind, m)
	p := d.places[strings.Join(append([]string{name}, parts[4:]...), "/")]
	switch {
	case kind == "NBIRTH":
		n.session, n.hasBd = 0, false
		d.end(n, name, put, false) // the devices' births follow
	case p == nil:
		return nil // a device without tags
	case kind == "DDEATH":
		d.bury(n, p, put)
		return nil
	case kind == "DBIRTH":
		n.forget(p)
	}
	birth := strings.HasSuffix(kind, "BIRTH")
	if p != nil {
		p.alive, p.born = true, p.born || birth
	}
	_, err = readPayload(payload, func(x metric) error {
		if kind == "NBIRTH" && x.name == metricSession {
			n.session, n.hasBd = x.raw, true
		}
		if p != nil {
			d.metric(n, p, birth, m.time, x, put)
		}
		return nil
	})
	if birth && p != nil {
		p.finish(put)
	}
	return err
}

// finish makes the values missing that a birth did not name: they are no more.
func (p *place) finish(put func(rows.Sample)) {
	for _, k := range p.names {
		if !k.named {
			put(rows.Sample{Tag: k.tag})
		}
		k.named = false
	}
}

// sequence notes a message's number.
func (d *sparkplug) sequence(n *node, kind string, m message) {
	if n.known && kind != "NBIRTH" && m.hasSeq && m.seq != (n.seq+1)%256 {
		d.env.Count(reasonSequence, 1)
	}
	n.seq, n.known = m.seq, m.hasSeq
}

// nodeDeath is told by the broker, with the session's number. That of a session before the last birth comes late.
func (d *sparkplug) nodeDeath(n *node, name string, payload []byte, put func(rows.Sample)) error {
	session, has := uint64(0), false
	_, err := readPayload(payload, func(x metric) error {
		if x.name == metricSession {
			session, has = x.raw, true
		}
		return nil
	})
	if err != nil || has && n.hasBd && session != n.session {
		return err
	}
	n.known = false
	d.end(n, name, put, true)
	return nil
}

// end makes the values of a node's devices missing, and its own if it is itself dead.
func (d *sparkplug) end(n *node, name string, put func(rows.Sample), itself bool) {
	clear(n.aliases)
	for other, p := range d.places {
		if other == name && itself || strings.HasPrefix(other, name+"/") {
			d.bury(n, p, put)
		}
	}
}

// bury makes a place's values missing.
func (d *sparkplug) bury(n *node, p *place, put func(rows.Sample)) {
	n.forget(p)
	if !p.alive {
		return
	}
	p.alive, p.born = false, false
	for _, tag := range p.tags {
		put(rows.Sample{Tag: tag.Index})
	}
}

// forget forgets the aliases of a place: its next birth gives others.
func (n *node) forget(p *place) {
	maps.DeleteFunc(n.aliases, func(_ uint64, k *known) bool { return k.place == p })
}

func (d *sparkplug) metric(n *node, p *place, birth bool, at time.Time, m metric, put func(rows.Sample)) {
	k := p.names[m.name]
	switch {
	case birth && m.hasAlias && k != nil:
		n.aliases[m.alias] = k
	case m.name == "" && m.hasAlias:
		if k = n.aliases[m.alias]; k == nil && !p.born {
			d.env.Count(reasonAlias, 1)
			return
		}
	}
	if k == nil || k.place != p {
		if !birth { // a birth names all that a node has
			d.env.Count(rows.ReasonNoTag, 1)
		}
		return
	}
	if birth {
		k.datatype, k.named = m.datatype, true
	} else if m.datatype == 0 {
		m.datatype = k.datatype
	}
	value, ok := m.number()
	switch {
	case m.historical: // of an earlier time: no row is made of it any more
		d.env.Count(rows.ReasonOlder, 1)
		return
	case !m.null && m.good && !ok:
		d.env.Count(reasonType, 1)
	}
	if !m.time.IsZero() {
		at = m.time
	}
	put(rows.Sample{Tag: k.tag, Value: value, Good: ok && !m.null && m.good, TS: at})
}

// number is a metric's value. A whole number is carried as unsigned: negative ones in two's complement of their type's size. Without
// a birth its type may be unknown: then a value that could be negative is none.
func (m metric) number() (float64, bool) {
	if !m.isRaw {
		return m.value, m.isNumber
	}
	x := m.raw
	switch m.datatype {
	case typeInt8:
		return float64(int8(x)), true //nolint:gosec // two's complement
	case typeInt16:
		return float64(int16(x)), true //nolint:gosec // two's complement
	case typeInt32:
		return float64(int32(x)), true //nolint:gosec // two's complement
	case typeInt64:
		return float64(int64(x)), true //nolint:gosec // two's complement
	case typeUnknown:
		return float64(x), x <= math.MaxInt32
	}
	return float64(x), true
}
