package modelcli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"edgepdm/shared/cli"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"edgepdm/shared/window"
)

// Files of a training's folder, which pack -dir takes.
const (
	trainedModel       = "model.ubj"
	trainedGolden      = "golden.csv"
	trainedInputs      = "inputs.json"
	trainedLife        = "life.json"
	trainedDescription = "description.json"
)

// packOptions are the command line of pack.
type packOptions struct {
	dir, model, golden, inputs, life, description string
	name, version, expires, role, out             string
	table, label                                  string
	mode                                          string
	percent                                       int
	threshold                                     float64 // 0 = the model file's
	age                                           time.Duration
	created                                       time.Time
}

func parsePack(args []string, s cli.Streams) (packOptions, error) {
	o := packOptions{created: time.Now().UTC().Truncate(time.Second)}
	fs := cli.NewFlagSet("model-fetcher pack [-dir DIR] [-model FILE] [-golden FILE] -version V -out DIR [-table FILE] [-describe FILE] [-mode direct|shadow] [-percent N] [flags]", s)
	fs.StringVar(&o.dir, "dir", "", "`DIR` of a training: its "+trainedModel+" and "+trainedGolden+", and its "+trainedInputs+", "+trainedLife+" and "+
		trainedDescription+" if they are there, stand for -model, -golden, -inputs, -life and -describe")
	fs.StringVar(&o.model, "model", "", "the XGBoost model `FILE`; required without -dir")
	fs.StringVar(&o.golden, "golden", "", "`FILE` of rows with the margins that the training XGBoost gives them, golden.csv of make train; required without -dir")
	fs.StringVar(&o.name, "name", "", "the model's `NAME` (default: the one in the model file)")
	fs.StringVar(&o.version, "version", "", "`V`, three numbers such as 1.2.0, higher than what is published; required")
	fs.StringVar(&o.table, "table", "", "the training's table, a CSV `FILE` with a header, .gz if compressed: the manifest gets how the features' values are spread in it")
	fs.StringVar(&o.label, "label", "", "`COLUMN` of -table that says which rows are faulty, which are left out (default: class, if there is one)")
	fs.StringVar(&o.description, "describe", "", "JSON `FILE` with display, by sensor {name, names by language, unit}, and groups [{name, features, value}]: how people call what the model sees")
	fs.StringVar(&o.inputs, "inputs", "", "JSON `FILE` that says of which sensors over time the model's features are made")
	fs.StringVar(&o.life, "life", "", "JSON `FILE` of a life model: unit, cap, coverage and margin")
	fs.StringVar(&o.role, "role", "", "what the model is for: fault or life (default: life with -life, otherwise fault)")
	fs.StringVar(&o.mode, "mode", string(envelope.ModeDirect), "what devices do with it first: direct, it takes over at once, or shadow, it is scored beside the active model until it has proved itself")
	fs.IntVar(&o.percent, "percent", 100, "share of the cores that take it, 1 to 100 `PERCENT`, by a hash of their names; sign the same version once more with a higher one")
	fs.Func("threshold", "`PROBABILITY` from which a row is faulty (default: the one in the model file, or 0.5)", func(text string) error {
		t, err := strconv.ParseFloat(text, 64)
		if err != nil || !(t > 0 && t <= 1) {
			return errors.New("not a probability above 0")
		}
		o.threshold = t
		return nil
	})
	fs.Func("created", "`TIME` of the manifest, such as 2026-11-28 (default: now): equal input then gives equal bytes", func(text string) (err error) {
		for _, layout := range []string{time.RFC3339, time.DateOnly} {
			if o.created, err = time.Parse(layout, text); err == nil {
				break
			}
		}
		return err
	})
	fs.StringVar(&o.expires, "expires", "365d", "devices accept it for this `AGE`, such as 90d or 36h")
	fs.StringVar(&o.out, "out", "", "write "+inbox.ArchiveFile+" and "+manifestFile+" into `DIR`; required")
	if err := cli.Parse(fs, args); err != nil {
		return o, err
	}
	o.fill()
	if err := need("model", o.model, "golden", o.golden, "version", o.version, "out", o.out); err != nil {
		return o, err
	}
	if envelope.Compare(o.version, "") <= 0 { // what is no version is lower than every one
		return o, cli.Usagef("-version: %q is not three numbers such as 1.2.0", o.version)
	}
	var err error
	if o.age, err = parseAge(o.expires); err != nil || o.age <= 0 {
		return o, cli.Usagef("-expires: %q is not an age such as 90d or 36h", o.expires)
	}
	switch event.Role(o.role) {
	case "":
		if o.life != "" {
			o.role = string(event.RoleLife)
		}
	case event.RoleFault: // the manifest need not say it
		o.role = ""
	case event.RoleLife:
	default:
		return o, cli.Usagef("-role: %q is neither %s nor %s", o.role, event.RoleFault, event.RoleLife)
	}
	if isLife := o.role == string(event.RoleLife); isLife != (o.life != "") {
		return o, cli.Usagef("-life: needs -role %s, and the other way round", event.RoleLife)
	}
	if o.dir != "" && o.life == filepath.Join(o.dir, trainedLife) && o.inputs == "" { // its features would be taken for sensors
		return o, cli.Usagef("-inputs: required, as %s has %s but no %s", o.dir, trainedLife, trainedInputs)
	}
	if err := o.checkRollout(); err != nil {
		return o, err
	}
	if o.label != "" && o.table == "" {
		return o, cli.Usagef("-label: only with -table")
	}
	return o, nil
}

