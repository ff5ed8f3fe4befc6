package alarms

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"edgepdm/shared/alarm"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/request"
)

// Order is the message of a command of alarms. All members but V and Do may be missing.
type Order struct {
	V  int    `json:"v"`
	ID string `json:"id,omitempty"` // is repeated in the reply
	alarm.Command
	Thing string      `json:"thing,omitempty"` // one alarm in place of alarms
	Fault event.Fault `json:"fault,omitempty"` // likewise; missing: all of the thing
	For   string      `json:"for,omitempty"`   // length of a shelving, such as 2h
}

// DoList asks for the list of alarms.
const DoList alarm.Do = "list"

// role is who commands.
type role string

const (
	operator role = "operator"
	engineer role = "engineer"
)

// may says which role may order what.
var may = map[role][]alarm.Do{
	operator: {alarm.Acknowledge, alarm.Shelve, alarm.Unshelve, alarm.Test, DoList},
	engineer: {
		alarm.Acknowledge, alarm.Shelve, alarm.Unshelve, alarm.Test, DoList, alarm.TakeOutOfService, alarm.ReturnToService, alarm.ResetLatch,
		alarm.Retire, alarm.Rename,
	},
}

// Bounds of orders, in bytes.
const (
	maxBy        = 200
	maxOrderText = 1000
)

// decodeOrder reads an order of a role.
func decodeOrder(payload []byte, who role) (o Order, err error) {
	if err := event.Local.Check(payload); err != nil {
		return o, err
	}
	if err := event.Unmarshal(payload, &o); err != nil {
		return o, &event.InvalidError{Reason: event.ReasonMalformed, Detail: err.Error()}
	}
	return o, o.check(who)
}

// Check names what is wrong with an order that is given on the device, whatever alarms there are.
func (o Order) Check() error {
	if err := o.check(engineer); err != nil {
		return err
	}
	return o.Command.Check()
}

// check says whether a role may give the order, and completes it.
func (o *Order) check(who role) error {
	if o.V != event.Version {
		return &event.InvalidError{Reason: event.ReasonVersion, Detail: fmt.Sprintf("v is %d, must be %d", o.V, event.Version)}
	}
	if err := event.CheckCommandID(o.ID); err != nil {
		return err
	}
	if !slices.Contains(may[who], o.Do) {
		if slices.Contains(may[engineer], o.Do) {
			return fmt.Errorf("do: %s is for engineers: publish it on %s", o.Do, event.TopicEngineerAlarm)
		}
		return fmt.Errorf("do: %.40q is none of %v", o.Do, may[who])
	}
	for _, text := range []string{o.By, o.Comment, o.Text, o.Line} {
		if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return errors.New("a text has characters that cannot be printed")
		}
	}
	if o.Fault != "" && o.Thing == "" {
		return errors.New("fault: is of a machine, and thing is missing")
	}
	if o.Thing != "" {
		o.Alarms = append(o.Alarms, alarm.Key{Thing: o.Thing, Fault: o.Fault})
		o.Thing, o.Fault = "", ""
	}
	if o.For != "" {
		length, err := time.ParseDuration(o.For)
		if err != nil {
			return fmt.Errorf("for: %.40q is not a duration such as 2h", o.For)
		}
		o.Command.For = length
	}
	return nil
}

// orderOf returns the handler of a role's orders over local publish/subscribe.
func (r *run) orderOf(who role) func([]byte, time.Time) error {
	topic := event.TopicOperatorAlarm
	if who == engineer {
		topic = event.TopicEngineerAlarm
	}
	return func(payload []byte, now time.Time) error {
		o, err := decodeOrder(payload, who)
		text := ""
		if err == nil {
			text, err = r.order(o, func(part []byte) { r.teller.send(event.TopicAlarmSnapshot, part) }, now)
		}
		reply, replyErr := event.EncodeReply(o.ID, text, err, now)
		if replyErr == nil {
			r.teller.send(event.ReplyTopic(topic), reply)
		}
		if _, invalid := errors.AsType[*event.InvalidError](err); invalid {
			return err
		}
		return nil
	}
}

// orderRequest obeys an order that is given on the device.
func (r *run) orderRequest(q *request.Request, now time.Time) {
	var o Order
	if err := errors.Join(q.Arguments(&o), o.check(engineer)); err != nil {
		q.Answer("", err)
		return
	}
	o.By = event.Cut(cmp.Or(o.By, q.By), maxBy)
	if o.Do == DoList {
		q.Answer(r.writeList(now))
		return
	}
	text, err := r.order(o, nil, now)
	q.Answer(text, err)
}

