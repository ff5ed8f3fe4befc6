package main

import (
	"fmt"
	"time"
)

const (
	hours   = 730.0 // of a month
	minutes = hours * 60
	billed  = 5e3 // bytes: AWS IoT Core and Firehose count records in steps of 5 KB
)

// What is assumed of a plant. Each figure that a component has a setting for is that setting's default.
type rates struct {
	machines  int           // of a core
	lines     int           // of a core
	heartbeat time.Duration // between two of a core's
	sample    time.Duration // between two predictions of a machine that leave the site
	poll      time.Duration // between two looks of a core for a model
	flush     time.Duration // between two objects of a line and kind
	alarms    float64       // of a machine in a month
	faulty    float64       // share of the predictions
	speech    float64       // characters of an alert that are spoken
	raw       float64       // bytes of a stored prediction, compressed
	row       float64       // bytes of a stored row of telemetry, compressed
	json      float64       // bytes of a prediction, as it is
	object    float64       // bytes of an object that the forwarder makes, not compressed
	months    float64       // that stored data have come together for
}

func defaults() rates {
	return rates{
		machines: 10, lines: 2, heartbeat: time.Minute, sample: time.Minute, poll: 15 * time.Minute, flush: 15 * time.Minute,
		alarms: 5, faulty: 0.01, speech: 150, raw: 150, row: 1000, json: 450, object: 8 << 20, months: 12,
	}
}

// What the stack has, whoever uses it.
const (
	stackAlarms  = 6 // besides the one that counts each core
	stackMetrics = 6 // of alerts, drift and faults
	stackSecrets = 1
)

// item is a part of the bill: how much of what has a price.
type item struct {
	group    string // line of the table
	price    string
	quantity float64
}

// perMonth is how often something happens in a month.
func perMonth(every time.Duration) float64 { return minutes / every.Minutes() }

// month lists what a stack with so many cores uses in a month.
func month(r rates, cores int) []item {
	n := float64(cores)
	machines := n * float64(r.machines)
	predictions := machines * perMonth(r.sample)
	heartbeats := n * perMonth(r.heartbeat)
	alerts := machines * r.alarms * 2 // raised, and over
	messages := predictions + heartbeats + 2*alerts
	faulty := predictions * r.faulty
	objects := n * float64(r.lines) * perMonth(r.flush)
	gb := predictions * billed / 1e9
	metrics := 3 * n
	if cores > 0 {
		metrics += stackMetrics
	}
	const core, raw, watch, speak = "Cores: Greengrass, AWS IoT Core, rules", "Raw data: Firehose and S3", "Watching: metrics, alarms, logs", "Alerts: SNS, Lambda, Polly"
	return []item{
		{core, "greengrass core, month", n},
		{core, "iot connection, million minutes", n * minutes / 1e6},
		{core, "iot messages of 5 KB, million", messages / 1e6},
		{core, "iot rules triggered, million", (2*predictions + heartbeats + 2*alerts) / 1e6}, // faults are looked for in predictions, too
		{core, "iot actions, million", (predictions + faulty + heartbeats + alerts) / 1e6},
		{core, "s3 GET, thousand", n * perMonth(r.poll) / 1e3},
		{raw, "firehose records of 5 KB, GB", gb},
		{raw, "firehose dynamic partitioning, GB", gb},
		{raw, "firehose dynamic partitioning, thousand objects", objects / 1e3},
		{raw, "firehose jq, hour", predictions / 1e3 / 3600}, // 1 ms a record
		{raw, "s3 PUT, thousand", objects / 1e3},
		{raw, "s3 storage, GB-month", predictions * r.raw * r.months / 1e9},
		{watch, "cloudwatch metric, month", metrics},
		{watch, "cloudwatch metric put, thousand", (faulty + alerts/2) / 1e3},
		{watch, "cloudwatch alarm, month", stackAlarms + n}, // an alarm on a query counts each of its series
		{watch, "cloudwatch logs, GB", heartbeats * 150 / 1e9},
		{speak, "sns publish, million", alerts / 1e6},
		{speak, "sns e-mail, thousand", alerts / 1e3},
		{speak, "lambda request, million", alerts / 1e6},
		{speak, "lambda arm64, GB-second", alerts * 0.125},
		{speak, "polly neural, million characters", alerts * r.speech / 1e6},
		{"The key that signs models: Secrets Manager", "secret, month", stackSecrets},
	}
}

