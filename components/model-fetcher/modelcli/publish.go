package modelcli

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"time"

	"edgepdm/components/model-fetcher/download"
	"edgepdm/shared/cli"
	"edgepdm/shared/cloud"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// answerTimeout bounds the wait for an answer after a request was sent.
const answerTimeout = time.Minute

// metaSHA256 keeps the archive's hash with the object, for services that do not report checksums.
const metaSHA256 = "sha256"

// publishOptions are the command line of publish.
type publishOptions struct {
	dir, bucket, prefix, endpoint, ca, region, public, outcomes string
	force                                                       bool
}

func parsePublish(args []string, s cli.Streams) (publishOptions, error) {
	var o publishOptions
	fs := cli.NewFlagSet("model-fetcher publish -dir DIR -bucket B -prefix P [-region R] [-endpoint URL] [-ca FILE] [-public FILE] [-outcomes FILE] [-force]", s)
	fs.StringVar(&o.dir, "dir", "", "publish the signed model in `DIR`; required")
	fs.StringVar(&o.bucket, "bucket", "", "S3 `BUCKET` of the models; required")
	fs.StringVar(&o.prefix, "prefix", "", "`PREFIX` of the keys, such as models/compressor: the devices' configuration has it as prefix, for a life model as lifePrefix; required")
	fs.StringVar(&o.region, "region", "", "AWS `REGION` (default: that of the AWS configuration)")
	fs.StringVar(&o.endpoint, "endpoint", "", "`URL` of another S3 service than AWS's")
	fs.StringVar(&o.ca, "ca", "", "PEM `FILE` of authorities that are trusted besides the system's")
	fs.StringVar(&o.public, "public", "", "public key `FILE` of the devices: check first that the model is signed by its private key")
	fs.StringVar(&o.outcomes, "outcomes", "", "`FILE` of the events of models that cores published, one a line: the same version is published for more cores only if it was activated, and failed nowhere")
	fs.BoolVar(&o.force, "force", false, "publish although the published version is not lower; devices refuse lower ones all the same")
	if err := cli.Parse(fs, args); err != nil {
		return o, err
	}
	if err := need("dir", o.dir, "bucket", o.bucket, "prefix", o.prefix); err != nil {
		return o, err
	}
	for flag, err := range map[string]error{
		"bucket": download.CheckBucket(o.bucket), "prefix": download.CheckPrefix(o.prefix), "endpoint": cloud.CheckEndpoint(o.endpoint),
	} {
		if err != nil {
			return o, cli.Usagef("-%s: %v", flag, err)
		}
	}
	return o, nil
}

// publish is the sub-command that uploads a signed model: the archive first, and last the manifest, which points to it.
func publish(ctx context.Context, args []string, s cli.Streams) error {
	o, err := parsePublish(args, s)
	if err != nil {
		return err
	}
	envelope, m, err := readSigned(o)
	if err != nil {
		return err
	}
	client, err := newClient(ctx, o, s.Err)
	if err != nil {
		return err
	}
	p := publication{bucket: o.bucket, prefix: o.prefix, dir: o.dir, force: o.force, outcomes: o.outcomes, client: client, envelope: envelope, manifest: m}
	already, err := p.upload(ctx)
	if err != nil {
		return err
	}
	if already {
		printf(s.Out, "%s %s is published already\n", m.Name, m.Version)
		return nil
	}
	printf(s.Out, "%s %s is published at s3://%s/%s: %s\n", m.Name, m.Version, o.bucket, o.prefix, about(m))
	return nil
}

// readSigned reads the model's folder, and makes sure that a device would accept it.
func readSigned(o publishOptions) (sealed []byte, m envelope.Manifest, err error) {
	sealed, err = readLimited(filepath.Join(o.dir, envelope.EnvelopeFile), envelope.MaxEnvelope)
	if err != nil {
		return nil, m, fromFolder(err, "sign")
	}
	if o.public == "" {
		m, err = peek(sealed)
	} else {
		var text []byte
		var key ed25519.PublicKey
		if text, err = readLimited(o.public, 16<<10); err == nil {
			key, err = envelope.ParsePublicKey(string(text))
		}
		if err != nil {
			return nil, m, fmt.Errorf("-public: %w", err)
		}
		m, err = envelope.Verify(sealed, []ed25519.PublicKey{key})
	}
	if err == nil {
		err = m.Validate()
	}
	if err != nil {
		return nil, m, fmt.Errorf("-dir: %w", err)
	}
	if !m.Expires.After(time.Now()) {
		return nil, m, fmt.Errorf("-dir: the model expired at %s: pack and sign again", m.Expires.UTC().Format(time.RFC3339))
	}
	return sealed, m, checkArchive(o.dir, m)
}

