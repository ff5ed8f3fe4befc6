// Package ingestcli has the commands of a person who sets ingest up.
package ingestcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gopkg.in/yaml.v3"

	"edgepdm/components/ingest/ingest"
	"edgepdm/components/ingest/mapping"
	"edgepdm/components/ingest/opcuasource"
	"edgepdm/components/ingest/rows"
	"edgepdm/components/ingest/source"
	"edgepdm/shared/cli"
	"edgepdm/shared/component"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
)

const (
	maxConfig = 16 << 20 // bytes
	maxNamed  = 20       // sensors without a value
)

// read reads a configuration, JSON or YAML, as the component does.
func read(path string, s cli.Streams) (ingest.Config, error) {
	data, err := durable.ReadFile(path, maxConfig)
	if err != nil {
		return ingest.Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	var raw map[string]any
	if err := yaml.Unmarshal(data, &raw); err != nil { // JSON is YAML, too
		return ingest.Config{}, fmt.Errorf("read %s: %w", path, err)
	}
	return component.CheckConfig(ingest.Spec(""), warnings(s), raw)
}

func warnings(s cli.Streams) *slog.Logger {
	return slog.New(slog.NewTextHandler(s.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// Check is the sub-command "check".
func Check(ctx context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("ingest check -config FILE [-for DURATION] [-rows N]", s)
	path := fs.String("config", "", "JSON or YAML `FILE` with the component's configuration; required")
	length := fs.Duration("for", 10*time.Second, "read for so long at most; 0s: only look at the file")
	count := fs.Int("rows", 3, "end after `N` rows of each thing")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	switch {
	case *path == "":
		return cli.Usagef("-config is required")
	case *length < 0:
		return cli.Usagef("-for: %v is negative", *length)
	case *count < 1:
		return cli.Usagef("-rows: %d is below 1", *count)
	}
	config, err := read(*path, s)
	if err != nil {
		return err
	}
	if len(config.Sources) == 0 || len(config.Things) == 0 {
		return errors.New("the configuration has no sources, or no things: nothing is read")
	}
	if *length == 0 {
		_, err := fmt.Fprintf(s.Out, "%s is valid: %d sources, %d things\n", *path, len(config.Sources), len(config.Things))
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *length)
	defer cancel()
	t := &trial{config: config, rows: *count, counts: make(map[string]int), problems: make(map[string]error), got: make(map[string]int)}
	return t.run(ctx, s)
}

// trial reads the sources without a nucleus.
type trial struct {
	config ingest.Config
	rows   int

	mu       sync.Mutex
	counts   map[string]int   // of what is not used, by reason
	problems map[string]error // by source; nil: it works
	got      map[string]int   // rows by thing
}

func (t *trial) run(ctx context.Context, s cli.Streams) error {
	reading, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	out, log := s.Out, warnings(s)
	table := rows.New(mapping.Config(t.config), "check", time.Now, t.count)
	for _, s := range t.config.Sources {
		t.problems[s.Name] = errors.New("no connection yet")
	}
	for i := range t.config.Sources {
		s := &t.config.Sources[i]
		env := &source.Env{
			Name: s.Name, Tags: table.Tags(s.Name), Table: table, Count: t.count, Log: log,
			Problem: func(err error) { t.say(s.Name, err) },
		}
		work.Go(func() { ingest.Read(reading, env, s, "edgepdm-check-"+strconv.Itoa(os.Getpid())) })
	}
	ticker := time.NewTicker(table.Tick())
	defer ticker.Stop()
	var due []event.Telemetry
	for !t.done() || len(table.Unheard()) > 0 {
		select {
		case <-ctx.Done():
			return t.report(out, table.Unheard())
		case <-ticker.C:
		}
		due = table.Due(due[:0])
		for _, row := range due {
			if t.got[row.Thing]++; t.got[row.Thing] > t.rows {
				continue
			}
			payload, err := event.Encode(row)
			if err != nil {
				return fmt.Errorf("a row of %s cannot be published: %w; list the sensors in the model's order and set packed", row.Thing, err)
			}
			if _, err := fmt.Fprintf(out, "%s\n", payload); err != nil {
				return err
			}
		}
	}
	return t.report(out, nil)
}

func (t *trial) count(reason string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[reason] += n
}

func (t *trial) say(source string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.problems[source] = err
}

func (t *trial) done() bool {
	for _, thing := range t.config.Things {
		if t.got[thing.Thing] < t.rows {
			return false
		}
	}
	return true
}

// report says what does not work. Without a row of each thing, and a value of each sensor, the check fails.
func (t *trial) report(out io.Writer, unheard []string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var bad []error
	for _, name := range slices.Sorted(maps.Keys(t.problems)) {
		if err := t.problems[name]; err != nil {
			bad = append(bad, fmt.Errorf("source %s: %w", name, err))
		}
	}
	for _, thing := range t.config.Things {
		if t.got[thing.Thing] == 0 {
			bad = append(bad, fmt.Errorf("thing %s: no row, none of its values came", thing.Thing))
		}
	}
	if n := len(unheard); n > 0 {
		bad = append(bad, fmt.Errorf("%d sensors have no value: %s", n, strings.Join(unheard[:min(n, maxNamed)], ", ")))
	}
	for _, reason := range slices.Sorted(maps.Keys(t.counts)) {
		if _, err := fmt.Fprintf(out, "not used: %d for %s\n", t.counts[reason], reason); err != nil {
			return err
		}
	}
	return errors.Join(bad...)
}

// Browse is the sub-command "browse".
func Browse(ctx context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("ingest browse (-endpoint URL | -config FILE -source NAME)", s)
	endpoint := fs.String("endpoint", "", "`URL` of a server without security, such as opc.tcp://10.0.0.7:4840")
	path := fs.String("config", "", "`FILE` with the component's configuration, for security and password")
	name := fs.String("source", "", "`NAME` of the source in it")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	var c *mapping.OPCUA
	switch {
	case (*endpoint == "") == (*path == ""):
		return cli.Usagef("give -endpoint, or -config and -source")
	case *endpoint != "":
		c = &mapping.OPCUA{Endpoint: *endpoint}
		one := mapping.Config{Sources: []mapping.Source{{Name: "server", OPCUA: c}}}
		if err := one.Validate(); err != nil {
			return cli.Usagef("-endpoint: %q is no URL such as opc.tcp://10.0.0.7:4840", *endpoint)
		}
	default:
		config, err := read(*path, s)
		if err != nil {
			return err
		}
		for _, source := range config.Sources {
			if source.Name == *name {
				c = source.OPCUA
			}
		}
		if c == nil {
			return cli.Usagef("-source: the configuration has no OPC UA source %q", *name)
		}
	}
	return opcuasource.Browse(ctx, *c, func(v opcuasource.Variable) error {
		_, err := fmt.Fprintf(s.Out, "%s\t%s\t%s\n", v.Node, v.Path, v.Value)
		return err
	})
}
