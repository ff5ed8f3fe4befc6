package envelope

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"edgepdm/shared/event"
)

// What a group's value can be.
const (
	GroupMean = "mean"
	GroupSum  = "sum"
	GroupMax  = "max"
)

const (
	lifeObjective = "reg:quantileerror"
	lifeOutputs   = 3   // low, median, high
	maxLife       = 1e9 // as event.Life

	maxUnitLength     = 16 // bytes
	maxLanguages      = 20
	maxLanguageLength = 20
	languageLetters   = "abcdefghijklmnopqrstuvwxyz0123456789-"
)

// Validate says whether the manifest keeps the rules. The error wraps ErrManifest and names the field.
func (m Manifest) Validate() error {
	if _, ok := parseVersion(m.Version); !ok {
		return refuse(ErrManifest, "version: %.64q is not three numbers such as 1.2.0", m.Version)
	}
	switch {
	case m.Format < m.leastFormat() || m.Format > ManifestFormat:
		return refuse(ErrManifest, "format: %d, must be from %d, for what the manifest says, to %d", m.Format, m.leastFormat(), ManifestFormat)
	case !PlainName(m.Name, maxNameLength):
		return refuse(ErrManifest, "name: %.64q is not 1 to %d of A-Z a-z 0-9 . _ -, beginning with a letter or digit", m.Name, maxNameLength)
	case m.Created.IsZero():
		return refuse(ErrManifest, "created: missing")
	case m.Expires.IsZero():
		return refuse(ErrManifest, "expires: missing")
	case !writable(m.Created):
		return refuse(ErrManifest, "created: %v is no time that can be written again", m.Created)
	case !writable(m.Expires):
		return refuse(ErrManifest, "expires: %v is no time that can be written again", m.Expires)
	case !m.Expires.After(m.Created):
		return refuse(ErrManifest, "expires: not after created")
	case !ValidHash(m.Archive.SHA256) || m.Archive.Size < 1 || m.Archive.Size > MaxArchive:
		return refuse(ErrManifest, "archive: needs sha256, 64 lower-case hexadecimal digits, and size, 1 to %d", MaxArchive)
	case !PlainName(m.Model.File, MaxFileLength) || ReservedFile(m.Model.File):
		return refuse(ErrManifest, "model.file: %.64q is not a plain file name", m.Model.File)
	case !ValidHash(m.Model.SHA256) || m.Model.Size < 1 || m.Model.Size > MaxModel:
		return refuse(ErrManifest, "model: needs sha256, 64 lower-case hexadecimal digits, and size, 1 to %d", MaxModel)
	case !plainText(m.Objective):
		return refuse(ErrManifest, "objective: %.64q", m.Objective)
	case !plainText(m.Trainer):
		return refuse(ErrManifest, "trainer: %.64q", m.Trainer)
	}
	if err := m.validateFeatures(); err != nil {
		return err
	}
	if err := m.validateRole(); err != nil {
		return err
	}
	if err := m.validateRollout(); err != nil {
		return err
	}
	if err := m.validateGolden(); err != nil {
		return err
	}
	if m.Baseline != nil {
		if err := m.Baseline.validate(len(m.Features)); err != nil {
			return err
		}
	}
	if err := m.validateGroups(); err != nil {
		return err
	}
	return m.validateDisplay()
}

func (m Manifest) validateFeatures() error {
	if len(m.Features) < 1 || len(m.Features) > MaxFeatures {
		return refuse(ErrManifest, "features: %d, need 1 to %d", len(m.Features), MaxFeatures)
	}
	seen := make(map[string]bool, len(m.Features))
	for i, f := range m.Features {
		if !plainText(f) {
			return refuse(ErrManifest, "features: number %d is %.64q", i+1, f)
		}
		if seen[f] {
			return refuse(ErrManifest, "features: %.64q comes twice", f)
		}
		seen[f] = true
	}
	if m.Inputs != nil {
		if err := m.Inputs.Check(); err != nil {
			return refuse(ErrManifest, "inputs: %v", err)
		}
		names := m.Inputs.Names()
		if i := differ(m.Features, names); i >= 0 {
			return refuse(ErrManifest, "features: number %d is %.64q, but the inputs give %.64q", i+1, at(m.Features, i), at(names, i))
		}
	}
	if want := event.SchemaOf(m.Sensors()); m.Schema != want {
		return refuse(ErrManifest, "schema: %.64q, but that of the sensors is %s", m.Schema, want)
	}
	return nil
}

// validateRole checks what the role asks for.
func (m Manifest) validateRole() error {
	switch m.Role {
	case "", event.RoleFault:
		if !(m.Threshold > 0 && m.Threshold <= 1) {
			return refuse(ErrManifest, "threshold: %v is not a probability above 0", m.Threshold)
		}
		if m.Life != nil {
			return refuse(ErrManifest, "life: only with role %s", event.RoleLife)
		}
		return nil
	case event.RoleLife:
	default:
		return refuse(ErrManifest, "role: %.40q is neither %s nor %s", m.Role, event.RoleFault, event.RoleLife)
	}
	if !(m.Threshold >= 0 && m.Threshold <= 1) {
		return refuse(ErrManifest, "threshold: %v is not a probability", m.Threshold)
	}
	if m.Objective != lifeObjective {
		return refuse(ErrManifest, "objective: %.40s, a life model needs %s", m.Objective, lifeObjective)
	}
	if m.Life == nil {
		return refuse(ErrManifest, "life: missing, which a life model needs")
	}
	return m.Life.Check()
}

