package component

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"

	"edgepdm/shared/ipc"
)

// Common are the configuration keys that every component has.
type Common struct {
	LogLevel       slog.Level    `json:"logLevel"`       // debug, info, warn or error; default info
	HealthInterval time.Duration `json:"healthInterval"` // between health messages; default 5s
}

// Validate checks the common keys.
func (c Common) Validate() error {
	if !slices.Contains([]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}, c.LogLevel) {
		return fmt.Errorf("logLevel: %v is none of debug, info, warn and error", c.LogLevel)
	}
	if c.HealthInterval < 100*time.Millisecond || c.HealthInterval > time.Hour {
		return fmt.Errorf("healthInterval: %v is not between 100ms and 1h", c.HealthInterval)
	}
	return nil
}

// errBadConfig marks a configuration that was read and is not valid.
var errBadConfig = errors.New("bad configuration")

// readConfig asks the nucleus for the configuration and validates it as a whole.
func readConfig[C any](ctx context.Context, spec Spec[C], log *slog.Logger, client *ipc.Client) (*configuration[C], error) {
	raw, err := client.Configuration(ctx)
	if err != nil && !isMissing(err) {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if raw == nil {
		raw = make(map[string]any)
	}
	delete(raw, "accessControl") // the nucleus's business
	return parseConfig(spec, log, raw)
}

// isMissing reports whether err says that there is no such configuration.
func isMissing(err error) bool {
	_, missing := errors.AsType[*ipc.ResourceNotFoundError](err)
	return missing
}

// parseConfig gives raw its types and validates it. The error wraps errBadConfig and names the field.
func parseConfig[C any](spec Spec[C], log *slog.Logger, raw map[string]any) (*configuration[C], error) {
	raw, err := withoutNulls("", raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBadConfig, err)
	}
	config := &configuration[C]{raw: raw, common: Common{HealthInterval: 5 * time.Second}, value: spec.Default()}
	common, _, err := decode(raw, &config.common)
	if err == nil {
		err = config.common.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBadConfig, err)
	}
	_, unknown, err := decode(raw, &config.value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBadConfig, err)
	}
	for _, key := range unknown {
		switch {
		case strings.Contains(key, "["): // a rule with a misspelled pattern would match everything
			return nil, fmt.Errorf("%w: %s: there is no such key", errBadConfig, key)
		case !slices.Contains(common, key):
			// Not an error: a rollback to this version may find the keys of a newer one.
			log.Warn("the configuration has a key that this version does not know", "key", key)
		}
	}
	if v, ok := any(&config.value).(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return nil, fmt.Errorf("%w: %w", errBadConfig, err)
		}
	}
	return config, nil
}

// CheckConfig reads and validates a configuration as the component would: for a command that tests one. Keys that it does not have are
// told to log.
func CheckConfig[C any](spec Spec[C], log *slog.Logger, raw map[string]any) (C, error) {
	config, err := parseConfig(spec, log, raw)
	if err != nil {
		var none C
		return none, err
	}
	return config.value, nil
}

// withoutNulls returns raw without the keys whose value is null: the default is in force there, as if the key were not set.
func withoutNulls(path string, raw map[string]any) (map[string]any, error) {
	left := make(map[string]any, len(raw))
	for key, value := range raw {
		value, err := withoutNullsIn(path+key, value)
		if err != nil {
			return nil, err
		}
		if value != nil {
			left[key] = value
		}
	}
	return left, nil
}

func withoutNullsIn(path string, value any) (any, error) {
	switch value := value.(type) {
	case map[string]any:
		return withoutNulls(path+".", value)
	case []any:
		left := make([]any, len(value))
		for i, element := range value {
			element, err := withoutNullsIn(fmt.Sprintf("%s[%d]", path, i), element)
			if err != nil {
				return nil, err
			}
			if element == nil {
				return nil, fmt.Errorf("%s[%d]: null is no value", path, i)
			}
			left[i] = element
		}
		return left, nil
	}
	return value, nil
}

