package publisher

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/shared/modelstore/envelope"
)

const (
	maxName    = 64
	maxRequest = 64 << 10
	maxURI     = 1200
)

// Actions.
const (
	ActionPublish = "publish" // also an empty one
	ActionLook    = "look"    // tell what is published
)

// Request is what the function is asked.
type Request struct {
	Action  string `json:"action"`
	Model   string `json:"model"`   // s3 URI of a training's model.tar.gz
	Table   string `json:"table"`   // s3 URI of the training's table, or of the folder that has it; empty: no baseline
	Percent int    `json:"percent"` // of the devices; 0: all

	Mode envelope.Mode `json:"mode"` // empty: direct
}

// Result is what came of it.
type Result struct {
	Published bool   `json:"published"` // there is a published model
	Name      string `json:"name,omitempty"`
	Version   string `json:"version,omitempty"`
	Archive   string `json:"archive,omitempty"`  // s3 URI of the published model.tar.gz
	Manifest  string `json:"manifest,omitempty"` // s3 URI of the signed manifest
	SHA256    string `json:"sha256,omitempty"`   // of the model file
	Already   bool   `json:"already,omitempty"`  // an earlier try had published it
}

// decode reads a request strictly: a member that is misspelt would be ignored, unseen.
func decode(raw []byte) (r Request, err error) {
	if len(raw) > maxRequest {
		return r, fmt.Errorf("the request has %d bytes, allowed are %d", len(raw), maxRequest)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return r, fmt.Errorf("read the request: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return r, errors.New("read the request: there is more than one JSON value")
	}
	switch r.Action {
	case ActionLook:
		return r, nil
	case "", ActionPublish:
	default:
		return r, fmt.Errorf("action %.40q is neither %s nor %s", r.Action, ActionPublish, ActionLook)
	}
	if r.Model == "" {
		return r, errors.New("model is missing: the s3 URI of model.tar.gz")
	}
	for name, uri := range map[string]string{"model": r.Model, "table": r.Table} {
		if _, _, err := splitURI(uri); uri != "" && err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
	}
	switch {
	case r.Mode != "" && r.Mode != envelope.ModeDirect && r.Mode != envelope.ModeShadow:
		return r, fmt.Errorf("mode %.40q is neither %s nor %s", r.Mode, envelope.ModeShadow, envelope.ModeDirect)
	case r.Percent < 0 || r.Percent > 100:
		return r, fmt.Errorf("percent is %d, not 1 to 100", r.Percent)
	}
	return r, nil
}

// splitURI returns the bucket and the key of s3://bucket/key.
func splitURI(uri string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(uri, "s3://")
	bucket, key, _ = strings.Cut(rest, "/")
	if !ok || len(uri) > maxURI || download.CheckBucket(bucket) != nil || key == "" {
		return "", "", fmt.Errorf("%.100q is not an s3 URI of an object", uri)
	}
	return bucket, key, nil
}
