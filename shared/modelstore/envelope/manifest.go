package envelope

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"edgepdm/shared/event"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/window"
)

// ManifestFormat is the newest format version that this release reads. It writes an older one where a manifest says nothing that
// a reader of that must not ignore: role, inputs and life came with format 2, rollout with format 3.
const ManifestFormat = 3

// Bounds of a manifest. They are checked before memory is taken for what they bound.
const (
	MaxManifest = 1 << 20   // bytes of the manifest's JSON
	MaxFeatures = 4096      // columns of a row
	MaxGolden   = 256       // golden rows
	MaxArchive  = 512 << 20 // bytes of the archive, and of what is in it
	MaxModel    = 256 << 20 // bytes of the model file: the most that gbdt reads
	MaxFolds    = gbdt.MaxFolds
	MaxBins     = 64 // bins of one feature's baseline histogram

	maxNameLength = 64
	MaxFileLength = 128
	maxTextLength = 128 // objective, trainer, a feature's name
)

// Files that stand beside a model in a store, so that it must not have their names.
const (
	EnvelopeFile = "manifest.dsse.json" // the signed manifest
	RecordFile   = "installed.json"     // the store's own
)

// ReservedFile says whether a file must not have a name.
func ReservedFile(name string) bool { return name == EnvelopeFile || name == RecordFile }

// Manifest says what a model is (promise M1). It is what gets signed, so that every byte of the model and the way in
// which it is used follow from one signature.
type Manifest struct {
	Format    int         `json:"format"`  // 1, or that of the newest member
	Name      string      `json:"name"`    // of the model: "simulated-compressor"
	Version   string      `json:"version"` // three numbers: "1.2.0"
	Created   time.Time   `json:"created"`
	Expires   time.Time   `json:"expires"` // not accepted from then on; what is accepted stays
	Archive   Archive     `json:"archive"`
	Model     ModelFile   `json:"model"`
	Objective string      `json:"objective"` // "binary:logistic"
	Features  []string    `json:"features"`  // in the model's order
	Schema    string      `json:"schema"`    // event.SchemaOf(Sensors())
	Threshold float64     `json:"threshold"` // probability from which a row is faulty; 0 of a model that gives none
	Trainer   string      `json:"trainer"`   // "xgboost 3.0.5"
	Golden    []GoldenRow `json:"golden"`
	Baseline  *Baseline   `json:"baseline,omitempty"`

	// How people call what the model sees. Display is by sensor.
	Display map[string]Display `json:"display,omitempty"`
	Groups  []Group            `json:"groups,omitempty"`

	// From format 2 on.
	Role   event.Role   `json:"role,omitempty"`   // empty: event.RoleFault
	Inputs *window.Spec `json:"inputs,omitempty"` // nil: the features are sensors, each with the row's value
	Life   *LifeScale   `json:"life,omitempty"`   // with event.RoleLife

	// From format 3 on.
	Rollout *Rollout `json:"rollout,omitempty"` // nil: it takes over at once, on every core
}

// Rollout says how carefully a model is put to work.
type Rollout struct {
	Mode    Mode `json:"mode,omitempty"`    // empty: ModeDirect
	Percent int  `json:"percent,omitempty"` // of the cores that take it, 1 to 100, by a hash of their names; 0: all
}

// Mode says what a model does first.
type Mode string

// The modes.
const (
	ModeDirect Mode = "direct" // it takes over at once
	ModeShadow Mode = "shadow" // it is scored beside the active model until it is promoted, or rejected
)

// Reaches says whether a core takes the model. Which ones do is settled by the model's name and version, so that each version
// begins with other cores, and one that takes it at 10 percent does at 50.
func (m Manifest) Reaches(core string) bool {
	share := m.Share()
	if share >= 100 {
		return true
	}
	sum := sha256.Sum256([]byte(m.Name + "\x00" + m.Version + "\x00" + core))
	return core != "" && binary.BigEndian.Uint64(sum[:8])%100 < uint64(share)
}

// Share is of how many cores in a hundred the model is for.
func (m Manifest) Share() int {
	if m.Rollout == nil || m.Rollout.Percent == 0 {
		return 100
	}
	return m.Rollout.Percent
}

