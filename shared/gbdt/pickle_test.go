package gbdt

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgepdm/test/must"
)

const classBooster = "\x8c\x0cxgboost.core\x94\x8c\x07Booster\x94\x93\x94"

// pickled is a Booster as Python's protocol 4 writes it: handle is an instruction that pushes the model, more are further
// keys and values of its state.
func pickled(handle, more string) []byte { return []byte("\x80\x04" + boosterOf(handle, more) + ".") }

func boosterOf(handle, more string) string {
	return classBooster + ")\x81\x94}\x94(\x8c\x06handle\x94" + handle + more + "ub"
}

// wrapped is an object of a class of xgboost.sklearn around a Booster; more are further keys and values of its state.
func wrapped(class, booster, more string) string {
	return "cxgboost.sklearn\n" + class + "\n)\x81}(\x8c\x08_Booster" + booster + more + "ub"
}

// pushBytes is the instruction for bytes.
func pushBytes(s string) string {
	return "B" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func pushText(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

// push8 is an instruction whose length takes eight bytes.
func push8(op, s string) string {
	return op + string(binary.LittleEndian.AppendUint64(nil, uint64(len(s)))) + s
}

func asLatin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// asRawUnicode writes bytes as the UNICODE instruction of protocol 0 does.
func asRawUnicode(s string) string {
	return "V" + strings.NewReplacer("\\", `\u005c`, "\n", `\u000a`).Replace(s) + "\n"
}

// TestPickle reads pickles with every kind of instruction that is allowed, and every way to write bytes.
func TestPickle(t *testing.T) {
	ubj := string(toUBJSON(t, tiny))
	booster := boosterOf(pushBytes(ubj), "")
	for name, data := range map[string]string{
		"protocol 2": "\x80\x02cxgboost.core\nBooster\nq\x00)\x81q\x01}q\x02" + pushText("handle") + "c__builtin__\nbytearray\n" +
			pushText(asLatin1(ubj)) + pushText("latin-1") + "\x86Rsb.",
		"protocol 2, bytes 8":  "\x80\x02cxgboost.core\nBooster\n)\x81}" + pushText("handle") + "c_codecs\nencode\n" + push8("\x8d", asLatin1(ubj)) + pushText("latin1") + "\x86Rsb.",
		"protocol 2, Python 2": "\x80\x02cxgboost.core\nBooster\n)\x81}U\x06handleT" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(ubj)))) + ubj + "sb.",
		"protocol 0": "ccopy_reg\n_reconstructor\np0\n(cxgboost.core\nBooster\np1\nc__builtin__\nobject\np2\nNtp3\nRp4\n(dp5\nS'handle'\np6\nc__builtin__\nbytearray\n(" +
			asRawUnicode(ubj) + "S'latin-1'\ntRsS'a\\x41\\n\\'\\\\'\nF1.5\nsVk\nL12345678901234567890123L\nsI01\nI-7\nsS'z'\ng6\nsb.",
		"protocol 1": "ccopy_reg\n_reconstructor\nq\x00(cxgboost.core\nBooster\nq\x01c__builtin__\nobject\nNtR}q\x05(U\x06handlec__builtin__\nbytearray\n(" +
			pushText(asLatin1(ubj)) + "U\x07latin-1tRU\x04bestK\x02ub.",
		"protocol 0 in a dictionary": "(dp0\nS'model'\nccopy_reg\n_reconstructor\n(cxgboost.core\nBooster\nc__builtin__\nobject\nNtR(dS'handle'\nc__builtin__\nbytearray\n(" +
			asRawUnicode(ubj) + "S'latin-1'\ntRsbs.",
		"protocol 5": "\x80\x05\x95\x10\x00\x00\x00\x00\x00\x00\x00" + boosterOf(push8("\x96", ubj)+"\x94", "") + ".",
		"BINBYTES8":  "\x80\x04" + boosterOf(push8("\x8e", ubj), "") + ".",
		"all others": string(pickled(pushBytes(ubj), "\x8c\x01xN\x88\x89K\x01M\x01\x02J\x01\x02\x03\x04\x8a\x02\xff\x7f\x8b\x01\x00\x00\x00\x05G12345678"+
			"C\x01y]\x94\x8c\x01a]\x8c\x01ba\x8c\x01c](K\x01K\x02e\x8c\x01d}\x8c\x01eNs\x8c\x01f(Nl\x8c\x01g(NNd\x8c\x01h(Nt\x8c\x01iN\x85\x8c\x01jNN\x86\x8c\x01kNNN\x87"+
			"\x8c\x01l\x8f(N\x90\x8c\x01m(N\x91N2\x8c\x01n(N10\x8c\x01oNh\x00r\x00\x01\x00\x00j\x00\x01\x00\x00"+
			"\x8c\x01p(cbuiltins\nset\no\x8c\x01q(ibuiltins\nset\n\x8c\x01rcbuiltins\nlist\n)}\x92")),
		"large texts beside it":     string(pickled(pushBytes(ubj), pushText("a")+pushText(strings.Repeat("é", 5000))+pushText("b")+pushText(tiny))),
		"large bytes beside it":     string(pickled(pushBytes(ubj), pushText("a")+push8("\x8e", strings.Repeat("x", 5000)))),
		"in a list":                 "\x80\x04](" + pushText("version 3") + booster + "G12345678e.",
		"twice the same":            "\x80\x04}(\x8c\x01a" + booster + "\x94\x8c\x01b" + "h\x04u.",
		"in a wrapper":              "\x80\x04" + wrapped("XGBClassifier", booster, "\x8c\x03_lecsklearn.preprocessing._label\nLabelEncoder\n)\x81}b") + ".",
		"a state of random numbers": "\x80\x04" + wrapped("XGBRegressor", booster, "\x8c\x0crandom_statecnumpy.random._pickle\n__randomstate_ctor\ncnumpy.random._mt19937\nMT19937\n)R\x85R") + ".",
		"an array of names of joblib's": "\x80\x04" + wrapped("XGBRegressor", booster, "\x8c\x05namescjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(\x8c\x05shapeK\x02\x85"+
			"\x8c\x1bnumpy_array_alignment_bytesK\x10\x8c\x05dtypecnumpy\ndtype\n\x8c\x02U1\x89\x88\x87Rub\x03\xff\xff\xff12345678") + ".",
		"an array of objects of joblib's": "\x80\x04" + wrapped("XGBRegressor", booster, "\x8c\x05namescjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(\x8c\x05shapeK\x01\x85"+
			"\x8c\x05dtypecnumpy\ndtype\n\x8c\x02O8\x89\x88\x87Rub\x80\x02](X\x01\x00\x00\x00ae.") + ".",
		"an ordered dictionary": "\x80\x04ccollections\nOrderedDict\n)R\x8c\x01m" + booster + "s.",
		"a number of numpy's": "\x80\x04}(\x8c\x01m" + booster + "\x8c\x01tcnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n(\x8c\x02f8\x89\x88tR(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb" +
			"C\x08\x00\x00\x00\x00\x00\x00\xe0?\x86Ru.",
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Parse([]byte(data))
			must.OK(t, err)
			if m.Format != "pickle+ubjson" || m.NumTrees != 2 || m.Missing != nil {
				t.Errorf("%s, %d trees, missing %v", m.Format, m.NumTrees, m.Missing)
			}
			if wrapped := strings.Contains(data, "xgboost.sklearn"); strings.HasPrefix(m.Wrapper, "XGB") != wrapped {
				t.Errorf("wrapper %q", m.Wrapper)
			}
		})
	}
}

