package alarmcli

import (
	"bytes"
	"strings"
	"testing"

	"edgepdm/components/alarm-manager/alarms"
	"edgepdm/shared/alarm"
)

// The list has what the alarm is about, such as the value that is above a limit, and what is special about it.
func TestListHasDetail(t *testing.T) {
	a := alarm.Alarm{Key: alarm.Key{Thing: "press-1", Fault: "limit-oil_temp"}, Detail: "oil_temp = 112 (110)", Chattering: true}
	var out bytes.Buffer
	if err := printList(&out, alarms.Listing{Alarms: []alarms.Listed{{Alarm: a}}}); err != nil {
		t.Fatal(err)
	}
	if want := "limit-oil_temp  oil_temp = 112 (110); comes and goes\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("%s, want %s", out.String(), want)
	}
}
