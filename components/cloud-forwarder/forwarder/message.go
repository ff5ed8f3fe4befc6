package forwarder

import (
	"bytes"
	"fmt"
	"strings"

	"edgepdm/shared/event"
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

// subject is the subject line of an alert's e-mail.
func subject(a event.Alert, p alertStatus) string {
	kind := strings.ToUpper(string(a.Severity))
	if a.State == event.AlarmNormal {
		kind = string(event.AlarmNormal)
	}
	s := fmt.Sprintf("%s[%s] %s: %s", p.mark(), kind, a.Fault, place(a))
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
	case event.FaultNoData:
		return "Check the sensors that are named, and what reads them: nothing can be said of the machine without them."
	case event.FaultUplinkDown:
		return "Check the site's network. Watching goes on; everything is delivered once the connection is back."
	case event.FaultEngineDown:
		return "Look at the inference engine's health and log: no machine is watched while it is not at work."
	case event.FaultTest:
		return "Nothing: this is a test of the alarm chain."
	}
	return "Look at the machine."
}

// emailText is what a person reads: what, where, since when, what to do.
func emailText(a event.Alert, p alertStatus, replayed bool) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-13s%s\n", name+":", value)
		}
	}
	fmt.Fprintf(&b, "%s\n\n", said(a, p, replayed))
	line("What", string(a.Fault))
	line("Machine", a.Thing)
	line("Line", a.Line)
	line("Since", a.Since.UTC().Format("2006-01-02 15:04:05 UTC"))
	line("Severity", string(a.Severity))
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
	line("Alert id", a.ID)
	if a.Simulated {
		b.WriteString("\nThe machine is simulated.\n")
	}
	return b.String()
}

// snsMessage is the message for a topic with MessageStructure "json": people get text, programs the alert.
func snsMessage(m message, status func(event.Alert) alertStatus) (subjectLine, text string, err error) {
	a, err := event.DecodeAlert(m.payload)
	if err != nil {
		return "", "", err
	}
	p := status(a)
	replayed := m.replayed || a.Replayed
	p.back = p.reconnects(a, replayed)
	subjectLine = subject(a, p)
	email, sms := emailText(a, p, replayed), said(a, p, replayed)
	lambda, err := withDelivery(m.body(), p.delivery())
	if err != nil {
		return "", "", err
	}
	body := string(lambda)
	if a.Text == "" && !p.over {
		sms = strings.TrimSpace(subjectLine + " " + sms)
	}
	data, err := encode(map[string]string{
		"default": email, "email": email, "sms": sms, "lambda": body, "sqs": body, "http": body, "https": body,
	})
	if err != nil {
		return "", "", fmt.Errorf("encode SNS message: %w", err)
	}
	return subjectLine, string(data), nil
}
