package modelcli

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"edgepdm/shared/cli"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
)

const (
	usualGolden = 64       // rows
	maxMargins  = 1 << 20  // bytes of what Python writes
	maxTable    = 64 << 20 // bytes of the rows that are read
)

// goldenOptions are the command line of golden.
type goldenOptions struct {
	model, rows, out, python string
	most                     int
}

func parseGolden(args []string, s cli.Streams) (goldenOptions, error) {
	var o goldenOptions
	fs := cli.NewFlagSet("model-fetcher golden -model FILE -rows CSV -out FILE [-most N] [-python COMMAND]", s)
	fs.StringVar(&o.model, "model", "", "the XGBoost model `FILE`, or SageMaker's model.tar.gz; required")
	fs.StringVar(&o.rows, "rows", "", "`CSV` file of rows whose first line names the features; required")
	fs.StringVar(&o.out, "out", "", "write the golden rows, for pack -golden, to `FILE`; required")
	fs.IntVar(&o.most, "most", usualGolden, "take at most the first `N` rows")
	fs.StringVar(&o.python, "python", "python3", "the Python `COMMAND` that has xgboost; it loads the model, and a pickle runs what is in it")
	if err := cli.Parse(fs, args); err != nil {
		return o, err
	}
	if err := need("model", o.model, "rows", o.rows, "out", o.out); err != nil {
		return o, err
	}
	if o.most < 1 || o.most > envelope.MaxGolden {
		return o, cli.Usagef("-most: %d is not between 1 and %d", o.most, envelope.MaxGolden)
	}
	return o, nil
}

// golden is the sub-command that makes golden rows of a model that came without: real XGBoost gives the margins.
func golden(ctx context.Context, args []string, s cli.Streams) error {
	o, err := parseGolden(args, s)
	if err != nil {
		return err
	}
	data, err := gbdt.ReadFile(o.model)
	if err != nil {
		return fmt.Errorf("-model: %w", err)
	}
	model, err := gbdt.Parse(data)
	if err == nil && !model.Probability() && !envelope.GivesLife(model) {
		err = envelope.NoProbability(model.Objective, model.Predictions)
	}
	if err != nil {
		return fmt.Errorf("-model: %w", err)
	}
	names, rows, err := readRows(o, model)
	if err != nil {
		return fmt.Errorf("-rows: %w", err)
	}
	margins, err := runXGBoost(ctx, o, model, rows)
	if err != nil {
		return err
	}
	if len(margins) != len(rows) {
		return fmt.Errorf("-python: XGBoost gave %d margins for %d rows", len(margins), len(rows))
	}
	header := []string{"margin"}
	if n := len(margins[0]); n > 1 {
		header = header[:0]
		for k := range n {
			header = append(header, "margin-"+strconv.Itoa(k))
		}
	}
	var table bytes.Buffer
	w := csv.NewWriter(&table)
	_ = w.Write(append(header, names...)) // to memory
	for i, row := range rows {
		_ = w.Write(append(margins[i], row...))
	}
	w.Flush()
	if err := durable.WriteFileAtomic(o.out, table.Bytes(), 0o644); err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	printf(s.Out, "%d golden rows of %d features: %s\n", len(rows), len(names), o.out)
	return nil
}

// readRows returns the first rows of the table, in the order of the model's features.
func readRows(o goldenOptions, model *gbdt.Model) (names []string, rows [][]string, err error) {
	f, err := os.Open(o.rows)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	table := csv.NewReader(io.LimitReader(f, maxTable))
	header, err := table.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("read the first line: %w", err)
	}
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	names = model.FeatureNames
	if len(names) == 0 {
		names = header
	}
	if len(names) != model.NumFeature {
		return nil, nil, fmt.Errorf("%d columns, but the model has %d features, without names: give their columns only, in the order of the training", len(header),
			model.NumFeature)
	}
	var take []int
	for _, name := range names {
		at := slices.Index(header, name)
		if at < 0 {
			return nil, nil, fmt.Errorf("no column is named %.64q, as a feature of the model is", name)
		}
		take = append(take, at)
	}
	for len(rows) < o.most {
		record, err := table.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		row := make([]string, len(take))
		for i, at := range take {
			if row[i] = strings.TrimSpace(record[at]); event.IsMissing(row[i]) {
				row[i] = "nan"
			}
			if _, err := event.ParseFloat(row[i]); err != nil {
				return nil, nil, fmt.Errorf("row %d: %.64q is %.40q, which is no number", len(rows)+1, names[i], row[i])
			}
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil, nil, errors.New("there are no rows")
	}
	return names, rows, nil
}

// runXGBoost has Python's XGBoost give the margins of rows: of each model, where there are those of a k-fold training.
func runXGBoost(ctx context.Context, o goldenOptions, model *gbdt.Model, rows [][]string) ([][]string, error) {
	var in, out, complaint bytes.Buffer
	w := csv.NewWriter(&in)
	_ = w.WriteAll(rows)                                                 // to memory
	c := exec.CommandContext(ctx, o.python, "-c", goldenScript, o.model) //nolint:gosec // the operator names the interpreter
	c.Stdin, c.Stdout, c.Stderr = &in, &out, &complaint
	if err := c.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(complaint.String()), "\n")
		return nil, fmt.Errorf("-python: %w: %.300s: the margins have to come from XGBoost itself: pip install xgboost numpy, best the release that trained the model "+
			"(xgboost %s), and name that Python with -python", err, lines[len(lines)-1], model.Release())
	}
	if out.Len() > maxMargins {
		return nil, fmt.Errorf("-python: %d bytes of margins, at most %d", out.Len(), maxMargins)
	}
	margins, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("-python: what it wrote: %w", err)
	}
	return margins, nil
}
