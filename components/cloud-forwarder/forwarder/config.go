// Package forwarder is the component that owns what leaves the site: it takes alerts, predictions and events of models,
// keeps them on disk, and delivers them to AWS once the cloud can be reached. Its promises are F1 to F12 of the suite:
// accepted means on disk, removed only on the sink's acknowledgement, at least once with a stable id, in order per stream.
package forwarder

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"edgepdm/shared/cloud"
)

// Config is the component's configuration.
type Config struct {
	AlertTopicARN       string        `json:"alertTopicArn"`       // SNS topic of alarms; empty = none
	EscalationTopicARNs []string      `json:"escalationTopicArns"` // SNS topics of alarms that nobody acknowledges: of the first and of the second step
	AlertTopicNormal    bool          `json:"alertTopicNormal"`    // the topic also gets the end of alarms
	Heartbeat           time.Duration `json:"heartbeat"`           // between two messages about the health of the site's components; 0 = none
	TopicPrefix         string        `json:"topicPrefix"`         // cloud topics are <topicPrefix>/<core>/<local topic>
	PredictionSink      string        `json:"predictionSink"`      // iot-data (HTTPS, acknowledged) or iotcore-ipc (best effort)
	Sample              time.Duration `json:"sample"`              // between two predictions of a thing whose label does not change; 0 = all
	MaxLabelChanges     int           `json:"maxLabelChanges"`     // of a thing that leave in one sample time; of more the last, later; 0 = all
	GroupCommit         time.Duration `json:"groupCommit"`         // predictions are on disk this long after they came, at the latest
	Parallel            int           `json:"parallel"`            // requests under way with predictions; 1 = in order, except label changes, which pass a backlog; more = in no order
	MaxSpoolMB          int           `json:"maxSpoolMB"`          // disk space of the predictions that wait; the oldest go first
	MinFreeMB           int           `json:"minFreeMB"`           // free disk space below which predictions take no more; a quarter of it for alerts; 0 = none

	PredictionMaxAge time.Duration `json:"predictionMaxAge"` // age, by their own time, at which predictions that wait are dropped; 0 = never
	AlertMaxAge      time.Duration `json:"alertMaxAge"`      // the same of alerts and events of models

	TelemetrySample time.Duration `json:"telemetrySample"` // between two rows of sensor values of a thing that leave; 0 = none leaves
	MaxTelemetryMB  int           `json:"maxTelemetryMB"`  // disk space of the rows that wait; the oldest go first

	RetryMax  time.Duration `json:"retryMax"` // longest time between two attempts
	Timeout   time.Duration `json:"timeout"`  // of one attempt
	Region    string        `json:"region"`   // AWS region; empty = the nucleus's
	Endpoints Endpoints     `json:"endpoints"`
	Archive   Archive       `json:"archive"`
}

// Archive is where a backlog of predictions goes, as objects of many messages each.
type Archive struct {
	Bucket       string        `json:"bucket"`       // empty = none: all messages leave one at a time
	Prefix       string        `json:"prefix"`       // keys are <prefix>/<stream>/core=<core>/date=<day>/<first id>-<number>.json.gz
	AfterRecords int           `json:"afterRecords"` // a backlog of as many messages leaves as objects
	AfterAge     time.Duration `json:"afterAge"`     // and one whose oldest message is so old
	MaxObjectMB  int           `json:"maxObjectMB"`  // messages of an object, before they are packed
}

// Endpoints replace AWS's own endpoints; empty ones do not.
type Endpoints struct {
	IoTData string `json:"iotData"` // empty = the nucleus's iotDataEndpoint
	SNS     string `json:"sns"`
	S3      string `json:"s3"`
	CAFile  string `json:"caFile"` // PEM file of the authorities that are trusted besides the system's
}

// The sinks of predictions.
const (
	SinkIoTData    = "iot-data"
	SinkIoTCoreIPC = "iotcore-ipc"
)

// Default returns the configuration with no key set.
func Default() Config {
	return Config{
		AlertTopicNormal: true, Heartbeat: time.Minute, TopicPrefix: "edgepdm", PredictionSink: SinkIoTData, Sample: time.Minute, MaxLabelChanges: 10, GroupCommit: 200 * time.Millisecond,
		Parallel: 1, MaxSpoolMB: 256, MinFreeMB: 64, MaxTelemetryMB: 256, RetryMax: time.Minute, Timeout: 10 * time.Second,
		Archive: Archive{Prefix: "raw", AfterRecords: 10_000, AfterAge: time.Hour, MaxObjectMB: 8},
	}
}

const (
	maxPrefix       = 64
	maxSteps        = 2
	minHeartbeat    = time.Second
	minTelemetry    = time.Second
	maxParallel     = 64
	maxLabelChanges = 1000
	maxObjectMB     = 64          // they are in memory
	minAge          = time.Minute // what the clocks of a site may differ by must not cost a message
)