func TestPickleRefuses(t *testing.T) {
	model := pushBytes(tiny)
	booster := boosterOf(model, "")
	other := boosterOf(pushBytes(strings.Replace(tiny, "xgboost", "", 1)), "")
	floats := "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\n\x8c\x02f8\x89\x88\x87R\x89C\x02xxtb"
	deep := strings.Repeat("(", 100) + booster + strings.Repeat("t", 100)
	for name, c := range map[string]struct {
		data string
		want error
		text string
	}{
		"protocol 6":        {"\x80\x06.", ErrFormat, "protocol 6"},
		"no Booster":        {"\x80\x04\x8c\x07decimal" + model + "\x86.", ErrFormat, "no Booster of xgboost.core"},
		"another class":     {"\x80\x04cos\nsystem\n" + pushText("x") + "\x85R.", ErrFormat, `"os.system", and no Booster`},
		"another model":     {"\x80\x04csklearn.ensemble._forest\nRandomForestClassifier\n)\x81.", ErrFormat, `"sklearn.ensemble._forest.RandomForestClassifier", and no Booster`},
		"code beside it":    {"\x80\x04(" + booster + "cos\nsystem\n" + pushText("x") + "\x85Rt.", ErrUnsupported, `"os.system" beside the model`},
		"code thrown away":  {"\x80\x04cos\nsystem\n" + pushText("xgboost.core") + "\x85R0" + booster + ".", ErrUnsupported, `"os.system" beside the model`},
		"getattr":           {"\x80\x04(" + booster + "cbuiltins\ngetattr\nt.", ErrUnsupported, `"builtins.getattr"`},
		"a class by memo":   {"\x80\x04(" + pushText("numpy") + "\x94" + booster + "h\x00" + pushText("log1p") + "\x93t.", ErrUnsupported, `"numpy.log1p"`},
		"subclass":          {"\x80\x04c__main__\nMyClassifier\n)\x81}\x8c\x08_Booster" + booster + "sb.", ErrUnsupported, `"__main__.MyClassifier"`},
		"label encoder":     {"\x80\x04(" + booster + "csklearn.preprocessing._label\nLabelEncoder\n)\x81t.", ErrUnsupported, `LabelEncoder" beside`},
		"array, protocol 5": {"\x80\x05(" + booster + "cnumpy._core.numeric\n_frombuffer\n(C\x04xxxxcnumpy\ndtype\n\x8c\x02f4\x89\x88\x87RK\x01\x85\x8c\x01CtRt.", ErrUnsupported, "array of numbers beside the model"},
		"array of joblib's": {"\x80\x04(" + booster + "cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(\x8c\x05shapeK\x01\x85\x8c\x05dtypecnumpy\ndtype\n\x8c\x02f4\x89\x88\x87Rubxxxxt.",
			ErrUnsupported, "array of numbers beside the model"},
		"joblib, too large": {"\x80\x04(" + booster + "cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(\x8c\x05shapeJ\x00\x00\x00\x40\x85\x8c\x05dtypecnumpy\ndtype\n\x8c\x02i8\x89\x88\x87Rubxxxxt.",
			ErrInvalid, "larger than the file"},
		"random numbers beside it": {"\x80\x04(" + booster + "cnumpy.random._pickle\n__randomstate_ctor\n)Rt.", ErrUnsupported, "__randomstate_ctor"},
		"array of numbers":         {"\x80\x04(" + booster + floats + "t.", ErrUnsupported, "array of numbers beside the model"},
		"no model":                 {"\x80\x04" + classBooster + ")\x81}b.", ErrInvalid, "holds no model"},
		"an empty handle":          {string(pickled("N", "")), ErrInvalid, "holds no model"},
		"unfitted":                 {"\x80\x04" + wrapped("XGBClassifier", "N", "") + ".", ErrFormat, "no Booster"},
		"something else":           {string(pickled(pushBytes(strings.Repeat("hello ", 50)), "")), ErrFormat, "starts with"},
		"a pickle in it":           {string(pickled(pushBytes(string(pickled(model, ""))), "")), ErrFormat, "no model of XGBoost's own"},
		"an archive in it":         {string(pickled(pushBytes(string(zipped(archiveOf(t, "xgboost-model", tiny)))), "")), ErrFormat, "no model of XGBoost's own"},
		"two models":               {"\x80\x04(" + booster + other + "t.", ErrUnsupported, "2 models"},
		"two wrappers":             {"\x80\x04(" + wrapped("XGBRegressor", booster, "") + wrapped("XGBRegressor", other, "") + "l.", ErrUnsupported, "2 models"},
		"missing by name":          {"\x80\x04" + wrapped("XGBRegressor", booster, "\x8c\x07missing\x8c\x01?") + ".", ErrUnsupported, "missing of its XGBRegressor is no number"},
		"missing infinite":         {"\x80\x04" + wrapped("XGBRegressor", booster, "\x8c\x07missingG\x7f\xf0\x00\x00\x00\x00\x00\x00") + ".", ErrUnsupported, "+Inf stands for missing values"},
		"extension":                {"\x80\x02\x82\x01.", ErrInvalid, "0x82 is none"},
		"persistent object":        {"\x80\x02Pid\n.", ErrInvalid, "outside the file"},
		"buffer elsewhere":         {"\x80\x05" + booster + "\x97.", ErrInvalid, "outside the file"},
		"long length":              {"\x80\x04" + booster + "\x8e\xff\xff\xff\xff\xff\xff\xff\xff", ErrInvalid, "more than the file holds"},
		"no end":                   {strings.TrimSuffix(string(pickled(model, "")), "."), ErrInvalid, "ends in the middle"},
		"no end of a line":         {"\x80\x02cxgboost.core", ErrInvalid, "ends in the middle"},
		"more after it":            {string(pickled(model, "")) + "x", ErrInvalid, "1 bytes follow"},
		"damaged model":            {string(pickled(pushBytes(tiny[:500]), "")), ErrInvalid, "pickle: learner:"},
		"empty stack":              {"\x80\x04.", ErrInvalid, "too little before it"},
		"below a mark":             {"\x80\x04N(R.", ErrInvalid, "too little before it"},
		"no mark":                  {"\x80\x04Nt.", ErrInvalid, "too little before it"},
		"nothing remembered":       {"\x80\x04h\x07.", ErrInvalid, "memo at 7"},
		"odd dictionary":           {"\x80\x04}(Nu.", ErrInvalid, "no value"},
		"call of a number":         {"\x80\x04NK\x01R.", ErrInvalid, "no tuple"},
		"state of a number":        {"\x80\x04K\x01}b.", ErrInvalid, "no object"},
		"append to a number":       {"\x80\x04K\x01Na.", ErrInvalid, "neither a list nor a dictionary"},
		"bad number":               {"\x80\x02Ix\n.", ErrInvalid, "not a number"},
		"bad string":               {"\x80\x02Sx\n.", ErrInvalid, "not a quoted string"},
		"bad escape":               {"\x80\x02S'\\q'\n.", ErrInvalid, "bad escape"},
		"bad memo":                 {"\x80\x02Npx\n.", ErrInvalid, "no place in the memo"},
		"too deep":                 {"\x80\x04" + deep + ".", ErrLimit, "deeper than 64"},
		"too long":                 {"\x80\x04" + strings.Repeat("N0", maxPickleSteps), ErrLimit, "instructions"},
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, []byte(c.data), c.want, c.text) })
	}
}

