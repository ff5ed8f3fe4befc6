// Command cost tells what the cloud stack costs in a month: idle, and with 1, 10 and 100 cores at the components' default rates. The
// prices are those of prices.json, which are assumed.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/shared/durable"
)

//go:embed prices.json
var assumed []byte

// Marks between which a page has the table.
const (
	tableBegins = "<!-- make cloud-cost -->\n"
	tableEnds   = "<!-- end -->\n"
)

func main() {
	component.Tool("cost", "tells what the cloud stack costs in a month", run)
}

// prices are US dollars by what they are for.
type prices struct {
	Region, Date, Source string
	USD                  map[string]float64
}

func readPrices(data []byte) (p prices, err error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return p, fmt.Errorf("read prices: %w", err)
	}
	return p, nil
}

// sum is what the items cost.
func (p prices) sum(items []item) (usd float64, err error) {
	for _, i := range items {
		price, known := p.USD[i.price]
		if !known {
			return 0, fmt.Errorf("there is no price of %q", i.price)
		}
		usd += price * i.quantity
	}
	return usd, nil
}

func run(_ context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("cost [-cores N,N] [-messages N,N] [-machines N] [-sample TIME] [-prices FILE] [-page FILE]", s)
	r := defaults()
	cores := fs.String("cores", "1,10,100", "numbers of `cores`, with commas between them")
	messages := fs.String("messages", "1,10,100", "`messages` a second of one core, with commas between them, for the table of the ways out of a site")
	fs.IntVar(&r.machines, "machines", r.machines, "machines of a core")
	fs.IntVar(&r.lines, "lines", r.lines, "lines of a core")
	fs.DurationVar(&r.sample, "sample", r.sample, "`time` between two predictions of a machine, the forwarder's sample")
	fs.DurationVar(&r.heartbeat, "heartbeat", r.heartbeat, "`time` between two heartbeats of a core, the forwarder's heartbeat")
	fs.Float64Var(&r.alarms, "alarms", r.alarms, "alarms of a machine in a month")
	file := fs.String("prices", "", "`file` with other prices, such as a changed prices.json (default: the assumed ones)")
	page := fs.String("page", "", "`file` in which the table is replaced, such as docs/cloud.md")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if r.machines < 1 || r.lines < 1 || r.sample <= 0 || r.heartbeat <= 0 || r.alarms < 0 {
		return cli.Usagef("-machines, -lines, -sample and -heartbeat must be above zero, and -alarms not below")
	}
	numbers, err := parse("cores", *cores)
	if err != nil {
		return err
	}
	seconds, err := parse("messages", *messages)
	if err != nil {
		return err
	}
	data := assumed
	if *file != "" {
		if data, err = os.ReadFile(*file); err != nil {
			return err
		}
	}
	p, err := readPrices(data)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := write(&b, p, r, append([]int{0}, numbers...), seconds); err != nil {
		return err
	}
	if *page != "" {
		return replace(*page, b.String())
	}
	_, err = s.Out.Write(b.Bytes())
	return err
}

// parse reads the numbers of a flag.
func parse(of, list string) (numbers []int, err error) {
	for _, text := range strings.Split(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 {
			return nil, cli.Usagef("-%s: %q is no number of %s", of, text, of)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// table is what columns of items cost, by group.
type table struct {
	groups []string // in the order of the lines
	usd    map[string][]float64
	total  []float64
}

func tabulate(p prices, columns [][]item) (t table, err error) {
	t = table{usd: make(map[string][]float64), total: make([]float64, len(columns))}
	for k, items := range columns {
		for _, i := range items {
			usd, err := p.sum([]item{i})
			if err != nil {
				return t, err
			}
			if t.usd[i.group] == nil {
				t.usd[i.group] = make([]float64, len(columns))
				t.groups = append(t.groups, i.group)
			}
			t.usd[i.group][k] += usd
			t.total[k] += usd
		}
	}
	return t, nil
}

// write writes the tables for numbers of cores, and of messages a second, in Markdown.
func write(w io.Writer, p prices, r rates, cores, messages []int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "US dollars a month in %s, %s, without free tiers and taxes. Prices: %s.\nEach core has %d machines on %d lines; a prediction of each machine leaves every %v, a heartbeat every %v; %g alarms a machine;\nraw data of %g months.\n\n|", p.Region, p.Date, p.Source, r.machines, r.lines, r.sample, r.heartbeat, r.alarms, r.months)
	var columns [][]item
	for _, n := range cores {
		switch n {
		case 0:
			b.WriteString(" | idle")
		case 1:
			b.WriteString(" | 1 core")
		default:
			fmt.Fprintf(&b, " | %d cores", n)
		}
		columns = append(columns, month(r, n))
	}
	t, err := tabulate(p, columns)
	if err != nil {
		return err
	}
	b.WriteString(" |\n|---" + strings.Repeat("|---:", len(cores)) + "|\n")
	line := func(name string, sums []float64, mark string) {
		b.WriteString("| " + name)
		for _, usd := range sums {
			fmt.Fprintf(&b, " | %s%.2f%s", mark, usd, mark)
		}
		b.WriteString(" |\n")
	}
	for _, group := range t.groups {
		line(group, t.usd[group], "")
	}
	line("**sum**", t.total, "**")
	fmt.Fprintf(&b, "\nPredictions of one core that leave, by how:\n\n|")
	columns = nil
	for _, n := range messages {
		fmt.Fprintf(&b, " | %d a second", n)
		columns = append(columns, ways(r, float64(n)))
	}
	b.WriteString(" |\n|---" + strings.Repeat("|---:", len(messages)) + "|\n")
	if t, err = tabulate(p, columns); err != nil {
		return err
	}
	for _, group := range t.groups {
		line(group, t.usd[group], "")
	}
	b.WriteString("\n| besides, only when asked for | |\n|---|---:|\n")
	for _, e := range extras(r) {
		usd, err := p.sum(e.items)
		if err != nil {
			return err
		}
		line(e.what, []float64{usd}, "")
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// replace puts the table into a page, between its marks.
func replace(page, table string) error {
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return fmt.Errorf("%s has no table between %q and %q", page, strings.TrimSpace(tableBegins), strings.TrimSpace(tableEnds))
	}
	return durable.WriteFileAtomic(page, []byte(before+tableBegins+table+tableEnds+after), 0o644)
}
