package gbdt

import (
	"bytes"
	"encoding/binary"
)

// The values of Model.Format.
const (
	FormatJSON   = "json"   // save_model("….json"), XGBoost 1.0 and later
	FormatUBJSON = "ubjson" // save_model("….ubj"), XGBoost 1.6 and later; what SageMaker's 3.x containers write
)

// sniff tells the format from the first bytes, as XGBoost does; file names say nothing (SageMaker's have no extension).
// What cannot be read is refused by the name of what it looks like.
func sniff(data []byte) (string, error) {
	looks := ""
	switch {
	case len(data) == 0:
		return "", refuse(ErrFormat, "the file is empty")
	case data[0] == '{':
		return sniffObject(data)
	case data[0] == 0x80:
		looks = "a Python pickle, as SageMaker's XGBoost containers before 1.3 write"
	case bytes.HasPrefix(data, []byte("CONFIG-offset:")):
		looks = "a serialized XGBoost snapshot of releases 1.0 to 1.2 (CONFIG-offset)"
	case bytes.HasPrefix(data, []byte("binf")), isLegacyBinary(data):
		looks = "XGBoost's old binary format (SageMaker containers 1.3 to 1.7; save it as JSON or UBJSON)"
	case bytes.HasPrefix(data, []byte{0x1f, 0x8b}):
		looks = "a gzip archive; unpack it (model.tar.gz) first"
	case len(data) > 262 && bytes.Equal(data[257:262], []byte("ustar")):
		looks = "a tar archive; unpack it first"
	case bytes.HasPrefix(data, []byte("PK\x03\x04")):
		looks = "a zip archive; unpack it first"
	case bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("[")):
		looks = "a JSON array, probably the output of dump_model, which leaves out base_score; use save_model"
	case bytes.HasPrefix(data, []byte("booster[")):
		looks = "the text output of dump_model, which leaves out base_score; use save_model"
	default:
		return "", refuse(ErrFormat, "it starts with %q, which no XGBoost format does", data[:min(len(data), 12)])
	}
	return "", refuse(ErrFormat, "it looks like %s", looks)
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
