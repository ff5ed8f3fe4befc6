package offline

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"edgepdm/components/inference-engine/scoring"
	"edgepdm/shared/cli"
	"edgepdm/shared/gbdt"
)

// Score is the sub-command "score [-model] FILE". It reads rows of CSV from s.In and writes a header and a row of margins
// and predictions for each to s.Out:
//
//	margin,prediction                                             one output
//	margin_0,margin_1,…,prediction_0,prediction_1,…               several outputs
//	margin_0,margin_1,…,prediction                                several outputs, of which the objective names one
//
// With -contribs the contributions of the features to the margin follow (see gbdt.Explainer), and the bias, which sum to it:
//
//	contrib_0,contrib_1,…                                         one output; the last is the bias
//	contrib_0_0,contrib_0_1,…,contrib_1_0,…                       several: contrib_<output>_<feature>
//
// A row has one value for each of the model's features in the model's order, empty or nan where one is missing. A first line
// of words is a header, by which the features are found if the model names them; see rowReader.
//
// Of a k-fold archive the margins are those of its first model, then its second, …, and the prediction is their mean (or
// vote), as of a model.
//
// The input may be compressed by gzip. Values are written as C's %.9g does, which tells any two float32 apart. All processors
// are used; the order is the input's, and memory does not grow with the number of rows. A terminal is shown how far it is. The
// first row that cannot be read ends the work with an error that names its line and column; the rows before it are written.
// s.Err gets a line on the rounds that are used.
func Score(ctx context.Context, args []string, s cli.Streams) error {
	flags := cli.NewFlagSet("inference-engine score [flags] [-model] FILE < rows.csv > scores.csv", s)
	path := flags.String("model", "", modelUsage)
	iterations := flags.String("iterations", string(gbdt.AutoIterations),
		"boosting `rounds` to score with: auto, as predict of the release that saved the model does, all, or best, up to the model's best_iteration")
	engineName := flags.String("engine", string(scoring.Native), "what scores: native, or leaves (github.com/dmitryikh/leaves), which takes LightGBM's text models, too")
	contribs := flags.Bool("contribs", false, "append what each feature contributes to the margin (SHAP values), in the model's order, "+
		"as contrib_0, contrib_1, …; the last is the bias. With several classes or targets: contrib_<class>_<feature>")
	var table layout
	table.flags(flags)
	flags.Func("label", "`column` that is no feature, such as a label or an index: its name, or its place from 1; may be repeated", func(text string) error {
		table.drop = append(table.drop, column{"-label", text})
		return nil
	})
	if err := parseFlags(flags, path, args); err != nil {
		return err
	}
	rounds := gbdt.Iterations(*iterations)
	if !rounds.Known() {
		return cli.Usagef("-iterations is %q, which is none of auto, all and best", *iterations)
	}
	engine := scoring.Engine(*engineName)
	if !engine.Known() {
		return cli.Usagef("-engine is %q, which is neither native nor leaves", *engineName)
	}
	if *contribs && engine != scoring.Native {
		return cli.Usagef("-contribs takes -engine %s", scoring.Native)
	}
	data, err := readFile(*path)
	if err != nil {
		return err
	}
	model, err := scoring.Parse(data, engine, rounds)
	if err != nil {
		return fmt.Errorf("model %s: %w", *path, err)
	}
	var explainer *gbdt.Explainer
	if *contribs {
		if explainer, err = model.NewExplainer(); err != nil {
			return fmt.Errorf("model %s: %w", *path, err)
		}
	}
	if _, err := fmt.Fprintf(s.Err, "%s: %d of %d rounds are used (-iterations %s)\n", *path, model.Iterations, model.AllIterations, rounds); err != nil {
		return fmt.Errorf("write rounds: %w", err)
	}
	table.of, table.columns, table.names = "model", model.NumFeature, model.FeatureNames
	first := &rowScorer{model: model, explainer: explainer, rows: newRowReader(nil, table)}
	return scores(ctx, s.In, first, &scoreWriter{out: s.Out, terminal: s.Err, header: header(model, explainer != nil)})
}

// scores runs the work, and says how far it came if it was interrupted.
func scores(ctx context.Context, in io.Reader, first *rowScorer, out *scoreWriter) error {
	total := int64(0)
	if f, ok := in.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			total = info.Size()
		}
	}
	if _, ok := out.out.(*os.File); ok {
		signal.Ignore(syscall.SIGPIPE) // the error of the write says that nobody reads any more
	}
	raw := &counted{Reader: in}
	text, err := unzipped(raw)
	if err != nil {
		return fmt.Errorf("read line 1: %w", err)
	}
	out.note = cli.NewProgress(out.terminal, total)
	err = scoreRows(ctx, &blockReader{in: text, size: first.rows.in.Size(), at: raw.n.Load}, first, out)
	out.note.Done()
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: the scores of the first %d rows are written: %w", out.rows, ctx.Err())
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// unzipped returns what an input holds, if it is compressed by gzip, else the input.
func unzipped(in io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(in, 1<<16)
	if start, err := buffered.Peek(2); err != nil || start[0] != 0x1f || start[1] != 0x8b {
		return buffered, nil //nolint:nilerr // whoever reads finds out
	}
	return gzip.NewReader(buffered)
}