func (m Manifest) validateRollout() error {
	r := m.Rollout
	switch {
	case r == nil:
		return nil
	case r.Mode != "" && r.Mode != ModeDirect && r.Mode != ModeShadow:
		return refuse(ErrManifest, "rollout.mode: %.40q is neither %s nor %s", r.Mode, ModeDirect, ModeShadow)
	case r.Mode == ModeShadow && m.ForLife():
		return refuse(ErrManifest, "rollout.mode: %s is for models of faults only", ModeShadow)
	case r.Percent < 0 || r.Percent > 100:
		return refuse(ErrManifest, "rollout.percent: %d is not from 1 to 100", r.Percent)
	}
	return nil
}

// Check says whether a scale keeps the rules. The error wraps ErrManifest and names the field.
func (l LifeScale) Check() error {
	switch {
	case !slices.Contains(event.LifeUnits, l.Unit):
		return refuse(ErrManifest, "life.unit: %.40q is none of %q", l.Unit, event.LifeUnits)
	case !(l.Cap > 0 && l.Cap <= maxLife):
		return refuse(ErrManifest, "life.cap: %v is not above 0 and at most %g", l.Cap, float64(maxLife))
	case !(l.Coverage > 0 && l.Coverage < 1):
		return refuse(ErrManifest, "life.coverage: %v is not between 0 and 1", l.Coverage)
	case !(math.Abs(l.Margin) <= maxLife):
		return refuse(ErrManifest, "life.margin: %v is not from -%g to %[2]g", l.Margin, float64(maxLife))
	}
	return nil
}

// DecodeLife reads a scale that a person or a script wrote, and checks it. Nobody means a margin of 0 who leaves it out: it is
// what makes the coverage true.
func DecodeLife(data []byte) (LifeScale, error) {
	var file struct {
		LifeScale
		Margin *float64 `json:"margin"`
	}
	if err := DecodeStrict(data, &file); err != nil {
		return LifeScale{}, err
	}
	l := file.LifeScale
	if file.Margin != nil {
		l.Margin = *file.Margin
	}
	err := l.Check()
	if err == nil && file.Margin == nil {
		err = refuse(ErrManifest, "life.margin: missing")
	}
	return l, err
}

func (m Manifest) validateGolden() error {
	if len(m.Golden) < 1 || len(m.Golden) > MaxGolden {
		return refuse(ErrManifest, "golden: %d rows, need 1 to %d", len(m.Golden), MaxGolden)
	}
	for i, row := range m.Golden {
		if len(row.Values) != len(m.Features) {
			return refuse(ErrManifest, "golden: row %d has %d values for %d features", i+1, len(row.Values), len(m.Features))
		}
		if len(row.Margins) > MaxFolds || row.Margins != nil && (len(row.Margins) < 2 || row.Margins[0] != row.Margin) {
			return refuse(ErrManifest, "golden: row %d has %d margins, need 2 to %d, of which the first is margin", i+1, len(row.Margins), MaxFolds)
		}
		if m.ForLife() && len(row.Margins) != lifeOutputs {
			return refuse(ErrManifest, "golden: row %d has %d margins, a life model needs %d", i+1, len(row.margins()), lifeOutputs)
		}
		for _, margin := range row.margins() {
			if !finite(margin) {
				return refuse(ErrManifest, "golden: row %d has the margin %v", i+1, margin)
			}
		}
		for _, x := range row.Values {
			if math.IsInf(float64(x), 0) {
				return refuse(ErrManifest, "golden: row %d has an infinite value", i+1)
			}
		}
	}
	return nil
}

func (b *Baseline) validate(features int) error {
	if len(b.Features) != features {
		return refuse(ErrManifest, "baseline: %d histograms for %d features", len(b.Features), features)
	}
	for i, h := range b.Features {
		if err := h.validate(); err != nil {
			return refuse(ErrManifest, "baseline: feature %d: %v", i+1, err)
		}
	}
	if b.Score == nil {
		return nil
	}
	if err := b.Score.validate(); err != nil {
		return refuse(ErrManifest, "baseline: score: %v", err)
	}
	return nil
}

func (h Histogram) validate() error {
	if len(h.Counts) < 1 || len(h.Counts) > MaxBins || len(h.Edges) != len(h.Counts)-1 {
		return fmt.Errorf("%d edges and %d counts", len(h.Edges), len(h.Counts))
	}
	for j, e := range h.Edges {
		if !finite(e) || j > 0 && e <= h.Edges[j-1] {
			return errors.New("edges do not ascend")
		}
	}
	sum := h.Missing
	for _, n := range h.Counts {
		if sum += n; sum < n {
			return errors.New("counts overflow")
		}
	}
	if sum == 0 {
		return errors.New("no value was counted")
	}
	if err := validateRange("p5", h.P5, "p95", h.P95); err != nil {
		return err
	}
	return validateRange("min", h.Min, "max", h.Max)
}