// decode fills target from raw and returns the keys that target has and those that it does not. Scalars may come as
// strings, as nucleus lite sends them, and whole numbers as floats.
func decode(raw map[string]any, target any) (known, unknown []string, err error) {
	var meta mapstructure.Metadata
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: target, Metadata: &meta, TagName: "json", WeaklyTypedInput: true,
		ZeroFields: true, // the elements of a default list are not those of a configured one
		DecodeHook: mapstructure.ComposeDecodeHookFunc(
			mapstructure.TextUnmarshallerHookFunc(), duration, scalar),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("prepare decoder: %w", err)
	}
	if err := decoder.Decode(raw); err != nil {
		return nil, nil, errors.New(strings.Join(strings.Fields(err.Error()), " "))
	}
	return meta.Keys, meta.Unused, nil
}

// scalar turns "300", "300.0" and 300.0 into 300 for integer fields, and refuses what such a field cannot hold; it refuses
// numbers for boolean fields, booleans for numbers, and what is no finite number for floating-point ones.
func scalar(from, to reflect.Type, data any) (any, error) {
	kind := to.Kind()
	isInt, isUint := kind >= reflect.Int && kind <= reflect.Int64, kind >= reflect.Uint && kind <= reflect.Uint64
	isFloat := kind == reflect.Float32 || kind == reflect.Float64
	_, isBool := data.(bool)
	switch {
	case to == reflect.TypeFor[slog.Level]() && from.Kind() != reflect.String && from.Kind() != reflect.Pointer:
		return nil, fmt.Errorf("%v is none of debug, info, warn and error", data)
	case from == to, from == reflect.PointerTo(to): // the hooks before this one have done it
		return data, nil
	case kind == reflect.String && isBool:
		return nil, fmt.Errorf("%v is not a text", data)
	case kind == reflect.Slice && from.Kind() == reflect.Map:
		return nil, errors.New("it is not a list")
	case !isInt && !isUint && !isFloat && kind != reflect.Bool:
		return data, nil
	case from.Kind() != reflect.String && isBool != (kind == reflect.Bool):
		return nil, fmt.Errorf("%v is not a %v", data, kind)
	}
	text := strings.TrimSpace(fmt.Sprint(data))
	if kind == reflect.Bool {
		if text = strings.ToLower(text); text != "true" && text != "false" {
			return nil, fmt.Errorf("%q is neither true nor false", text)
		}
		return text == "true", nil
	}
	if strings.ContainsAny(text, "_xX") { // what Go takes for a number, and nobody else
		return nil, fmt.Errorf("%q is not a number", text)
	}
	if isFloat {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("%q is not a number", text)
		}
		return f, nil
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && f == math.Trunc(f) && math.Abs(f) <= 1<<53 && strings.ContainsAny(text, ".eE") {
		text = strconv.FormatFloat(f, 'f', 0, 64)
	}
	if isUint {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || reflect.Zero(to).OverflowUint(n) {
			return nil, fmt.Errorf("%q is not a whole number from 0 to %d", text, uint64(math.MaxUint64)>>(64-to.Bits()))
		}
		return n, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || reflect.Zero(to).OverflowInt(n) {
		return nil, fmt.Errorf("%q is not a whole number", text)
	}
	return n, nil
}

// longest is a duration that no setting needs, and that can still be multiplied.
const longest = 10 * 365 * 24 * time.Hour

// duration reads "500ms" or "10s", and refuses bare numbers: 5 could be seconds or nanoseconds.
func duration(from, to reflect.Type, data any) (any, error) {
	if to != reflect.TypeFor[time.Duration]() || from == to {
		return data, nil
	}
	text, _ := data.(string)
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf("%v is not a duration such as 500ms or 10s", data)
	}
	if d.Abs() > longest {
		return nil, fmt.Errorf("%v is longer than %v", data, longest)
	}
	return d, nil
}