// TestPickleAround wants pickles of more than a model refused by the name of what is more: each of these holds one Booster,
// whose scores are up to 0.95 from those of the whole.
func TestPickleAround(t *testing.T) {
	for name, class := range map[string]string{
		"bundle": "sklearn.preprocessing._data.StandardScaler", "calibrated": "sklearn.calibration.CalibratedClassifierCV",
		"pipeline": "sklearn.pipeline.Pipeline", "target": "sklearn.compose._target.TransformedTargetRegressor",
		"voting": "sklearn.ensemble._voting.VotingClassifier",
	} {
		data, err := os.ReadFile(filepath.Join("testdata", "refused", name+".pkl"))
		must.OK(t, err)
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, data, ErrUnsupported, fmt.Sprintf("it holds %q beside the model", class))
		})
	}
}

// TestPickleMissing wants the value that the wrapper was told to take for missing.
func TestPickleMissing(t *testing.T) {
	f8 := "cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n\x8c\x02%s\x89\x88\x87RC%c%s\x86R"
	for name, c := range map[string]struct {
		value string
		want  float32 // NaN for none
	}{
		"None": {"N", nan}, "NaN": {"G\x7f\xf8\x00\x00\x00\x00\x00\x00", nan}, "an integer": {"J\x19\xfc\xff\xff", -999}, "zero": {"K\x00", 0},
		"a double": {"G\xbf\xf0\x00\x00\x00\x00\x00\x00", -1}, "a long": {"\x8a\x02\x19\xfc", -999},
		"numpy's float64": {fmt.Sprintf(f8, "f8", 8, "\x00\x00\x00\x00\x00\x00\xe0?"), 0.5},
		"numpy's float32": {fmt.Sprintf(f8, "f4", 4, "\x00\x00\x00\x3f"), 0.5},
		"numpy's int64":   {fmt.Sprintf(f8, "i8", 8, "\xff\xff\xff\xff\xff\xff\xff\xff"), -1},
		"numpy's int32":   {fmt.Sprintf(f8, "i4", 4, "\xfe\xff\xff\xff"), -2},
	} {
		m, err := Parse([]byte("\x80\x04" + wrapped("XGBRegressor", boosterOf(pushBytes(tiny), ""), "\x8c\x07missing"+c.value) + "."))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if (m.Missing != nil) != (c.want == c.want) || m.Missing != nil && *m.Missing != c.want {
			t.Errorf("%s: %v, want %v", name, m.Missing, c.want)
		}
		if m.Missing == nil {
			continue
		}
		row := []float32{c.want, c.want} // both missing: left, then 0.5
		for layout, s := range map[string]*Scorer{"fast": NewScorer(m), "plain": newPlainScorer(m)} {
			if got, err := s.Margin(nil, row); err != nil || got[0] != -0.5 || row[0] != c.want {
				t.Errorf("%s, %s: margin %v of %v, %v; want -0.5", name, layout, got, row, err)
			}
		}
	}
}

