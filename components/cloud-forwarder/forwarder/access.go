package forwarder

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"edgepdm/shared/cloud"
	"edgepdm/shared/component"
	"edgepdm/shared/durable"
	"edgepdm/shared/event"
	"edgepdm/shared/ipc"
	"edgepdm/shared/wait"
)

const (
	maxAnswer    = 64 << 10  // bytes of an answer of AWS, which says that a message has arrived
	placeNucleus = "nucleus" // it says whether it is connected to AWS IoT Core, over which predictions go
)

// gateway gives the streams their sinks once AWS can be used, which does not need the network. To add a sink: write its type
// in sink.go, add its stream in outboxes.go, and send the sink to it in reach.
type gateway struct {
	rt     *component.Runtime
	config Config
	getenv func(string) string
	core   string
	prefix string    // of cloud topics
	heart  chan sink // of the heartbeat
	uplink *uplink
	out    *outboxes
	status func(event.Alert) alertStatus

	access *cloud.Access // connect's; nil until AWS can be used
	bucket *cloud.Access // for objects, which take longer; nil until then, or without a bucket
}

// connect tries until every stream has its sink.
func (g *gateway) connect(ctx context.Context) {
	if g.config.PredictionSink == SinkIoTCoreIPC {
		g.sinkPredictions(&iotCoreSink{client: g.rt.IPC, prefix: g.prefix})
	}
	backoff := wait.Backoff{Min: time.Second, Max: time.Minute}
	for attempt := 1; ; attempt++ {
		problem := g.reach(ctx)
		if ctx.Err() != nil {
			return
		}
		g.rt.Conditions().Set(event.CodeCloudAccess, placeAWS, problem)
		if problem == nil { // the first message tells whether the cloud is there
			g.uplink.forget(sender{stream: placeAWS})
			return
		}
		g.uplink.set(sender{stream: placeAWS}, false)
		backoff.Wait(ctx, attempt)
	}
}

func (g *gateway) sinkPredictions(to sink) {
	g.out.predictions.sinks <- to
	g.out.changes.sinks <- to
}

// reach gives the streams the sinks that they do not have yet, or says what is missing.
func (g *gateway) reach(ctx context.Context) error {
	c := g.config
	if g.access == nil {
		access, err := cloud.New(cloud.Settings{
			Region: c.Region, CAFile: c.Endpoints.CAFile, Timeout: c.Timeout, Whole: c.Timeout, MaxBody: maxAnswer, Idle: c.Parallel,
			Getenv: g.rt.Getenv(g.getenv),
		})
		if err != nil {
			return err
		}
		g.access = access
		g.rt.Conditions().Set(event.CodeConfiguration, placeRootCAs, access.RootCAs)
		if len(g.out.alertsSNS.all()) > 0 {
			to := &snsSink{topics: g.topics(), core: g.core, prefix: g.prefix, access: access, status: g.status}
			for _, s := range g.out.alertsSNS.all() {
				s.sinks <- to
			}
		}
	}
	if err := g.reachBucket(); err != nil {
		return err
	}
	publisher, err := g.iotData(ctx)
	if err != nil {
		return err
	}
	to := &iotDataSink{publisher: publisher, prefix: g.prefix, access: g.access}
	for _, s := range g.out.alertsIoT.all() {
		s.sinks <- to
	}
	if g.out.telemetry != nil {
		g.out.telemetry.sinks <- to
	}
	g.heart <- to
	if c.PredictionSink == SinkIoTData {
		g.sinkPredictions(to)
	}
	return nil
}

