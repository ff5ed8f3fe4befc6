package gbdt

import (
	"slices"
	"strconv"
)

// maxAttributes bounds a model's attributes, of which XGBoost itself sets three.
const maxAttributes = 1 << 16

// document is what a model file says, before newModel checks it as a whole. Keys come in any order (sorted in UBJSON, so
// that the trees stand before the number of features).
type document struct {
	format       string // Model.Format
	version      [3]int
	attributes   map[string]string
	featureNames []string
	objective    string
	booster      string // gbtree, dart or gblinear
	hasModel     bool
	pickled      bool     // a pickled Booster, which keeps all its trees whatever early stopping found
	endpointCuts bool     // a pickled Booster that has best_ntree_limit, up to which SageMaker's endpoint uses it
	wrapper      string   // the class of xgboost.sklearn that the model was saved from; empty for a Booster
	missing      *float32 // what the wrapper takes for missing besides NaN; nil without

	// learner_model_param
	baseScore                        string
	numFeature, numClass, numTargets int
	estimates                        bool // boost_from_average: base_score comes from the data

	// gradient_booster of gbtree and dart
	forest     forest
	tree       fileTree  // scratch of readTree
	numTrees   int       // as declared; -1 where it is not
	parallel   int       // num_parallel_tree; 0 where it is not declared (before 1.6)
	treeInfo   []int32   // the output that each tree adds to
	indptr     []int32   // iteration_indptr: the first tree of each round, and the end (since 2.0)
	weightDrop []float32 // dart: a weight for each tree

	// gradient_booster of gblinear
	weights  []float32 // (features + 1) x outputs, the last row is the bias; none if it was never trained
	weighted bool      // weights were there, if none
	rounds   int       // boosted_rounds
}

// legacy says whether the document was one of the legacy binary format.
func (d *document) legacy() bool { return isLegacyFormat(d.format) }

// readDocument reads {"version": …, "learner": …}, or the snapshot {"Config": …, "Model": {…}} of a pickled Booster.
func readDocument(format string, src source, lim Limits) (*document, error) {
	d := &document{format: format, numTrees: -1, forest: forest{limits: lim}}
	var learner, dump bool
	var top func(inSnapshot bool) error
	top = func(inSnapshot bool) error {
		return src.object(func(key string) error {
			switch {
			case key == "version":
				return within(key, d.readVersion(src))
			case key == "learner" && !learner:
				learner = true
				return within(key, d.readLearner(src))
			case key == "learner":
				return refuse(ErrInvalid, "learner stands there twice")
			case key == "Model" && !inSnapshot:
				d.format = formatSnapshot + format
				return within(key, top(true))
			case key == "Config" && !inSnapshot:
				return within(key, d.readConfig(src))
			}
			dump = dump || key == "nodeid" || key == "leaf"
			return src.skip()
		})
	}
	if err := top(false); err != nil {
		return nil, err
	}
	if err := src.end(); err != nil {
		return nil, err
	}
	switch {
	case dump && !learner:
		return nil, refuse(ErrFormat, "it looks like the output of dump_model, which leaves out base_score; use save_model")
	case !learner:
		return nil, refuse(ErrInvalid, "it has no learner, so it is no model that XGBoost saved")
	case !d.hasModel:
		return nil, refuse(ErrInvalid, "its gradient_booster has no model (it may be the output of save_config)")
	}
	return d, nil
}

// wrapperAttribute is where save_model of a class of xgboost.sklearn notes what it is, as JSON, until 1.7 with its parameters.
const wrapperAttribute = "scikit_learn"

// readWrapper takes the parameter missing from the attribute that xgboost.sklearn leaves in the files that it saves.
func (d *document) readWrapper() error {
	text, ok := d.attributes[wrapperAttribute]
	if !ok || d.pickled {
		return nil
	}
	d.wrapper = "scikit-learn"
	src := &jsonSource{data: []byte(text)}
	return within(wrapperAttribute, src.object(func(key string) error {
		if key != "missing" || src.nextIs('n') { // null
			return src.skip()
		}
		x, err := src.float()
		if err == nil {
			d.missing, err = missingValue(float64(x))
		}
		return within(key, err)
	}))
}

// missingValue checks what a wrapper takes for missing. NaN is missing anyway.
func missingValue(x float64) (*float32, error) {
	switch value := float32(x); {
	case x != x:
		return nil, nil
	case !finite(value):
		return nil, refuse(ErrUnsupported, "%v stands for missing values, which no row may hold", x)
	default:
		return &value, nil
	}
}

// readConfig reads the configuration that a snapshot holds beside the model (what save_config gives). All that is wanted of
// it is the full version, which the legacy binary format cuts, and num_parallel_tree, which no model before 1.6 holds.
func (d *document) readConfig(src source) error {
	params := func(name, value string) (err error) {
		if name == "num_parallel_tree" && d.parallel == 0 {
			d.parallel, err = count(value)
		}
		return err
	}
	var booster func(inDart bool) error
	booster = func(inDart bool) error {
		return src.object(func(key string) error {
			switch {
			case key == "gbtree_train_param":
				return within(key, readParams(src, params))
			case key == "gbtree" && !inDart:
				return within(key, booster(true))
			}
			return src.skip()
		})
	}
	return src.object(func(key string) error {
		switch key {
		case "version":
			return within(key, d.readVersion(src))
		case "learner":
			return within(key, src.object(func(key string) error {
				if key == "gradient_booster" {
					return within(key, booster(false))
				}
				return src.skip()
			}))
		}
		return src.skip()
	})
}