// TestPickleRounds wants num_parallel_tree from the attributes of the Python object, in releases that keep it nowhere else.
func TestPickleRounds(t *testing.T) {
	text := must.Replace(t, tiny, `"num_trees":"2","num_parallel_tree":"1"`, `"num_trees":"2"`, `"iteration_indptr":[0,1,2],`, ``)
	for name, c := range map[string]struct {
		attributes string
		iterations int
	}{
		"none":             {"", 2},
		"a forest":         {"\x8c\x0ebest_iteration\x94K\x00\x8c\x10best_ntree_limit\x94K\x02", 1},
		"protocol 2":       {"X\x0e\x00\x00\x00best_iterationq\x05K\x00X\x10\x00\x00\x00best_ntree_limitr\x06\x00\x00\x00J\x02\x00\x00\x00", 1},
		"Python 2":         {"U\x0ebest_iterationK\x00S'best_ntree_limit'\nI2\n", 1},
		"trees":            {"\x8c\x0ebest_iterationM\x01\x00\x8c\x10best_ntree_limitM\x02\x00", 2},
		"not a multiple":   {"\x8c\x0ebest_iterationK\x01\x8c\x10best_ntree_limitK\x03", 2},
		"no number":        {"\x8c\x0ebest_iterationN\x8c\x10best_ntree_limitN", 2},
		"a large number":   {"\x8c\x0ebest_iteration\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x01\x8c\x10best_ntree_limitK\x02", 2},
		"a negative limit": {"\x8c\x0ebest_iterationK\x00\x8c\x10best_ntree_limitJ\xff\xff\xff\xff", 2},
	} {
		m, err := Parse(pickled(pushBytes(text), c.attributes))
		if err != nil || m.Iterations != c.iterations {
			t.Errorf("%s: %+v, %v; want %d iterations", name, m, err, c.iterations)
		}
	}
}