// ways lists what so many predictions a second use in a month, by each way out of a site. The way as objects is instead of the
// three before it.
func ways(r rates, perSecond float64) []item {
	predictions := perSecond * hours * 3600
	gb := predictions * billed / 1e9
	alerts := perSecond * r.sample.Seconds() * r.alarms * 2 // of the machines that have so many predictions: raised, and over
	const single, rules, raw = "one by one over AWS IoT Core, the default: its messages", "the stack's rules on them", "their copies: Firehose and S3"
	const objects, told = "instead of these three, as objects of the forwarder (`archive`): S3", "alerts of their machines: SNS, by e-mail"
	stored := predictions * r.raw * r.months / 1e9
	return []item{
		{single, "iot messages of 5 KB, million", predictions / 1e6},
		{rules, "iot rules triggered, million", 2 * predictions / 1e6},
		{rules, "iot actions, million", predictions * (1 + r.faulty) / 1e6},
		{raw, "firehose records of 5 KB, GB", gb},
		{raw, "firehose dynamic partitioning, GB", gb},
		{raw, "firehose dynamic partitioning, thousand objects", float64(r.lines) * perMonth(r.flush) / 1e3},
		{raw, "firehose jq, hour", predictions / 1e3 / 3600},
		{raw, "s3 PUT, thousand", float64(r.lines) * perMonth(r.flush) / 1e3},
		{raw, "s3 storage, GB-month", stored},
		{objects, "s3 PUT, thousand", predictions * r.json / r.object / 1e3},
		{objects, "s3 storage, GB-month", stored},
		{told, "sns publish, million", alerts / 1e6},
		{told, "sns e-mail, thousand", alerts / 1e3},
	}
}

// one is what costs only if it is asked for.
type one struct {
	what  string
	items []item
}

func extras(r rates) []one {
	rows := float64(r.machines) * perMonth(r.sample)
	gb := rows * billed / 1e9
	objects := float64(r.lines) * perMonth(r.flush) / 1e3
	return []one{
		{fmt.Sprintf("`telemetrySample: %v`, a month and core", r.sample), []item{
			{price: "iot messages of 5 KB, million", quantity: rows / 1e6}, {price: "iot rules triggered, million", quantity: rows / 1e6},
			{price: "iot actions, million", quantity: rows / 1e6}, {price: "firehose records of 5 KB, GB", quantity: gb},
			{price: "firehose dynamic partitioning, GB", quantity: gb}, {price: "firehose dynamic partitioning, thousand objects", quantity: objects},
			{price: "firehose jq, hour", quantity: rows / 1e3 / 3600}, {price: "s3 PUT, thousand", quantity: objects},
			{price: "s3 storage, GB-month", quantity: rows * r.row * r.months / 1e9},
		}},
		{"one run of the loop (10 minutes of Glue on two workers, 15 each of training and evaluation)", []item{
			{price: "glue DPU, hour", quantity: 2.0 / 6}, {price: "sagemaker ml.m5.large, hour", quantity: 0.5}, {price: "states transition, thousand", quantity: 0.02},
		}},
		{"the dashboard, a month, if the account has three already", []item{{price: "cloudwatch dashboard, month", quantity: 1}}},
		{"`FactoryCore=yes`, a month", []item{{price: "ec2 t3.small, hour", quantity: hours}, {price: "ebs gp3, GB-month", quantity: 16}}},
		{"`Notebook=yes`, a month", []item{{price: "sagemaker ml.t3.medium, hour", quantity: hours}, {price: "ebs gp3, GB-month", quantity: 5}}},
	}
}