func (d *document) readVersion(src source) error {
	v, err := src.ints(nil)
	if err != nil {
		return err
	}
	if len(v) < 2 || len(v) > len(d.version) || v[0] < 1 || v[0] > 1<<15 || slices.Min(v) < 0 {
		return refuse(ErrInvalid, "%d is not an XGBoost version", v[:min(len(v), 4)])
	}
	for i := range v {
		d.version[i] = int(v[i])
	}
	return nil
}

func (d *document) readLearner(src source) error {
	return src.object(func(key string) (err error) {
		switch key {
		case "attributes":
			d.attributes = map[string]string{}
			err = src.object(func(name string) (err error) {
				if len(d.attributes) >= maxAttributes {
					return refuse(ErrLimit, "more than %d", maxAttributes)
				}
				d.attributes[name], err = src.text()
				return within(name, err)
			})
		case "feature_names":
			d.featureNames, err = stringList(src, d.forest.limits.Features)
		case "gradient_booster":
			err = d.readBooster(src)
		case "learner_model_param":
			err = readParams(src, func(name, value string) (err error) {
				switch name {
				case "base_score":
					d.baseScore = value
				case "num_feature":
					d.numFeature, err = count(value)
				case "num_class":
					d.numClass, err = count(value)
				case "boost_from_average":
					d.estimates = value != "0"
				case "num_target":
					d.numTargets, err = count(value)
				}
				return err
			})
		case "objective":
			err = src.object(func(name string) (err error) {
				if name == "name" {
					d.objective, err = src.text()
					return err
				}
				return src.skip()
			})
		default:
			err = src.skip()
		}
		return within(key, err)
	})
}

// readBooster reads gbtree and gblinear, {"name": …, "model": {…}}, and dart until 3.2,
// {"name": "dart", "gbtree": {"name": "gbtree", "model": {…}}, "weight_drop": […]}.
func (d *document) readBooster(src source) error {
	return src.object(func(key string) (err error) {
		switch key {
		case "name":
			d.booster, err = src.text()
		case "model":
			err = d.readBoosterModel(src)
		case "weight_drop":
			d.weightDrop, err = src.floats(nil)
		case "gbtree":
			err = src.object(func(key string) error {
				if key == "model" {
					return within(key, d.readBoosterModel(src))
				}
				return src.skip()
			})
		default:
			err = src.skip()
		}
		return within(key, err)
	})
}

func (d *document) readBoosterModel(src source) error {
	if d.hasModel {
		return refuse(ErrInvalid, "it stands there twice")
	}
	d.hasModel = true
	return src.object(func(key string) (err error) {
		switch key {
		case "gbtree_model_param":
			err = readParams(src, func(name, value string) (err error) {
				switch name {
				case "num_trees":
					d.numTrees, err = count(value)
				case "num_parallel_tree":
					d.parallel, err = count(value)
				}
				return err
			})
		case "trees":
			if len(d.forest.roots) > 0 {
				return refuse(ErrInvalid, "trees stand there twice")
			}
			err = src.array(func(i int) error {
				return within("tree "+strconv.Itoa(i), d.readTree(src, i))
			})
		case "tree_info":
			d.treeInfo, err = src.ints(nil)
		case "iteration_indptr":
			d.indptr, err = src.ints(nil)
		case "weight_drop": // since 3.3
			d.weightDrop, err = src.floats(nil)
		case "weights":
			d.weighted = true
			d.weights, err = src.floats(nil)
		case "boosted_rounds":
			var text string
			if text, err = src.text(); err == nil {
				d.rounds, err = count(text)
			}
		default:
			err = src.skip()
		}
		return within(key, err)
	})
}

// readTree reads a tree and adds it to the forest at once, so that only one is held in the file's form.
func (d *document) readTree(src source, index int) error {
	t := &d.tree
	t.reset()
	err := src.object(func(key string) (err error) {
		switch key {
		case "id":
			var id string
			if id, err = src.text(); err == nil && id != strconv.Itoa(index) {
				err = refuse(ErrInvalid, "%s is out of order", id)
			}
		case "tree_param":
			err = readParams(src, func(name, value string) (err error) {
				switch name {
				case "num_nodes":
					t.numNodes, err = count(value)
				case "size_leaf_vector":
					t.vectorSize, err = count(value)
				}
				return err
			})
		case "left_children":
			t.left, err = src.ints(t.left)
		case "right_children":
			t.right, err = src.ints(t.right)
		case "split_indices":
			t.feature, err = src.ints(t.feature)
		case "split_conditions":
			t.condition, err = src.floats(t.condition)
		case "default_left":
			t.defaultLeft, err = src.ints(t.defaultLeft)
		case "split_type":
			t.splitType, err = src.ints(t.splitType)
		case "sum_hessian":
			t.cover, err = src.floats(t.cover)
		case "base_weights":
			t.baseWeights, err = src.floats(t.baseWeights)
		case "leaf_weights":
			t.leafWeights, err = src.floats(t.leafWeights)
		case "categories":
			t.categories, err = src.ints(t.categories)
		case "categories_nodes":
			t.categoryNodes, err = src.ints(t.categoryNodes)
		case "categories_segments":
			t.categoryStarts, err = src.ints(t.categoryStarts)
		case "categories_sizes":
			t.categorySizes, err = src.ints(t.categorySizes)
		default:
			err = src.skip()
		}
		return within(key, err)
	})
	if err != nil {
		return err
	}
	d.forest.reserve(len(t.left), src.read())
	return d.forest.add(t)
}

// readParams reads an object of parameters, which XGBoost writes as strings.
func readParams(src source, visit func(name, value string) error) error {
	return src.object(func(name string) error {
		value, err := src.text()
		if err == nil {
			err = visit(name, value)
		}
		return within(name, err)
	})
}

// count reads a number that counts something, or an index.
func count(text string) (int, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, refuse(ErrInvalid, "%.60q is not a count", text)
	}
	return int(n), nil
}
