package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// event is a line of `go test -json`, see `go doc test2json`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// printer prints events as go test prints its results, and collects what was skipped.
type printer struct {
	out     io.Writer
	bench   bool     // lines of benchmarks are printed as they come
	leftOut []string // what the caller leaves out, and why

	output map[string][]string // of what is under way, by package and test
	skips  []skip
}

// skip is a test that was skipped.
type skip struct{ test, reason string }

func newPrinter(out io.Writer) *printer {
	return &printer{out: out, output: make(map[string][]string)}
}

// read handles all events of a run.
func (p *printer) read(events io.Reader) error {
	lines := bufio.NewReader(events)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				p.handle(e)
			} else {
				fmt.Fprintf(p.out, "%s", line) // go test's own words
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (p *printer) handle(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		p.print(e.Output)
	case "output":
		p.add(key, e)
	case "skip":
		if e.Test != "" {
			p.skipped(e, p.output[key])
		} else {
			p.ended(p.output[key], false)
		}
		delete(p.output, key)
	case "pass":
		if e.Test == "" {
			p.ended(p.output[key], false)
		}
		delete(p.output, key)
	case "fail":
		if e.Test == "" {
			p.ended(p.output[key], true)
		} else {
			p.failed(p.output[key])
		}
		delete(p.output, key)
	}
}

// add keeps a line until it is known what becomes of its test.
func (p *printer) add(key string, e event) {
	if p.bench && !isProgress(e.Output) && (e.Test == "" || strings.HasPrefix(e.Test, "Benchmark")) {
		if !strings.HasPrefix(strings.TrimSpace(e.Output), "--- ") && strings.TrimSpace(e.Output) != e.Test && !isSkipReason(e.Output) {
			p.print(e.Output) // as it comes: benchmarks take their time
			return
		}
	}
	p.output[key] = append(p.output[key], e.Output)
}

// ended prints what a package says at its end: of one that failed all, else its last line.
func (p *printer) ended(lines []string, failed bool) {
	for _, line := range lines {
		if strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "?   \t") || strings.HasPrefix(line, "\t") ||
			failed && !isProgress(line) {
			p.print(line)
		}
	}
}

// failed prints what a test that failed says, its name first.
func (p *printer) failed(lines []string) {
	for _, header := range []bool{true, false} {
		for _, line := range lines {
			if !isProgress(line) && strings.HasPrefix(strings.TrimSpace(line), "--- FAIL") == header {
				p.print(line)
			}
		}
	}
}

func (p *printer) skipped(e event, lines []string) {
	var reason []string
	for _, line := range lines {
		text := strings.TrimSpace(sourceLine.ReplaceAllString(line, ""))
		if text != "" && !isProgress(line) && !strings.HasPrefix(text, "--- SKIP") && text != e.Test {
			reason = append(reason, text)
		}
	}
	p.skips = append(p.skips, skip{strings.TrimPrefix(e.Package, module) + "." + e.Test, strings.Join(reason, " ")})
}

const module = "edgepdm/"

// sourceLine is how testing begins a log line.
var sourceLine = regexp.MustCompile(`^\s*[\w./-]+\.go:\d+: `)

func isSkipReason(line string) bool { return sourceLine.MatchString(line) }

// isProgress reports whether a line is printed with -v only.
func isProgress(line string) bool {
	return strings.HasPrefix(line, "=== ") || strings.HasPrefix(strings.TrimSpace(line), "--- PASS") || line == "PASS\n"
}

func (p *printer) print(text string) { fmt.Fprint(p.out, text) }

// ofAnotherTest marks a test that is a program of another test, and has nothing to do by itself.
const ofAnotherTest = "runs as a child of "

// shown is how many tests are named for each reason.
const shown = 4

// summarise prints what was skipped, by reason.
func (p *printer) summarise() {
	byReason := make(map[string][]string)
	var reasons []string
	count := 0
	for _, s := range p.skips {
		if strings.HasPrefix(s.reason, ofAnotherTest) {
			continue
		}
		if byReason[s.reason] == nil {
			reasons = append(reasons, s.reason)
		}
		byReason[s.reason] = append(byReason[s.reason], s.test)
		count++
	}
	if count == 0 && len(p.leftOut) == 0 {
		fmt.Fprintln(p.out, "\nnothing was skipped")
		return
	}
	fmt.Fprintf(p.out, "\nskipped, and why (%d):\n", count+len(p.leftOut))
	for _, text := range p.leftOut {
		fmt.Fprintf(p.out, "  %s\n", text)
	}
	slices.Sort(reasons)
	for _, reason := range reasons {
		tests := byReason[reason]
		more := ""
		if n := len(tests) - shown; n > 0 {
			more = fmt.Sprintf(" and %d more", n)
		}
		fmt.Fprintf(p.out, "  %s: %s%s\n", reason, strings.Join(tests[:min(len(tests), shown)], ", "), more)
	}
}
