package forwarder

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"edgepdm/shared/event"
)

// message is what a sink sends.
type message struct {
	topic    string    // local
	payload  []byte    // as it came
	replayed bool      // it may have arrived before
	at       time.Time // of the attempt; zero: unknown
	over     time.Time // when the alarm that an alert raises was over; zero: it is not, or nobody knows
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
	if bytes.HasPrefix(payload, []byte("{"+replayedMember)) { // its sender has marked it
		return payload
	}
	return insert(payload, replayedMember)
}

const replayedMember = `"replayed":true`

// insert puts members before those of a JSON object.
func insert(payload []byte, members string) []byte {
	rest, ok := bytes.CutPrefix(payload, []byte("{"))
	if !ok {
		return payload
	}
	more := append([]byte("{"), members...)
	if len(bytes.TrimSpace(rest)) > 1 {
		more = append(more, ',')
	}
	return append(more, rest...)
}

// maxSubject is the longest subject that SNS takes, in ASCII characters.
const maxSubject = 100

// subject is the subject line of an alert's e-mail.
func (n news) subject() string {
	place := n.Thing
	if n.Line != "" {
		place += " on " + n.Line
	}
	mark := strings.ToUpper(string(n.Severity))
	switch {
	case n.State == event.AlarmNormal:
		mark = string(event.AlarmNormal)
	case !n.over.IsZero():
		mark = "OVER"
	}
	s := fmt.Sprintf("[%s] %s: %s", mark, n.Fault, place)
	if n.late > 0 {
		s = fmt.Sprintf("[LATE %s] %s", event.SpokenDuration(n.late), s)
	}
	if n.Simulated {
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

// email is what a person reads: what, where, since when, what to do.
func (n news) email() string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-13s%s\n", name+":", value)
		}
	}
	fmt.Fprintf(&b, "%s%s\n\n", n.lead(), n.Text)
	line("What", string(n.Fault))
	line("Machine", n.Thing)
	line("Line", n.Line)
	line("Since", stamp(n.Since))
	if n.State == event.AlarmNormal {
		line("Over since", stamp(n.TS))
	} else if !n.over.IsZero() {
		line("Over since", stamp(n.over))
	}
	if n.late > 0 {
		line("Delivered", fmt.Sprintf("%s, %s late", stamp(n.TS.Add(n.late)), event.SpokenDuration(n.late)))
	}
	line("Severity", string(n.Severity))
	if n.Probability > 0 {
		line("Probability", fmt.Sprintf("%.1f %%", 100*n.Probability))
	}
	if n.Model != nil {
		line("Model", n.Model.Version)
	}
	if n.State != event.AlarmNormal && n.over.IsZero() {
		line("What to do", whatToDo(n.Fault))
	}
	line("Alert id", n.ID)
	if n.Simulated {
		b.WriteString("\nThe machine is simulated.\n")
	}
	if n.replayed {
		b.WriteString("\nThis message may have arrived before.\n")
	}
	return b.String()
}

// stamp is a time as people read it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// snsMessage is the message for a topic with MessageStructure "json": people get text, programs the alert.
func snsMessage(m message) (subjectLine, text string, err error) {
	a, err := event.DecodeAlert(m.payload)
	if err != nil {
		return "", "", err
	}
	n := newsOf(a, m)
	email, sms, body := n.email(), n.text(), string(n.body(m.payload))
	data, err := encode(map[string]string{
		"default": email, "email": email, "sms": sms, "lambda": body, "sqs": body, "http": body, "https": body,
	})
	if err != nil {
		return "", "", fmt.Errorf("encode SNS message: %w", err)
	}
	return n.subject(), string(data), nil
}
