package gbdt

import (
	"encoding/binary"
	"math"
	"strings"
)

// The values that a pickle describes, as far as they matter here. None is ever a live Python object: a call is a record of
// what would be called with what.
type (
	pyText   []byte // a string, UTF-8
	pyBytes  []byte // bytes, a bytearray, or a string of Python 2
	pyNone   struct{}
	pyGlobal struct{ module, name string }
	pyTuple  struct{ items []any }
	pyList   struct{ items []any } // also a set
	pyDict   struct{ keys, values []any }
	// pyObject is what a call or a constructor gives.
	pyObject struct {
		class any // what is called
		args  []any
		state any // what BUILD gives it; nil without
		items []any
	}
)

// pyBig stands for an integer of more than 64 bits.
type pyBig struct{}

func (g *pyGlobal) String() string { return g.module + "." + g.name }

func (g *pyGlobal) is(module, name string) bool { return g.module == module && g.name == name }

// ofXGBoost says whether g is a part of XGBoost.
func (g *pyGlobal) ofXGBoost() bool {
	return g.module == "xgboost" || strings.HasPrefix(g.module, "xgboost.")
}

// plainGlobals are the parts of Python and numpy that pickles need to describe plain values: text, numbers, lists and arrays.
var plainGlobals = map[string]string{
	"builtins":                              " bytearray bytes object set frozenset list dict tuple int float bool complex str ",
	"__builtin__":                           " bytearray bytes object set frozenset list dict tuple int float bool complex str unicode long ",
	"copyreg":                               " _reconstructor __newobj__ ",
	"copy_reg":                              " _reconstructor __newobj__ ",
	"_codecs":                               " encode ",
	"collections":                           " OrderedDict defaultdict ",
	"numpy":                                 " dtype ndarray ",
	"numpy.core.multiarray":                 " _reconstruct scalar ",
	"numpy._core.multiarray":                " _reconstruct scalar ",
	"numpy.core.numeric":                    " _frombuffer ",
	"numpy._core.numeric":                   " _frombuffer ",
	"joblib.numpy_pickle":                   " NumpyArrayWrapper ",
	"sklearn.externals.joblib.numpy_pickle": " NumpyArrayWrapper ",
}

func (g *pyGlobal) plain() bool {
	return g.name != "" && !strings.Contains(g.name, " ") && strings.Contains(plainGlobals[g.module], " "+g.name+" ")
}

// encodesLabels says whether g is scikit-learn's LabelEncoder, which an XGBClassifier before 2.0 keeps: it changes what the
// classes are called, not the scores.
func (g *pyGlobal) encodesLabels() bool {
	return g.name == "LabelEncoder" && strings.HasPrefix(g.module, "sklearn.preprocessing")
}

// helpsWrapper says whether g is what an XGBClassifier may keep that has no part in scoring: how it named its classes, and
// the state of its random numbers.
func (g *pyGlobal) helpsWrapper() bool {
	return g.encodesLabels() || g.module == "numpy.random" || strings.HasPrefix(g.module, "numpy.random.")
}

// classOf returns the class of an object, or what was called for it.
func (o *pyObject) classOf() *pyGlobal {
	g, _ := o.class.(*pyGlobal)
	if g != nil && (g.name == "_reconstructor" || g.name == "__newobj__") && len(o.args) > 0 {
		g, _ = o.args[0].(*pyGlobal)
	}
	if g == nil {
		return &pyGlobal{}
	}
	return g
}

// attributes returns the attributes of an object: its state, which comes with another for __slots__ at times.
func (o *pyObject) attributes() *pyDict {
	state := o.state
	if pair, ok := state.(*pyTuple); ok && len(pair.items) == 2 {
		state = pair.items[0]
	}
	if d, ok := state.(*pyDict); ok {
		return d
	}
	return &pyDict{}
}

// get returns the last value of a key, nil without.
func (d *pyDict) get(key string) any {
	for i := len(d.keys) - 1; i >= 0; i-- {
		if text, ok := textOf(d.keys[i]); ok && text == key {
			return d.values[i]
		}
	}
	return nil
}

// textOf returns a short string; those of Python 2 are bytes.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case pyText:
		return string(v), len(v) <= maxPickleName
	case pyBytes:
		return string(v), len(v) <= maxPickleName
	}
	return "", false
}

// bytesOf returns a string of bytes. Protocols before 3 have none: they write each byte as the character with its number,
// and bytearray(…, "latin-1") or _codecs.encode(…, "latin1") around that.
func bytesOf(v any) ([]byte, bool) {
	switch v := v.(type) {
	case pyBytes:
		return v, true
	case *pyObject:
		g := v.classOf()
		if len(v.args) == 0 || g.name != "bytearray" && g.name != "bytes" && !g.is("_codecs", "encode") {
			return nil, false
		}
		if text, ok := v.args[0].(pyText); ok {
			return latin1(text)
		}
		if _, nested := v.args[0].(*pyObject); nested && g.is("_codecs", "encode") {
			return nil, false
		}
		return bytesOf(v.args[0])
	}
	return nil, false
}

func latin1(text []byte) ([]byte, bool) {
	raw := make([]byte, 0, len(text))
	for _, r := range string(text) { // what is no UTF-8 gives a character above 255
		if r > 0xff {
			return nil, false
		}
		raw = append(raw, byte(r))
	}
	return raw, true
}

// numberOf returns a number, also one of numpy's.
func numberOf(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case *pyObject:
		if v.classOf().name != "scalar" || len(v.args) != 2 {
			return 0, false
		}
		raw, ok := bytesOf(v.args[1])
		if !ok {
			return 0, false
		}
		return scalarOf(kindOfArray(v.args[0]), raw)
	}
	return 0, false
}

func scalarOf(kind string, raw []byte) (float64, bool) {
	switch bits := littleEndian(raw[:min(len(raw), 8)]); {
	case kind == "f8" && len(raw) == 8:
		return math.Float64frombits(bits), true
	case kind == "f4" && len(raw) == 4:
		return float64(math.Float32frombits(uint32(bits))), true
	case kind == "i8" && len(raw) == 8:
		return float64(int64(bits)), true
	case kind == "i4" && len(raw) == 4:
		return float64(int32(bits)), true
	}
	return 0, false
}

// kindOfArray returns the first argument of a numpy.dtype, such as "f8"; empty if v is none.
func kindOfArray(v any) string {
	if o, ok := v.(*pyObject); ok && o.classOf().is("numpy", "dtype") && len(o.args) > 0 {
		kind, _ := textOf(o.args[0])
		return kind
	}
	return ""
}

// littleEndian reads an unsigned number of at most eight bytes.
func littleEndian(b []byte) uint64 {
	var full [8]byte
	copy(full[:], b)
	return binary.LittleEndian.Uint64(full[:])
}
