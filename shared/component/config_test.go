package component

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/test/must"
)

type testConfig struct {
	Things int           `json:"things"`
	Rate   float64       `json:"rate"`
	MaxAge time.Duration `json:"maxAge"`
	Loop   bool          `json:"loop"`
	Input  string        `json:"input"`
	Faults []testFault   `json:"faults"`
}

type testFault struct {
	Thing string        `json:"thing"`
	After time.Duration `json:"after"`
}

func (c testConfig) Validate() error {
	if c.Things < 1 || c.Things > 10 {
		return fmt.Errorf("things: %d is not between 1 and 10", c.Things)
	}
	return nil
}

var testSpec = Spec[testConfig]{Default: func() testConfig { return testConfig{Things: 2, Rate: 1, MaxAge: time.Minute} }}

func TestParseConfigTakesWhatEitherNucleusSends(t *testing.T) {
	want := testConfig{Things: 3, Rate: 2.5, MaxAge: 10 * time.Second, Loop: true, Faults: []testFault{{"pump-1", time.Minute}}}
	for name, raw := range map[string]map[string]any{
		"typed": {
			"things": 3.0, "rate": 2.5, "maxAge": "10s", "loop": true, "logLevel": "debug", "healthInterval": "1s",
			"faults": []any{map[string]any{"thing": "pump-1", "after": "1m"}},
		},
		"strings": {
			"things": "3", "rate": "2.5", "maxAge": "10s", "loop": "true", "logLevel": "DEBUG", "healthInterval": "1000ms",
			"faults": []any{map[string]any{"thing": "pump-1", "after": "60s"}},
		},
		"whole float as string": {"things": "3.0", "rate": "2.5", "maxAge": "10000ms", "loop": "true", "logLevel": "debug", "healthInterval": "1s", "faults": []any{map[string]any{"thing": "pump-1", "after": "60s"}}},
	} {
		config, err := parseConfig(testSpec, slog.New(slog.DiscardHandler), raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !reflect.DeepEqual(config.value, want) {
			t.Errorf("%s: %+v, want %+v", name, config.value, want)
		}
		if config.common != (Common{LogLevel: slog.LevelDebug, HealthInterval: time.Second}) {
			t.Errorf("%s: common %+v", name, config.common)
		}
	}
}

func TestParseConfigNamesTheField(t *testing.T) {
	for _, c := range []struct {
		raw  map[string]any
		want []string
	}{
		{map[string]any{"things": 11.0}, []string{"things", "11"}},
		{map[string]any{"faults": []any{nil}}, []string{"faults[0]", "null"}},
		{map[string]any{"logLevel": 1099511627776.0}, []string{"logLevel", "1.099511627776e+12"}},
		{map[string]any{"logLevel": 4}, []string{"logLevel", "4"}},
		{map[string]any{"maxAge": "2562047h"}, []string{"maxAge", "2562047h is longer than 87600h"}},
		{map[string]any{"input": true}, []string{"input", "true is not a text"}},
		{map[string]any{"loop": ""}, []string{"loop", "neither true nor false"}},
		{map[string]any{"loop": "t"}, []string{"loop", "neither true nor false"}},
		{map[string]any{"loop": "0"}, []string{"loop", "neither true nor false"}},
		{map[string]any{"faults": map[string]any{}}, []string{"faults", "not a list"}},
		{map[string]any{"rate": "1_0"}, []string{"rate", "not a number"}},
		{map[string]any{"rate": "0x10"}, []string{"rate", "not a number"}},
		{map[string]any{"logLevel": "info+1"}, []string{"logLevel", "INFO+1"}},
		{map[string]any{"logLevel": ""}, []string{"logLevel"}},
		{map[string]any{"healthInterval": "9999999h"}, []string{"healthInterval"}},
		{map[string]any{"things": 2.5}, []string{"things", "not a whole number"}},
		{map[string]any{"things": "many"}, []string{"things", "not a whole number"}},
		{map[string]any{"maxAge": 5.0}, []string{"maxAge", "not a duration"}},
		{map[string]any{"maxAge": "5"}, []string{"maxAge", "not a duration"}},
		{map[string]any{"faults": []any{map[string]any{"after": "soon"}}}, []string{"faults[0].after", "soon"}},
		{map[string]any{"logLevel": "loud"}, []string{"logLevel", "loud"}},
		{map[string]any{"healthInterval": "1ms"}, []string{"healthInterval", "1ms"}},
	} {
		_, err := parseConfig(testSpec, slog.New(slog.DiscardHandler), c.raw)
		if !errors.Is(err, errBadConfig) {
			t.Errorf("%v: %v, want a bad configuration", c.raw, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %q lacks %q", c.raw, err, want)
			}
		}
	}
}

func TestUnknownKeysAreLoggedNotRefused(t *testing.T) {
	var log strings.Builder
	if _, err := parseConfig(testSpec, slog.New(slog.NewTextHandler(&log, nil)), map[string]any{"rotations": 3.0, "rate": 1.0, "logLevel": "warn"}); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "key=rotations") {
		t.Errorf("log %q", got)
	}
}

