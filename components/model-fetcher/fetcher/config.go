package fetcher

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"time"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/shared/cloud"
	"edgepdm/shared/event"
	"edgepdm/shared/modelstore/envelope"
)

// Config is the component's configuration.
type Config struct {
	Bucket         string        `json:"bucket"`         // S3 bucket of the models; empty = nothing is fetched from S3
	Prefix         string        `json:"prefix"`         // of the keys: <prefix>/manifest.dsse.json, <prefix>/<version>/model.tar.gz
	LifePrefix     string        `json:"lifePrefix"`     // the same of the models of remaining life; empty = none are fetched
	Directory      string        `json:"directory"`      // folder with manifest.dsse.json and model.tar.gz, before the bucket; relative to the work directory
	LifeDirectory  string        `json:"lifeDirectory"`  // the same of the models of remaining life, before lifePrefix
	Poll           time.Duration `json:"poll"`           // between two looks, give or take a fifth
	MaxBytes       int64         `json:"maxBytes"`       // a larger archive is refused before it is downloaded
	PublicKeys     []string      `json:"publicKeys"`     // Ed25519 keys that may sign models: PEM, or base64 in one line
	AllowUnsigned  bool          `json:"allowUnsigned"`  // take <prefix>/model.tar.gz, too, when there is no manifest
	AllowDowngrade bool          `json:"allowDowngrade"` // take a version that is lower than the last one, or expired
	Inbox          string        `json:"inbox"`          // folder from which the engine takes models; in the work directory if relative
	Region         string        `json:"region"`         // AWS region; empty = the nucleus's
	Endpoints      Endpoints     `json:"endpoints"`
	Timeout        time.Duration `json:"timeout"` // of a request over which nothing comes
}

// Endpoints replace AWS's own endpoints; empty ones do not.
type Endpoints struct {
	S3     string `json:"s3"`
	CAFile string `json:"caFile"` // PEM file of the authorities that are trusted besides the system's
}

// Default returns the configuration with no key set.
func Default() Config {
	return Config{
		Prefix: "models/compressor", Poll: 15 * time.Minute, MaxBytes: 256 << 20, Inbox: "inbox", Timeout: 30 * time.Second,
	}
}

// Validate names the field that is wrong.
func (c Config) Validate() error {
	if c.Bucket != "" {
		if err := download.CheckBucket(c.Bucket); err != nil {
			return fmt.Errorf("bucket: %w", err)
		}
	}
	if err := download.CheckPrefix(c.Prefix); err != nil {
		return fmt.Errorf("prefix: %w", err)
	}
	if c.LifePrefix != "" {
		if err := download.CheckPrefix(c.LifePrefix); err != nil {
			return fmt.Errorf("lifePrefix: %w", err)
		}
	}
	if _, err := c.keys(); err != nil {
		return err
	}
	fault, life := c.of(event.RoleFault), c.of(event.RoleLife)
	switch {
	case c.Bucket != "" && fault.Bucket+life.Bucket == "":
		return errors.New("directory: bucket is set, too, and no model comes from it: empty one of them")
	case c.LifePrefix != "" && c.LifeDirectory != "":
		return errors.New("lifeDirectory: lifePrefix is set, too: empty one of them")
	case c.Directory != "" && filepath.Clean(c.Directory) == filepath.Clean(c.LifeDirectory):
		return fmt.Errorf("lifeDirectory: %q is directory, too: each role has a manifest of its own", c.LifeDirectory)
	case c.LifePrefix != "" && path.Clean(c.LifePrefix) == path.Clean(c.Prefix):
		return fmt.Errorf("lifePrefix: %q is prefix, too: each role has a manifest of its own", c.LifePrefix)
	case life.source() != "" && len(c.PublicKeys) == 0:
		return errors.New("publicKeys: empty: no life model could be accepted, as allowUnsigned is not for those")
	case fault.source() != "" && len(c.PublicKeys) == 0 && !c.AllowUnsigned:
		return errors.New("publicKeys: empty, and allowUnsigned is false: no model could be accepted")
	case c.Poll < time.Second || c.Poll > 7*24*time.Hour:
		return fmt.Errorf("poll: %v is not between 1s and 168h", c.Poll)
	case c.MaxBytes < 1 || c.MaxBytes > envelope.MaxArchive:
		return fmt.Errorf("maxBytes: %d is not between 1 and %d", c.MaxBytes, envelope.MaxArchive)
	case c.Inbox == "":
		return errors.New("inbox: empty")
	case c.Timeout < 100*time.Millisecond || c.Timeout > 10*time.Minute:
		return fmt.Errorf("timeout: %v is not between 100ms and 10m", c.Timeout)
	}
	if err := cloud.CheckRegion(c.Region); err != nil {
		return fmt.Errorf("region: %w", err)
	}
	if err := cloud.CheckEndpoint(c.Endpoints.S3); err != nil {
		return fmt.Errorf("endpoints.s3: %w", err)
	}
	return nil
}

// of returns the configuration by which models of a role are fetched: from one place, the folder if one is set. A life model
// cannot be unsigned: only a manifest says what it is.
func (c Config) of(role event.Role) Config {
	if role == event.RoleLife {
		c.Prefix, c.Directory, c.AllowUnsigned = c.LifePrefix, c.LifeDirectory, false
	}
	if c.Directory != "" || c.Prefix == "" {
		c.Bucket, c.Prefix = "", ""
	}
	return c
}

// source is where models of the configuration's role come from; "" = none are fetched.
func (c Config) source() string {
	switch {
	case c.Directory != "":
		return c.Directory
	case c.Bucket != "":
		return "s3://" + c.Bucket + "/" + c.Prefix
	}
	return ""
}

// keys returns the keys that may sign models.
func (c Config) keys() ([]ed25519.PublicKey, error) {
	keys := make([]ed25519.PublicKey, len(c.PublicKeys))
	for i, text := range c.PublicKeys {
		key, err := envelope.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("publicKeys[%d]: %w", i, err)
		}
		keys[i] = key
	}
	return keys, nil
}

// policy is a fingerprint of all that decides whether what is published is accepted, and where it goes; also of what this
// release can read.
func (c Config) policy(inbox, core string) string {
	text, err := json.Marshal([]any{envelope.ManifestFormat, core, inbox, c.Directory, c.Bucket, c.Prefix, c.MaxBytes, c.PublicKeys, c.AllowUnsigned, c.AllowDowngrade, c.Endpoints.S3})
	if err != nil {
		return "" // cannot be: strings, numbers and truth values
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
