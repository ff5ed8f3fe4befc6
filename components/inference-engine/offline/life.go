package offline

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"edgepdm/components/inference-engine/scoring"
	"edgepdm/shared/cli"
	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/window"
)

// Files of a model's folder. The first three are those of a training, then those of a package and of a store.
const (
	trainedModel  = "model.ubj"
	trainedInputs = "inputs.json"
	trainedLife   = "life.json"
	packed        = "manifest.json"
	packedModel   = "model.tar.gz"

	maxFile = 8 << 20 // bytes of a file that describes a model
)

// Columns of C-MAPSS, NASA's data set of turbofan engines: 26 numbers between spaces, without a header.
var cmapss = strings.Fields("unit cycle setting1 setting2 setting3 s1 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 s12 s13 s14 s15 s16 s17 s18 s19 s20 s21")

// Columns that are what their names say, unless flags name others: as training has it (scripts/train/lifetable.py).
var ownColumns = []struct {
	flag  string
	names []string
}{{"-thing", []string{"thing", "unit"}}, {"-seq", []string{"seq", "cycle"}}, {"-ts", []string{"ts"}}}

// Life is the sub-command "life [-model] DIR". It reads rows as Features does, plain or compressed by gzip, and writes a line
// for each thing with the remaining life at its last row, in the order in which things come first:
//
//	unit low median high
//
// With -every it writes one for each row. Where the engine gives none, as no input has a value, low, median and high are NaN. A row
// that comes after its successors is never the last one. Rows of 26 numbers between spaces are those of C-MAPSS. In others the columns thing
// or unit, seq or cycle, and ts are what they are called, unless flags name them.
//
// DIR is what training made, what model-fetcher packed or signed, or a version in a device's store. The first row that cannot
// be read ends the work with an error that names its line; without -every nothing is written then. Memory grows with the
// number of things only.
func Life(ctx context.Context, args []string, s cli.Streams) error {
	flags := cli.NewFlagSet("inference-engine life [flags] [-model] DIR < rows", s)
	dir := flags.String("model", "", "`folder` of a life model: of a training, a package, or a version in a device's store")
	every := flags.Bool("every", false, "write a line for each row, not for each thing's last one only")
	t := featureTable{layout: layout{of: "model"}}
	t.columnFlags(flags)
	for _, own := range ownColumns {
		f := flags.Lookup(own.flag[1:])
		usage, _, _ := strings.Cut(f.Usage, " (default")
		f.Usage = usage + " (default: the column " + strings.Join(own.names, " or ") + ")"
	}
	if err := parseFlags(flags, dir, args); err != nil {
		return err
	}
	if *dir == "" {
		return cli.Usagef("name the folder of the life model with -model")
	}
	m, err := readLifeModel(*dir)
	if err != nil {
		return fmt.Errorf("model %s: %w", *dir, err)
	}
	in, err := decompressed(s.In)
	if err != nil {
		return err
	}
	if err := t.findColumns(in); err != nil {
		return err
	}
	if err := t.use(m.inputs); err != nil {
		return err
	}
	out := bufio.NewWriterSize(s.Out, 1<<16)
	err = errors.Join(m.writeLives(ctx, &t, newRowReader(in, t.layout), out, *every), out.Flush())
	return errors.Join(err, t.tell(s.Err))
}

// decompressed returns the input's text.
func decompressed(in io.Reader) (*bufio.Reader, error) {
	text := bufio.NewReaderSize(in, 1<<16)
	if magic, _ := text.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) { // an error comes again with the rows
		return text, nil
	}
	unzip, err := gzip.NewReader(text)
	if err != nil {
		return nil, fmt.Errorf("the input is no gzip file: %w", err)
	}
	return bufio.NewReaderSize(unzip, 1<<16), nil
}

