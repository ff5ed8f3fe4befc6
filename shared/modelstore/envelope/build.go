package envelope

import (
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"time"

	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/internal/disk"
	"edgepdm/shared/window"
)

// Build is what a manifest says besides what the model file and its golden rows tell.
type Build struct {
	Name    string // default: the model file's attribute edgepdm.name
	Version string
	Created time.Time
	Expires time.Time
	Trainer string  // default: XGBoost with the version in the model file
	Archive Archive // what Pack returned
	// Features names the columns of a model whose file does not, such as SageMaker's. Default: the golden rows' header.
	Features []string
	Baseline *Baseline
	Display  map[string]Display
	Groups   []Group
	Role     event.Role
	Inputs   *window.Spec
	Life     *LifeScale
	Rollout  *Rollout
}

// PartError says which part of what is built is wrong.
type PartError struct {
	Part string // "model", "golden" or "name"
	Err  error
}

func (e *PartError) Error() string { return e.Err.Error() }
func (e *PartError) Unwrap() error { return e.Err }

func partError(part string, err error) error {
	if err == nil {
		return nil
	}
	return &PartError{part, err}
}

// BuildManifest makes the manifest of a model file and of the golden rows that scripts/train wrote beside it: a CSV file
// whose header is "margin" and the features, then a row a line, "nan" or nothing for a missing value; for the models of a
// k-fold training, and the quantiles of a life model, the header begins with "margin-0", "margin-1" and so on. Each row is scored on the way. The
// error is a *PartError where one part is to blame. What a device would refuse besides, Rehearse says.
func BuildManifest(modelPath, goldenCSV string, b Build) (Manifest, error) {
	data, err := gbdt.ReadFile(modelPath)
	if err != nil {
		return Manifest{}, partError("model", err)
	}
	model, err := gbdt.Parse(data)
	if err != nil {
		return Manifest{}, partError("model", fmt.Errorf("%w: %s: %w", ErrModel, modelPath, err))
	}
	columns, golden, err := readGolden(goldenCSV)
	if err != nil {
		return Manifest{}, partError("golden", err)
	}
	m := Manifest{
		Name: b.Name, Version: b.Version, Created: b.Created.UTC(), Expires: b.Expires.UTC(),
		Archive: b.Archive, Model: ModelFile{File: filepath.Base(modelPath), SHA256: HashOf(data), Size: int64(len(data))},
		Objective: model.Objective, Features: b.Features, Trainer: b.Trainer, Golden: golden, Baseline: b.Baseline,
		Display: b.Display, Groups: b.Groups, Role: b.Role, Inputs: b.Inputs, Life: b.Life, Rollout: b.Rollout,
	}
	if m.Name == "" {
		m.Name = model.Attributes[attrName]
	}
	if m.Trainer == "" {
		m.Trainer = trainerOf(model)
	}
	if !PlainName(m.Name, maxNameLength) {
		return Manifest{}, partError("name", refuse(ErrManifest, "name: %.64q is not 1 to %d of A-Z a-z 0-9 . _ -, beginning with a letter or digit", m.Name, maxNameLength))
	}
	if !m.ForLife() {
		if m.Threshold, err = ThresholdOf(model.Attributes); err != nil {
			return Manifest{}, partError("model", err)
		}
	}
	if m.Features == nil {
		m.Features = columns
	}
	if i := differ(m.Features, columns); i >= 0 {
		return Manifest{}, partError("golden", refuse(ErrManifest, "golden: column %d of %s is %.64q, the feature is %.64q", i+1+len(golden[0].margins()), goldenCSV,
			at(columns, i), at(m.Features, i)))
	}
	m.Schema = event.SchemaOf(m.Sensors())
	m.Format = m.leastFormat()
	if err := m.Validate(); err != nil {
		return Manifest{}, err
	}
	err = CheckModel(m, model)
	if errors.Is(err, ErrGolden) {
		return m, partError("golden", err)
	}
	return m, partError("model", err)
}

// readGolden reads at most MaxGolden rows.
func readGolden(path string) (columns []string, rows []GoldenRow, err error) {
	f, _, err := disk.OpenRegular(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open golden rows: %w", err)
	}
	defer func() { _ = f.Close() }()
	table := csv.NewReader(io.LimitReader(f, 64<<20))
	header, err := table.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("read golden rows: %w", err)
	}
	margins := 1
	if header[0] == "margin-0" {
		for margins < min(len(header), MaxFolds) && header[margins] == "margin-"+strconv.Itoa(margins) {
			margins++
		}
	} else if header[0] != "margin" {
		margins = len(header)
	}
	if len(header) <= margins {
		return nil, nil, refuse(ErrManifest, "golden: the first column of %s is %.64q, need margin and then the features", path, header[0])
	}
	for {
		record, err := table.Read()
		if errors.Is(err, io.EOF) {
			if len(rows) == 0 {
				return nil, nil, refuse(ErrManifest, "golden: 0 rows in %s", path)
			}
			return header[margins:], rows, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read golden rows: %w", err)
		}
		if len(rows) == MaxGolden {
			return nil, nil, refuse(ErrManifest, "golden: %s has more than %d rows", path, MaxGolden)
		}
		row, err := goldenRow(record, margins)
		if err != nil {
			return nil, nil, refuse(ErrManifest, "golden: row %d of %s: %v", len(rows)+1, path, err)
		}
		rows = append(rows, row)
	}
}

func goldenRow(record []string, margins int) (GoldenRow, error) {
	values := make(event.Values, len(record))
	for i, text := range record {
		if text == "" {
			text = "nan"
		}
		x, err := event.ParseFloat(text)
		if err != nil || math.IsInf(float64(x), 0) || i < margins && x != x {
			return GoldenRow{}, fmt.Errorf("column %d is %.40q", i+1, text)
		}
		values[i] = x
	}
	row := GoldenRow{Values: values[margins:], Margin: values[0]}
	if margins > 1 {
		row.Margins = values[:margins:margins]
	}
	return row, nil
}

// differ returns the first place at which a and b differ, -1 if they do not.
func differ(a, b []string) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return i
		}
	}
	return -1
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return ""
}

// HashOf returns the SHA-256 as manifests have it.
func HashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
