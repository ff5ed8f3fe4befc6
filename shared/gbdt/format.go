package gbdt

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// What Model.Format ends with: the format of the model itself.
const (
	FormatJSON       = "json"        // save_model("….json"), XGBoost 1.0 and later
	FormatUBJSON     = "ubjson"      // save_model("….ubj"), XGBoost 1.6 and later; what SageMaker's 3.x containers write
	FormatLegacy     = "legacy"      // XGBoost's first format, binary, until 1.0
	FormatLegacyBinf = "legacy-binf" // the same with a prefix, 1.1 to 3.0; what SageMaker's 1.3 to 1.7 containers write
)

// What stands before it where the model is inside something: "tar.gz+", "tar+", "gzip+" or the like, and one or two of these in this
// order.
const (
	formatPickle       = "pickle+"        // a pickled Booster; what SageMaker's containers until 1.2 write
	formatConfigOffset = "config-offset+" // a serialized Booster of 1.0 to 1.2: legacy binary and configuration
	formatSnapshot     = "snapshot+"      // a serialized Booster since 1.3: {"Config": …, "Model": …}
)

// What sniff finds besides the formats.
const (
	kindGzip         = "gzip" // mostly of a tar
	kindZlib         = "zlib" // joblib's compress=1 to 9
	kindBzip2        = "bzip2"
	kindTar          = "tar"
	kindPickle       = "pickle"
	kindConfigOffset = "config-offset"
)

// sniff tells the kind of a file from its first bytes, as XGBoost does; names say nothing (SageMaker's have no extension).
// What cannot be read is refused by the name of what it looks like.
func sniff(data []byte) (string, error) {
	looks := ""
	switch {
	case len(data) == 0:
		return "", refuse(ErrFormat, "the file is empty")
	case data[0] == '{':
		return sniffObject(data)
	case data[0] == 0x80:
		return kindPickle, nil
	case bytes.HasPrefix(data, configOffset):
		return kindConfigOffset, nil
	case bytes.HasPrefix(data, legacyMagic):
		return FormatLegacyBinf, nil
	case bytes.HasPrefix(data, []byte{0x1f, 0x8b}):
		return kindGzip, nil
	case data[0] == 0x78 && len(data) > 1 && binary.BigEndian.Uint16(data)%31 == 0:
		return kindZlib, nil
	case bytes.HasPrefix(data, []byte("BZh")):
		return kindBzip2, nil
	case len(data) > 262 && bytes.Equal(data[257:262], []byte("ustar")):
		return kindTar, nil
	case isLegacyBinary(data):
		return FormatLegacy, nil
	case isTextPickle(data):
		return kindPickle, nil
	case IsLightGBM(data):
		return "", refuse(ErrUnsupported, "it is a LightGBM model, which this scorer has no part in: it goes through leaves (engine: leaves)")
	case bytes.HasPrefix(bytes.TrimLeft(data[:min(len(data), 64)], " \t\r\n"), []byte("[")):
		looks = "a JSON array, probably the output of dump_model, which leaves out base_score; use save_model"
	case bytes.HasPrefix(data, []byte("booster[")), bytes.HasPrefix(data, []byte("0:[")), bytes.HasPrefix(data, []byte("0:leaf=")):
		looks = "the text output of dump_model, which leaves out base_score; use save_model"
	case bytes.HasPrefix(data, []byte("bs64")):
		looks = "a model in base64, as releases before 0.6 write"
	case len(data) > 4 && data[0] == 0 && data[1] == 0 && bytes.HasPrefix(data[4:], legacyMagic):
		looks = "XGBoost4J-Spark's file, which has four bytes before the model; cut them off (tail -c +5), and mind that the parameter missing stands elsewhere"
	default:
		if looks = signatureOf(data); looks != "" {
			break
		}
		return "", refuse(ErrFormat, "it starts with %q, which no XGBoost format does", data[:min(len(data), 12)])
	}
	return "", refuse(ErrFormat, "it looks like %s", looks)
}