// findColumns looks at the first line for what flags do not say.
func (t *featureTable) findColumns(in *bufio.Reader) error {
	line := firstLine(in)
	if t.given == nil && t.layout.header == nil && isCMAPSS(line) {
		header := false
		t.given, t.layout.header, t.separator = cmapss, &header, ' '
	}
	names := t.given
	if names == nil {
		names = likelyNames(line)
	}
	for _, own := range ownColumns {
		for _, name := range own.names {
			if !t.has(own.flag) && slices.Contains(names, name) {
				t.also = append(t.also, column{own.flag, name})
			}
		}
	}
	if !t.has("-thing") {
		return cli.Usagef("name the column of the machine's name with -thing: line 1 has no column %s, and is none of C-MAPSS, which has %d numbers between spaces",
			strings.Join(ownColumns[0].names, " or "), len(cmapss))
	}
	return nil
}

// firstLine returns the first line, or what of it the buffer has room for, without taking it.
func firstLine(in *bufio.Reader) []byte {
	for {
		buffered, err := in.Peek(in.Buffered() + 1)
		if line, _, ok := bytes.Cut(buffered, []byte{'\n'}); ok || err != nil {
			return bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\ufeff")))
		}
		if buffered, _ = in.Peek(in.Buffered()); bytes.IndexByte(buffered, '\n') < 0 && len(buffered) == in.Size() {
			return buffered
		}
	}
}

func isCMAPSS(line []byte) bool {
	fields := bytes.Fields(line)
	return len(fields) == len(cmapss) && !slices.ContainsFunc(fields, func(field []byte) bool {
		_, err := event.ParseFloat(string(field))
		return err != nil
	})
}

// likelyNames returns a header's names.
func likelyNames(line []byte) (names []string) {
	for _, separator := range []byte{',', ';', '\t'} {
		fields, err := split(nil, line, separator)
		if err != nil || len(fields) <= len(names) {
			continue
		}
		names = names[:0]
		for _, field := range fields {
			names = append(names, decodeName(field))
		}
	}
	return names
}

// lifeModel is a model that tells remaining life, and how its inputs and outputs are read.
type lifeModel struct {
	*scoring.Model
	inputs *window.Spec
	scale  envelope.LifeScale

	margin, outputs []float32
}

func readLifeModel(dir string) (*lifeModel, error) {
	m := new(lifeModel)
	scale, err := readBounded(filepath.Join(dir, trainedLife))
	if errors.Is(err, os.ErrNotExist) {
		return m, m.readDelivered(dir)
	}
	if err != nil {
		return nil, err
	}
	if m.scale, err = envelope.DecodeLife(scale); err != nil {
		return nil, fmt.Errorf("%s: %w", trainedLife, err)
	}
	if m.inputs, err = window.ReadFile(filepath.Join(dir, trainedInputs)); err != nil {
		return nil, fmt.Errorf("%s: %w", trainedInputs, err)
	}
	parsed, err := parseModel(filepath.Join(dir, trainedModel))
	if err != nil {
		return nil, err
	}
	return m, m.use(parsed)
}

// readDelivered reads a model whose manifest says how it is used. No signature is verified.
func (m *lifeModel) readDelivered(dir string) error {
	data, err := readBounded(filepath.Join(dir, packed))
	if errors.Is(err, os.ErrNotExist) {
		if data, err = readBounded(filepath.Join(dir, envelope.EnvelopeFile)); errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("there is neither %s nor %s nor %s: it is no life model's folder", trainedLife, packed, envelope.EnvelopeFile)
		}
		if err == nil {
			data, err = envelope.Payload(data)
		}
	}
	if err != nil {
		return err
	}
	manifest, err := envelope.DecodeManifest(data)
	if err != nil {
		return err
	}
	if !manifest.ForLife() {
		return fmt.Errorf("it is a model of the role %s, need %s", event.RoleFault, event.RoleLife)
	}
	m.scale, m.inputs = *manifest.Life, manifest.Inputs
	parsed, err := parseModel(filepath.Join(dir, manifest.Model.File))
	if errors.Is(err, os.ErrNotExist) {
		parsed, err = parseModel(filepath.Join(dir, packedModel))
	}
	if err != nil {
		return err
	}
	if err := envelope.CheckModel(manifest, parsed); err != nil {
		return err
	}
	if m.inputs == nil { // each feature is a sensor's last value
		m.inputs = &window.Spec{Sensors: manifest.Features}
		for _, name := range manifest.Features {
			m.inputs.Inputs = append(m.inputs.Inputs, window.Input{Sensor: name, Stat: window.Last})
		}
	}
	return m.use(parsed)
}

