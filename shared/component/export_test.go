package component

import "log/slog"

// ParseConfig is parseConfig, for the tests that know the components.
func ParseConfig[C any](spec Spec[C], raw map[string]any) (C, Common, error) {
	config, err := parseConfig(spec, slog.New(slog.DiscardHandler), raw)
	if err != nil {
		var none C
		return none, Common{}, err
	}
	return config.value, config.common, nil
}
