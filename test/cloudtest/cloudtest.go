// Package cloudtest starts the embedded cloud for tests.
package cloudtest

import (
	"bytes"
	"context"
	"path"
	"testing"
	"time"

	"edgepdm/shared/cloud"
	"edgepdm/test/localcloud"
	"edgepdm/test/must"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Start starts a cloud; the test's cleanup closes it. set, if any, changes its options.
func Start(t testing.TB, set ...func(*localcloud.Options)) *localcloud.Cloud {
	t.Helper()
	options := localcloud.Options{Dir: t.TempDir()}
	for _, f := range set {
		f(&options)
	}
	c, err := localcloud.New(options)
	must.OK(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Errorf("close cloud: %v", err)
		}
	})
	must.OK(t, c.Start(t.Context()))
	return c
}

// Environment is what a nucleus adds to the environment of a component that uses the cloud.
func Environment(c *localcloud.Cloud) map[string]string {
	ends := c.Endpoints()
	return map[string]string{cloud.EnvCredentialsURL: ends.TokenExchange, cloud.EnvCredentialsToken: "token", cloud.EnvRegion: ends.Region}
}

// Put writes an object into the cloud's bucket, as somebody does who is not at the site. The key's parts are joined.
func Put(t testing.TB, c *localcloud.Cloud, content []byte, key ...string) {
	t.Helper()
	ends, name := c.InternalEndpoints(), path.Join(key...)
	if _, err := c.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: &ends.Bucket, Key: &name, Body: bytes.NewReader(content)}); err != nil {
		t.Fatal(err)
	}
}
