package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"edgepdm/components/sensor-simulator/generate"
	"edgepdm/shared/cli"
	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
)

// The simulated plant that is told to the cloud.
const (
	line         = "line-1"
	watchedRows  = 100 // of each machine, as generate has them
	votes, among = 3, 5
)

// row is a row of the simulated plant, with the truth.
type row struct {
	thing  string
	seq    uint64
	at     time.Time
	values event.Values
	faulty bool // in truth
	alarm  bool // the active model says so
}

// table generates the rows of machines with a drift, or none, as a table for training.
func table(ctx context.Context, path string, rows int, seed uint64, drift string) error {
	args := []string{"-rows", strconv.Itoa(rows), "-seed", strconv.FormatUint(seed, 10), "-faulty", "0.1", "-out", path}
	if drift != "" {
		args = append(args, "-drift", drift)
	}
	var said bytes.Buffer
	if err := generate.Run(ctx, args, cli.Streams{Out: &said, Err: &said}); err != nil {
		return fmt.Errorf("generate rows: %w: %s", err, said.String())
	}
	return nil
}

// readRows reads a generated table: so many rows are one machine's day.
func readRows(path string, begin time.Time) (sensors []string, rows []row, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	records := csv.NewReader(f)
	header, err := records.Read()
	if err != nil {
		return nil, nil, err
	}
	for i := 0; ; i++ {
		record, err := records.Read()
		if errors.Is(err, io.EOF) {
			return header[1:], rows, nil
		}
		if err != nil {
			return nil, nil, err
		}
		machine := i / watchedRows
		r := row{
			thing: fmt.Sprintf("compressor-%d", machine), seq: uint64(i%watchedRows + 1), faulty: record[0] == "pos",
			at: begin.AddDate(0, 0, machine%28).Add(time.Duration(i%watchedRows) * time.Minute), values: make(event.Values, len(record)-1),
		}
		for k, text := range record[1:] {
			if r.values[k] = float32(math.NaN()); text != "na" && text != "" {
				if r.values[k], err = event.ParseFloat(text); err != nil {
					return nil, nil, fmt.Errorf("row %d: %w", i+1, err)
				}
			}
		}
		rows = append(rows, r)
	}
}

// score lets a model tell of each row whether it is faulty, as the engine does.
func score(model string, threshold float64, rows []row) error {
	data, err := gbdt.ReadFile(model)
	if err != nil {
		return err
	}
	parsed, err := gbdt.Parse(data)
	if err != nil {
		return err
	}
	scorer := gbdt.NewScorer(parsed)
	var margin []float32
	for i := range rows {
		if margin, err = scorer.Margin(margin[:0], rows[i].values); err != nil {
			return err
		}
		rows[i].alarm = 1/(1+math.Exp(-float64(margin[0]))) >= threshold
	}
	return nil
}

// raw writes what Firehose would: the telemetry, the predictions, and the outcomes that people give to alarms.
type raw struct {
	lines map[string]*bytes.Buffer // by key
}

func (r *raw) add(kind string, day time.Time, message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	key := fmt.Sprintf("raw/%s/line=%s/date=%s/part-1.gz", kind, line, day.Format(time.DateOnly))
	if r.lines[key] == nil {
		r.lines[key] = &bytes.Buffer{}
	}
	r.lines[key].Write(append(text, '\n'))
	return nil
}

// told is what the plant tells of its rows, each alarm judged by people who know the truth.
func told(rows []row, model event.ModelRef) (*raw, error) {
	r := &raw{lines: make(map[string]*bytes.Buffer)}
	var recent []row // of the machine: the last ones that count for an alarm
	first := -1      // row of the alarm that stands
	for i, x := range rows {
		label := event.LabelNotFaulty
		if x.alarm {
			label = event.LabelFaulty
		}
		err := errors.Join(
			r.add("telemetry", x.at, map[string]any{"v": 1, "thing": x.thing, "line": line, "epoch": epoch, "seq": x.seq, "ts": x.at, "values": x.values}),
			r.add("predictions", x.at, map[string]any{"v": 1, "thing": x.thing, "line": line, "epoch": epoch, "seq": x.seq, "ts": x.at, "model": model, "label": label}),
		)
		if err != nil {
			return nil, err
		}
		if x.seq == 1 {
			recent = nil
		}
		recent = append(recent, x)
		recent = recent[max(0, len(recent)-among):]
		n := 0
		for _, y := range recent {
			if y.alarm {
				n++
			}
		}
		if first < 0 && n >= votes {
			first = i - len(recent) + 1
			for rows[first].faulty != x.faulty {
				first++
			}
		}
		// People judge an alarm when it is over, and when the truth about the machine changes.
		last := i == len(rows)-1 || rows[i+1].seq == 1 || rows[i+1].faulty != x.faulty
		if first >= 0 && (n == 0 || last) {
			if err := r.judge(rows[first : i+1]); err != nil {
				return nil, err
			}
			first = -1
		}
	}
	return r, nil
}

// judge adds the outcome of an alarm over these rows.
func (r *raw) judge(rows []row) error {
	for len(rows) > 0 && !rows[0].alarm {
		rows = rows[1:]
	}
	for len(rows) > 0 && !rows[len(rows)-1].alarm {
		rows = rows[:len(rows)-1]
	}
	if len(rows) == 0 {
		return nil
	}
	faulty := 0
	for _, x := range rows {
		if x.faulty {
			faulty++
		}
	}
	outcome := "no-fault-found"
	if 2*faulty > len(rows) {
		outcome = "confirmed"
	}
	first, last := rows[0], rows[len(rows)-1]
	return r.add("labels", last.at, map[string]any{
		"v": 1, "id": fmt.Sprintf("label-%s-%d", first.thing, first.seq), "thing": first.thing, "line": line, "fault": "machine-fault", "since": first.at,
		"outcome": outcome, "by": "Ann", "ts": last.at.Add(time.Hour),
		"rows": map[string]any{"first": map[string]any{"epoch": epoch, "seq": first.seq}, "last": map[string]any{"epoch": epoch, "seq": last.seq}},
	})
}

// write puts the objects.
func (r *raw) write(put func(key string, content []byte) error) error {
	for key, lines := range r.lines {
		var b bytes.Buffer
		zip := gzip.NewWriter(&b)
		if _, err := zip.Write(lines.Bytes()); err != nil {
			return err
		}
		if err := zip.Close(); err != nil {
			return err
		}
		if err := put(key, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

const epoch = "5f3a9c01"

// goldenOf returns the golden rows that lie beside a model.
func goldenOf(model string) string { return filepath.Join(filepath.Dir(model), "golden.csv") }