// validateRange checks a range, of which each end may be unknown.
func validateRange(lowName string, low *float32, highName string, high *float32) error {
	for _, end := range []*float32{low, high} {
		if end != nil && !finite(*end) {
			return fmt.Errorf("%s or %s is %v", lowName, highName, *end)
		}
	}
	if low != nil && high != nil && *low > *high {
		return fmt.Errorf("%s is %v, above %s, %v", lowName, *low, highName, *high)
	}
	return nil
}

func (m Manifest) validateGroups() error {
	if len(m.Groups) == 0 {
		return nil
	}
	groupOf := make(map[string]string, len(m.Features))
	for _, f := range m.Features {
		groupOf[f] = ""
	}
	names := make(map[string]bool, len(m.Groups))
	for i, g := range m.Groups {
		_, feature := groupOf[g.Name]
		switch {
		case !PlainName(g.Name, maxNameLength):
			return refuse(ErrManifest, "groups: the name of number %d, %.64q, is not 1 to %d of A-Z a-z 0-9 . _ -, beginning with a letter or digit", i+1, g.Name, maxNameLength)
		case feature || slices.Contains(m.Sensors(), g.Name):
			return refuse(ErrManifest, "groups: %s is a sensor's or a feature's name", g.Name)
		case names[g.Name]:
			return refuse(ErrManifest, "groups: %s comes twice", g.Name)
		case len(g.Features) == 0:
			return refuse(ErrManifest, "groups: %s has no features", g.Name)
		case !slices.Contains([]string{"", GroupMean, GroupSum, GroupMax}, g.Value):
			return refuse(ErrManifest, "groups: the value of %s is %.40q, none of %s, %s and %s", g.Name, g.Value, GroupMean, GroupSum, GroupMax)
		case g.Value == "" && (g.P5 != nil || g.P95 != nil):
			return refuse(ErrManifest, "groups: %s has p5 or p95, but no value", g.Name)
		}
		if err := validateRange("p5", g.P5, "p95", g.P95); err != nil {
			return refuse(ErrManifest, "groups: %s: %v", g.Name, err)
		}
		names[g.Name] = true
		for _, f := range g.Features {
			switch other, known := groupOf[f]; {
			case !known:
				return refuse(ErrManifest, "groups: %s has %.64q, which is no feature", g.Name, f)
			case other != "":
				return refuse(ErrManifest, "groups overlap: %.64q is in %s and in %s", f, other, g.Name)
			}
			groupOf[f] = g.Name
		}
	}
	return nil
}

func (m Manifest) validateDisplay() error {
	if len(m.Display) == 0 {
		return nil
	}
	known := make(map[string]bool, len(m.Features)+len(m.Groups))
	for _, name := range m.Sensors() {
		known[name] = true
	}
	for _, g := range m.Groups {
		known[g.Name] = true
	}
	if a, b := sameFolded(slices.Sorted(maps.Keys(m.Display))); a != b {
		return refuse(ErrManifest, "display: %.64q and %.64q differ only in case", a, b)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Display)) {
		if !known[name] {
			return refuse(ErrManifest, "display: %.64q is neither a sensor nor a group", name)
		}
		if err := m.Display[name].validate(); err != nil {
			return refuse(ErrManifest, "display: %.64q: %v", name, err)
		}
	}
	return nil
}

func (d Display) validate() error {
	switch {
	case d.Name != "" && !plainText(d.Name):
		return fmt.Errorf("the name %.64q must be 1 to %d bytes that can be printed", d.Name, maxTextLength)
	case d.Unit != "" && !plainText(d.Unit) || len(d.Unit) > maxUnitLength:
		return fmt.Errorf("the unit %.64q must be at most %d bytes that can be printed", d.Unit, maxUnitLength)
	case len(d.Names) > maxLanguages:
		return fmt.Errorf("names in %d languages, at most %d", len(d.Names), maxLanguages)
	}
	languages := slices.Sorted(maps.Keys(d.Names))
	for _, language := range languages {
		switch {
		case len(language) < 2 || len(language) > maxLanguageLength || strings.Trim(strings.ToLower(language), languageLetters) != "":
			return fmt.Errorf("names: %.40q is no language such as de", language)
		case !plainText(d.Names[language]):
			return fmt.Errorf("names: %s: %.64q must be 1 to %d bytes that can be printed", language, d.Names[language], maxTextLength)
		}
	}
	if a, b := sameFolded(languages); a != b {
		return fmt.Errorf("names: %s and %s differ only in case", a, b)
	}
	return nil
}

// sameFolded returns two names that checkJSON takes for one member; "" and "" where there are none.
func sameFolded(names []string) (a, b string) {
	seen := make(map[string]string, len(names))
	for _, name := range names {
		if other, ok := seen[fold(name)]; ok {
			return other, name
		}
		seen[fold(name)] = name
	}
	return "", ""
}