// An unknown name within a list is refused: a rule whose pattern is misspelled would match everything.
func TestUnknownKeysOfElementsAreRefused(t *testing.T) {
	type rule struct {
		Thing string `json:"thing"`
	}
	type config struct {
		Rules []rule `json:"rules"`
	}
	spec := Spec[config]{Default: func() config { return config{} }}
	raw := map[string]any{"rules": []any{map[string]any{"thing": "a"}, map[string]any{"thng": "pump-*"}}}
	if _, err := parseConfig(spec, slog.New(slog.DiscardHandler), raw); !errors.Is(err, errBadConfig) || !strings.Contains(err.Error(), "rules[1].thng") {
		t.Errorf("a misspelled name is %v", err)
	}
}

func TestLastGood(t *testing.T) {
	store := newLastGood(t.TempDir())
	if _, err := store.load(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	want := map[string]any{"things": 3.0}
	store.keep(want, slog.New(slog.DiscardHandler))
	if got, err := store.load(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	// A file of a newer version is neither used nor harmed.
	newer := durable.Seal([]byte(`{"format":2,"configuration":{"things":4}}`))
	path := store.Path
	must.OK(t, os.WriteFile(path, newer, 0o600))
	if _, err := store.load(); !errors.Is(err, durable.ErrNewerFormat) {
		t.Errorf("newer format: %v", err)
	}
	log, said := captured()
	if store.keep(want, log); !strings.Contains(said(), "written by a newer version") {
		t.Errorf("kept over a newer format: log %q", said())
	}
	if got, _ := os.ReadFile(path); string(got) != string(newer) {
		t.Errorf("the newer file became %s", got)
	}
}

// No flipped bit, and no cut, makes another configuration of the last good one; the next one that is kept heals it, which is
// said. One that a program before 0.2 kept, without a checksum, is read.
func TestLastGoodIsSealed(t *testing.T) {
	store := newLastGood(t.TempDir())
	path := store.Path
	want := map[string]any{"threshold": 0.5, "bucket": "models", "nested": map[string]any{"sum": "12345678", "list": []any{1.0, "a"}}}
	store.keep(want, slog.New(slog.DiscardHandler))
	good := must.Read(t, path)
	damage := func(what string, data []byte) {
		t.Helper()
		must.OK(t, os.WriteFile(path, data, 0o600))
		if got, err := store.load(); err == nil && !reflect.DeepEqual(got, want) || err != nil && !errors.Is(err, durable.ErrDamaged) {
			t.Fatalf("%s: %v, %v", what, got, err)
		}
	}
	for i := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		damage(fmt.Sprintf("bit %d", i), bad)
	}
	for n := range len(good) - 1 {
		damage(fmt.Sprintf("%d bytes", n), good[:n])
	}
	damage("another document", []byte("{}"))
	log, read := captured()
	store.keep(want, log)
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, good) || !strings.Contains(read(), "was damaged") {
		t.Errorf("%s, %v, log %q", got, err, read())
	}
	if aside, err := filepath.Glob(path + ".damaged-*"); err != nil || len(aside) != 1 {
		t.Errorf("set aside: %v, %v", aside, err)
	}
	before, said := captured()
	store.keep(want, before)
	if said() != "" {
		t.Errorf("a whole one is said to be damaged: %s", said())
	}
	must.OK(t, os.WriteFile(path, []byte("{\n  \"format\": 1,\n  \"configuration\": {\n    \"things\": 3\n  }\n}"), 0o600))
	if got, err := store.load(); err != nil || !reflect.DeepEqual(got, map[string]any{"things": 3.0}) {
		t.Errorf("of a program before: %v, %v", got, err)
	}
}

// captured returns a log, and what reads it.
func captured() (*slog.Logger, func() string) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), b.String
}

// What a field cannot hold is refused, never bent into something else.
func TestParseConfigRefusesNonsense(t *testing.T) {
	type nonsense struct {
		Seed   uint64      `json:"seed"`
		Small  int32       `json:"small"`
		Rate   float64     `json:"rate"`
		Loop   bool        `json:"loop"`
		Faults []testFault `json:"faults"`
	}
	spec := Spec[nonsense]{Default: func() nonsense {
		return nonsense{Rate: 1, Faults: []testFault{{"a", time.Second}, {"b", time.Minute}}}
	}}
	for _, raw := range []map[string]any{
		{"seed": -1.0}, {"seed": "-1"}, {"seed": ""}, {"seed": true}, {"small": 5e9}, {"small": "5000000000"},
		{"rate": "NaN"}, {"rate": "Inf"}, {"rate": ""}, {"rate": false}, {"loop": 2.0}, {"loop": "maybe"},
	} {
		if config, err := parseConfig(spec, slog.New(slog.DiscardHandler), raw); !errors.Is(err, errBadConfig) {
			t.Errorf("%v: %+v, %v", raw, config, err)
		}
	}
	raw := map[string]any{"seed": "9007199254740993", "small": -3.0, "rate": "1e3", "faults": []any{map[string]any{"thing": "c"}}}
	config, err := parseConfig(spec, slog.New(slog.DiscardHandler), raw)
	if want := (nonsense{Seed: 9007199254740993, Small: -3, Rate: 1000, Faults: []testFault{{"c", 0}}}); err != nil || !reflect.DeepEqual(config.value, want) {
		t.Errorf("%+v, %v", config, err)
	}
}
