package gbdt

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"

	"edgepdm/test/must"
)

// tiny is a model of two trees over the features a and b, base margin 0, for tests that change a detail of it:
//
//	tree 0: a < 1.5 (missing left) ? -1 : b < 0.25 (missing right) ? 2 : 4
//	tree 1: 0.5
const tiny = `{"version":[3,0,5],"learner":{"attributes":{"best_iteration":"0","note":"x"},"feature_names":["a","b"],"feature_types":[],
"gradient_booster":{"name":"gbtree","model":{"gbtree_model_param":{"num_trees":"2","num_parallel_tree":"1"},
"iteration_indptr":[0,1,2],"tree_info":[0,0],"trees":[
{"id":0,"tree_param":{"num_nodes":"5","size_leaf_vector":"1"},"left_children":[1,-1,3,-1,-1],"right_children":[2,-1,4,-1,-1],
"split_indices":[0,0,1,0,0],"split_conditions":[1.5E0,-1E0,2.5E-1,2E0,4E0],"default_left":[1,0,0,0,0],"split_type":[0,0,0,0,0],
"categories":[],"categories_nodes":[],"categories_segments":[],"categories_sizes":[],"parents":[2147483647,0,0,2,2],
"sum_hessian":[10,4,6,2,4]},
{"id":1,"tree_param":{"num_nodes":"1","size_leaf_vector":"1"},"left_children":[-1],"right_children":[-1],"sum_hessian":[10],
"split_indices":[0],"split_conditions":[5E-1],"default_left":[0]}]}},
"learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"2","num_target":"1","boost_from_average":"1"},
"objective":{"name":"binary:logistic","reg_loss_param":{"scale_pos_weight":"1"}}}}`

// tinyCategorical makes tree 0 test whether a is in {2, 5}; those go right.
var tinyCategorical = []string{
	`"split_type":[0,0,0,0,0]`, `"split_type":[1,0,0,0,0]`,
	`"split_conditions":[1.5E0,`, `"split_conditions":[NaN,`,
	`"categories":[],"categories_nodes":[],"categories_segments":[],"categories_sizes":[]`,
	`"categories":[5,2],"categories_nodes":[0],"categories_segments":[0],"categories_sizes":[2]`,
}

// tinyVector gives tree 0 and tree 1 two values a leaf, in the layout of XGBoost 2.0 to 3.1, and the model two targets:
// -1 and 10, 2 and 20, 4 and 40; 0.5 and 50.
var tinyVector = []string{
	`"num_nodes":"5","size_leaf_vector":"1"`, `"num_nodes":"5","size_leaf_vector":"2"`,
	`"num_nodes":"1","size_leaf_vector":"1"`, `"num_nodes":"1","size_leaf_vector":"2"`,
	`"parents":[2147483647,0,0,2,2]`, `"base_weights":[0,0,-1,10,0,0,2,20,4,40]`,
	`"default_left":[0]}`, `"default_left":[0],"base_weights":[5E-1,50]}`,
	`"num_target":"1"`, `"num_target":"2"`,
	`binary:logistic`, `reg:squarederror`,
	`"base_score":"5E-1"`, `"base_score":"[0E0,1E0]"`,
}

// parseTiny parses the tiny model with parts of it replaced, in both formats.
func parseTiny(t testing.TB, pairs ...string) *Model {
	t.Helper()
	text := must.Replace(t, tiny, pairs...)
	m, err := Parse([]byte(text))
	must.OK(t, err)
	same, err := Parse(toUBJSON(t, text))
	if err != nil {
		t.Fatalf("as UBJSON: %v", err)
	}
	if same.Format = m.Format; !reflect.DeepEqual(same, m) {
		t.Fatalf("JSON gives %+v, UBJSON %+v", m, same)
	}
	return m
}

// toUBJSON writes a JSON document as XGBoost writes UBJSON: arrays of numbers typed, other arrays counted, strings and keys
// with 64-bit lengths.
func toUBJSON(t testing.TB, text string) []byte {
	t.Helper()
	src := &jsonSource{data: []byte(text)}
	var out bytes.Buffer
	write := func(v any) {
		must.OK(t, binary.Write(&out, binary.BigEndian, v))
	}
	str := func(s string) {
		out.WriteByte('L')
		write(int64(len(s)))
		out.WriteString(s)
	}
	var value func() error
	value = func() error {
		src.space()
		switch c := src.peek(); {
		case c == '{':
			out.WriteByte('{')
			defer out.WriteByte('}')
			return src.object(func(key string) error {
				str(key)
				return value()
			})
		case c == '"':
			out.WriteByte('S')
			s, err := src.text()
			str(s)
			return err
		case c != '[':
			out.WriteByte('d')
			v, err := src.float()
			write(v)
			return err
		}
		start := src.pos
		if ints, err := src.ints(nil); err == nil {
			out.WriteString("[$l#L")
			write(int64(len(ints)))
			write(ints)
			return nil
		}
		src.pos = start
		if floats, err := src.floats(nil); err == nil {
			out.WriteString("[$d#L")
			write(int64(len(floats)))
			write(floats)
			return nil
		}
		src.pos = start
		count := 0
		if err := src.array(func(int) error { count++; return src.skip() }); err != nil {
			return err
		}
		src.pos = start
		out.WriteString("[#L")
		write(int64(count))
		return src.array(func(int) error { return value() })
	}
	must.OK(t, value())
	return out.Bytes()
}