// Shadow says whether the model proves itself beside the active one first.
func (m Manifest) Shadow() bool { return m.Rollout != nil && m.Rollout.Mode == ModeShadow }

// Display is how people call a sensor.
type Display struct {
	Name  string            `json:"name,omitempty"`  // such as "oil return temperature"
	Names map[string]string `json:"names,omitempty"` // in other languages, by language such as de
	Unit  string            `json:"unit,omitempty"`  // such as °C
}

// Group is a set of features whose contributions are one reason, such as the bins of a histogram or three phases.
type Group struct {
	Name     string   `json:"name"`     // its entry in Display has how people call it
	Features []string `json:"features"` // each in one group at most
	// Value says what value the group has: mean, sum or max of its features' values; empty: none.
	Value string   `json:"value,omitempty"`
	P5    *float32 `json:"p5,omitempty"` // of that value in training
	P95   *float32 `json:"p95,omitempty"`
}

// Combine returns the group's value, of those of its features in a row; NaN where all are missing, or the group has none.
func (g Group) Combine(values []float32) float32 {
	sum, most, n := 0., math.Inf(-1), 0
	for _, v := range values {
		if v == v {
			sum, most, n = sum+float64(v), max(most, float64(v)), n+1
		}
	}
	switch {
	case n == 0:
	case g.Value == GroupMean:
		return float32(sum / float64(n))
	case g.Value == GroupSum:
		return float32(sum)
	case g.Value == GroupMax:
		return float32(most)
	}
	return float32(math.NaN())
}

// Description is how people call what a model sees, in a file of its own.
type Description struct {
	Display map[string]Display `json:"display,omitempty"`
	Groups  []Group            `json:"groups,omitempty"`
}

// LifeScale says how the outputs of a life model are read. The model gives three quantiles; Margin is what conformal
// calibration by machine adds at both ends (Romano, Patterson and Candes, Conformalized Quantile Regression, 2019).
type LifeScale struct {
	Unit     string  `json:"unit"`     // one of event.LifeUnits
	Cap      float64 `json:"cap"`      // the longest life that the model was trained to tell
	Coverage float64 `json:"coverage"` // of the interval, by calibration: 0.9
	Margin   float64 `json:"margin"`   // may be below 0
}

// Archive identifies the model.tar.gz.
type Archive struct {
	SHA256 string `json:"sha256"` // lower-case hexadecimal
	Size   int64  `json:"size"`   // bytes
}

// ModelFile identifies the member of the archive that is the model.
type ModelFile struct {
	File   string `json:"file"`   // its name in the archive
	SHA256 string `json:"sha256"` // lower-case hexadecimal
	Size   int64  `json:"size"`   // bytes
}

// GoldenRow is a row with the margin that the training XGBoost gives it.
type GoldenRow struct {
	Values event.Values `json:"values"` // NaN (null in JSON) is a missing value
	Margin float32      `json:"margin"`
	// Margins are those of all outputs, of which Margin is the first: of the models of a k-fold training, or of the
	// quantiles of a life model. nil where there is one output.
	Margins event.Values `json:"margins,omitempty"`
}

func (r *GoldenRow) margins() []float32 {
	if r.Margins != nil {
		return r.Margins
	}
	return []float32{r.Margin}
}

// UnmarshalJSON reads a row; a margin that is missing is an error, not 0.
func (r *GoldenRow) UnmarshalJSON(b []byte) error {
	var row struct {
		Values  event.Values `json:"values"`
		Margin  *float32     `json:"margin"`
		Margins event.Values `json:"margins"`
	}
	if err := json.Unmarshal(b, &row); err != nil {
		return err
	}
	if row.Margin == nil {
		return fmt.Errorf("golden row has no margin")
	}
	r.Values, r.Margin, r.Margins = row.Values, *row.Margin, row.Margins
	return nil
}

// Baseline has a histogram of each feature over the training data, in the order of the manifest's features. What differs
// from it on the machine is drift.
type Baseline struct {
	Features []Histogram `json:"features"`
	Score    *Histogram  `json:"score,omitempty"` // of the model's own probabilities over the same rows; nil: not known
}