var (
	arnPattern    = regexp.MustCompile(`^arn:[a-z-]+:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}$`)
	bucketPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	keysPattern   = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+){0,7}$`)
	prefixPattern = regexp.MustCompile(`^[A-Za-z0-9:_-]+(/[A-Za-z0-9:_-]+)?$`)
)

// Validate names the field that is wrong.
func (c Config) Validate() error {
	switch {
	case c.AlertTopicARN != "" && !arnPattern.MatchString(c.AlertTopicARN):
		return fmt.Errorf("alertTopicArn: %q is not the ARN of an SNS topic", c.AlertTopicARN)
	case len(c.EscalationTopicARNs) > maxSteps:
		return fmt.Errorf("escalationTopicArns: has %d topics, at most %d", len(c.EscalationTopicARNs), maxSteps)
	case len(c.EscalationTopicARNs) > 0 && c.AlertTopicARN == "":
		return errors.New("escalationTopicArns: is set, and alertTopicArn is not")
	case c.Heartbeat != 0 && (c.Heartbeat < minHeartbeat || c.Heartbeat > time.Hour):
		return fmt.Errorf("heartbeat: %v is neither 0s nor between %v and 1h", c.Heartbeat, minHeartbeat)
	case !prefixPattern.MatchString(c.TopicPrefix):
		return fmt.Errorf("topicPrefix: %q is not one or two topic levels of a-z A-Z 0-9 : _ -", c.TopicPrefix)
	case len(c.TopicPrefix) > maxPrefix:
		return fmt.Errorf("topicPrefix: it has %d characters, at most %d: topics have at most 256", len(c.TopicPrefix), maxPrefix)
	case c.PredictionSink != SinkIoTData && c.PredictionSink != SinkIoTCoreIPC:
		return fmt.Errorf("predictionSink: %q is neither %s nor %s", c.PredictionSink, SinkIoTData, SinkIoTCoreIPC)
	case c.Sample < 0:
		return fmt.Errorf("sample: %v is negative", c.Sample)
	case c.MaxLabelChanges < 0 || c.MaxLabelChanges > maxLabelChanges:
		return fmt.Errorf("maxLabelChanges: %d is not between 0 and %d", c.MaxLabelChanges, maxLabelChanges)
	case c.GroupCommit < 0 || c.GroupCommit > 10*time.Second:
		return fmt.Errorf("groupCommit: %v is not between 0s and 10s", c.GroupCommit)
	case c.MaxSpoolMB < 16 || c.MaxSpoolMB > 1<<20:
		return fmt.Errorf("maxSpoolMB: %d is not between 16 and %d", c.MaxSpoolMB, 1<<20)
	case c.Parallel < 1 || c.Parallel > maxParallel:
		return fmt.Errorf("parallel: %d is not between 1 and %d", c.Parallel, maxParallel)
	case c.MinFreeMB < 0 || c.MinFreeMB > 1<<30:
		return fmt.Errorf("minFreeMB: %d is not between 0 and %d", c.MinFreeMB, 1<<30)
	case c.PredictionMaxAge != 0 && c.PredictionMaxAge < minAge:
		return fmt.Errorf("predictionMaxAge: %v is neither 0s nor at least %v", c.PredictionMaxAge, minAge)
	case c.AlertMaxAge != 0 && c.AlertMaxAge < minAge:
		return fmt.Errorf("alertMaxAge: %v is neither 0s nor at least %v", c.AlertMaxAge, minAge)
	case c.TelemetrySample != 0 && (c.TelemetrySample < minTelemetry || c.TelemetrySample > 24*time.Hour):
		return fmt.Errorf("telemetrySample: %v is neither 0s nor between %v and 24h", c.TelemetrySample, minTelemetry)
	case c.MaxTelemetryMB < 16 || c.MaxTelemetryMB > 1<<20:
		return fmt.Errorf("maxTelemetryMB: %d is not between 16 and %d", c.MaxTelemetryMB, 1<<20)
	case c.RetryMax < 100*time.Millisecond || c.RetryMax > time.Hour:
		return fmt.Errorf("retryMax: %v is not between 100ms and 1h", c.RetryMax)
	case c.Timeout < 100*time.Millisecond || c.Timeout > 5*time.Minute:
		return fmt.Errorf("timeout: %v is not between 100ms and 5m", c.Timeout)
	}
	for i, arn := range c.EscalationTopicARNs {
		if !arnPattern.MatchString(arn) {
			return fmt.Errorf("escalationTopicArns[%d]: %q is not the ARN of an SNS topic", i, arn)
		}
	}
	if err := cloud.CheckRegion(c.Region); err != nil {
		return fmt.Errorf("region: %w", err)
	}
	for field, endpoint := range map[string]string{"iotData": c.Endpoints.IoTData, "sns": c.Endpoints.SNS, "s3": c.Endpoints.S3} {
		if err := cloud.CheckEndpoint(endpoint); err != nil {
			return fmt.Errorf("endpoints.%s: %w", field, err)
		}
	}
	return c.Archive.validate()
}

func (a Archive) validate() error {
	switch {
	case a.Bucket != "" && !bucketPattern.MatchString(a.Bucket):
		return fmt.Errorf("archive.bucket: %q is not the name of an S3 bucket", a.Bucket)
	case !keysPattern.MatchString(a.Prefix) || len(a.Prefix) > maxPrefix:
		return fmt.Errorf("archive.prefix: %q is not one to eight levels of a-z A-Z 0-9 _ -, of at most %d characters together", a.Prefix, maxPrefix)
	case a.AfterRecords < archiveLeast || a.AfterRecords > 1<<30:
		return fmt.Errorf("archive.afterRecords: %d is not between %d and %d", a.AfterRecords, archiveLeast, 1<<30)
	case a.AfterAge < minAge:
		return fmt.Errorf("archive.afterAge: %v is not at least %v", a.AfterAge, minAge)
	case a.MaxObjectMB < 1 || a.MaxObjectMB > maxObjectMB:
		return fmt.Errorf("archive.maxObjectMB: %d is not between 1 and %d", a.MaxObjectMB, maxObjectMB)
	}
	return nil
}
