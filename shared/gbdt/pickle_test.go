package gbdt

import (
	"encoding/binary"
	"strings"
	"testing"
)

// pickled wraps a payload as Python's protocol 4 does, between what stands before and after it.
func pickled(before, payload, after string) []byte {
	length := binary.LittleEndian.AppendUint32([]byte{'B'}, uint32(len(payload)))
	return []byte("\x80\x04" + before + string(length) + payload + after + ".")
}

const namesBooster = "\x8c\x0cxgboost.core\x94\x8c\x07Booster\x94\x93\x94)\x81\x94"

// TestPickle walks pickles with every kind of instruction that is allowed.
func TestPickle(t *testing.T) {
	latin1 := func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			b.WriteRune(rune(s[i]))
		}
		return b.String()
	}
	ubj := string(toUBJSON(t, tiny))
	text := func(s string) string { return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s }
	eight := func(op, s string) string {
		return op + string(binary.LittleEndian.AppendUint64(nil, uint64(len(s)))) + s
	}
	for name, data := range map[string]string{
		"protocol 2":          "\x80\x02cxgboost.core\nBooster\nq\x00)\x81q\x01}q\x02" + text("handle") + "c__builtin__\nbytearray\n" + text(latin1(ubj)) + text("latin-1") + "\x86Rsb.",
		"protocol 2, bytes 8": "\x80\x02cxgboost.core\nBooster\n" + eight("\x8d", latin1(ubj)) + ".",
		"Python 2":            "\x80\x02cxgboost.core\nBooster\nT" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(ubj)))) + ubj + ".",
		"protocol 5":          "\x80\x05\x95\x10\x00\x00\x00\x00\x00\x00\x00" + namesBooster + eight("\x96", ubj) + "\x94sb.",
		"BINBYTES8":           "\x80\x04" + namesBooster + eight("\x8e", ubj) + ".",
		"all others": string(pickled(namesBooster+"N\x88\x89K\x01M\x01\x02J\x01\x02\x03\x04\x8a\x02\xff\x7f\x8b\x01\x00\x00\x00\x05G12345678"+
			"(012]ae}ds(ul)t\x85\x86\x87\x8f\x90\x91\x92U\x01xC\x01yh\x00j\x00\x00\x00\x00r\x00\x00\x00\x00", ubj, "Rb")),
		"large texts beside it": string(pickled(namesBooster+text(strings.Repeat("é", 5000))+text(tiny), ubj, "")),
		"large bytes beside it": string(pickled(namesBooster+eight("\x8e", strings.Repeat("x", 5000)), ubj, eight("\x8e", strings.Repeat("x", 5000)))),
	} {
		t.Run(name, func(t *testing.T) {
			m, err := Parse([]byte(data))
			if err != nil {
				t.Fatal(err)
			}
			if m.Format != "pickle+ubjson" || m.NumTrees != 2 || !m.pickled {
				t.Errorf("%s, %d trees", m.Format, m.NumTrees)
			}
		})
	}
}

func TestPickleRefuses(t *testing.T) {
	other := strings.Replace(tiny, "xgboost", "", 1)
	for name, c := range map[string]struct {
		data string
		want error
		text string
	}{
		"protocol 1":         {"\x80\x01.", ErrFormat, "protocol 1"},
		"protocol 6":         {"\x80\x06.", ErrFormat, "protocol 6"},
		"no Booster":         {string(pickled("\x8c\x06decimal", tiny, "")), ErrFormat, "no Booster of xgboost.core"},
		"another class":      {string(pickled("cos\nsystem\n", tiny, "")), ErrFormat, "no Booster"},
		"no model":           {"\x80\x04" + namesBooster + ".", ErrInvalid, "holds no model"},
		"something else":     {string(pickled(namesBooster, strings.Repeat("hello ", 50), "")), ErrFormat, "starts with"},
		"a pickle in it":     {string(pickled(namesBooster, string(pickled(namesBooster, tiny, "")), "")), ErrFormat, "no model of XGBoost's own"},
		"an archive in it":   {string(pickled(namesBooster, string(zipped(archiveOf(t, "xgboost-model", tiny))), "")), ErrFormat, "no model of XGBoost's own"},
		"two models":         {string(pickled(namesBooster, tiny, strings.TrimSuffix(string(pickled("", other, "")), ".")[2:])), ErrUnsupported, "2 models"},
		"code":               {string(pickled(namesBooster, tiny, "i")), ErrInvalid, "0x69 is none"},
		"text of protocol 0": {"\x80\x02S'x'\n.", ErrInvalid, "0x53 is none"},
		"extension":          {"\x80\x02\x82\x01.", ErrInvalid, "0x82 is none"},
		"persistent object":  {"\x80\x02Pid\n.", ErrInvalid, "outside the file"},
		"buffer elsewhere":   {"\x80\x05" + namesBooster + "\x97.", ErrInvalid, "outside the file"},
		"long length":        {"\x80\x04" + namesBooster + "\x8e\xff\xff\xff\xff\xff\xff\xff\xff", ErrInvalid, "more than the file holds"},
		"no end":             {strings.TrimSuffix(string(pickled(namesBooster, tiny, "")), "."), ErrInvalid, "ends in the middle"},
		"no end of a line":   {"\x80\x02cxgboost.core", ErrInvalid, "ends in the middle"},
		"more after it":      {string(pickled(namesBooster, tiny, "")) + "x", ErrInvalid, "1 bytes follow"},
		"damaged model":      {string(pickled(namesBooster, tiny[:500], "")), ErrInvalid, "pickle: learner:"},
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, []byte(c.data), c.want, c.text) })
	}
}

// TestPickleRounds wants num_parallel_tree from the attributes of the Python object, in releases that keep it nowhere else.
func TestPickleRounds(t *testing.T) {
	text := edit(t, tiny, `"num_trees":"2","num_parallel_tree":"1"`, `"num_trees":"2"`, `"iteration_indptr":[0,1,2],`, ``)
	for name, c := range map[string]struct {
		attributes string
		iterations int
	}{
		"none":             {"", 2},
		"a forest":         {"\x8c\x0ebest_iteration\x94K\x00\x8c\x10best_ntree_limit\x94K\x02", 1},
		"protocol 2":       {"X\x0e\x00\x00\x00best_iterationq\x05K\x00X\x10\x00\x00\x00best_ntree_limitr\x06\x00\x00\x00J\x02\x00\x00\x00", 1},
		"trees":            {"\x8c\x0ebest_iterationM\x01\x00\x8c\x10best_ntree_limitM\x02\x00", 2},
		"not a multiple":   {"\x8c\x0ebest_iterationK\x01\x8c\x10best_ntree_limitK\x03", 2},
		"another value":    {"\x8c\x0ebest_iterationNK\x00\x8c\x10best_ntree_limitNK\x02", 2},
		"a large number":   {"\x8c\x0ebest_iteration\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x01\x8c\x10best_ntree_limitK\x02", 2},
		"a negative limit": {"\x8c\x0ebest_iterationK\x00\x8c\x10best_ntree_limitJ\xff\xff\xff\xff", 2},
	} {
		m, err := Parse(pickled(namesBooster+c.attributes, text, ""))
		if err != nil || m.Iterations != c.iterations {
			t.Errorf("%s: %+v, %v; want %d iterations", name, m, err, c.iterations)
		}
	}
}
