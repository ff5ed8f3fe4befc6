package component_test

import (
	"reflect"
	"strings"
	"testing"

	"edgepdm/components/alarm-manager/alarms"
	"edgepdm/components/cloud-forwarder/forwarder"
	"edgepdm/components/inference-engine/engine"
	"edgepdm/components/model-fetcher/fetcher"
	"edgepdm/components/sensor-simulator/simulator"
	"edgepdm/shared/component"
)

// A setting that is null has its default: a merge of null is how people take a setting away.
func TestNullIsTheDefault(t *testing.T) {
	t.Run("simulator", nulls(simulator.Default))
	t.Run("engine", nulls(engine.Default))
	t.Run("alarm manager", nulls(alarms.Default))
	t.Run("forwarder", nulls(forwarder.Default))
	t.Run("fetcher", nulls(fetcher.Default))
}

func nulls[C any](def func() C) func(*testing.T) {
	return func(t *testing.T) {
		spec := component.Spec[C]{Default: def}
		want, common, err := component.ParseConfig(spec, nil)
		if err != nil {
			t.Fatal(err)
		}
		type keys struct{ component.Common }
		for _, raw := range append(settings(reflect.TypeFor[C]()), settings(reflect.TypeFor[keys]())...) {
			got, gotCommon, err := component.ParseConfig(spec, raw)
			if err != nil || !reflect.DeepEqual(got, want) || gotCommon != common {
				t.Errorf("%v: %+v, %+v, %v", raw, got, gotCommon, err)
			}
		}
	}
}

// settings gives, for each setting below a type, a configuration in which it alone is null.
func settings(of reflect.Type) (list []map[string]any) {
	for field := range of.Fields() {
		if field.Anonymous {
			list = append(list, settings(field.Type)...)
			continue
		}
		key, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if key == "" || key == "-" {
			continue
		}
		list = append(list, map[string]any{key: nil})
		if field.Type.Kind() == reflect.Struct {
			for _, below := range settings(field.Type) {
				list = append(list, map[string]any{key: below})
			}
		}
	}
	return list
}
