package ipc

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"edgepdm/shared/ipc/eventstream"
)

// answers returns what the operations decode: the types of all responses and events.
func answers() []reflect.Type {
	var types []reflect.Type
	client := reflect.TypeFor[*Client]()
	for i := range client.NumMethod() {
		m := client.Method(i)
		if m.Type.NumIn() != 3 || m.Type.In(2).Name() != m.Name+"Request" || m.Type.NumOut() != 2 {
			continue
		}
		answer := m.Type.Out(0)
		if events, is := answer.MethodByName("Events"); is {
			answer = reflect.PointerTo(events.Type.Out(0).Elem())
		}
		types = append(types, answer.Elem())
	}
	return types
}

// Whatever a nucleus sends is decoded or refused, and what was decoded can be encoded and decoded again.
func FuzzDecodeResponse(f *testing.F) {
	types := answers()
	if len(types) != 26 {
		f.Fatalf("%d answers", len(types))
	}
	for _, seed := range []string{
		`{"binaryMessage":{"message":"AAH/","context":{"topic":"a/b"}}}`, `{"jsonMessage":{"message":{"a":[1.0,null]}}}`,
		`{"message":{"topicName":"t","payload":"eA==","userProperties":[{"key":"k"}],"messageExpiryIntervalSeconds":1}}`,
		`{"componentName":"c","value":{"a":1}}`, `{"results":["a",null],"timestamp":1.7954481555E9}`, `{"timestamp":1e400}`,
		`{"secretValue":{"secretString":"s","secretBinary":"eA=="}}`, `{"components":[{"state":"RUNNING"},null]}`,
		`{"error":"Unsupported Operation"}`, `{"message":5,"context":null}`, `InternalServerError`, ``, `null`, `{"message":179544814735725312` + "\x00}",
	} {
		f.Add([]byte(seed), "aws.greengrass#ServiceError")
	}
	f.Fuzz(func(t *testing.T, payload []byte, shape string) {
		for _, answer := range types {
			v := reflect.New(answer).Interface()
			if json.Unmarshal(payload, v) != nil {
				continue
			}
			text, err := json.Marshal(v)
			if err != nil {
				if !errors.Is(err, ErrInvalidRequest) { // a null document
					t.Errorf("%v: encode again: %v", answer, err)
				}
				continue
			}
			if err := json.Unmarshal(text, reflect.New(answer).Interface()); err != nil {
				t.Errorf("%v: decode %s again: %v", answer, text, err)
			}
		}
		err := operationError("GetSecretValue", &eventstream.Message{ServiceModelType: shape, Payload: payload})
		if base, is := errors.AsType[*OperationError](err); !is || base.Operation != "GetSecretValue" || !strings.HasPrefix(err.Error(), "GetSecretValue: ") {
			t.Errorf("%#v", err)
		}
	})
}
