// Package publisher packs, signs and publishes a trained model.
package publisher

import (
	"fmt"

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
const Help = `  MODEL_BUCKET    bucket of the published models (required)
  MODEL_NAME      the model's name (required)
  SIGNING_SECRET  name or ARN of the secret with the private key, model-key.pem of model-fetcher keygen (required)
  KEY_PREFIX      prefix of the keys, as the devices' configuration has it (default models/ and the name)
  EXPIRES         devices accept a model for this age (default 365d)
`

// FromEnvironment reads and checks the environment.
func FromEnvironment(getenv func(string) string) (Config, error) {
	c := Config{Bucket: getenv("MODEL_BUCKET"), Prefix: getenv("KEY_PREFIX"), Secret: getenv("SIGNING_SECRET"), Name: getenv("MODEL_NAME"), Expires: getenv("EXPIRES")}
	for name, value := range map[string]string{"MODEL_BUCKET": c.Bucket, "MODEL_NAME": c.Name, "SIGNING_SECRET": c.Secret} {
		if value == "" {
			return c, fmt.Errorf("environment variable %s is not set", name)
		}
	}
	if err := download.CheckBucket(c.Bucket); err != nil {
		return c, fmt.Errorf("MODEL_BUCKET: %w", err)
	}
	if !envelope.PlainName(c.Name, maxName) {
		return c, fmt.Errorf("MODEL_NAME: %q is not a model's name", c.Name)
	}
	if c.Prefix == "" {
		c.Prefix = "models/" + c.Name
	}
	if err := download.CheckPrefix(c.Prefix); err != nil {
		return c, fmt.Errorf("KEY_PREFIX: %w", err)
	}
	if c.Expires == "" {
		c.Expires = "365d"
	}
	return c, nil
}
