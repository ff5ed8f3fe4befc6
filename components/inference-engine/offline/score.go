package offline

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

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
// Values are written as C's %.9g does, which tells any two float32 apart. Memory does not grow with the number of rows. The
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
	out := bufio.NewWriterSize(s.Out, 1<<16)
	err = scoreRows(ctx, model, explainer, newRowReader(s.In, table), out)
	return errors.Join(err, out.Flush())
}

// scoreRows scores all rows, and explains them if it has an explainer.
func scoreRows(ctx context.Context, model *scoring.Model, explainer *gbdt.Explainer, rows *rowReader, out *bufio.Writer) error {
	var margin, prediction, contributions []float32
	line := header(model, explainer != nil) // written with the first row, so that there is no output if that is wrong
	for ctx.Err() == nil {
		row, err := rows.next()
		if errors.Is(err, io.EOF) {
			if _, err := out.Write(line); err != nil {
				return fmt.Errorf("write scores: %w", err)
			}
			return nil
		}
		if err != nil {
			return err
		}
		if margin, err = model.Margin(margin, row); err != nil {
			return fmt.Errorf("line %d: %w", rows.line, err)
		}
		prediction = model.Predict(prediction, margin)
		line = appendValues(line, margin)
		line = append(line, ',')
		line = appendValues(line, prediction)
		if explainer != nil {
			if contributions, err = explainer.Explain(contributions, row); err != nil {
				return fmt.Errorf("line %d: %w", rows.line, err)
			}
			line = append(line, ',')
			line = appendValues(line, contributions)
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("write scores: %w", err)
		}
		line = line[:0]
		if !rows.waiting() { // the next row may be long in coming: let whoever reads have this one
			if err := out.Flush(); err != nil {
				return fmt.Errorf("write scores: %w", err)
			}
		}
	}
	return ctx.Err()
}

func header(model *scoring.Model, contribs bool) []byte {
	var line []byte
	column := func(name string, count int) {
		for i := range count {
			if len(line) > 0 {
				line = append(line, ',')
			}
			line = append(line, name...)
			if count > 1 {
				line = append(line, '_')
				line = strconv.AppendInt(line, int64(i), 10)
			}
		}
	}
	column("margin", model.Outputs)
	column("prediction", model.Predictions)
	switch {
	case contribs && model.Outputs == 1:
		column("contrib", model.NumFeature+1)
	case contribs:
		for k := range model.Outputs {
			column("contrib_"+strconv.Itoa(k), model.NumFeature+1)
		}
	}
	return append(line, '\n')
}

func appendValues(line []byte, values []float32) []byte {
	for i, v := range values {
		if i > 0 {
			line = append(line, ',')
		}
		line = strconv.AppendFloat(line, float64(v), 'g', 9, 32)
	}
	return line
}
