package core

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iot"

	"edgepdm/scripts/cloud/account"
	"edgepdm/shared/durable"
)

// Files of a core's folder.
const (
	keyFile         = "device.key"
	certificateFile = "device.pem"
	arnFile         = "certificate-arn" // of the certificate; written before it
	caFile          = "AmazonRootCA1.pem"
	classicFile     = "config-classic.yaml"
	liteFile        = "config-lite.yaml"
)

const (
	organization = "edgepdm"
	// clocks is how much this machine's clock may differ from that of AWS, and more.
	clocks  = time.Hour
	maxFile = 64 << 10
	keyBits = 2048
	pemKey  = "RSA PRIVATE KEY"
)

// subject names a core's certificate: nobody else's has the same.
func (c *Cores) subject(name string, public any) (pkix.Name, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return pkix.Name{}, fmt.Errorf("read public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return pkix.Name{
		Organization: []string{organization}, OrganizationalUnit: []string{c.Account.Stack},
		CommonName: name, SerialNumber: hex.EncodeToString(sum[:16]),
	}, nil
}

// ensureCertificate returns the ARN of the certificate whose key is in the folder. The key is made here, and never leaves the
// folder. A run that was killed after AWS made the certificate, and before it was written, finds it again by its subject.
func (c *Cores) ensureCertificate(ctx context.Context, name, dir string) (string, error) {
	if arn, err := readARN(dir); err != nil || arn != "" {
		return arn, err
	}
	key, since, err := c.ensureKey(dir)
	if err != nil {
		return "", err
	}
	subject, err := c.subject(name, key.Public())
	if err != nil {
		return "", err
	}
	arn, certificate, err := c.find(ctx, subject, since.Add(-clocks))
	if err != nil {
		return "", err
	}
	if arn == "" {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
		if err != nil {
			return "", fmt.Errorf("write certificate request: %w", err)
		}
		request := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
		once := func(o *iot.Options) { o.RetryMaxAttempts = 1 } // a repeat would make a second one
		made, err := c.Account.IoT.CreateCertificateFromCsr(ctx, &iot.CreateCertificateFromCsrInput{CertificateSigningRequest: &request, SetAsActive: true}, once)
		if err != nil {
			return "", c.Account.Fail("make the certificate of core "+name, err)
		}
		arn, certificate = aws.ToString(made.CertificateArn), aws.ToString(made.CertificatePem)
		c.Tell.Line("  made certificate %.12s…", id(arn))
	}
	if err := write(dir, arnFile, []byte(arn+"\n"), 0o644); err != nil {
		return "", err
	}
	return arn, write(dir, certificateFile, []byte(certificate), 0o644)
}

// readARN returns the ARN of the certificate in a folder; empty if it has none.
func readARN(dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, certificateFile)); errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	data, err := durable.ReadFile(filepath.Join(dir, arnFile), maxFile)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s has %s and no %s: it is not a folder of core-provision; give another one (-out)", dir, certificateFile, arnFile)
	}
	return strings.TrimSpace(string(data)), err
}

// ensureKey returns the private key in a folder, which it makes, and since when it is there. It is of the kind that AWS makes,
// which every nucleus takes.
func (c *Cores) ensureKey(dir string) (*rsa.PrivateKey, time.Time, error) {
	path := filepath.Join(dir, keyFile)
	data, err := durable.ReadFile(path, maxFile)
	if errors.Is(err, os.ErrNotExist) {
		key, err := rsa.GenerateKey(rand.Reader, keyBits)
		if err != nil {
			return nil, time.Time{}, fmt.Errorf("make key: %w", err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: x509.MarshalPKCS1PrivateKey(key)})
		return key, c.Now(), write(dir, keyFile, text, 0o600)
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read key: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != pemKey {
		return nil, time.Time{}, fmt.Errorf("read key: %s is not one of core-provision", path)
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("read key %s: %w", path, err)
	}
	return key, info.ModTime(), nil
}

// find looks for the certificate of a subject among those that were made since a time.
func (c *Cores) find(ctx context.Context, subject pkix.Name, since time.Time) (arn, certificate string, err error) {
	pages := iot.NewListCertificatesPaginator(c.Account.IoT, &iot.ListCertificatesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", "", c.Account.Fail("list certificates", err)
		}
		for _, entry := range page.Certificates {
			if aws.ToTime(entry.CreationDate).Before(since) {
				continue
			}
			found, text, err := c.subjectOf(ctx, aws.ToString(entry.CertificateId))
			if err != nil {
				return "", "", err
			}
			if found.SerialNumber == subject.SerialNumber && c.mine(found, subject.CommonName) {
				return aws.ToString(entry.CertificateArn), text, nil
			}
		}
	}
	return "", "", nil
}

// mine tells whether a subject is that of a certificate that core-provision made for a core of this stack.
func (c *Cores) mine(subject pkix.Name, name string) bool {
	return strings.Join(subject.Organization, "/") == organization && strings.Join(subject.OrganizationalUnit, "/") == c.Account.Stack && subject.CommonName == name
}

// subjectOf returns the subject of a certificate, and the certificate; empty for one that is gone or cannot be read.
func (c *Cores) subjectOf(ctx context.Context, certificate string) (pkix.Name, string, error) {
	answer, err := c.Account.IoT.DescribeCertificate(ctx, &iot.DescribeCertificateInput{CertificateId: &certificate})
	if account.Missing(err) {
		return pkix.Name{}, "", nil
	}
	if err != nil {
		return pkix.Name{}, "", c.Account.Fail("look at certificate "+certificate, err)
	}
	text := aws.ToString(answer.CertificateDescription.CertificatePem)
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return pkix.Name{}, text, nil
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return pkix.Name{}, text, nil //nolint:nilerr // somebody else's, which is none of ours
	}
	return parsed.Subject, text, nil
}

func write(dir, name string, data []byte, perm os.FileMode) error {
	if err := durable.WriteFileAtomic(filepath.Join(dir, name), data, perm); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Join(dir, name), err)
	}
	return nil
}
