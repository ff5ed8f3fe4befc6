package localcloud

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Endpoints returns what the device side uses. All but the token exchange, which a nucleus has on the device, are cut
// when the uplink is.
func (c *Cloud) Endpoints() Endpoints { return c.device }

// InternalEndpoints returns the same services as the cloud's own programs reach them: no uplink lies between. They are
// for an operator or an observer who is not at the site.
func (c *Cloud) InternalEndpoints() Endpoints { return c.internal }

// Credentials returns those of an operator of the cloud. Devices get theirs from the token exchange.
func (c *Cloud) Credentials() aws.Credentials { return c.operator }

// S3 returns a client of that operator's.
func (c *Cloud) S3() *s3.Client {
	return s3.New(s3.Options{
		Region: c.internal.Region, BaseEndpoint: &c.internal.S3, UsePathStyle: true,
		Credentials: credentials.StaticCredentialsProvider{Value: c.operator},
	})
}

// Journal returns a copy of everything that was acknowledged so far.
func (c *Cloud) Journal() Journal {
	entries, _ := c.journal.view()
	return slices.Clone(entries)
}

// Wait waits until the journal meets a condition. The condition must not change the journal.
func (c *Cloud) Wait(ctx context.Context, condition func(Journal) bool) error {
	return c.journal.wait(ctx, condition)
}

// Unanswered counts the requests whose answer could not be sent because the connection was cut. What they brought may be
// in the journal: a client that sends it again makes a duplicate. An answer that was lost later, on its way, is not
// counted, so there can be more duplicates than this.
func (c *Cloud) Unanswered() int { return int(c.gate.unanswered.Load()) }

// SetUplink cuts or restores the uplink. A cut resets all connections at once, in the middle of requests too, and new
// ones while it lasts. The hooks of OnUplink are called before SetUplink returns.
func (c *Cloud) SetUplink(up bool) {
	c.switching.Lock()
	defer c.switching.Unlock()
	c.uplink.set(up)
	for _, hook := range c.onUplink {
		hook(up)
	}
}

// OnUplink adds a hook that SetUplink calls. It must not call the Cloud's SetUplink or OnUplink.
func (c *Cloud) OnUplink(hook func(up bool)) {
	c.switching.Lock()
	defer c.switching.Unlock()
	c.onUplink = append(c.onUplink, hook)
}

// Throttle makes a service refuse its next n requests as a busy one does: "iotdata" with 429, "sns", "s3" with 503,
// "polly". The last call for a service counts.
func (c *Cloud) Throttle(service string, n int) error { return c.gate.throttleNext(service, n) }

// DeliverTwice makes SNS deliver the next n messages twice, which at least once allows.
func (c *Cloud) DeliverTwice(n int) {
	c.alerts.mu.Lock()
	defer c.alerts.mu.Unlock()
	c.alerts.duplicates = n
}

// Mails returns what was sent by e-mail.
func (c *Cloud) Mails() []Mail { return c.mails.all() }

// DeadLetters returns the messages on which the function failed for the last time.
func (c *Cloud) DeadLetters() []DeadLetter { return c.alerts.deadLetters() }

// Object returns an object of the bucket and its content type.
func (c *Cloud) Object(key string) (content []byte, contentType string, err error) {
	return c.store.backend.read(c.opts.Bucket, key)
}

// Function is a Lambda function besides the notifier, on provided.al2023: a bootstrap and its configuration.
type Function struct {
	Name, Path string
	Env        map[string]string // adds to what Lambda sets, and overrides it
}

// Invoke runs one of Options.Functions, as Lambda's Invoke with a request and a response.
func (c *Cloud) Invoke(ctx context.Context, name string, event []byte) ([]byte, error) {
	f, ok := c.functions[name]
	if !ok {
		return nil, fmt.Errorf("there is no function %q", name)
	}
	return f.invoke(ctx, event)
}

// environmentOf is what Lambda sets for a function on provided.al2023, with its configuration.
func (c *Cloud) environmentOf(name, runtimeURL string, settings map[string]string) []string {
	key := c.keys.temporary(certificateLifetime) // nobody renews it
	env := map[string]string{
		"AWS_LAMBDA_RUNTIME_API":          runtimeURL[len("http://"):],
		"AWS_LAMBDA_FUNCTION_NAME":        name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": functionMemory,
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      c.opts.Now().UTC().Format("2006/01/02") + "/[$LATEST]" + newID(),
		"AWS_REGION":                      c.opts.Region,
		"AWS_DEFAULT_REGION":              c.opts.Region,
		"AWS_ACCESS_KEY_ID":               key.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY":           key.SecretAccessKey,
		"AWS_SESSION_TOKEN":               key.SessionToken,
		"LAMBDA_TASK_ROOT":                c.opts.Dir,
		"LAMBDA_RUNTIME_DIR":              c.opts.Dir,
		"_HANDLER":                        "bootstrap",
		"LANG":                            "en_US.UTF-8",
		"TZ":                              ":UTC",
		"PATH":                            "/usr/local/bin:/usr/bin/:/bin:/opt/bin",

		"BUCKET_NAME":                     c.opts.Bucket,
		"AWS_ENDPOINT_URL_S3":             c.internal.S3,
		"AWS_ENDPOINT_URL_POLLY":          c.internal.Polly,
		"AWS_ENDPOINT_URL_IOT_DATA_PLANE": c.internal.IoTData,
	}
	maps.Copy(env, settings)
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	return list
}

// settingsOf are those of one of Options.Functions.
func (c *Cloud) settingsOf(f Function) map[string]string {
	settings := map[string]string{"AWS_ENDPOINT_URL_SECRETS_MANAGER": c.internal.Secrets}
	maps.Copy(settings, f.Env)
	return settings
}

// notifierSettings are those of the notifier.
func (c *Cloud) notifierSettings() map[string]string {
	settings := map[string]string{"VoiceId": "Joanna", "AUDIO_TOPIC_PREFIX": "pdm/v1/audio"}
	maps.Copy(settings, c.opts.NotifierEnv)
	return settings
}

// Dir is the cloud's folder, which has the functions' logs.
func (c *Cloud) Dir() string { return c.opts.Dir }