// order obeys. publish takes the messages of a list.
func (r *run) order(o Order, publish func([]byte), now time.Time) (text string, err error) {
	r.rt.Log.Info("command of alarms", "do", o.Do, "by", o.By, "line", o.Line, "alarms", len(o.Alarms))
	if o.Do == DoList {
		parts := r.snapshot(o.ID, now)
		for _, part := range parts {
			publish(part)
		}
		return fmt.Sprintf("the list is on %s, in %d messages", event.TopicAlarmSnapshot, len(parts)), nil
	}
	if o.Do == alarm.Test {
		return r.testOrder(o, now)
	}
	if o.Do == alarm.Rename {
		if err := r.renamable(o.Alarms); err != nil {
			return "", err
		}
	}
	unheard := r.unheard(o.Command) // a machine that is retired is not watched afterwards
	changes, err := r.list.system.Command(o.Command, now)
	r.process(changes, now)
	if err != nil {
		return "", err
	}
	if text = done(o.Do, changes); o.Do == alarm.Rename {
		text = fmt.Sprintf("renamed: %s is %s from now on; what comes as %[1]s is another machine", o.Alarms[0].Thing, o.To)
	}
	if len(unheard) > 0 {
		text += "; nothing has been heard of " + strings.Join(unheard, ", ") + ": is the name right?"
	}
	return r.kept(text), nil
}

// unheard names what is taken out of service or retired, and is none of what is watched: a name may be misspelled, and a machine that is
// still to come may be meant.
func (r *run) unheard(c alarm.Command) (names []string) {
	if c.Do != alarm.TakeOutOfService && c.Do != alarm.Retire {
		return nil
	}
	for _, k := range c.Alarms {
		if r.watch.things[k.Thing] == nil {
			names = append(names, k.Thing)
		}
	}
	if c.Line != "" {
		for _, t := range r.watch.things {
			if t.line == c.Line {
				return names
			}
		}
		names = append(names, "line "+c.Line)
	}
	return names
}

// testOrder raises test alarms.
func (r *run) testOrder(o Order, now time.Time) (text string, err error) {
	if len(o.Alarms) == 0 {
		o.Alarms = []alarm.Key{{Thing: r.core}}
	}
	if len(o.Alarms) > 1 {
		return "", errors.New("alarms: a test is of one thing")
	}
	c := event.TestAlarm{V: event.Version, Thing: o.Alarms[0].Thing, Line: o.Line, Text: o.Text, By: o.By}
	if err := c.Check(); err != nil {
		return "", err
	}
	_, text, err = r.testAlarm(c, now)
	return text, err
}

// localTime is a time of a table, which is local, with its zone for those who are elsewhere.
const localTime = time.DateTime + " -07:00"

// done says what came of a command.
func done(do alarm.Do, changes []alarm.Change) string {
	kind := map[alarm.Do]alarm.Kind{
		alarm.Acknowledge: alarm.Acknowledged, alarm.Shelve: alarm.Shelved, alarm.Unshelve: alarm.Unshelved, alarm.ResetLatch: alarm.Reset,
		alarm.TakeOutOfService: alarm.OutOfService, alarm.ReturnToService: alarm.ReturnedToService, alarm.Retire: alarm.Retired,
	}[do]
	const most = 5
	var names []string
	n, until := 0, ""
	for _, c := range changes {
		if c.Kind != kind || do == alarm.Retire && c.Alarm.Fault != "" {
			continue
		}
		if n++; n <= most {
			names = append(names, strings.Trim(cmp.Or(c.Alarm.Thing, "line "+c.Alarm.Line)+"/"+string(c.Alarm.Fault), "/"))
		}
		if c.Kind == alarm.Shelved && c.Alarm.Shelved != nil {
			until = " until " + c.Alarm.Shelved.Until.Local().Format(localTime)
		}
	}
	text := fmt.Sprintf("%s%s: %s", kind, until, strings.Join(names, ", "))
	if n > most {
		text += fmt.Sprintf(" and %d more", n-most)
	}
	return text
}

// kept says whether a restart keeps what was done.
func (r *run) kept(text string) string {
	if err := r.save(); err != nil {
		return fmt.Sprintf("%s; in memory only (%v)", text, err)
	}
	return text
}

