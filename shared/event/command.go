package event

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Commands that a person gives on the device, with package request.
const (
	CommandTestAlarm = "test-alarm" // to AlarmManager: raise a test alarm; the arguments are a TestAlarm
	CommandAlarm     = "alarm"      // to AlarmManager: acknowledge, shelve, …; the arguments are as on TopicOperatorAlarm
	CommandSpeak     = "speak"      // to AlarmManager: speak a text now; the arguments are a Speak
	CommandLook      = "look"       // to ModelFetcher: look for a model now; the arguments are a ModelFetch
	CommandReplay    = "replay"     // to CloudForwarder: send the dead letters again
	CommandSpoolDrop = "spool-drop" // to CloudForwarder: drop messages that wait; the arguments are a SpoolDrop
	CommandStatus    = "status"     // to InferenceEngine: which model is active, and what happened last
	CommandExplain   = "explain"    // to InferenceEngine: why a thing's next row is scored as it is; the arguments are an Explain
	CommandRollback  = "rollback"   // to InferenceEngine: go back to the model before; the arguments are a Rollback
)

// Topics of commands that are given over local publish/subscribe. ReplyTopic is where the outcome is published.
const (
	TopicTestAlarm  = prefixCommand + "operator/test-alarm"  // a TestAlarm
	TopicModelFetch = prefixCommand + "operator/model-fetch" // a ModelFetch
	// What an operator, and what an engineer, may order of alarms: docs/alarms.md has the message.
	TopicOperatorAlarm = prefixCommand + "operator/alarm"
	TopicEngineerAlarm = prefixCommand + "engineer/alarm"
	// What the page of the demo orders: a fault of a simulated machine, and acts of the demo itself. No production recipe grants it.
	TopicDemoPrefix = prefixCommand + "demo/"
	TopicDemoFault  = prefixCommand + "demo/fault" // a DemoOrder
	TopicDemoAct    = prefixCommand + "demo/act"   // a DemoOrder
)

// TestAlarm is the command to raise a test alarm, which goes from end to end. All members but V may be missing.
type TestAlarm struct {
	V     int    `json:"v"`
	Thing string `json:"thing,omitempty"` // default: the core
	Line  string `json:"line,omitempty"`
	Text  string `json:"text,omitempty"` // is spoken after the words that say it is a test
	By    string `json:"by,omitempty"`   // who asks for it, as claimed
	ID    string `json:"id,omitempty"`   // is repeated in the reply
}

const maxTestText = 300 // characters

// Check says whether the command can be obeyed. The error is an *InvalidError.
func (c *TestAlarm) Check() error {
	if err := checkVersion(c.V); err != nil {
		return err
	}
	if c.Thing != "" {
		if err := CheckName(c.Thing); err != nil {
			return &InvalidError{ReasonName, err.Error()}
		}
	}
	if c.Line != "" {
		if err := CheckLine(c.Line); err != nil {
			return &InvalidError{ReasonName, err.Error()}
		}
	}
	if err := checkSpokenText(c.Text); err != nil {
		return err
	}
	return CheckCommandID(c.ID)
}

// DecodeTestAlarm reads a message of TopicTestAlarm. The error is an *InvalidError.
func DecodeTestAlarm(payload []byte) (TestAlarm, error) {
	var c TestAlarm
	if err := decode(payload, &c); err != nil {
		return c, err
	}
	return c, c.Check()
}

// Speak are the arguments of CommandSpeak.
type Speak struct {
	Text     string `json:"text"`
	Language string `json:"language,omitempty"` // default: the configured one
}

// Check says whether the command can be obeyed. The error is an *InvalidError.
func (c *Speak) Check() error {
	if c.Text == "" {
		return &InvalidError{ReasonMalformed, "text is missing"}
	}
	if len(c.Language) > maxLanguage || strings.Trim(strings.ToLower(c.Language), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return &InvalidError{ReasonName, fmt.Sprintf("language %.40q is none such as en-US", c.Language)}
	}
	return checkSpokenText(c.Text)
}

const maxLanguage = 20

