package alarms

import (
	"fmt"
	"strings"
	"time"

	"edgepdm/shared/event"
)

// spoken makes a name fit to be read aloud: line-1 becomes line 1.
func spoken(name string) string {
	return strings.NewReplacer("-", " ", "_", " ", ":", " ").Replace(name)
}

// where names the thing and its line.
func where(thing, line string) string {
	if line == "" {
		return spoken(thing)
	}
	return fmt.Sprintf("%s, %s", spoken(line), spoken(thing))
}

// forwarderText is what is spoken when nothing is heard of the cloud forwarder.
func forwarderText(core string) string {
	return fmt.Sprintf("The cloud forwarder of %s is not heard. Nothing reaches the cloud. The plant is watched all the same. Check the component.", spoken(core))
}

// withheld returns why messages do not reach the cloud, by the oldest condition of the forwarder that says so and is not
// the network's; "" for none.
func withheld(h event.Health) event.Code {
	for _, c := range h.Conditions {
		if c.Code == event.CodeCloudAccess || c.Code == event.CodeDelivery && h.Uplink != event.UplinkDown {
			return c.Code
		}
	}
	return ""
}

// uplinkText is what is spoken when nothing reaches the cloud.
func uplinkText(core string, held event.Code) string {
	const watched = "The plant is watched all the same."
	switch held {
	case event.CodeCloudAccess:
		return fmt.Sprintf("%s has no access to the cloud. %s Check region, endpoint and credentials.", spoken(core), watched)
	case event.CodeDelivery:
		return fmt.Sprintf("The cloud does not take messages of %s. %s Check the cloud forwarder's health, which says why.", spoken(core), watched)
	default:
		return fmt.Sprintf("%s has no connection to the cloud. %s Check the network.", spoken(core), watched)
	}
}

// noDataText is what is spoken when the rows of a machine have too few values.
func noDataText(p *event.Prediction) string {
	text := fmt.Sprintf("No data of %d sensors of %s", p.Absent, where(p.Thing, p.Line))
	if p.Missing != "" {
		text += ", such as " + p.Missing
	}
	return text + ". It cannot be watched. Check its sensors."
}

// earliestYear is before any year this program runs in: an earlier time is that of a clock that was not set.
const earliestYear = 2020

// text is what is spoken of an alert. Of one that ends it tells how long it lasted, unless the clock was set meanwhile.
func text(a event.Alert, now time.Time) string {
	place := where(a.Thing, a.Line)
	if a.Fault == event.FaultEngineDown {
		place = "The inference engine of " + place
	}
	if a.State == event.AlarmNormal {
		if a.Since.Year() < earliestYear || a.Since.After(now) {
			return fmt.Sprintf("%s is back to normal.", place)
		}
		return fmt.Sprintf("%s is back to normal after %s.", place, spokenDuration(now.Sub(a.Since)))
	}
	switch a.Fault {
	case event.FaultMachine:
		return fmt.Sprintf("Fault found on %s. Immediate attention required.", place)
	case event.FaultSilence:
		return fmt.Sprintf("No data from %s. Check its sensors and their connection.", place)
	case event.FaultTest:
		return fmt.Sprintf("This is a test alarm of %s. No action is required.", place)
	default:
		return fmt.Sprintf("Alarm %s on %s.", spoken(string(a.Fault)), place)
	}
}

func spokenDuration(d time.Duration) string {
	count := func(n int, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	switch {
	case d < 2*time.Minute:
		return count(max(int(d.Seconds()), 1), "second")
	case d < 2*time.Hour:
		return count(int(d.Minutes()), "minute")
	default:
		return count(int(d.Hours()), "hour")
	}
}
