package publisher

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"edgepdm/components/model-fetcher/modelcli"
	"edgepdm/shared/cli"
	"edgepdm/shared/gbdt"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
)

// maxTaken is how many versions are passed over because an earlier try has left its archive there.
const maxTaken = 8

// errTaken is why another version is tried.
var errTaken = modelcli.ErrTaken

// Secrets is what is used of Secrets Manager.
type Secrets interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Publisher publishes models.
type Publisher struct {
	config  Config
	s3      *s3.Client
	secrets Secrets
	log     *slog.Logger
}

// New makes a publisher.
func New(c Config, client *s3.Client, secrets Secrets, log *slog.Logger) *Publisher {
	return &Publisher{config: c, s3: client, secrets: secrets, log: log}
}

// Handle answers an invocation. It can be repeated: what an earlier try has done is found and kept.
func (p *Publisher) Handle(ctx context.Context, raw json.RawMessage) (r Result, err error) {
	request, err := decode(raw)
	if err != nil {
		return r, fail(err)
	}
	if request.Action == ActionLook {
		r, err = p.look(ctx)
	} else {
		r, err = p.publish(ctx, request)
	}
	if err != nil {
		p.log.Error("failed", "action", request.Action, "model", request.Model, "error", err)
		return r, fail(err)
	}
	p.log.Info("done", "action", request.Action, "model", request.Model, "version", r.Version, "published", r.Published, "already", r.Already)
	return r, nil
}

// look tells what is published.
func (p *Publisher) look(ctx context.Context) (Result, error) {
	m, ok, err := modelcli.Published(ctx, p.s3, p.config.Bucket, p.config.Prefix)
	if err != nil || !ok {
		return Result{}, err
	}
	return p.result(m), nil
}

func (p *Publisher) result(m envelope.Manifest) Result {
	base := "s3://" + p.config.Bucket + "/" + p.config.Prefix + "/"
	return Result{
		Published: true, Name: m.Name, Version: m.Version, SHA256: m.Model.SHA256,
		Archive: base + m.Version + "/" + inbox.ArchiveFile, Manifest: base + envelope.EnvelopeFile,
	}
}

func (p *Publisher) publish(ctx context.Context, request Request) (r Result, err error) {
	key, err := p.key(ctx)
	if err != nil {
		return r, err
	}
	work, err := os.MkdirTemp("", "publish")
	if err != nil {
		return r, fmt.Errorf("make a work folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	trained := filepath.Join(work, "trained")
	if err := p.fetchModel(ctx, request.Model, trained); err != nil {
		return r, err
	}
	args := []string{"-dir", trained, "-name", p.config.Name, "-expires", p.config.Expires, "-out", filepath.Join(work, "package")}
	if request.Table != "" {
		table, err := p.fetchTable(ctx, request.Table, work)
		if err != nil {
			return r, err
		}
		args = append(args, "-table", table)
	}
	if request.Mode != "" {
		args = append(args, "-mode", string(request.Mode))
	}
	if request.Percent > 0 {
		args = append(args, "-percent", strconv.Itoa(request.Percent))
	}
	sum, err := hashOf(filepath.Join(trained, modelFile))
	if err != nil {
		return r, err
	}
	before, ok, err := modelcli.Published(ctx, p.s3, p.config.Bucket, p.config.Prefix)
	if err != nil {
		return r, err
	}
	if ok && before.Name == p.config.Name && before.Model.SHA256 == sum {
		more, err := widens(request, before)
		if err != nil {
			return r, err
		}
		if more {
			before, err = p.try(ctx, append(args, "-version", before.Version), filepath.Join(work, "package"), key)
		}
		r = p.result(before)
		r.Already = !more
		return r, err
	}
	version := before.Version
	for range maxTaken {
		if version, err = next(version); err != nil {
			return r, err
		}
		m, err := p.try(ctx, append(args, "-version", version), filepath.Join(work, "package"), key)
		if err == nil {
			return p.result(m), nil
		}
		if !errors.Is(err, errTaken) {
			return r, err
		}
	}
	return r, fmt.Errorf("%d versions after %s are taken by archives whose manifests were never published: remove them", maxTaken, before.Version)
}

// widens reports whether a request is for more cores than have the model already.
func widens(request Request, before envelope.Manifest) (bool, error) {
	wanted := envelope.Manifest{Rollout: &envelope.Rollout{Mode: request.Mode, Percent: request.Percent}}
	switch {
	case wanted.Shadow() != before.Shadow():
		return false, fmt.Errorf("version %s of the same model is published in another mode: pack and sign it, and replace it with model-fetcher publish -force", before.Version)
	case wanted.Share() < before.Share():
		return false, fmt.Errorf("version %s of the same model is published for %d %% of the cores: a lower share takes nothing away", before.Version, before.Share())
	}
	return wanted.Share() > before.Share(), nil
}

// try packs, signs and publishes one version.
func (p *Publisher) try(ctx context.Context, args []string, dir string, key ed25519.PrivateKey) (m envelope.Manifest, err error) {
	var said strings.Builder
	if err := modelcli.Pack(ctx, args, cli.Streams{Out: &said, Err: &said}); err != nil {
		return m, fmt.Errorf("pack the model: %w", err)
	}
	p.log.Info("packed", "result", said.String())
	if m, err = modelcli.SignFolder(dir, key); err != nil {
		return m, fmt.Errorf("sign the model: %w", err)
	}
	if err := modelcli.Upload(ctx, p.s3, dir, p.config.Bucket, p.config.Prefix, ""); err != nil {
		return m, fmt.Errorf("publish the model: %w", err)
	}
	return m, nil
}

// key gets the key that signs. Neither the log nor an error has anything of it.
func (p *Publisher) key(ctx context.Context) (ed25519.PrivateKey, error) {
	answer, err := p.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(p.config.Secret)})
	if err != nil {
		return nil, fmt.Errorf("read the signing key (secretsmanager:GetSecretValue): %w", err)
	}
	text := []byte(aws.ToString(answer.SecretString))
	if answer.SecretString == nil {
		text = answer.SecretBinary
	}
	key, err := envelope.ParsePrivateKey(text, "the secret "+p.config.Secret)
	if err != nil {
		return nil, fmt.Errorf("%w: put model-key.pem of model-fetcher keygen into it", err)
	}
	return key, nil
}

// next returns the version after one: its second number is one higher. The first one is 1.0.0.
func next(version string) (string, error) {
	if version == "" {
		return "1.0.0", nil
	}
	if envelope.Compare(version, "") <= 0 {
		return "", fmt.Errorf("version %.40q is published, which is not three numbers", version)
	}
	parts := strings.Split(version, ".")
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return "", fmt.Errorf("read version %s: %w", version, err)
	}
	following := parts[0] + "." + strconv.Itoa(n+1) + ".0"
	if envelope.Compare(following, version) <= 0 {
		return "", fmt.Errorf("there is no version after %s", version)
	}
	return following, nil
}

// hashOf returns the SHA-256 of a model file, as manifests have it.
func hashOf(path string) (string, error) {
	data, err := gbdt.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the model: %w", err)
	}
	return envelope.HashOf(data), nil
}

// copyBounded copies at most limit bytes to a new file.
func copyBounded(path string, from io.Reader, limit int64) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.Copy(f, io.LimitReader(from, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return err
}