func (o packOptions) checkRollout() error {
	switch mode := envelope.Mode(o.mode); {
	case mode != envelope.ModeDirect && mode != envelope.ModeShadow:
		return cli.Usagef("-mode: %q is neither %s nor %s", o.mode, envelope.ModeDirect, envelope.ModeShadow)
	case mode == envelope.ModeShadow && o.role == string(event.RoleLife):
		return cli.Usagef("-mode: %s is for models of faults only", envelope.ModeShadow)
	case o.percent < 1 || o.percent > 100:
		return cli.Usagef("-percent: %d is not from 1 to 100", o.percent)
	}
	return nil
}

// rollout is what the manifest says of it; nil where it need not, so that older releases read the manifest.
func (o packOptions) rollout() *envelope.Rollout {
	var r envelope.Rollout
	if o.mode == string(envelope.ModeShadow) {
		r.Mode = envelope.ModeShadow
	}
	if o.percent < 100 {
		r.Percent = o.percent
	}
	if r == (envelope.Rollout{}) {
		return nil
	}
	return &r
}

// fill takes from the folder of a training what no flag names.
func (o *packOptions) fill() {
	if o.dir == "" {
		return
	}
	for _, f := range []struct {
		name     string
		path     *string
		optional bool
	}{
		{trainedModel, &o.model, false}, {trainedGolden, &o.golden, false}, {trainedInputs, &o.inputs, true}, {trainedLife, &o.life, true},
		{trainedDescription, &o.description, true},
	} {
		path := filepath.Join(o.dir, f.name)
		if _, err := os.Stat(path); *f.path == "" && (err == nil || !f.optional) {
			*f.path = path
		}
	}
}

// build reads what the manifest says besides the model and its golden rows.
func (o packOptions) build() (b envelope.Build, err error) {
	b = envelope.Build{Name: o.name, Version: o.version, Created: o.created, Expires: o.created.Add(o.age), Role: event.Role(o.role), Rollout: o.rollout()}
	if o.inputs != "" {
		if b.Inputs, err = window.ReadFile(o.inputs); err != nil {
			return b, fmt.Errorf("-inputs: %s: %w", o.inputs, err)
		}
	}
	if o.life != "" {
		data, err := readLimited(o.life, envelope.MaxManifest)
		if err != nil {
			return b, fmt.Errorf("-life: %w", err)
		}
		life, err := envelope.DecodeLife(data)
		if err != nil {
			return b, fmt.Errorf("-life: %s: %w", o.life, err)
		}
		b.Life = &life
	}
	return b, nil
}

// describe adds what people are told to the manifest.
func (o packOptions) describe(ctx context.Context, m *envelope.Manifest, s cli.Streams) error {
	if o.description != "" {
		var d envelope.Description
		if err := readStrict(o.description, &d); err != nil {
			return fmt.Errorf("-describe: %w", err)
		}
		m.Display, m.Groups = d.Display, d.Groups
		if err := m.Validate(); err != nil {
			return fmt.Errorf("-describe: %s: %w", o.description, err)
		}
	}
	if o.table == "" {
		return nil
	}
	rows, err := addBaseline(ctx, m, o.model, o.table, o.label, s.Err)
	if err != nil {
		return fmt.Errorf("-table: %w", err)
	}
	printf(s.Out, "%s: %d rows are the baseline, %s\n", o.table, rows.sound, rows.leftOut())
	return nil
}

