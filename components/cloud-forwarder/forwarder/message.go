package forwarder

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"edgepdm/shared/event"
	"edgepdm/shared/words"
)

// message is what a sink sends.
type message struct {
	topic    string // local
	payload  []byte // as it came
	replayed bool   // it may have arrived before

	id  string
	seq uint64 // in its queue
	at  int64  // its time, Unix nanoseconds
}

// day is the message's, in UTC.
func (m message) day() string { return time.Unix(0, m.at).UTC().Format(time.DateOnly) }

// body returns the payload, with the mark of a message that may have arrived before. Limits of size are for the payload:
// a message that was accepted does not become too large by the mark.
func (m message) body() []byte {
	if m.replayed {
		return markReplayed(m.payload)
	}
	return m.payload
}

// markReplayed adds the member that tells receivers that they may have the message already (promise F3).
func markReplayed(payload []byte) []byte {
	rest, ok := bytes.CutPrefix(payload, []byte("{"))
	if !ok || bytes.HasPrefix(rest, []byte(`"replayed":true`)) { // its sender has marked it
		return payload
	}
	marked := []byte(`{"replayed":true`)
	if len(bytes.TrimSpace(rest)) > 1 {
		marked = append(marked, ',')
	}
	return append(marked, rest...)
}

// maxSubject is the longest subject that SNS takes, in ASCII characters.
const maxSubject = 100

// place is where an alarm is.
func place(a event.Alert, w *phrases) string {
	if a.Line == "" {
		return a.Thing
	}
	return fmt.Sprintf(w.on, a.Thing, a.Line)
}

// kind is what an alert says, in a word or two of its subject.
func kind(a event.Alert, w *phrases) string {
	severity := map[event.Severity]string{event.SeverityHigh: w.high, event.SeverityMedium: w.medium, event.SeverityLow: w.low}[a.Severity]
	switch severity = cmp.Or(severity, strings.ToUpper(string(a.Severity))); {
	case a.State == event.AlarmNormal:
		return string(event.AlarmNormal)
	case a.Step > 0:
		return fmt.Sprintf(w.step, severity, a.Step)
	case a.Chattering:
		return fmt.Sprintf(w.comesAndGoes, severity)
	}
	return severity
}

// subject is the subject line of an alert's e-mail.
func subject(a event.Alert, p alertStatus) string {
	w := phrasesOf(a.Language)
	what := string(a.Fault)
	if a.Fault == event.FaultSummary && a.Count > 0 {
		what = fmt.Sprintf(w.more, a.Count)
	}
	s := fmt.Sprintf("%s[%s] %s: %s", p.mark(w), kind(a, w), what, place(a, w))
	if a.Simulated {
		s = "[" + w.simulated + "] " + s
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	return s[:min(len(s), maxSubject)]
}

// said is what a person is told: the alert's text, or that its alarm is over, and when that was if it comes late.
func said(a event.Alert, p alertStatus, replayed bool) string {
	w := phrasesOf(a.Language)
	text := a.Text
	if p.over {
		text = overText(a, w)
	}
	if note := p.note(a.State, w, zoneOf(a)); note != "" {
		text = strings.TrimSpace(text + " " + note)
	}
	if p.back {
		text = strings.TrimSpace(text + " " + w.arrived)
	}
	if replayed {
		text = strings.TrimSpace(text + " " + w.before)
	}
	return text
}

// whatToDo is the advice for a fault.
func whatToDo(f event.Fault, w *phrases) string { return cmp.Or(w.advice[f], w.advice[""]) }

// acknowledging says how somebody tells that the alarm is seen.
func acknowledging(a event.Alert, w *phrases, prefix string) []string {
	if a.State == event.AlarmNormal || a.Fault == event.FaultTest || a.Fault == event.FaultSummary || event.CheckName(string(a.Fault)) != nil {
		return nil
	}
	how := []string{fmt.Sprintf(w.onDevice, fmt.Sprintf("alarm-manager ack -thing %s -fault %s -outcome confirmed", a.Thing, a.Fault))}
	if prefix != "" {
		command := fmt.Sprintf(`{"v":1,"do":"acknowledge","thing":"%s","fault":"%s","outcome":"confirmed","by":"%s"}`, a.Thing, a.Fault, w.yourName)
		how = append(how, fmt.Sprintf(w.onTopic, command, prefix+"/"+event.TopicOperatorAlarm))
	}
	return append(how, w.outcome)
}

// when says when the machine is likely to need maintenance, as a length and as dates, and how surely.
func when(a event.Alert, w *phrases) []string {
	sentence := words.Life(a.Life, w.tag)
	if sentence == "" {
		return nil
	}
	const years = 10 * 365 * 24 * time.Hour
	zone := zoneOf(a)
	at := func(t time.Time) string { return local(t, zone, "2006-01-02 15:04") }
	dates := fmt.Sprintf(w.asOf, at(a.TS))
	unit := a.Life.Length()
	if high := a.Life.High * float64(unit); unit > 0 && !a.Life.Beyond && high < float64(years) {
		after := func(n float64) string { return at(a.TS.Add(time.Duration(n * float64(unit)))) }
		dates = fmt.Sprintf(w.fromTo, after(a.Life.Low), after(a.Life.High))
	}
	return []string{sentence, fmt.Sprintf(w.coverage, dates, w.number(fmt.Sprintf("%.4g", 100*a.Life.Coverage)))}
}

// emailText is what a person reads: what, where, since when, why, what to do, and how to acknowledge it.
func emailText(a event.Alert, p alertStatus, replayed bool, core, prefix string) string {
	var b strings.Builder
	w := phrasesOf(a.Language)
	width := w.width()
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-*s%s\n", width, name+":", value)
		}
	}
	list := func(name string, values []string) {
		for i, value := range values {
			if i > 0 {
				value = fmt.Sprintf("%-*s%s", width, "", value)
				b.WriteString(value + "\n")
				continue
			}
			line(name, value)
		}
	}
	fmt.Fprintf(&b, "%s\n\n", said(a, p, replayed))
	line(w.what, string(a.Fault))
	line(w.machine, a.Thing)
	line(w.line, a.Line)
	line(w.site, core)
	line(w.since, local(a.Since, zoneOf(a), "2006-01-02 15:04:05"))
	line(w.severity, cmp.Or(w.severities[a.Severity], string(a.Severity)))
	if a.Step > 0 && a.State != event.AlarmNormal {
		line(w.escalated, fmt.Sprintf(w.nobody, a.Step))
	}
	if a.Chattering {
		line(w.note, w.once)
	}
	list(w.why, a.Reasons)
	if !p.over {
		list(w.when, when(a, w))
	}
	if a.Probability > 0 {
		line(w.probability, w.number(fmt.Sprintf("%.1f %%", 100*a.Probability)))
	}
	if a.Model != nil {
		line(w.model, a.Model.Version)
	}
	switch {
	case p.over:
		line(w.said, a.Text)
		line(w.toDo, w.seeAgain)
	case a.State == event.AlarmNormal:
		line(w.state, string(a.State))
	default:
		line(w.toDo, whatToDo(a.Fault, w))
	}
	list(w.acknowledge, acknowledging(a, w, prefix))
	line(w.id, a.ID)
	if a.Simulated {
		b.WriteString("\n" + w.isSimulated + "\n")
	}
	return b.String()
}