// checkSpokenText says whether a command's text can be spoken.
func checkSpokenText(text string) error {
	if n := utf8.RuneCountInString(text); n > maxTestText {
		return &InvalidError{ReasonOversized, fmt.Sprintf("text has %d characters, at most %d", n, maxTestText)}
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return &InvalidError{ReasonMalformed, "text has characters that cannot be printed"}
	}
	return nil
}

// ModelFetch is the command to look for a model now. All members but V may be missing.
type ModelFetch struct {
	V     int    `json:"v"`
	Again bool   `json:"again,omitempty"` // even if what is published was delivered or refused before
	By    string `json:"by,omitempty"`    // who asks for it, as claimed
	ID    string `json:"id,omitempty"`    // is repeated in the reply
}

// DecodeModelFetch reads a message of TopicModelFetch. The error is an *InvalidError.
func DecodeModelFetch(payload []byte) (ModelFetch, error) {
	var c ModelFetch
	if err := decode(payload, &c); err != nil {
		return c, err
	}
	if err := checkVersion(c.V); err != nil {
		return c, err
	}
	c.By = Cut(c.By, MaxDetail)
	return c, CheckCommandID(c.ID)
}

// SpoolDrop are the arguments of CommandSpoolDrop.
type SpoolDrop struct {
	Stream  string `json:"stream"`
	Queue   uint32 `json:"queue"`            // the one that was looked at
	Through uint64 `json:"through"`          // the sequence number of the last message that is dropped
	Alerts  bool   `json:"alerts,omitempty"` // true: alerts, too
}

// Rollback are the arguments of CommandRollback.
type Rollback struct {
	Reason string `json:"reason,omitempty"`
	Role   Role   `json:"role,omitempty"` // of the model; empty: RoleFault
}

// Decide are the arguments of CommandPromote and CommandReject.
type Decide struct {
	Reason string `json:"reason,omitempty"`
}

// ModelCommand is a command for the engine's models.
type ModelCommand struct {
	V      int    `json:"v"`
	Do     string `json:"do"`             // CommandPromote, CommandReject, CommandRollback or CommandStatus
	Role   Role   `json:"role,omitempty"` // with CommandRollback; empty: RoleFault
	Reason string `json:"reason,omitempty"`
	By     string `json:"by,omitempty"` // who asks for it, as claimed
	ID     string `json:"id,omitempty"` // is repeated in the reply
}

// DecodeModelCommand reads a message of TopicEngineerModel. The error is an *InvalidError.
func DecodeModelCommand(payload []byte) (ModelCommand, error) {
	var c ModelCommand
	if err := decode(payload, &c); err != nil {
		return c, err
	}
	if err := checkVersion(c.V); err != nil {
		return c, err
	}
	switch c.Do {
	case CommandPromote, CommandReject, CommandRollback, CommandStatus:
	default:
		return c, &InvalidError{ReasonMalformed, fmt.Sprintf("do is %.40q, must be %s, %s, %s or %s", c.Do, CommandPromote, CommandReject, CommandRollback, CommandStatus)}
	}
	if c.Role != "" && c.Role != RoleFault && c.Role != RoleLife {
		return c, &InvalidError{ReasonMalformed, fmt.Sprintf("role is %.40q, must be %s or %s", c.Role, RoleFault, RoleLife)}
	}
	c.By, c.Reason = Cut(c.By, MaxDetail), Cut(c.Reason, MaxDetail)
	return c, CheckCommandID(c.ID)
}

// Explain are the arguments of CommandExplain.
type Explain struct {
	Thing string `json:"thing"`
	Wait  int    `json:"wait_s,omitempty"` // for the row, at most so many seconds; default: a minute
}

const maxExplainWait = 3600 // seconds

// Check says whether the command can be obeyed. The error is an *InvalidError.
func (c *Explain) Check() error {
	if err := CheckName(c.Thing); err != nil {
		return &InvalidError{ReasonName, err.Error()}
	}
	if c.Wait < 0 || c.Wait > maxExplainWait {
		return &InvalidError{ReasonMalformed, fmt.Sprintf("wait_s is %d, must be 0 to %d", c.Wait, maxExplainWait)}
	}
	return nil
}
