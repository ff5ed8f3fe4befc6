package speech_test

import (
	"strings"
	"testing"

	"edgepdm/components/alarm-manager/speech"
	"edgepdm/shared/alarm"
)

func TestValidateNamesTheField(t *testing.T) {
	for field, change := range map[string]func(*speech.Config){
		"language:":        func(c *speech.Config) { c.Language = "-w/tmp/x" },
		"volume:":          func(c *speech.Config) { c.Volume = 0 },
		"repeat:":          func(c *speech.Config) { c.Repeat = 1 },
		"quiet[0].from:":   func(c *speech.Config) { c.Quiet = []alarm.Interval{{From: "10 pm", To: "06:00"}} },
		"player[0]:":       func(c *speech.Config) { c.Player = []string{""} },
		"player: neither":  func(c *speech.Config) { c.Enabled, c.Player = true, nil },
		"espeak:":          func(c *speech.Config) { c.Espeak = "--help" },
		"espeak: neither":  func(c *speech.Config) { c.Enabled, c.Espeak = true, "" },
		"rtp.address:":     func(c *speech.Config) { c.RTP.Address = "speakers.example:5004" },
		"rtp.address: \"[": func(c *speech.Config) { c.RTP.Address = "[ff02::1]:5004" },
		"rtp.ttl:":         func(c *speech.Config) { c.RTP.TTL = 256 },
		"rtp.interface:":   func(c *speech.Config) { c.RTP.Interface = "a/b" },
		"clips.bucket:":    func(c *speech.Config) { c.Clips.Bucket = "A" },
		"clips.prefix:":    func(c *speech.Config) { c.Clips.Prefix = "/audio/" },
		"clips.region:":    func(c *speech.Config) { c.Clips.Region = "Mars!" },
		"clips.endpoint:":  func(c *speech.Config) { c.Clips.Endpoint = "s3.local" },
	} {
		c := speech.Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("%v does not begin with %s", err, field)
		}
	}
	for _, change := range []func(*speech.Config){
		func(*speech.Config) {},
		func(c *speech.Config) { c.Enabled = true },
		func(c *speech.Config) { c.Enabled, c.Player, c.RTP.Address = true, nil, "239.255.0.1:5004" },
		func(c *speech.Config) { c.Enabled, c.Espeak, c.Clips.Bucket = true, "", "my-bucket" },
		func(c *speech.Config) { c.Repeat, c.Volume, c.Language = 0, 2.5, "zh-CN" },
		func(c *speech.Config) {
			c.Quiet = []alarm.Interval{{Days: []string{"Sat"}, From: "00:00", To: "24:00"}}
		},
	} {
		c := speech.Default()
		change(&c)
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
