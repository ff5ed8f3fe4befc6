package simulator_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"edgepdm/shared/event"
	"edgepdm/test/must"
)

// An ordered fault shows in the machine's rows, and only there; what cannot be done is answered with the reason.
func TestAFaultIsOrdered(t *testing.T) {
	client, rows := start(t, map[string]any{"things": 2, "rate": 50, "waitFor": "", "meanTimeBF": "0s"})
	rows()
	replies, err := client.Subscribe(t.Context(), event.ReplyTopic(event.TopicDemoFault), "")
	must.OK(t, err)
	for _, c := range []struct{ order, answer string }{
		{`{"v":1,"id":"1","do":"inject","thing":"compressor-9","fault":"overheating","for_s":60}`, "thing:"},
		{`{"v":1,"id":"2","do":"inject","thing":"compressor-1","fault":"rust","for_s":60}`, "rust"},
		{`{"v":1,"id":"3","do":"inject","thing":"compressor-1","fault":"overheating"}`, "for_s"},
		{`{"v":1,"id":"4","do":"cut","thing":"compressor-1","fault":"overheating","for_s":60}`, "do:"},
		{`{"v":1,`, "unexpected end"},
		{`{"v":1,"id":"5","do":"inject","thing":"compressor-1","fault":"overheating","for_s":60}`, ""},
	} {
		must.OK(t, client.Publish(t.Context(), event.TopicDemoFault, []byte(c.order)))
		var r event.Reply
		select {
		case m := <-replies.Events():
			must.OK(t, json.Unmarshal(m.Payload, &r))
		case <-time.After(time.Minute):
			t.Fatalf("%s: no reply", c.order)
		}
		if r.OK != (c.answer == "") || !strings.Contains(r.Text, c.answer) {
			t.Errorf("%s: %+v", c.order, r)
		}
	}
	for faulty := false; !faulty; {
		row := rows()
		if faulty = *row.Faulty; faulty && row.Thing != "compressor-1" {
			t.Errorf("%s is faulty", row.Thing)
		}
	}
}