// reachBucket gives the streams the bucket for their backlogs.
func (g *gateway) reachBucket() error {
	c := g.config
	if c.Archive.Bucket == "" || g.bucket != nil {
		return nil
	}
	access, err := cloud.New(cloud.Settings{
		Region: c.Region, CAFile: c.Endpoints.CAFile, Timeout: c.Timeout, Answer: c.Timeout + uploadTime(partBytes), MaxBody: maxAnswer,
		Getenv: g.rt.Getenv(g.getenv),
	})
	if err != nil {
		return err
	}
	g.bucket = access
	client := s3.NewFromConfig(access.Config, func(o *s3.Options) {
		if c.Endpoints.S3 != "" {
			o.BaseEndpoint, o.UsePathStyle = aws.String(c.Endpoints.S3), true
		}
	})
	for _, s := range []*stream{g.out.predictions, g.out.telemetry} {
		if s == nil {
			continue
		}
		s.archive.use(&s3Sink{
			client: client, access: access, bucket: c.Archive.Bucket, prefix: c.Archive.Prefix, stream: s.name, core: g.core, timeout: c.Timeout,
			part: partBytes, log: g.rt.Log,
			unfinished: durable.State[upload]{Path: filepath.Join(g.rt.WorkDir, uploadPrefix+s.name), Format: uploadFormat},
		})
	}
	return nil
}

// close closes the connections that are kept.
func (g *gateway) close() {
	g.access.Close()
	g.bucket.Close()
}

// topics are the SNS topics: that of alarms, and those of their steps of escalation.
func (g *gateway) topics() []snsTopic {
	list := []snsTopic{{g.config.AlertTopicARN, g.newSNS(g.config.AlertTopicARN)}}
	for _, arn := range g.config.EscalationTopicARNs {
		list = append(list, snsTopic{arn, g.newSNS(arn)})
	}
	return list
}

// newSNS makes a client of a topic's own region.
func (g *gateway) newSNS(arn string) *sns.Client {
	return sns.NewFromConfig(g.access.Config, func(o *sns.Options) {
		o.Region = strings.Split(arn, ":")[3] // Validate has seen it
		if g.config.Endpoints.SNS != "" {
			o.BaseEndpoint = aws.String(g.config.Endpoints.SNS)
		}
	})
}

// iotData makes a publisher to the account's own data endpoint: the configured one, or that of the nucleus.
func (g *gateway) iotData(ctx context.Context) (*publisher, error) {
	endpoint := g.config.Endpoints.IoTData
	if endpoint == "" {
		host, err := cloud.NucleusSetting(ctx, g.rt.IPC(), "iotDataEndpoint")
		if err != nil {
			return nil, err
		}
		if host == "" {
			return nil, errors.New("endpoints.iotData: not configured, and the nucleus has no iotDataEndpoint")
		}
		endpoint = "https://" + host
	}
	return newPublisher(g.access, endpoint)
}

// watchConnection hears from the nucleus whether it is connected to AWS IoT Core, until ctx ends. A nucleus that does not
// know the operation says nothing: then the results of publishing have to do.
func (g *gateway) watchConnection(ctx context.Context) {
	if g.config.PredictionSink != SinkIoTCoreIPC {
		return
	}
	backoff := wait.Backoff{Min: time.Second, Max: time.Minute}
	for attempt := 1; ctx.Err() == nil; attempt++ {
		sub, err := g.rt.IPC().SubscribeToIoTCoreConnectionStatus(ctx, ipc.SubscribeToIoTCoreConnectionStatusRequest{})
		if _, refused := errors.AsType[*ipc.OperationError](err); refused {
			g.rt.Log.Info("this nucleus does not tell whether it is connected to AWS IoT Core", "error", err)
			return
		}
		if err == nil {
			g.hearConnection(ctx, sub)
			attempt = 1
		}
		backoff.Wait(ctx, attempt)
	}
}

func (g *gateway) hearConnection(ctx context.Context, sub *ipc.Subscription[ipc.IoTCoreConnectionStatusEvent]) {
	by := sender{stream: placeNucleus}
	defer g.uplink.forget(by)
	defer func() { _ = sub.Close() }()
	for {
		select {
		case e, open := <-sub.Events():
			if !open {
				return
			}
			if e.ConnectionStatusEvent != nil {
				g.uplink.set(by, e.ConnectionStatusEvent.Status == ipc.Connected)
			}
		case <-ctx.Done():
			return
		}
	}
}