// notice is what SNS gets of an alert.
type notice struct {
	subject    string
	text       string // for MessageStructure "json": people get text, programs the alert
	attributes map[string]types.MessageAttributeValue
	step       int // of the escalation
}

// newNotice makes the notice of an alert at a core whose cloud topics begin with prefix.
func newNotice(m message, core, prefix string, status func(event.Alert) alertStatus) (notice, error) {
	a, err := event.DecodeAlert(m.payload)
	if err != nil {
		return notice{}, err
	}
	p := status(a)
	replayed := m.replayed || a.Replayed
	p.back = p.reconnects(a, replayed)
	n := notice{subject: subject(a, p), attributes: attributes(a, core), step: a.Step}
	email, sms := emailText(a, p, replayed, core, prefix), said(a, p, replayed)
	delivery := p.delivery()
	delivery.Core = core
	lambda, err := withDelivery(m.body(), delivery)
	if err != nil {
		return notice{}, err
	}
	body := string(lambda)
	if a.Text == "" && !p.over {
		sms = strings.TrimSpace(n.subject + " " + sms)
	}
	data, err := encode(map[string]string{
		"default": email, "email": email, "sms": sms, "lambda": body, "sqs": body, "http": body, "https": body,
	})
	if err != nil {
		return notice{}, fmt.Errorf("encode SNS message: %w", err)
	}
	n.text = string(data)
	return n, nil
}

const maxAttribute = 512 // bytes of a value

// attributes are those by which subscriptions filter. SNS takes none that is empty.
func attributes(a event.Alert, core string) map[string]types.MessageAttributeValue {
	list := make(map[string]types.MessageAttributeValue)
	add := func(name, kind, value string) {
		value = strings.Map(func(r rune) rune { // what SNS would refuse, with the alert
			if !unicode.IsPrint(r) || r == utf8.RuneError {
				return -1
			}
			return r
		}, event.Cut(value, maxAttribute))
		if value != "" {
			list[name] = types.MessageAttributeValue{DataType: aws.String(kind), StringValue: aws.String(value)}
		}
	}
	add("thing", "String", a.Thing)
	add("line", "String", a.Line)
	add("fault", "String", string(a.Fault))
	add("priority", "String", string(a.Severity))
	add("state", "String", string(a.State))
	add("core", "String", core)
	if a.Step > 0 {
		add("step", "Number", strconv.Itoa(a.Step))
	}
	return list
}