// Histogram counts a feature's values. Bin i has those from Edges[i-1] up to but not at Edges[i]; the first bin has no
// lower and the last no upper end, so there is one more count than there are edges.
type Histogram struct {
	Edges   []float32 `json:"edges"` // ascending
	Counts  []uint64  `json:"counts"`
	Missing uint64    `json:"missing"`
	P5      *float32  `json:"p5,omitempty"`  // 5 % of the values were lower; nil: not known
	P95     *float32  `json:"p95,omitempty"` // 5 % were higher
	Min     *float32  `json:"min,omitempty"` // the lowest value, also of faulty rows; nil: not known
	Max     *float32  `json:"max,omitempty"` // the highest one
}

// DecodeManifest reads and validates a manifest.
func DecodeManifest(data []byte) (Manifest, error) {
	if len(data) > MaxManifest {
		return Manifest{}, refuse(ErrManifest, "%d bytes, more than %d", len(data), MaxManifest)
	}
	if err := checkJSON(data); err != nil {
		return Manifest{}, refuse(ErrManifest, "%v", err)
	}
	// The format decides what the other members mean, so it is read first and alone.
	var header struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &header); err != nil {
		return Manifest{}, refuse(ErrManifest, "format: %v", err)
	}
	if header.Format > ManifestFormat {
		return Manifest{}, fmt.Errorf("manifest: %w: it is %d, this release reads up to %d", ErrFormat, header.Format, ManifestFormat)
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return Manifest{}, refuse(ErrManifest, "%v", err)
	}
	return m, m.Validate()
}

// encode validates the manifest and returns its JSON.
func (m Manifest) encode() ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	data, err := json.Marshal(m)
	if err != nil {
		return nil, refuse(ErrManifest, "%v", err)
	}
	if len(data) > MaxManifest {
		return nil, refuse(ErrManifest, "%d bytes, more than %d: give fewer golden rows", len(data), MaxManifest)
	}
	return data, nil
}

// Sensors are what a row has, in the order of its values: those that the inputs are made of, or the features themselves.
func (m Manifest) Sensors() []string {
	if m.Inputs != nil {
		return m.Inputs.Sensors
	}
	return m.Features
}

// ForLife says whether the model tells the remaining life, and not the probability of a fault.
func (m Manifest) ForLife() bool { return m.Role == event.RoleLife }

// leastFormat is the oldest format whose readers read the manifest rightly.
func (m Manifest) leastFormat() int {
	switch {
	case m.Rollout != nil:
		return 3
	case m.Role != "" || m.Inputs != nil || m.Life != nil:
		return 2
	}
	return 1
}

// Content names what the manifest says of the model: all of it but the times, and which cores take it.
func (m Manifest) Content() string {
	m.Created, m.Expires = time.Time{}, time.Time{}
	if shadow := m.Shadow(); m.Rollout != nil {
		if m.Rollout = nil; shadow {
			m.Rollout = &Rollout{Mode: ModeShadow}
		}
		m.Format = m.leastFormat()
	}
	data, err := json.Marshal(m)
	if err != nil { // such as an infinite number, which JSON cannot have brought
		return ""
	}
	return HashOf(data)
}

// writable reports whether JSON can say the time: it reads offsets, such as +24:00, that it does not write.
func writable(t time.Time) bool {
	_, err := t.MarshalJSON()
	return err == nil
}

// ValidHash says whether s is a SHA-256 in the one spelling that is used here.
func ValidHash(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == sha256.Size && s == strings.ToLower(s)
}

func finite(x float32) bool { return !math.IsNaN(float64(x)) && !math.IsInf(float64(x), 0) }

// PlainName says whether s is 1 to limit of A-Z a-z 0-9 . _ - and begins with a letter or digit: a name that is safe in a
// path, a topic and a log.
func PlainName(s string, limit int) bool {
	if len(s) < 1 || len(s) > limit {
		return false
	}
	for i, c := range []byte(s) {
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alphanumeric && (i == 0 || c != '.' && c != '_' && c != '-') {
			return false
		}
	}
	return true
}

// plainText says whether s is short, not empty and without control characters.
func plainText(s string) bool {
	if s == "" || len(s) > maxTextLength || !utf8.ValidString(s) {
		return false
	}
	for _, c := range s {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