// Pack is the sub-command that packs a model.
func Pack(ctx context.Context, args []string, s cli.Streams) error {
	o, err := parsePack(args, s)
	if err != nil {
		return err
	}
	build, err := o.build()
	if err != nil {
		return err
	}
	if err := makeDir("out", o.out); err != nil {
		return err
	}
	archive := filepath.Join(o.out, inbox.ArchiveFile)
	part := archive + ".part"
	packed, err := packTo(part, o.model)
	if err != nil {
		return errors.Join(fmt.Errorf("-model: %w", err), remove(part))
	}
	build.Archive = packed.Archive
	m, err := envelope.BuildManifest(o.model, o.golden, build)
	if err == nil {
		if o.threshold > 0 {
			m.Threshold = o.threshold
		}
		err = o.describe(ctx, &m, s)
	}
	if err == nil {
		err = modelstore.Rehearse(part, m) // the device's word, besides that of the parts
	}
	if err != nil {
		return errors.Join(ofFlag(err, o.name), remove(part))
	}
	text, err := readable(m)
	if err != nil {
		return err
	}
	if err := remove(filepath.Join(o.out, envelope.EnvelopeFile)); err != nil { // signs what was here before
		return err
	}
	if err := durable.Rename(part, archive); err != nil {
		return err
	}
	if err := durable.WriteFileAtomic(filepath.Join(o.out, manifestFile), text, 0o644); err != nil {
		return err
	}
	printf(s.Out, "%s %s: %s\n%d golden rows agree, expires %s\n%s: %d bytes, sha256 %s\n", m.Name, m.Version, about(m), len(m.Golden),
		m.Expires.Format(time.DateOnly), archive, m.Archive.Size, m.Archive.SHA256)
	return nil
}

var numbers = regexp.MustCompile(`\[[^][{}"]*\]`)

// readable returns a manifest's JSON, with a line for each row of numbers.
func readable(m envelope.Manifest) ([]byte, error) {
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	text = numbers.ReplaceAllFunc(text, func(row []byte) []byte { return bytes.Join(bytes.Fields(row), nil) })
	return append(text, '\n'), nil
}

// about says shortly what a model is, and what its manifest tells people.
func about(m envelope.Manifest) string {
	text := fmt.Sprintf("%d features, threshold %g", len(m.Features), m.Threshold)
	if m.ForLife() && m.Life != nil {
		text = fmt.Sprintf("%d features, remaining life up to %g %s, %.4g %% coverage", len(m.Features), m.Life.Cap, m.Life.Unit, 100*m.Life.Coverage)
	}
	if m.Inputs != nil {
		text += fmt.Sprintf(" over time, of %d sensors", len(m.Inputs.Sensors))
	}
	if len(m.Display) > 0 {
		text += fmt.Sprintf(", %d names", len(m.Display))
	}
	if len(m.Groups) > 0 {
		text += fmt.Sprintf(", %d groups", len(m.Groups))
	}
	if m.Baseline != nil {
		text += ", a baseline"
	}
	if m.Shadow() {
		text += ", in the shadow first"
	}
	if n := m.Share(); n < 100 {
		text += fmt.Sprintf(", for %d %% of the cores", n)
	}
	return text
}

// ofFlag names the flag that is to blame for an error of envelope.BuildManifest.
func ofFlag(err error, name string) error {
	part, ok := errors.AsType[*envelope.PartError](err)
	switch {
	case !ok:
		return err
	case part.Part == "name" && name == "":
		return cli.Usagef("-name: required, as the model file has no attribute edgepdm.name that is one")
	case part.Part == "name":
		return cli.Usagef("-name: %v", err)
	}
	return fmt.Errorf("-%s: %w", part.Part, err)
}

func packTo(path, model string) (packed envelope.Packed, err error) {
	f, err := os.Create(filepath.Clean(path))
	if err != nil {
		return packed, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if packed, err = envelope.Pack(f, model); err != nil {
		return packed, err
	}
	return packed, f.Sync()
}
