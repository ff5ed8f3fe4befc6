package modelcli

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"edgepdm/shared/cli"
	"edgepdm/shared/durable"
	"edgepdm/shared/modelstore"
	"edgepdm/shared/modelstore/envelope"
	"edgepdm/shared/modelstore/inbox"
)

// keygen is the sub-command that makes a key pair.
func keygen(_ context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("model-fetcher keygen -out DIR", s)
	out := fs.String("out", "", "make "+privateFile+" (keep it secret) and "+publicFile+" in `DIR`; required")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if err := need("out", *out); err != nil {
		return err
	}
	if err := makeDir("out", *out); err != nil {
		return err
	}
	key, err := envelope.GenerateKey(nil)
	if err != nil {
		return err
	}
	public := key.Public().(ed25519.PublicKey)
	text, err := envelope.MarshalPublicKey(public)
	if err != nil {
		return err
	}
	private := filepath.Join(*out, privateFile)
	if err := envelope.SavePrivateKey(private, key); err != nil { // does not replace one that is there
		return err
	}
	if err := durable.WriteFileAtomic(filepath.Join(*out, publicFile), text, 0o644); err != nil {
		return err
	}
	printf(s.Out, "key %s\nprivate: %s - keep it off the devices, and out of version control\npublic:  %s, or in one line\n"+
		"for publicKeys of com.edgepdm.ModelFetcher and of com.edgepdm.InferenceEngine:\n%s\n",
		envelope.KeyID(public), private, filepath.Join(*out, publicFile), base64.StdEncoding.EncodeToString(public))
	return nil
}

// packOptions are the command line of pack.
type packOptions struct {
	model, golden, name, version, expires, out string
	threshold                                  float64 // 0 = the model file's
	age                                        time.Duration
}

func parsePack(args []string, s cli.Streams) (packOptions, error) {
	var o packOptions
	fs := cli.NewFlagSet("model-fetcher pack -model FILE -golden FILE -version V -out DIR [-name N] [-threshold T] [-expires AGE]", s)
	fs.StringVar(&o.model, "model", "", "the XGBoost model `FILE`; required")
	fs.StringVar(&o.golden, "golden", "", "`FILE` of rows with the margins that the training XGBoost gives them, golden.csv of make train; required")
	fs.StringVar(&o.name, "name", "", "the model's `NAME` (default: the one in the model file)")
	fs.StringVar(&o.version, "version", "", "`V`, three numbers such as 1.2.0, higher than what is published; required")
	fs.Func("threshold", "`PROBABILITY` from which a row is faulty (default: the one in the model file, or 0.5)", func(text string) error {
		t, err := strconv.ParseFloat(text, 64)
		if err != nil || !(t > 0 && t <= 1) {
			return errors.New("not a probability above 0")
		}
		o.threshold = t
		return nil
	})
	fs.StringVar(&o.expires, "expires", "365d", "devices accept it for this `AGE`, such as 90d or 36h")
	fs.StringVar(&o.out, "out", "", "write "+inbox.ArchiveFile+" and "+manifestFile+" into `DIR`; required")
	if err := cli.Parse(fs, args); err != nil {
		return o, err
	}
	if err := need("model", o.model, "golden", o.golden, "version", o.version, "out", o.out); err != nil {
		return o, err
	}
	if envelope.Compare(o.version, "") <= 0 { // what is no version is lower than every one
		return o, cli.Usagef("-version: %q is not three numbers such as 1.2.0", o.version)
	}
	var err error
	if o.age, err = parseAge(o.expires); err != nil || o.age <= 0 {
		return o, cli.Usagef("-expires: %q is not an age such as 90d or 36h", o.expires)
	}
	return o, nil
}

// pack is the sub-command that packs a model.
func pack(_ context.Context, args []string, s cli.Streams) error {
	o, err := parsePack(args, s)
	if err != nil {
		return err
	}
	if err := makeDir("out", o.out); err != nil {
		return err
	}
	archive := filepath.Join(o.out, inbox.ArchiveFile)
	part := archive + ".part"
	packed, err := packTo(part, o.model)
	if err != nil {
		return errors.Join(fmt.Errorf("-model: %w", err), remove(part))
	}
	now := time.Now().UTC().Truncate(time.Second)
	m, err := envelope.BuildManifest(o.model, o.golden, envelope.Build{
		Name: o.name, Version: o.version, Created: now, Expires: now.Add(o.age), Archive: packed.Archive,
	})
	if err == nil {
		if o.threshold > 0 {
			m.Threshold = o.threshold
		}
		err = modelstore.Rehearse(part, m) // the device's word, besides that of the parts
	}
	if err != nil {
		return errors.Join(ofFlag(err, o.name), remove(part))
	}
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	if err := remove(filepath.Join(o.out, envelope.EnvelopeFile)); err != nil { // signs what was here before
		return err
	}
	if err := durable.Rename(part, archive); err != nil {
		return err
	}
	if err := durable.WriteFileAtomic(filepath.Join(o.out, manifestFile), text, 0o644); err != nil {
		return err
	}
	printf(s.Out, "%s %s: %d features, threshold %g, %d golden rows agree, expires %s\n%s: %d bytes, sha256 %s\n",
		m.Name, m.Version, len(m.Features), m.Threshold, len(m.Golden), m.Expires.Format(time.DateOnly), archive, m.Archive.Size, m.Archive.SHA256)
	return nil
}

// ofFlag names the flag that is to blame for an error of envelope.BuildManifest.
func ofFlag(err error, name string) error {
	part, ok := errors.AsType[*envelope.PartError](err)
	switch {
	case !ok:
		return err
	case part.Part == "name" && name == "":
		return cli.Usagef("-name: required, as the model file has no attribute edgepdm.name that is one")
	case part.Part == "name":
		return cli.Usagef("-name: %v", err)
	}
	return fmt.Errorf("-%s: %w", part.Part, err)
}

func packTo(path, model string) (packed envelope.Packed, err error) {
	f, err := os.Create(filepath.Clean(path))
	if err != nil {
		return packed, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if packed, err = envelope.Pack(f, model); err != nil {
		return packed, err
	}
	return packed, f.Sync()
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sign is the sub-command that signs a packed model.
func sign(_ context.Context, args []string, s cli.Streams) error {
	fs := cli.NewFlagSet("model-fetcher sign -key FILE -dir DIR", s)
	keyPath := fs.String("key", "", "private key `FILE`, "+privateFile+" of keygen; required")
	dir := fs.String("dir", "", "sign the model that pack wrote into `DIR`; required")
	if err := cli.Parse(fs, args); err != nil {
		return err
	}
	if err := need("key", *keyPath, "dir", *dir); err != nil {
		return err
	}
	key, err := envelope.LoadPrivateKey(*keyPath)
	if err != nil {
		return fmt.Errorf("-key: %w", err)
	}
	m, err := readManifest(filepath.Join(*dir, manifestFile))
	if err != nil {
		return fromFolder(err, "pack")
	}
	if err := checkArchive(*dir, m); err != nil {
		return fromFolder(err, "pack")
	}
	sealed, err := envelope.Sign(m, key)
	if err != nil {
		return err
	}
	out := filepath.Join(*dir, envelope.EnvelopeFile)
	if err := durable.WriteFileAtomic(out, sealed, 0o644); err != nil {
		return err
	}
	printf(s.Out, "%s %s is signed by key %s: %s\n", m.Name, m.Version, envelope.KeyID(key.Public().(ed25519.PublicKey)), out)
	return nil
}