// newClient makes an S3 client with the credentials of AWS's default chain.
func newClient(ctx context.Context, o publishOptions, terminal io.Writer) (*s3.Client, error) {
	// The SDK's own client, for that is the one to which it can add the authorities of AWS_CA_BUNDLE.
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.ResponseHeaderTimeout = answerTimeout })
	options := []func(*config.LoadOptions) error{config.WithHTTPClient(client)}
	if o.region != "" {
		options = append(options, config.WithRegion(o.region))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("load AWS configuration: %w", err)
	}
	if o.ca != "" {
		bundled, ok := loaded.HTTPClient.(*awshttp.BuildableClient)
		if !ok {
			return nil, fmt.Errorf("-ca: the AWS configuration brings an HTTP client of its own, a %T", loaded.HTTPClient)
		}
		var trustErr error
		loaded.HTTPClient = bundled.WithTransportOptions(func(t *http.Transport) { trustErr = cloud.TrustAlso(t, o.ca) })
		if trustErr != nil {
			return nil, fmt.Errorf("-ca: %w", trustErr)
		}
	}
	if loaded.Region == "" {
		return nil, cli.Usagef("-region: required, for the AWS configuration names none")
	}
	return s3.NewFromConfig(loaded, func(c *s3.Options) {
		download.UseEndpoint(c, o.endpoint)
		c.HTTPClient = showUploads(c.HTTPClient, terminal)
	}), nil
}

// ErrTaken says that another archive has the version's place: it was uploaded, and its manifest never was.
var ErrTaken = errors.New("the version is taken")

// Published returns the manifest that is published below a prefix; without one, ok is false. Its signature is not verified.
func Published(ctx context.Context, client *s3.Client, bucket, prefix string) (m envelope.Manifest, ok bool, err error) {
	before, err := publication{client: client, bucket: bucket, prefix: prefix}.published(ctx)
	if err != nil || before.etag == "" {
		return m, false, err
	}
	m, err = peek(before.envelope)
	return m, err == nil, err
}

// Upload publishes the signed model in a folder, as the command does. outcomes is the file of what cores told, or empty.
func Upload(ctx context.Context, client *s3.Client, dir, bucket, prefix, outcomes string) error {
	envelope, m, err := readSigned(publishOptions{dir: dir})
	if err != nil {
		return err
	}
	_, err = publication{bucket: bucket, prefix: prefix, dir: dir, outcomes: outcomes, client: client, envelope: envelope, manifest: m}.upload(ctx)
	return err
}

// publication is one call of publish.
type publication struct {
	bucket, prefix, dir string
	force               bool
	outcomes            string // file; empty: nobody asks for them
	client              *s3.Client
	envelope            []byte
	manifest            envelope.Manifest
}

// upload puts the archive first, and last the manifest, which points to it.
func (p publication) upload(ctx context.Context) (already bool, err error) {
	before, err := p.published(ctx)
	if err != nil {
		return false, err
	}
	if bytes.Equal(before.envelope, p.envelope) {
		return true, nil
	}
	if err := p.checkVersion(before); err != nil {
		return false, err
	}
	if err := p.checkOutcomes(before); err != nil {
		return false, err
	}
	if err := p.putArchive(ctx); err != nil {
		return false, err
	}
	return false, p.putEnvelope(ctx, before.etag)
}

// pointer is the manifest that is published.
type pointer struct {
	etag     string // "" = none
	envelope []byte
}

func (p publication) envelopeKey() string { return path.Join(p.prefix, envelope.EnvelopeFile) }

// published gets the manifest that is published.
func (p publication) published(ctx context.Context) (pointer, error) {
	loader := download.Downloader{Source: p.client, Timeout: answerTimeout}
	envelope, etag, err := loader.Get(ctx, p.bucket, p.envelopeKey(), "", envelope.MaxEnvelope)
	switch {
	case errors.Is(err, download.ErrMissing):
		return pointer{}, nil
	case errors.Is(err, download.ErrTooLarge): // cannot be read; to be replaced with -force
		return pointer{etag: etag}, nil
	case download.StatusCode(err) == http.StatusForbidden:
		return pointer{}, fmt.Errorf("look at what is published (s3:GetObject on s3://%s/%s/*, and s3:ListBucket, without which S3 denies "+
			"what is not there): %w", p.bucket, p.prefix, err)
	case err != nil:
		return pointer{}, fmt.Errorf("look at what is published: %w", err)
	}
	return pointer{etag, envelope}, nil
}

