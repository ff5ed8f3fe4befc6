package spoolcli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/shared/cli"
	"edgepdm/shared/event"
	"edgepdm/shared/request"
	"edgepdm/shared/spool"
)

// keepDrop is how long an order to drop messages waits for a forwarder that does not run.
const keepDrop = 24 * time.Hour

func drop(ctx context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("cloud-forwarder spool drop STREAM [-yes] [-alerts] -before TIME | -older DURATION | -all", s)
	before := fs.String("before", "", "messages from before this `TIME`, such as 2026-11-28, \"2026-11-28 10:00:00\" (of this device's zone) or 2026-11-28T10:00:00Z")
	older := fs.Duration("older", 0, "messages that are older than this `DURATION`, such as 72h")
	all := fs.Bool("all", false, "all messages")
	yes := fs.Bool("yes", false, "do not ask")
	alerts := fs.Bool("alerts", false, "drop alerts and events, too: nobody will hear of them")
	var flags request.Flags
	flags.Define(fs, event.CloudForwarder)
	stream, err := parseNamed(fs, args)
	if err != nil {
		return err
	}
	now := time.Now()
	limit, err := limitOf(*before, *older, *all, now)
	if err != nil {
		return err
	}
	v, dir, err := viewOf(&flags.PlaceFlags, stream)
	switch {
	case err != nil:
		return err
	case forwarder.HasAlerts(stream) && !*alerts:
		return cli.Usagef("%s has alerts and events, which nobody would hear of: say -alerts, too", stream)
	}
	stats := v.Stats()
	through := stats.Last
	if !limit.IsZero() {
		b := newBar(s.Err, stats.Records)
		through, err = v.Expired(forwarder.Sensible(), limit, now, func(r spool.Record) { b.at(r.Seq - stats.First) })
		b.wipe()
		if err != nil {
			return err
		}
	}
	if through < stats.First {
		_, err := fmt.Fprintf(s.Out, "no such message waits in %s\n", stream)
		return err
	}
	if !*yes {
		if err := confirm(s, fmt.Sprintf("Drop %d of the %d messages of %s, from the oldest one (%s) on?", through-stats.First+1, stats.Records, stream,
			stats.Oldest.Local().Format(time.DateTime))); err != nil {
			return err
		}
	}
	return flags.Do(ctx, s, request.Call{
		Component: event.CloudForwarder, WorkDir: dir, Command: event.CommandSpoolDrop, Keep: keepDrop,
		Arguments: event.SpoolDrop{Stream: stream, Queue: v.ID(), Through: through, Alerts: *alerts},
	})
}

// limitOf returns before which time messages go; zero: all of them.
func limitOf(before string, older time.Duration, all bool, now time.Time) (time.Time, error) {
	said := 0
	for _, is := range []bool{before != "", older != 0, all} {
		if is {
			said++
		}
	}
	switch {
	case said != 1:
		return time.Time{}, cli.Usagef("say which messages: one of -before, -older and -all")
	case all:
		return time.Time{}, nil
	case older < 0:
		return time.Time{}, cli.Usagef("-older: %v is negative", older)
	case older > 0:
		return now.Add(-older), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, before, time.Local); err == nil && t.After(forwarder.Sensible()) {
			return t, nil
		}
	}
	return time.Time{}, cli.Usagef("-before: %q is no time such as 2026-11-28T10:00:00Z or \"2026-11-28 10:00:00\"", before)
}

// confirm asks on a terminal. Where nobody can be asked, -yes is needed.
func confirm(s cli.Streams, question string) error {
	if terminal(s.In) == nil {
		return cli.Usagef("%s nobody can be asked here: say -yes", question)
	}
	return ask(s.In, s.Err, question)
}

func ask(in io.Reader, out io.Writer, question string) error {
	if _, err := fmt.Fprintf(out, "%s [yes/no] ", question); err != nil {
		return err
	}
	line, _ := bufio.NewReader(io.LimitReader(in, 100)).ReadString('\n') // no answer is no
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "yes" && answer != "y" {
		return errors.New("nothing is dropped: the answer was not yes")
	}
	return nil
}
