package component

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"edgepdm/shared/durable"
)

// lastGood keeps the last valid configuration in the work directory.
type lastGood struct{ durable.State[lastGoodFile] }

const (
	lastGoodName   = "last-good-configuration.json"
	lastGoodFormat = 1
)

type lastGoodFile struct {
	Format        int            `json:"format"`
	Configuration map[string]any `json:"configuration"`
}

func newLastGood(dir string) *lastGood {
	return &lastGood{durable.State[lastGoodFile]{Path: filepath.Join(dir, lastGoodName), Format: lastGoodFormat, Limit: 16 << 20}}
}

// keep keeps a configuration. No work fails for that.
func (l lastGood) keep(raw map[string]any, log *slog.Logger) {
	_, damage, err := l.Open()
	if !errors.Is(err, durable.ErrNewerFormat) { // that stays
		err = l.Save(lastGoodFile{lastGoodFormat, raw})
	}
	switch {
	case err != nil:
		log.Warn("the configuration is not kept as last good", "error", err)
	case damage != nil:
		log.Error("the last good configuration on disk was damaged; the one in force is written in its place", "error", damage)
	}
}

func (l lastGood) load() (map[string]any, error) {
	file, err := l.Load()
	if err == nil && file.Configuration == nil {
		err = fmt.Errorf("%w: it has no configuration", durable.ErrDamaged)
	}
	return file.Configuration, err
}

// LastGood returns the configuration that a component had accepted last, for a program that looks at its work directory. The
// error wraps fs.ErrNotExist when it has accepted none there.
func LastGood[C any](workDir string, spec Spec[C]) (C, error) {
	raw, err := newLastGood(workDir).load()
	if err != nil {
		return spec.Default(), err
	}
	return CheckConfig(spec, slog.New(slog.DiscardHandler), raw)
}