// checkVersion refuses what devices would refuse after what is published.
func (p publication) checkVersion(before pointer) error {
	if before.etag == "" || p.force {
		return nil
	}
	m, err := peek(before.envelope)
	switch {
	case err != nil:
		return fmt.Errorf("what is published is not understood: %w: replace it with -force", err)
	case m.Name != p.manifest.Name:
		return fmt.Errorf("another model, %s %s, is published at s3://%s/%s: choose another -prefix, or replace it with -force", m.Name, m.Version, p.bucket, p.prefix)
	case m.Content() == p.manifest.Content() && m.Share() <= p.manifest.Share() && !p.manifest.Expires.Before(m.Expires):
		return nil // the same once more, for more cores or for longer
	case envelope.Compare(m.Version, p.manifest.Version) >= 0:
		return fmt.Errorf("%s %s is published, which is not lower than %s: pack a higher version, or replace it with -force", m.Name, m.Version, p.manifest.Version)
	}
	return nil
}

// putArchive uploads the archive, unless it is there already. The service checks its hash.
func (p publication) putArchive(ctx context.Context) error {
	key := path.Join(p.prefix, p.manifest.Version, inbox.ArchiveFile)
	there, err := p.client.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: aws.String(p.bucket), Key: aws.String(key), ChecksumMode: types.ChecksumModeEnabled,
	})
	switch status := download.StatusCode(err); {
	case err == nil && p.isArchive(there):
		return nil
	case err == nil && !p.force:
		return fmt.Errorf("%w: s3://%s/%s is there already, with other bytes: pack another version, or replace it with -force", ErrTaken, p.bucket, key)
	case err != nil && status != http.StatusNotFound && status != http.StatusForbidden: // a publisher need not be able to read
		return fmt.Errorf("look for the archive: %w", err)
	}
	f, err := os.Open(filepath.Join(p.dir, inbox.ArchiveFile))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = p.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(p.bucket), Key: aws.String(key), Body: f, ContentLength: aws.Int64(p.manifest.Archive.Size),
		ContentType: aws.String("application/gzip"), ChecksumSHA256: aws.String(p.checksum()),
		Metadata: map[string]string{metaSHA256: p.manifest.Archive.SHA256},
	})
	if err != nil {
		return fmt.Errorf("upload the archive: %w", err)
	}
	return nil
}

// checksum is the archive's hash, as S3 writes it.
func (p publication) checksum() string {
	raw, err := hex.DecodeString(p.manifest.Archive.SHA256)
	if err != nil {
		return "" // cannot be: the manifest is valid
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// isArchive tells whether the object is the archive.
func (p publication) isArchive(o *s3.HeadObjectOutput) bool {
	if aws.ToInt64(o.ContentLength) != p.manifest.Archive.Size {
		return false
	}
	if o.ChecksumSHA256 != nil {
		return *o.ChecksumSHA256 == p.checksum()
	}
	return o.Metadata[metaSHA256] == p.manifest.Archive.SHA256
}

// putEnvelope uploads the manifest, in the place of the one that was looked at and of no other.
func (p publication) putEnvelope(ctx context.Context, before string) error {
	input := &s3.PutObjectInput{
		Bucket: aws.String(p.bucket), Key: aws.String(p.envelopeKey()), Body: bytes.NewReader(p.envelope),
		ContentType: aws.String("application/json"), ChecksumSHA256: aws.String(sumOf(p.envelope)), IfNoneMatch: aws.String("*"),
	}
	if before != "" {
		input.IfMatch, input.IfNoneMatch = aws.String(before), nil
	}
	_, err := p.client.PutObject(ctx, input)
	if err == nil {
		return nil
	}
	if download.StatusCode(err) == http.StatusPreconditionFailed {
		// Or it was this upload, whose answer was lost.
		if now, readErr := p.published(ctx); readErr == nil && bytes.Equal(now.envelope, p.envelope) {
			return nil
		}
		return fmt.Errorf("somebody else published at s3://%s/%s meanwhile: look, and try again", p.bucket, p.prefix)
	}
	return fmt.Errorf("upload the manifest: %w", err)
}
