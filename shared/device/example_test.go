package device_test

import (
	"context"
	"log"

	"edgepdm/shared/device"
)

func Example() {
	d, err := device.New(device.Config{
		Thing:       "press-1",
		Certificate: "press-1.pem.crt",
		Key:         "press-1.private.key",
		Discovery:   "greengrass-ats.iot.eu-central-1.amazonaws.com",
		Cache:       "discovery.json",
	})
	if err != nil {
		log.Print(device.StepOf(err), err)
		return
	}
	d.Publish("pdm/v1/telemetry/press-1", []byte(`{"v":1,"thing":"press-1","epoch":"a","seq":1,"ts":"2026-11-28T12:00:00Z","readings":{"oil_temp":70.5}}`))
	d.Run(context.Background())
}
