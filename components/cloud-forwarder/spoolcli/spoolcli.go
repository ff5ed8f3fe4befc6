// Package spoolcli is the cloud forwarder's commands for a person on the device: what waits, the messages themselves, and how
// some are dropped. Looking takes no lock and writes nothing, so that it is safe beside a forwarder that runs.
package spoolcli

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
	"unicode"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/shared/cli"
	"edgepdm/shared/event"
	"edgepdm/shared/request"
	"edgepdm/shared/spool"
)

// commands are those below "spool".
func commands() []cli.Command {
	return []cli.Command{
		{Name: "list", Summary: "show what waits in each stream", Run: list},
		{Name: "show", Summary: "show the messages of a stream", Run: show},
		{Name: "drop", Summary: "drop the oldest messages of a stream", Run: drop},
	}
}

// Run runs "cloud-forwarder spool".
func Run(ctx context.Context, args []string, s cli.Streams) error {
	if len(args) > 0 {
		for _, c := range commands() {
			if c.Name == args[0] {
				return c.Run(ctx, args[1:], s)
			}
		}
	}
	fs := cli.NewFlagSet("cloud-forwarder spool list|show|drop", s)
	fs.Usage = func() {
		for _, c := range commands() {
			_, _ = fmt.Fprintf(s.Err, "  cloud-forwarder spool %-6s %s\n", c.Name, c.Summary)
		}
		_, _ = fmt.Fprintln(s.Err, "\nEach takes -help.")
	}
	if len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if err := cli.Parse(fs, args); err != nil {
			return err
		}
	}
	return cli.Usagef("say list, show or drop; see cloud-forwarder spool -help")
}

func list(_ context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("cloud-forwarder spool list [-json]", s)
	asJSON := fs.Bool("json", false, "print JSON")
	var flags request.PlaceFlags
	flags.Define(fs, event.CloudForwarder)
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	dir, err := flags.Find(event.CloudForwarder)
	if err != nil {
		return err
	}
	p, err := forwarder.Look(dir, time.Now())
	if err != nil {
		return err
	}
	if *asJSON {
		return printJSON(s.Out, p)
	}
	return printTable(s.Out, p, time.Now())
}

func printJSON(w io.Writer, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, string(data))
	return err
}

// row is a line of the table, which has 80 columns.
const row = "%-16s %7s %6s %7s %7s %15s %4s %5s %5s\n"

// printTable writes a table for people.
func printTable(w io.Writer, p forwarder.Picture, now time.Time) error {
	var b strings.Builder
	if len(p.Streams) == 0 {
		b.WriteString("no stream: the forwarder has not kept a message here yet\n")
	} else {
		fmt.Fprintf(&b, row, "STREAM", "RECORDS", "SIZE", "OLDEST", "NEWEST", "BOUND", "SEGS", "DEAD", "DROPS")
	}
	for _, q := range p.Streams {
		if q.Problem != "" {
			fmt.Fprintf(&b, "%-16s cannot be read: %s\n", q.Stream, printable(q.Problem))
			continue
		}
		bound := "-"
		if len(q.Bounds) > 0 {
			bound = fmt.Sprintf("%s %d%%", q.Bounds[0].Name, int(min(100*q.Bounds[0].Used, 999)))
		}
		dropped := uint64(0)
		for _, n := range q.Dropped {
			dropped += n
		}
		fmt.Fprintf(&b, row, q.Stream, number(q.Records), size(q.Bytes), age(q.Oldest, now), age(q.Newest, now), bound, number(uint64(q.Segments)), number(q.Dead), number(dropped))
	}
	for _, q := range p.Streams {
		reasons := make([]string, 0, len(q.Dropped))
		for reason, n := range q.Dropped {
			reasons = append(reasons, fmt.Sprintf("%d %s", n, printable(reason)))
		}
		if len(reasons) > 0 {
			slices.Sort(reasons)
			fmt.Fprintf(&b, "%s: dropped since %s: %s\n", q.Stream, p.Since.Local().Format(time.DateTime), strings.Join(reasons, ", "))
		}
	}
	for _, note := range p.Notes {
		b.WriteString(printable(note) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// number writes a count in at most five characters.
func number(n uint64) string {
	unit := ""
	for _, next := range []string{"k", "M", "G", "T"} {
		if n < 10_000 {
			break
		}
		n, unit = n/1000, next
	}
	return fmt.Sprintf("%d%s", n, unit)
}

// size writes bytes, kiB, MiB, GiB or TiB in at most six characters.
func size(n int64) string {
	unit := "B"
	for _, next := range []string{"k", "M", "G", "T"} {
		if n < 10<<10 {
			break
		}
		n, unit = n>>10, next
	}
	return fmt.Sprintf("%d%s", n, unit)
}

// age writes how long ago a message was made, in at most seven characters.
func age(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "-"
	case t.Before(forwarder.Sensible()): // of a clock that was not set
		return "unknown"
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// printable makes a text that anybody may have written fit for a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

// parseNamed parses the flags of a command for one stream, whose name may stand before them, among them or behind.
func parseNamed(fs *flag.FlagSet, args []string) (stream string, err error) {
	for {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			return "", err
		} else if err != nil {
			return "", cli.Usagef("%v", err)
		}
		switch {
		case fs.NArg() == 0:
			return stream, nil
		case stream != "":
			return "", cli.Usagef("unexpected argument %q", fs.Arg(0))
		}
		stream, args = fs.Arg(0), fs.Args()[1:]
	}
}

// viewOf looks at a stream. Without a name, or with another one, the error has the choices.
func viewOf(flags *request.PlaceFlags, stream string) (v *spool.View, dir string, err error) {
	if dir, err = flags.Find(event.CloudForwarder); err != nil {
		return nil, "", err
	}
	names := forwarder.Streams(dir)
	if !slices.Contains(names, stream) {
		there := "none has kept a message in " + dir + " yet"
		if len(names) > 0 {
			there = "there are " + strings.Join(names, ", ")
		}
		if stream == "" {
			return nil, "", cli.Usagef("name a stream: %s", there)
		}
		return nil, "", cli.Usagef("there is no stream %q: %s", stream, there)
	}
	v, err = forwarder.View(dir, stream)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: run this as root, or as the component's user", err)
	}
	return v, dir, err
}