// use takes the parsed model, which must have the inputs and three outputs.
func (m *lifeModel) use(parsed *gbdt.Model) (err error) {
	if m.Model, err = scoring.New(parsed, scoring.Native, gbdt.AutoIterations); err != nil {
		return err
	}
	names := m.inputs.Names()
	switch {
	case m.Predictions != scoring.LifeOutputs:
		return fmt.Errorf("it gives %d values, need %d: a low, a middle and a high quantile", m.Predictions, scoring.LifeOutputs)
	case len(names) != m.NumFeature:
		return fmt.Errorf("it has %d features, its inputs are %d", m.NumFeature, len(names))
	}
	for i, name := range m.FeatureNames {
		if name != names[i] {
			return fmt.Errorf("its feature %d is %.64q, its input is %.64q", i+1, name, names[i])
		}
	}
	return nil
}

func parseModel(path string) (*gbdt.Model, error) {
	data, err := gbdt.ReadFile(path)
	if err != nil {
		return nil, err
	}
	model, err := gbdt.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return model, nil
}

func readBounded(path string) (data []byte, err error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	if data, err = io.ReadAll(io.LimitReader(f, maxFile+1)); err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxFile)
	}
	return data, err
}

// life tells the remaining life at the table's row; nil where the engine tells none.
func (m *lifeModel) life(t *featureTable) (l *event.Life, err error) {
	if t.outcome == window.Late || !m.inputs.HasValue(t.features) {
		return nil, nil
	}
	if m.margin, err = m.Margin(m.margin[:0], t.features); err != nil {
		return nil, err
	}
	m.outputs = m.Predict(m.outputs[:0], m.margin)
	return scoring.Life(m.outputs, m.scale)
}

// writeLives writes a line for each thing, or each row.
func (m *lifeModel) writeLives(ctx context.Context, t *featureTable, rows *rowReader, out *bufio.Writer, every bool) error {
	var order []string
	last := map[string]*event.Life{}
	for ctx.Err() == nil {
		thing, err := t.next(rows)
		if errors.Is(err, io.EOF) {
			for _, thing := range order {
				if err := writeLife(out, thing, last[thing]); err != nil {
					return err
				}
			}
			return nil
		}
		if err != nil {
			return err
		}
		life, err := m.life(t)
		if err != nil {
			return fmt.Errorf("line %d: %w", rows.line, err)
		}
		if !every {
			_, known := last[thing]
			if !known {
				order = append(order, thing)
			}
			if !known || t.outcome == window.Added {
				last[thing] = life
			}
			continue
		}
		err = writeLife(out, thing, life)
		if err == nil && !rows.waiting() {
			err = out.Flush()
		}
		if err != nil {
			return fmt.Errorf("write lives: %w", err)
		}
	}
	return ctx.Err()
}

func writeLife(out *bufio.Writer, thing string, l *event.Life) error {
	if thing == "" || strings.ContainsAny(thing, " \t\"") {
		thing = strconv.Quote(thing)
	}
	if l == nil {
		_, err := fmt.Fprintf(out, "%s NaN NaN NaN\n", thing)
		return err
	}
	_, err := fmt.Fprintf(out, "%s %.2f %.2f %.2f\n", thing, l.Low, l.Median, l.High)
	return err
}