// Listed is an alarm as the list shows it.
type Listed struct {
	alarm.Alarm
	LastsS  int64       `json:"lasts_s,omitempty"`
	Reasons []string    `json:"reasons,omitempty"` // what points to it
	Life    *event.Life `json:"life,omitempty"`    // until maintenance is needed
}

// Listing is a message of the list. An alarm list of many is in several.
type Listing struct {
	V      int           `json:"v"`
	ID     string        `json:"id,omitempty"` // the command's
	TS     time.Time     `json:"ts"`
	Part   int           `json:"part"` // from 1
	Parts  int           `json:"parts"`
	Alarms []Listed      `json:"alarms"`
	Places []alarm.Place `json:"places,omitempty"` // out of service, or retired
}

// Bounds of texts in the list, in bytes: each alarm fits into a message.
const (
	maxListText    = 300
	maxListComment = 100
)

// whole is the list in one message.
func (r *run) whole(id string, now time.Time) Listing {
	r.process(r.list.system.Tick(now), now)
	l := Listing{V: event.Version, ID: id, TS: now.UTC(), Part: 1, Parts: 1, Alarms: []Listed{}, Places: r.list.system.Places()}
	for _, a := range r.list.system.List() {
		lengthen(&a)
		reasons, life := r.reasons(a, now)
		a.Text = event.Cut(r.text(alarm.Change{Kind: alarm.Raised, Alarm: a}, r.config.Languages[0], alarm.Insight{}), maxListText)
		a.Detail, a.Data = event.Cut(a.Detail, maxListText), nil
		if a.Shelved != nil {
			a.Shelved.Comment = event.Cut(a.Shelved.Comment, maxListComment)
		}
		if a.Acknowledged != nil {
			seen := *a.Acknowledged
			seen.Comment = event.Cut(seen.Comment, maxListComment)
			a.Acknowledged = &seen
		}
		l.Alarms = append(l.Alarms, Listed{a, int64(a.Lasted / time.Second), reasons, life})
	}
	for i := range l.Places {
		l.Places[i].Comment = event.Cut(l.Places[i].Comment, maxListComment)
	}
	return l
}

// snapshot is the list in messages that local publish/subscribe, and AWS IoT Core over the nucleus, carry.
func (r *run) snapshot(id string, now time.Time) [][]byte {
	all := r.whole(id, now)
	head := Listing{V: all.V, ID: all.ID, TS: all.TS, Alarms: []Listed{}}
	var parts []Listing
	size := 0
	const limit = 3600 // bytes of alarms in a message: with the head, it is below every limit
	add := func(item any, put func(*Listing)) {
		data, err := json.Marshal(item)
		if err != nil {
			return
		}
		if len(parts) == 0 || size+len(data) > limit {
			parts, size = append(parts, head), 0
		}
		size += len(data) + 1
		put(&parts[len(parts)-1])
	}
	for _, a := range all.Alarms {
		if data, err := json.Marshal(a); err != nil || len(data) > limit {
			a.Text, a.Detail, a.Reasons = "", "", nil // with thousands of escaped characters
		}
		add(a, func(l *Listing) { l.Alarms = append(slices.Clip(l.Alarms), a) })
	}
	for _, p := range all.Places {
		add(p, func(l *Listing) { l.Places = append(l.Places, p) })
	}
	if len(parts) == 0 {
		parts = []Listing{head}
	}
	messages := make([][]byte, 0, len(parts))
	for i, l := range parts {
		l.Part, l.Parts = i+1, len(parts)
		if payload, err := event.Encode(l); err == nil {
			messages = append(messages, payload)
		}
	}
	return messages
}

// listFile is where a person on the device finds the list that was asked for.
const listFile = "list.json"

// writeList writes the list for a person on the device.
func (r *run) writeList(now time.Time) (text string, err error) {
	data, err := durable.Marshal(r.whole("", now))
	if err == nil {
		err = durable.WriteFileAtomic(filepath.Join(r.rt.WorkDir, listFile), data, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("write the list: %w", err)
	}
	return listFile, nil
}

// ReadList returns the list that was written last in a component's work directory.
func ReadList(dir string) (l Listing, err error) {
	data, err := durable.ReadFile(filepath.Join(dir, listFile), maxFile)
	if err == nil {
		err = durable.Unmarshal(data, &l)
	}
	return l, err
}