// signatures are how files begin that people take for models, and what they are.
var signatures = []struct{ prefix, looks string }{
	{"PK\x03\x04", "a zip archive; unpack it first"},
	{"version https://git-lfs", "a Git LFS pointer instead of the file; fetch that with git lfs pull"},
	{"\xfd7zXZ\x00", `a file compressed by xz, such as joblib's compress="xz"; unpack it with xz -d first`},
	{"]\x00\x00", `a file compressed by lzma, such as joblib's compress="lzma"; unpack it with xz -d --format=lzma first`},
	{"\x04\x22\x4d\x18", "a file compressed by lz4; unpack it first"},
	{"\x28\xb5\x2f\xfd", "a file compressed by zstd; unpack it first"},
	{"X\n\x00\x00\x00", "a file of R's saveRDS; save the model with xgb.save"},
	{"RDX2\n", "a file of R's save; save the model with xgb.save"},
	{"RDX3\n", "a file of R's save; save the model with xgb.save"},
	{"\x93NUMPY", "an array of numpy's"},
	{"\x89HDF", "an HDF5 file, such as Keras writes"},
	{"CBM1", "a model of CatBoost"},
	{"<", "HTML or XML, such as the error page of a failed download, or PMML"},
}

func signatureOf(data []byte) string {
	for _, s := range signatures {
		if bytes.HasPrefix(data, []byte(s.prefix)) {
			return s.looks
		}
	}
	return ""
}

// isModel says whether a file among others is a model: JSON is if it has a learner. What is packed itself is none.
func isModel(data []byte) bool {
	kind, err := sniff(data)
	switch kind {
	case FormatJSON, FormatUBJSON:
		_, rest, found := bytes.Cut(data, []byte("learner"))
		rest = bytes.TrimLeft(bytes.TrimPrefix(rest, []byte{'"'}), " \t\r\n:")
		return found && bytes.HasPrefix(rest, []byte{'{'})
	case kindGzip, kindZlib, kindBzip2, kindTar:
		return false
	}
	return err == nil
}

func isLegacyFormat(format string) bool {
	return strings.HasSuffix(format, FormatLegacy) || strings.HasSuffix(format, FormatLegacyBinf)
}

// IsLightGBM says whether data is a model that LightGBM saved as text, which Parse refuses: shared/gbdt/leaves scores those.
func IsLightGBM(data []byte) bool {
	return bytes.HasPrefix(data, []byte("tree\nversion=v"))
}

// sniffObject tells JSON text from UBJSON; both begin with a brace.
func sniffObject(data []byte) (string, error) {
	rest := bytes.TrimLeft(data[1:], " \t\r\n")
	switch {
	case len(rest) == 0:
		return "", refuse(ErrInvalid, "the file ends after its first brace")
	case rest[0] == '"' || rest[0] == '}':
		return FormatJSON, nil
	case bytes.IndexByte([]byte("LiUIl"), data[1]) >= 0: // the marker of a key's length
		return FormatUBJSON, nil
	}
	return "", refuse(ErrFormat, "it starts with %q, which is neither JSON nor UBJSON", data[:min(len(data), 12)])
}

// isTextPickle recognizes a pickle of protocol 0 or 1, which has no mark of its own: it names a class in two lines, or begins
// a dictionary, list or tuple that has xgboost in it, and its last byte is a full stop.
func isTextPickle(data []byte) bool {
	if data[len(data)-1] != '.' {
		return false
	}
	switch data[0] {
	case 'c':
		lines := bytes.SplitN(data[1:min(len(data), 256)], []byte{'\n'}, 3)
		return len(lines) == 3 && isPythonName(lines[0]) && isPythonName(lines[1])
	case '(', '}', ']':
		return bytes.Contains(data, []byte("cxgboost."))
	}
	return false
}

func isPythonName(name []byte) bool {
	for _, c := range name {
		if c != '_' && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return len(name) > 0
}

// isLegacyBinary recognizes the old binary format without its "binf" prefix (before 1.1) by the objective's name, which
// follows LearnerModelParam's 136 bytes as a length and text like "binary:logistic".
func isLegacyBinary(data []byte) bool {
	const header = 136
	if len(data) < header+8 {
		return false
	}
	n := binary.LittleEndian.Uint64(data[header:])
	name := data[header+8:]
	if n == 0 || n > 64 || uint64(len(name)) < n {
		return false
	}
	for _, c := range name[:n] {
		if c < 0x20 || c > 0x7e {
			return false
		}
	}
	return true
}
