// Package alarmcli is the alarm manager's commands for a person on the device: the list, the history, and what is done about alarms.
package alarmcli

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"edgepdm/components/alarm-manager/alarms"
	"edgepdm/shared/alarm"
	"edgepdm/shared/cli"
	"edgepdm/shared/event"
	"edgepdm/shared/request"
	"edgepdm/shared/words"
)

// Commands are those of a person.
func Commands() []cli.Command {
	return []cli.Command{
		{Name: "list", Summary: "show the alarms", Run: list},
		{Name: "history", Summary: "show what happened to alarms", Run: history},
		order("ack"+ofAlarms, alarm.Acknowledge, "acknowledge alarms", line, fault, outcome),
		order("shelve -for TIME"+ofAlarms, alarm.Shelve, "keep alarms quiet for a time", line, fault, forTime),
		order("unshelve"+ofAlarms, alarm.Unshelve, "end a shelving", line, fault),
		order("reset"+ofAlarms, alarm.ResetLatch, "reset latched alarms that are over", line, fault),
		order("out-of-service"+ofPlaces, alarm.TakeOutOfService, "keep a machine or a line quiet while it is worked on", line),
		order("return-to-service"+ofPlaces, alarm.ReturnToService, "end that, or watch a retired machine again", line),
		order("retire -thing NAME", alarm.Retire, "end a machine's alarms, and watch it no longer"),
		order("rename -thing NAME -to NAME", alarm.Rename, "go on with a machine's alarms under another name", newName),
	}
}

// What orders concern, as their help says it.
const (
	ofAlarms = " -thing NAME [-fault NAME] | -line NAME"
	ofPlaces = " -thing NAME | -line NAME"
)

// option defines a flag of an order.
type option func(fs *flag.FlagSet, o *alarms.Order)

func outcome(fs *flag.FlagSet, o *alarms.Order) {
	fs.StringVar((*string)(&o.Outcome), "outcome", "", "what was found: confirmed, no-fault-found or planned; it is kept for training")
}

func line(fs *flag.FlagSet, o *alarms.Order) {
	fs.StringVar(&o.Line, "line", "", "`NAME` of a line, for all of it")
}

func fault(fs *flag.FlagSet, o *alarms.Order) {
	fs.StringVar((*string)(&o.Fault), "fault", "", "`NAME` of a fault of the machine, such as machine-fault; default: all of them")
}

func forTime(fs *flag.FlagSet, o *alarms.Order) {
	fs.StringVar(&o.For, "for", "", "how long: a `TIME` such as 2h")
}

func newName(fs *flag.FlagSet, o *alarms.Order) {
	fs.StringVar(&o.To, "to", "", "the machine's new `NAME`")
}

// order is a command that is given to the component. The usage begins with its name.
func order(usage string, do alarm.Do, summary string, options ...option) cli.Command {
	name, _, _ := strings.Cut(usage, " ")
	run := func(ctx context.Context, args []string, s cli.Streams) error {
		fs := cli.NewFlagSet("alarm-manager "+usage, s)
		o := alarms.Order{V: event.Version}
		o.Do = do
		fs.StringVar(&o.Thing, "thing", "", "`NAME` of the machine")
		fs.StringVar(&o.By, "by", "", "`NAME` of who does it; default: who is logged in")
		fs.StringVar(&o.Comment, "comment", "", "`TEXT` for the audit log")
		for _, define := range options {
			define(fs, &o)
		}
		var flags request.Flags
		flags.Define(fs, event.AlarmManager)
		if err := cli.Parse(fs, args); err != nil {
			return err
		}
		if (o.Thing == "") == (o.Line == "") {
			if fs.Lookup("line") == nil {
				return cli.Usagef("name a machine with -thing")
			}
			return cli.Usagef("name a machine with -thing, or a line with -line")
		}
		if o.Do == alarm.Shelve && o.For == "" {
			return cli.Usagef("say how long with -for, such as 2h")
		}
		if err := o.Check(); err != nil {
			return cli.Usagef("%v", err)
		}
		return flags.Do(ctx, s, request.Call{Component: event.AlarmManager, Command: event.CommandAlarm, Arguments: o})
	}
	return cli.Command{Name: name, Summary: summary, Run: run}
}

func list(ctx context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("alarm-manager list [-json]", s)
	asJSON := fs.Bool("json", false, "print JSON")
	var flags request.Flags
	flags.Define(fs, event.AlarmManager)
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	dir, err := flags.Find(event.AlarmManager)
	if err != nil {
		return err
	}
	o := alarms.Order{V: event.Version}
	o.Do = alarms.DoList
	quiet := cli.Streams{Out: io.Discard, Err: s.Err}
	if err := flags.Do(ctx, quiet, request.Call{Component: event.AlarmManager, WorkDir: dir, Command: event.CommandAlarm, Arguments: o}); err != nil {
		return err
	}
	l, err := alarms.ReadList(dir)
	if err != nil {
		return fmt.Errorf("read the list: %w", err)
	}
	if *asJSON {
		return printJSON(s.Out, l)
	}
	return printList(s.Out, l)
}

func printJSON(w io.Writer, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(data))
	return err
}

