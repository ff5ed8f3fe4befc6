// Package publisher packs, signs and publishes a trained model.
package publisher

import (
	"fmt"
	"path"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/shared/modelstore/envelope"
)

// Config is the function's environment.
type Config struct {
	Bucket, Prefix string // where models are published
	Secret         string // name or ARN of the secret with the key
	Name           string // of the model
	Expires        string // age at which devices no longer accept it
}

// Help says what the environment has.
const Help = `  BUCKET_NAME     bucket of the published models (required)
  KEY_PREFIX      prefix of their keys, as the devices' configuration has it, such as models/compressor (required)
  SIGNING_SECRET  name or ARN of the secret with the private key, model-key.pem of model-fetcher keygen (required)
  MODEL_NAME      the model's name (default: the last part of KEY_PREFIX)
  EXPIRES         devices accept a model for this age (default 365d)
`

// FromEnvironment reads and checks the environment.
func FromEnvironment(getenv func(string) string) (Config, error) {
	c := Config{Bucket: getenv("BUCKET_NAME"), Prefix: getenv("KEY_PREFIX"), Secret: getenv("SIGNING_SECRET"), Name: getenv("MODEL_NAME"), Expires: getenv("EXPIRES")}
	for name, value := range map[string]string{"BUCKET_NAME": c.Bucket, "KEY_PREFIX": c.Prefix, "SIGNING_SECRET": c.Secret} {
		if value == "" {
			return c, fmt.Errorf("environment variable %s is not set", name)
		}
	}
	if err := download.CheckBucket(c.Bucket); err != nil {
		return c, fmt.Errorf("BUCKET_NAME: %w", err)
	}
	if err := download.CheckPrefix(c.Prefix); err != nil {
		return c, fmt.Errorf("KEY_PREFIX: %w", err)
	}
	if c.Name == "" {
		c.Name = path.Base(c.Prefix)
	}
	if !envelope.PlainName(c.Name, maxName) {
		return c, fmt.Errorf("MODEL_NAME: %q is not a model's name", c.Name)
	}
	if c.Expires == "" {
		c.Expires = "365d"
	}
	return c, nil
}
