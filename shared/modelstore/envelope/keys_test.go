package envelope_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/internal/disk"
	"edgepdm/shared/modelstore/internal/modeltest"
	"edgepdm/test/must"
	"edgepdm/test/need"
)

// The example pair of RFC 8410, section 10.
const (
	rfc8410Public  = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"
	rfc8410Private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n"
)

func TestKeysOfRFC8410(t *testing.T) {
	public, err := envelope.ParsePublicKey(rfc8410Public)
	must.OK(t, err)
	private, err := envelope.LoadPrivateKey(modeltest.Write(t, t.TempDir(), "key", []byte(rfc8410Private)))
	must.OK(t, err)
	if !public.Equal(private.Public()) {
		t.Fatal("the two are no pair")
	}
	if text, err := envelope.MarshalPublicKey(public); err != nil || string(text) != rfc8410Public {
		t.Errorf("%s, %v", text, err)
	}
	if text, err := envelope.MarshalPrivateKey(private); err != nil || string(text) != rfc8410Private {
		t.Errorf("%s, %v", text, err)
	}
}

func TestKeyFiles(t *testing.T) {
	key, err := envelope.GenerateKey(nil)
	must.OK(t, err)
	path := filepath.Join(t.TempDir(), "key.pem")
	must.OK(t, envelope.SavePrivateKey(path, key))
	if err := envelope.SavePrivateKey(path, modeltest.Key(t, 1)); err == nil {
		t.Fatal("a key was overwritten")
	}
	got, err := envelope.LoadPrivateKey(path)
	if err != nil || !got.Equal(key) {
		t.Fatalf("read back: %v", err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o666} {
		must.OK(t, os.Chmod(path, mode))
		_, err := envelope.LoadPrivateKey(path)
		modeltest.Wants(t, err, envelope.ErrKey, "chmod 600")
	}
	t.Run("openssl reads it", func(t *testing.T) {
		openssl := need.Tool(t, "openssl", "Debian: apt-get install openssl")
		must.OK(t, os.Chmod(path, 0o600))
		out, err := exec.Command(openssl, "pkey", "-in", path, "-pubout").CombinedOutput()
		if err != nil {
			t.Fatalf("%s, %v", out, err)
		}
		if public, err := envelope.ParsePublicKey(string(out)); err != nil || !public.Equal(key.Public()) {
			t.Fatalf("%s, %v", out, err)
		}
	})
}

func TestGenerateKey(t *testing.T) {
	a, b := modeltest.Key(t, 1), modeltest.Key(t, 2)
	if a.Equal(b) || !a.Equal(modeltest.Key(t, 1)) {
		t.Fatal("the key does not follow from the random bytes")
	}
	if _, err := envelope.GenerateKey(strings.NewReader("short")); err == nil {
		t.Fatal("a key of five bytes")
	}
}

func TestParsePublicKey(t *testing.T) {
	key := modeltest.PublicOf(modeltest.Key(t, 1))
	text, err := envelope.MarshalPublicKey(key)
	must.OK(t, err)
	lines := strings.Split(string(text), "\n")
	private, err := envelope.MarshalPrivateKey(modeltest.Key(t, 1))
	must.OK(t, err)
	for _, good := range []string{string(text), "\n" + string(text) + "\n", lines[1], base64.StdEncoding.EncodeToString(key)} {
		if got, err := envelope.ParsePublicKey(good); err != nil || !got.Equal(key) {
			t.Errorf("%s: %v", good, err)
		}
	}
	const rsa = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ=="
	bad := map[string]string{
		"":                           "public key",
		"?":                          "neither PEM nor base64",
		"AAAA":                       "public key",
		string(private):              "private key",
		string(text) + string(text):  "one block",
		"-----BEGIN PUBLIC KEY-----": "not PEM",
		rsa:                          "need Ed25519",
		strings.Repeat("A", envelope.MaxKeyFile+1): "characters",
	}
	for text, says := range bad {
		_, err := envelope.ParsePublicKey(text)
		modeltest.Wants(t, err, envelope.ErrKey, says)
	}
}

func TestLoadPrivateKeyRefuses(t *testing.T) {
	dir := t.TempDir()
	public, err := envelope.MarshalPublicKey(modeltest.PublicOf(modeltest.Key(t, 1)))
	must.OK(t, err)
	for name, content := range map[string]string{
		"public": string(public), "empty": "", "text": "hello", "two": rfc8410Private + rfc8410Private,
		"damaged": strings.Replace(rfc8410Private, "MC4C", "MC5C", 1),
	} {
		_, err := envelope.LoadPrivateKey(modeltest.Write(t, dir, name, []byte(content)))
		modeltest.Wants(t, err, envelope.ErrKey, "")
	}
	if _, err := envelope.LoadPrivateKey(filepath.Join(dir, "none")); !disk.Missing(err) {
		t.Errorf("no file: %v", err)
	}
	_, err = envelope.LoadPrivateKey(dir)
	modeltest.Wants(t, err, envelope.ErrKey, "not a key file")
	var none ed25519.PrivateKey
	if err := envelope.SavePrivateKey(filepath.Join(dir, "new"), none); err == nil {
		t.Error("no key was saved")
	}
}