// printList writes a table for people.
func printList(w io.Writer, l alarms.Listing) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(l.Alarms) == 0 {
		_, _ = fmt.Fprintln(table, "no alarm")
	} else {
		_, _ = fmt.Fprintln(table, "SEVERITY\tSTATE\tSINCE\tFOR\tTHING\tLINE\tFAULT\tNOTE")
	}
	for _, a := range l.Alarms {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%v\t%s\t%s\t%s\t%s\n", a.Priority, a.State, a.Since.Local().Format(time.DateTime),
			time.Duration(a.LastsS)*time.Second, a.Thing, a.Line, a.Fault, note(a))
	}
	for _, p := range l.Places {
		what := "out of service"
		if p.Retired {
			what = "retired"
		}
		what += " since " + p.Since.Local().Format(time.DateTime)
		_, _ = fmt.Fprintf(table, "%s is %s\n", cmp.Or(p.Thing, "line "+p.Line), whose(what, p.By, "", p.Comment))
	}
	return table.Flush()
}

// maxReasons is how many the table has of an alarm; the history and -json have all.
const maxReasons = 2

// note says what is special about an alarm.
func note(a alarms.Listed) string {
	var notes []string
	add := func(is bool, text string) {
		if is {
			notes = append(notes, text)
		}
	}
	add(a.Detail != "", a.Detail)
	add(a.Chattering, "comes and goes")
	add(a.Latched, "latched: reset it")
	if a.Shelved != nil {
		add(true, whose("shelved until "+a.Shelved.Until.Local().Format(time.DateTime), a.Shelved.By, "", a.Shelved.Comment))
	}
	if a.SuppressedBy != nil {
		add(true, "suppressed by "+string(a.SuppressedBy.Fault)+" of "+a.SuppressedBy.Thing)
	}
	add(a.OutOfService, "out of service")
	if a.Acknowledged != nil {
		add(true, whose("seen", a.Acknowledged.By, string(a.Acknowledged.Outcome), a.Acknowledged.Comment))
	}
	reasons := a.Reasons
	if more := len(reasons) - maxReasons; more > 0 {
		reasons = append(reasons[:maxReasons:maxReasons], fmt.Sprintf("%d more", more))
	}
	return strings.Join(append(notes, insight(reasons, a.Life)...), "; ")
}

// whose says who did something, what was found, and the comment.
func whose(what, by, outcome, comment string) string {
	if by != "" {
		what += " by " + by
	}
	if outcome != "" {
		what += ", " + outcome
	}
	if comment != "" {
		what += " (" + comment + ")"
	}
	return what
}

// insight is what points to an alarm, and when maintenance is likely.
func insight(reasons []string, life *event.Life) (notes []string) {
	if len(reasons) > 0 {
		notes = append(notes, "points to it: "+strings.Join(reasons, "; "))
	}
	if when := words.Life(life, alarm.English); when != "" {
		notes = append(notes, strings.ToLower(when[:1])+strings.TrimSuffix(when[1:], "."))
	}
	return notes
}

// whys are what is said about a change.
func whys(c alarms.Told) (notes []string) {
	if why := strings.TrimSpace(string(c.Outcome) + " " + c.Why); why != "" {
		notes = append(notes, why)
	}
	if c.From != "" {
		notes = append(notes, "was "+c.From)
	}
	if c.Into != "" {
		notes = append(notes, "is "+c.Into)
	}
	if !c.Until.IsZero() {
		notes = append(notes, "until "+c.Until.Local().Format(time.DateTime))
	}
	return append(notes, insight(c.Reasons, c.Life)...)
}

func history(_ context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("alarm-manager history [-thing NAME] [-n LINES] [-json]", s)
	thing := fs.String("thing", "", "`NAME` of the machine; default: all")
	n := fs.Int("n", 50, "how many changes, the last ones")
	asJSON := fs.Bool("json", false, "print JSON, one change a line")
	var flags request.PlaceFlags
	flags.Define(fs, event.AlarmManager)
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if *n < 1 || *n > 100_000 {
		return cli.Usagef("-n: %d is not between 1 and 100000", *n)
	}
	dir, err := flags.Find(event.AlarmManager)
	if err != nil {
		return err
	}
	changes, damaged, err := alarms.History(dir, *thing, *n)
	if err != nil {
		return err
	}
	if damaged > 0 {
		_, _ = fmt.Fprintf(s.Err, "%d lines of the log are damaged, and left out\n", damaged)
	}
	if *asJSON {
		for _, c := range changes {
			data, err := json.Marshal(c)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(s.Out, string(data)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(changes) == 0 {
		of := ""
		if *thing != "" {
			of = " of " + *thing
		}
		_, err := fmt.Fprintf(s.Out, "no change of an alarm%s is known\n", of)
		return err
	}
	table := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "WHEN\tCHANGE\tTHING\tLINE\tFAULT\tSTATE\tBY\tWHY")
	for _, c := range changes {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.TS.Local().Format(time.DateTime), c.Change, c.Thing, c.Line, c.Fault, c.State, c.By, strings.Join(whys(c), "; "))
	}
	return table.Flush()
}
