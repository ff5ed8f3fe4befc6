package gbdt

import (
	"math"
	"slices"
	"strings"
)

// minPayload is less than any model takes.
const minPayload = 64

// maxPickleDepth bounds how deep the model stands in lists and dictionaries.
const maxPickleDepth = 64

// pickleFacts are what a pickled Booster tells besides its model.
type pickleFacts struct {
	payload []byte   // what Booster.__getstate__ put under "handle": a model in another format
	wrapper string   // the class of xgboost.sklearn around it, such as XGBClassifier; empty if the Booster stands alone
	missing *float32 // the value that the wrapper takes for a missing one besides NaN; nil without
	// The attributes of the Python object that early stopping sets; -1 where there is none. Releases before 1.3 keep the
	// second nowhere else.
	bestIteration, bestNTreeLimit int
}

// readPickle finds the model in a pickle: an XGBoost Booster, alone or in a class of xgboost.sklearn, also as the only one
// in lists, tuples and dictionaries of plain values. Whatever else is in the pickle may change what it predicts (a scaler, a
// pipeline, a calibration), so it is refused by its name.
func readPickle(data []byte) (pickleFacts, error) {
	u := &unpickler{data: data}
	root, err := u.read()
	if err == nil && u.pos < len(data) {
		err = refuse(ErrInvalid, "%d bytes follow its end", len(data)-u.pos)
	}
	var facts pickleFacts
	if err == nil {
		facts, err = findBooster(root)
	}
	return facts, within("pickle", err)
}

// boosterSearch walks what a pickle describes.
type boosterSearch struct {
	seen     map[any]bool
	boosters []*pyObject
	wrappers []*pyObject // around each of them; nil without
}

func findBooster(root any) (pickleFacts, error) {
	s := boosterSearch{seen: make(map[any]bool)}
	if err := s.walk(root, nil, 0); err != nil {
		return pickleFacts{}, err
	}
	switch {
	case len(s.boosters) == 0:
		return pickleFacts{}, refuse(ErrFormat, "it holds no Booster of xgboost.core")
	case len(s.boosters) > 1:
		return pickleFacts{}, refuse(ErrUnsupported, "it holds %d models; save one", len(s.boosters))
	}
	return boosterFacts(s.boosters[0], s.wrappers[0])
}

func (s *boosterSearch) walk(v any, wrapper *pyObject, depth int) error {
	if depth > maxPickleDepth {
		return refuse(ErrLimit, "it nests deeper than %d", maxPickleDepth)
	}
	switch v := v.(type) {
	case *pyTuple:
		return s.walkItems(v, wrapper, depth, v.items)
	case *pyList:
		return s.walkItems(v, wrapper, depth, v.items)
	case *pyDict:
		return s.walkItems(v, wrapper, depth, v.keys, v.values)
	case *pyGlobal:
		if wrapper == nil && v.helpsWrapper() {
			return foreign(v)
		}
	case *pyObject:
		return s.walkObject(v, wrapper, depth)
	}
	return nil
}

func (s *boosterSearch) walkItems(container any, wrapper *pyObject, depth int, lists ...[]any) error {
	if s.seen[container] {
		return nil
	}
	s.seen[container] = true
	for _, items := range lists {
		for _, item := range items {
			if err := s.walk(item, wrapper, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *boosterSearch) walkObject(o *pyObject, wrapper *pyObject, depth int) error {
	class := o.classOf()
	switch {
	case class.is("xgboost.core", "Booster"):
		if !s.seen[o] {
			s.boosters, s.wrappers = append(s.boosters, o), append(s.wrappers, wrapper)
		}
		wrapper = o // what it keeps belongs to it
	case class.ofXGBoost() && wrapper == nil:
		wrapper = o
	case wrapper == nil && o.holdsFractions():
		return refuse(ErrUnsupported, "it holds an array of numbers beside the model, which may be a part of how rows are prepared; "+
			"save the model alone")
	}
	return s.walkItems(o, wrapper, depth, []any{o.class, o.state}, o.args, o.items)
}

// holdsFractions says whether an object is an array of numpy's of fractions: no names, no indices. Its dtype stands in the
// state, since protocol 5 among the arguments, and in joblib's files with a name.
func (o *pyObject) holdsFractions() bool {
	parts := o.args
	switch o.classOf().name {
	case "_reconstruct":
		if state, ok := o.state.(*pyTuple); ok {
			parts = state.items
		}
	case "NumpyArrayWrapper":
		parts = []any{o.attributes().get("dtype")}
	case "_frombuffer":
	default:
		return false
	}
	return slices.ContainsFunc(parts, func(part any) bool { return strings.HasPrefix(kindOfArray(part), "f") })
}

// boosterFacts takes from a Booster, and from what is around it, what scoring needs.
func boosterFacts(booster, wrapper *pyObject) (pickleFacts, error) {
	facts := pickleFacts{bestIteration: -1, bestNTreeLimit: -1}
	attributes := booster.attributes()
	payload, ok := bytesOf(attributes.get("handle"))
	if !ok || len(payload) < minPayload {
		return facts, refuse(ErrInvalid, "the Booster in it holds no model")
	}
	facts.payload = payload
	facts.bestIteration, facts.bestNTreeLimit = roundsIn(attributes, "best_iteration"), roundsIn(attributes, "best_ntree_limit")
	if wrapper == nil {
		return facts, nil
	}
	facts.wrapper = wrapper.classOf().name
	attributes = wrapper.attributes()
	if n := roundsIn(attributes, "best_ntree_limit"); facts.bestNTreeLimit < 0 {
		facts.bestNTreeLimit = n
	}
	if n := roundsIn(attributes, "best_iteration"); facts.bestIteration < 0 {
		facts.bestIteration = n
	}
	missing := attributes.get("missing")
	if missing == nil || missing == (pyNone{}) {
		return facts, nil
	}
	x, ok := numberOf(missing)
	if !ok {
		return facts, refuse(ErrUnsupported, "the parameter missing of its %.40s is no number, so it is not known which values are missing", facts.wrapper)
	}
	var err error
	facts.missing, err = missingValue(x)
	return facts, err
}

// roundsIn returns an attribute that counts rounds or trees; -1 without.
func roundsIn(attributes *pyDict, name string) int {
	n, ok := attributes.get(name).(int64)
	if !ok || n < 0 || n > math.MaxInt32 {
		return -1
	}
	return int(n)
}
