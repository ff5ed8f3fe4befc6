package spoolcli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/shared/cli"
	"edgepdm/shared/event"
	"edgepdm/shared/request"
	"edgepdm/shared/spool"
)

// shown is a message as JSON.
type shown struct {
	Seq     uint64          `json:"seq"`
	ID      string          `json:"id"`
	Time    time.Time       `json:"time"`
	Stream  string          `json:"stream"`
	Topic   string          `json:"topic,omitempty"`
	Size    int             `json:"size"` // of the message
	Message json.RawMessage `json:"message,omitempty"`
	Raw     string          `json:"raw,omitempty"` // of a record that is no message
}

func show(ctx context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("cloud-forwarder spool show STREAM [-n N] [-from SEQ | -id ID] [-json]", s)
	n := fs.Uint64("n", 20, "how many messages; 0: all")
	from := fs.Uint64("from", 0, "sequence `number` of the first one; default: the oldest")
	id := fs.String("id", "", "only the message with this `ID`")
	asJSON := fs.Bool("json", false, "print JSON, one message a line")
	var flags request.PlaceFlags
	flags.Define(fs, event.CloudForwarder)
	stream, err := parseNamed(fs, args)
	if err != nil {
		return err
	}
	if *from > 0 && *id != "" {
		return cli.Usagef("-from and -id: name one of them")
	}
	v, _, err := viewOf(&flags, stream)
	if err != nil {
		return err
	}
	most := *n
	if most == 0 {
		most = math.MaxUint64
	}
	stats := v.Stats()
	bar := newBar(s.Err, stats.Records)
	defer bar.wipe()
	elsewhere := terminal(s.Out) == nil // the messages do not go where the bar is
	out := bufio.NewWriter(s.Out)
	printed := uint64(0)
	for r, err := range v.Records(max(*from, 1) - 1) {
		switch {
		case ctx.Err() != nil:
			return errors.Join(ctx.Err(), out.Flush())
		case err != nil:
			return errors.Join(err, out.Flush())
		case *id != "" && r.ID != *id:
			bar.at(r.Seq - stats.First)
			continue
		}
		if err := printMessage(out, r, *asJSON); err != nil {
			return err
		}
		if elsewhere {
			bar.at(r.Seq - stats.First)
		}
		if printed++; printed == most || *id != "" {
			break
		}
	}
	bar.wipe()
	if *id != "" && printed == 0 {
		return errors.Join(out.Flush(), fmt.Errorf("no message with the id %q waits in %s", *id, stream))
	}
	if !*asJSON && *id == "" && (printed < stats.Records || printed == 0) {
		if _, err := fmt.Fprintf(out, "%d of %d messages\n", printed, stats.Records); err != nil {
			return err
		}
	}
	return out.Flush()
}

// printMessage writes one message: for people its payload is on a line of its own.
func printMessage(w io.Writer, r spool.Record, asJSON bool) error {
	topic, payload, ok := forwarder.Message(r)
	at := time.Unix(0, r.Time)
	if asJSON {
		one := shown{Seq: r.Seq, ID: r.ID, Time: at.UTC(), Stream: r.Stream, Topic: topic, Size: len(payload), Message: payload}
		if !ok {
			one.Size, one.Raw = len(r.Payload), string(r.Payload)
		}
		line, err := json.Marshal(one)
		if err != nil {
			return fmt.Errorf("encode message: %w", err)
		}
		_, err = w.Write(append(line, '\n'))
		return err
	}
	if !ok {
		topic, payload = "no message", r.Payload
	}
	_, err := fmt.Fprintf(w, "%d  %s  %s  %s  %d B\n    %s\n", r.Seq, printable(r.ID), at.Local().Format(time.DateTime), printable(topic), len(payload), printable(string(payload)))
	return err
}

const (
	barWidth = 30
	barEvery = 200 * time.Millisecond
)

// bar shows on a terminal how much of long work is done.
type bar struct {
	out   io.Writer // nil: it shows nothing
	total uint64
	next  time.Time
	drawn bool
}

func newBar(out io.Writer, total uint64) *bar {
	b := &bar{total: max(total, 1), next: time.Now().Add(2 * barEvery)}
	if f := terminal(out); f != nil {
		b.out = f
	}
	return b
}

// terminal returns the stream if it is a terminal, otherwise nil.
func terminal(stream any) *os.File {
	if f, ok := stream.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

func (b *bar) at(n uint64) {
	if b.out == nil {
		return
	}
	if now := time.Now(); now.After(b.next) {
		b.next, b.drawn = now.Add(barEvery), true
		filled := int(min(n*barWidth/b.total, barWidth))
		_, _ = fmt.Fprintf(b.out, "\r[%s%s] %d of %d, %d %%", strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled), n, b.total, min(n*100/b.total, 100))
	}
}

// wipe takes the bar off the screen.
func (b *bar) wipe() {
	if b.drawn {
		b.drawn = false
		_, _ = io.WriteString(b.out, "\r\x1b[K")
	}
}
