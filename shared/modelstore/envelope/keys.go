package envelope

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strings"

	"edgepdm/shared/durable"
)

const (
	pemPrivate = "PRIVATE KEY" // PKCS#8, RFC 5958
	pemPublic  = "PUBLIC KEY"  // SubjectPublicKeyInfo, RFC 8410

	maxKeyFile   = 16 << 10
	keyIDLength  = 16
	sharedAccess = 0o077 // permissions of anyone but the owner
)

// GenerateKey makes a key from 32 bytes of random, crypto/rand's if it is nil.
func GenerateKey(random io.Reader) (ed25519.PrivateKey, error) {
	if random == nil {
		random = rand.Reader
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, fmt.Errorf("read random bytes: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// KeyID names a public key: the first 16 hexadecimal digits of its SHA-256.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:])[:keyIDLength]
}

// MarshalPrivateKey returns the key as PEM of PKCS#8, which openssl reads too.
func MarshalPrivateKey(key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, refuse(ErrKey, "private key has %d bytes", len(key))
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, refuse(ErrKey, "%v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), nil
}

// MarshalPublicKey returns the key as PEM of SubjectPublicKeyInfo, which openssl reads too.
func MarshalPublicKey(key ed25519.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, refuse(ErrKey, "%v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}), nil
}

// ParsePublicKey reads a public key as configuration has it: PEM, or in one line the base64 of the 32 bytes of the key or
// of its SubjectPublicKeyInfo.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxKeyFile {
		return nil, refuse(ErrKey, "public key has %d characters", len(text))
	}
	var der []byte
	if strings.HasPrefix(text, "-----BEGIN") {
		block, rest := pem.Decode([]byte(text))
		switch {
		case block == nil:
			return nil, refuse(ErrKey, "public key is not PEM")
		case block.Type == pemPrivate:
			return nil, refuse(ErrKey, "this is a private key: give the public one, and replace the pair if others saw it")
		case block.Type != pemPublic || len(strings.TrimSpace(string(rest))) > 0:
			return nil, refuse(ErrKey, "PEM is not one block %q", pemPublic)
		}
		der = block.Bytes
	} else {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, refuse(ErrKey, "public key is neither PEM nor base64")
		}
		if len(raw) == ed25519.PublicKeySize {
			return raw, nil
		}
		der = raw
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, refuse(ErrKey, "public key: %v", err)
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, refuse(ErrKey, "public key is a %T, need Ed25519", parsed)
	}
	return key, nil
}

// LoadPrivateKey reads a private key in PEM. A file that others than its owner may read or write is refused.
func LoadPrivateKey(path string) (ed25519.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open private key: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at private key: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, refuse(ErrKey, "%s is not a key file", path)
	}
	if perm := info.Mode().Perm(); perm&sharedAccess != 0 {
		return nil, refuse(ErrKey, "others can use the private key %s (mode %#o): chmod 600 %s", path, perm, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	return ParsePrivateKey(text, path)
}

// ParsePrivateKey reads a private key in PEM, as SavePrivateKey writes it. Errors call it by a name, and have nothing of it.
func ParsePrivateKey(text []byte, name string) (ed25519.PrivateKey, error) {
	if len(text) > maxKeyFile {
		return nil, refuse(ErrKey, "%s has %d bytes", name, len(text))
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != pemPrivate || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, refuse(ErrKey, "%s is not one PEM block %q", name, pemPrivate)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, refuse(ErrKey, "%s: %v", name, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, refuse(ErrKey, "%s is a %T, need Ed25519", name, parsed)
	}
	return key, nil
}

// SavePrivateKey writes the key in PEM to a new file that only its owner can use. A file that is there stays.
func SavePrivateKey(path string, key ed25519.PrivateKey) error {
	text, err := MarshalPrivateKey(key)
	if err != nil {
		return err
	}
	if err := durable.WriteNew(path, text, 0o600); err != nil {
		return fmt.Errorf("write private key: %w", err)
	}
	return nil
}
