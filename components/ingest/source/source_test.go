package source

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgepdm/components/ingest/mapping"
	"edgepdm/components/ingest/rows"
	"edgepdm/shared/event"
	"edgepdm/shared/wait"
	"edgepdm/test/must"
)

func TestSecretIsTheFirstLine(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{"secret": "secret", "secret\n": "secret", "a b\r\nsecond\n": "a b", "\n": ""} {
		path := filepath.Join(dir, "secret")
		must.OK(t, os.WriteFile(path, []byte(text), 0o600))
		if got, err := Secret(path); err != nil || got != want {
			t.Errorf("of %q: %q, %v", text, got, err)
		}
	}
	if got, err := Secret(""); err != nil || got != "" {
		t.Errorf("without a file: %q, %v", got, err)
	}
	for name, content := range map[string]string{"empty": "", "large": strings.Repeat("x", maxSecret)} {
		path := filepath.Join(dir, name)
		must.OK(t, os.WriteFile(path, []byte(content), 0o600))
		if _, err := Secret(path); err == nil || strings.Contains(err.Error(), "xx") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Secret(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
}

// A connection that ends makes the source's values missing, is told and counted, and is made again; the end of the context ends it.
func TestKeepMakesAConnectionAgain(t *testing.T) {
	old := reconnect
	reconnect = wait.Backoff{Min: time.Microsecond, Max: time.Millisecond}
	t.Cleanup(func() { reconnect = old })
	c := mapping.Config{
		Sources: []mapping.Source{{Name: "s", Modbus: &mapping.Modbus{Address: "h:502"}}},
		Things:  []mapping.Thing{{Thing: "press-1", Sensors: []mapping.Sensor{{Sensor: "a", Source: "s", Tag: "A"}}}},
	}
	must.OK(t, c.Validate())
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	table := rows.New(c, "e", func() time.Time { return now }, func(string, int) {})
	lost, problems := 0, []error(nil)
	env := &Env{Name: "s", Tags: table.Tags("s"), Table: table, Problem: func(err error) { problems = append(problems, err) }, Count: func(reason string, n int) {
		if reason == ReasonLost {
			lost += n
		}
	}}
	due := func() []event.Telemetry {
		now = now.Add(time.Second)
		return table.Due(nil)
	}
	refused, broken := errors.New("refused"), errors.New("broken")
	ctx, stop := context.WithCancel(t.Context())
	calls := 0
	env.Keep(ctx, func(_ context.Context, connected func()) error {
		switch calls++; calls {
		case 1:
			return refused
		case 2:
			connected()
			table.Put(rows.Sample{Tag: 0, Value: 1, Good: true})
			if got := due(); len(got) != 1 || got[0].Readings["a"] != 1 {
				t.Errorf("while it works: %+v", got)
			}
			return broken
		default:
			if got := due(); len(got) != 0 {
				t.Errorf("after it is lost: %+v", got)
			}
			stop()
			return ctx.Err()
		}
	})
	if calls != 3 || lost != 1 || len(problems) != 3 || !errors.Is(problems[0], refused) || problems[1] != nil || !errors.Is(problems[2], broken) {
		t.Errorf("%d connections, %d lost, told %v", calls, lost, problems)
	}
}
