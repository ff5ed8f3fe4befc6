package forwarder

import (
	"bytes"
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
}

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
func place(a event.Alert) string {
	if a.Line == "" {
		return a.Thing
	}
	return a.Thing + " on " + a.Line
}

// kind is what an alert says, in a word or two of its subject.
func kind(a event.Alert) string {
	switch {
	case a.State == event.AlarmNormal:
		return string(event.AlarmNormal)
	case a.Step > 0:
		return fmt.Sprintf("%s, NOT ACKNOWLEDGED, STEP %d", strings.ToUpper(string(a.Severity)), a.Step)
	case a.Chattering:
		return strings.ToUpper(string(a.Severity)) + ", COMES AND GOES"
	}
	return strings.ToUpper(string(a.Severity))
}

// subject is the subject line of an alert's e-mail.
func subject(a event.Alert, p alertStatus) string {
	what := string(a.Fault)
	if a.Fault == event.FaultSummary && a.Count > 0 {
		what = fmt.Sprintf("%d more alarms", a.Count)
	}
	s := fmt.Sprintf("%s[%s] %s: %s", p.mark(), kind(a), what, place(a))
	if a.Simulated {
		s = "[SIMULATED] " + s
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
	text := a.Text
	if p.over {
		text = overText(a)
	}
	if note := p.note(a.State); note != "" {
		text = strings.TrimSpace(text + " " + note)
	}
	if p.back {
		text = strings.TrimSpace(text + " This message has arrived: there is a connection again.")
	}
	if replayed {
		text = strings.TrimSpace(text + " This message may have arrived before.")
	}
	return text
}

// whatToDo is the advice for a fault.
func whatToDo(f event.Fault) string {
	switch f {
	case event.FaultMachine:
		return "Inspect the machine as soon as possible; plan its maintenance before it fails."
	case event.FaultSilence:
		return "Check the sensors of the machine, their power and their network."
	case event.FaultLine:
		return "Check the line's network, power and gateway: nothing is heard of any of its machines."
	case event.FaultNoData:
		return "Check the sensors that are named, and what reads them: nothing can be said of the machine without them."
	case event.FaultQuality:
		return "Check the sensors that are named: their values may be wrong, and the machine well."
	case event.FaultUplinkDown:
		return "Check the site's network. Watching goes on; everything is delivered once the connection is back."
	case event.FaultEngineDown:
		return "Look at the inference engine's health and log: no machine is watched while it is not at work."
	case event.FaultTest:
		return "Nothing: this is a test of the alarm chain."
	case event.FaultSummary:
		return "Look at the list of alarms: alarm-manager list, on the device."
	default:
		return "Look at the machine."
	}
}

// acknowledging says how somebody tells that the alarm is seen.
func acknowledging(a event.Alert, prefix string) []string {
	if a.State == event.AlarmNormal || a.Fault == event.FaultTest || a.Fault == event.FaultSummary || event.CheckName(string(a.Fault)) != nil {
		return nil
	}
	how := []string{fmt.Sprintf("alarm-manager ack -thing %s -fault %s -outcome confirmed, on the device", a.Thing, a.Fault)}
	if prefix != "" {
		command := fmt.Sprintf(`{"v":1,"do":"acknowledge","thing":"%s","fault":"%s","outcome":"confirmed","by":"YOUR NAME"}`, a.Thing, a.Fault)
		how = append(how, command+" on the IoT topic "+prefix+"/"+event.TopicOperatorAlarm+", with cloudCommands")
	}
	return append(how, "The outcome is confirmed, no-fault-found or planned.")
}

// when says when the machine is likely to need maintenance, as a length and as dates, and how surely.
func when(a event.Alert) []string {
	sentence := words.Life(a.Life, "en")
	if sentence == "" {
		return nil
	}
	const format, years = "2006-01-02 15:04 UTC", 10 * 365 * 24 * time.Hour
	dates := "As of " + a.TS.UTC().Format(format)
	unit := a.Life.Length()
	if high := a.Life.High * float64(unit); unit > 0 && !a.Life.Beyond && high < float64(years) {
		at := func(n float64) string { return a.TS.UTC().Add(time.Duration(n * float64(unit))).Format(format) }
		dates = fmt.Sprintf("From %s to %s, if it runs on", at(a.Life.Low), at(a.Life.High))
	}
	return []string{sentence, fmt.Sprintf("%s. By its calibration, %.4g %% of such estimates hold.", dates, 100*a.Life.Coverage)}
}

// emailText is what a person reads: what, where, since when, why, what to do, and how to acknowledge it.
func emailText(a event.Alert, p alertStatus, replayed bool, core, prefix string) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-13s%s\n", name+":", value)
		}
	}
	list := func(name string, values []string) {
		for i, value := range values {
			if i > 0 {
				value = fmt.Sprintf("%-13s%s", "", value)
				b.WriteString(value + "\n")
				continue
			}
			line(name, value)
		}
	}
	fmt.Fprintf(&b, "%s\n\n", said(a, p, replayed))
	line("What", string(a.Fault))
	line("Machine", a.Thing)
	line("Line", a.Line)
	line("Site", core)
	line("Since", a.Since.UTC().Format("2006-01-02 15:04:05 UTC"))
	line("Severity", string(a.Severity))
	if a.Step > 0 && a.State != event.AlarmNormal {
		line("Escalated", fmt.Sprintf("step %d: nobody has acknowledged it", a.Step))
	}
	if a.Chattering {
		line("Note", "it comes and goes, and is told once")
	}
	list("Why", a.Reasons)
	if !p.over {
		list("When", when(a))
	}
	if a.Probability > 0 {
		line("Probability", fmt.Sprintf("%.1f %%", 100*a.Probability))
	}
	if a.Model != nil {
		line("Model", a.Model.Version)
	}
	switch {
	case p.over:
		line("Said", a.Text)
		line("What to do", "It is over: see whether it comes again.")
	case a.State == event.AlarmNormal:
		line("State", string(a.State))
	default:
		line("What to do", whatToDo(a.Fault))
	}
	list("Acknowledge", acknowledging(a, prefix))
	line("Alert id", a.ID)
	if a.Simulated {
		b.WriteString("\nThe machine is simulated.\n")
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
