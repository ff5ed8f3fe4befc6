package gbdt

import (
	"bytes"
	"slices"
	"strconv"
)

const (
	maxPickleSteps = 1 << 19 // instructions: a Booster takes dozens, and two for the name of a feature
	maxPickleName  = 1 << 10 // bytes of a name, or of a key that is looked for
)

// unpickler follows the instructions of a pickle of the protocols 0 to 5 (Lib/pickletools.py in CPython) and notes what
// they describe. A pickle is a program that builds Python objects; here nothing is imported, called or built: a call is a
// record of what would be called. Instructions outside a closed list, and parts of any library that does not belong to a
// model, end the reading.
type unpickler struct {
	data    []byte
	pos     int
	version byte // of the protocol
	stack   []any
	marks   []int // heights of the stack
	memo    map[uint64]any
	steps   int
	nested  bool // a pickle within that of joblib
}

// read reads to the end of the pickle and returns what it describes.
func (u *unpickler) read() (any, error) {
	u.memo = make(map[uint64]any)
	for {
		start := u.pos
		code, err := u.take(1)
		if err != nil {
			return nil, err
		}
		if u.steps++; u.steps > maxPickleSteps {
			return nil, refuse(ErrLimit, "more than %d instructions; save the model alone", maxPickleSteps)
		}
		if code[0] == '.' { // STOP
			return u.pop()
		}
		if err := u.step(code[0], start); err != nil {
			return nil, err
		}
	}
}

func (u *unpickler) step(op byte, start int) error {
	switch op {
	case 0x80: // PROTO
		version, err := u.take(1)
		if err == nil && version[0] > 5 {
			err = refuse(ErrFormat, "protocol %d, of which 0 to 5 are known", version[0])
		}
		if err == nil {
			u.version = version[0]
		}
		return err
	case 0x95: // FRAME, which says how much may be read at once
		_, err := u.take(8)
		return err
	case 'N': // NONE
		return u.push(pyNone{}, nil)
	case 0x88, 0x89: // NEWTRUE, NEWFALSE
		return u.push(op == 0x88, nil)
	case 'K', 'M', 'J', 0x8a, 0x8b, 'I', 'L', 'G', 'F':
		return u.push(u.number(op))
	case 'S', 'V', 'U', 'T', 'X', 0x8c, 0x8d, 'C', 'B', 0x8e, 0x96:
		return u.push(u.string(op))
	case 'p', 'q', 'r', 0x94, 'g', 'h', 'j': // PUT, BINPUT, LONG_BINPUT, MEMOIZE, GET, BINGET, LONG_BINGET
		return u.remember(op)
	case '(', '0', '1', '2': // MARK, POP, POP_MARK, DUP
		return u.shuffle(op)
	case ')', 't', 0x85, 0x86, 0x87, ']', 'l', 'a', 'e', '}', 'd', 's', 'u', 0x8f, 0x90, 0x91:
		return u.collect(op)
	case 'c', 0x93, 'i', 'o', 'R', 'b', 0x81, 0x92: // GLOBAL, STACK_GLOBAL, INST, OBJ, REDUCE, BUILD, NEWOBJ, NEWOBJ_EX
		return u.object(op)
	case 'P', 'Q', 0x97, 0x98: // PERSID, BINPERSID, NEXT_BUFFER, READONLY_BUFFER
		return invalidf(start, "part of it stands outside the file (instruction %#02x)", op)
	}
	return invalidf(start, "instruction %#02x is none that a pickled model needs", op)
}

// remember puts the value on top into the memo, or one from there on top.
func (u *unpickler) remember(op byte) error {
	var index uint64
	var value []byte
	var err error
	switch op {
	case 0x94:
		index = uint64(len(u.memo))
	case 'p', 'g':
		if value, err = u.line(); err == nil {
			if index, err = strconv.ParseUint(string(value[:min(len(value), 20)]), 10, 32); err != nil {
				err = refuse(ErrInvalid, "%.40q is no place in the memo", value)
			}
		}
	case 'q', 'h':
		value, err = u.take(1)
		index = littleEndian(value)
	default:
		value, err = u.take(4)
		index = littleEndian(value)
	}
	if err != nil {
		return err
	}
	if op == 'g' || op == 'h' || op == 'j' {
		v, ok := u.memo[index]
		if !ok {
			return invalidf(u.pos, "nothing stands in the memo at %d", index)
		}
		return u.push(v, nil)
	}
	top, err := u.top()
	if err == nil {
		u.memo[index] = top
	}
	return err
}

func (u *unpickler) shuffle(op byte) error {
	switch op {
	case '(':
		u.marks = append(u.marks, len(u.stack))
	case '0':
		if n := len(u.marks); n > 0 && u.marks[n-1] == len(u.stack) {
			u.marks = u.marks[:n-1]
			return nil
		}
		_, err := u.pop()
		return err
	case '1':
		_, err := u.popMark()
		return err
	default:
		return u.push(u.top())
	}
	return nil
}

// collect makes tuples, lists, sets and dictionaries, and adds to them.
func (u *unpickler) collect(op byte) error {
	var items []any
	var err error
	switch op {
	case ')', ']', '}', 0x8f:
	case 'a':
		items, err = u.popN(1)
	case 's':
		items, err = u.popN(2)
	case 0x85, 0x86, 0x87:
		items, err = u.popN(int(op - 0x84))
	default:
		items, err = u.popMark()
	}
	if err != nil {
		return err
	}
	switch op {
	case ')', 't', 0x85, 0x86, 0x87:
		return u.push(&pyTuple{items}, nil)
	case ']', 'l', 0x8f, 0x91:
		return u.push(&pyList{items}, nil)
	case '}':
		return u.push(&pyDict{}, nil)
	case 'd':
		d := &pyDict{}
		return u.push(d, d.add(items))
	}
	top, err := u.top()
	if err != nil {
		return err
	}
	switch v := top.(type) {
	case *pyList:
		v.items = append(v.items, items...)
		return nil
	case *pyDict:
		return v.add(items)
	case *pyObject: // a subclass of list or dict
		v.items = append(v.items, items...)
		return nil
	}
	return invalidf(u.pos, "something is added to what is neither a list nor a dictionary")
}

func (d *pyDict) add(items []any) error {
	if len(items)%2 != 0 {
		return refuse(ErrInvalid, "a key has no value")
	}
	for i := 0; i < len(items); i += 2 {
		d.keys, d.values = append(d.keys, items[i]), append(d.values, items[i+1])
	}
	return nil
}

// object notes globals, calls, and the state that objects get.
func (u *unpickler) object(op byte) error {
	switch op {
	case 'c':
		return u.push(u.global())
	case 0x93:
		names, err := u.popN(2)
		if err != nil {
			return err
		}
		module, ok1 := textOf(names[0])
		name, ok2 := textOf(names[1])
		if !ok1 || !ok2 {
			return invalidf(u.pos, "a global is not named by text")
		}
		return u.push(u.named(module, name))
	case 'i':
		class, err := u.global()
		if err != nil {
			return err
		}
		args, err := u.popMark()
		return u.push(&pyObject{class: class, args: args}, err)
	case 'o':
		items, err := u.popMark()
		if err == nil && len(items) == 0 {
			err = invalidf(u.pos, "an object has no class")
		}
		if err != nil {
			return err
		}
		return u.push(&pyObject{class: items[0], args: items[1:]}, nil)
	case 'b':
		state, err := u.pop()
		if err != nil {
			return err
		}
		return u.build(state)
	}
	count := 2
	if op == 0x92 {
		count = 3
	}
	call, err := u.popN(count)
	if err != nil {
		return err
	}
	args, ok := call[1].(*pyTuple)
	if !ok {
		return invalidf(u.pos, "something is called with what is no tuple")
	}
	return u.push(&pyObject{class: call[0], args: args.items}, nil)
}

// build gives the object on top its state. joblib puts the content of an array behind it, outside of the pickle.
func (u *unpickler) build(state any) error {
	top, err := u.top()
	if err != nil {
		return err
	}
	o, ok := top.(*pyObject)
	if !ok {
		return invalidf(u.pos, "a state is given to what is no object")
	}
	o.state = state
	if o.classOf().name == "NumpyArrayWrapper" {
		return u.skipArray(o.attributes())
	}
	return nil
}

// skipArray steps over what joblib wrote of an array: padding, whose length comes first, and its values; or a pickle if
// they are objects (joblib/numpy_pickle.py, NumpyArrayWrapper.write_array).
func (u *unpickler) skipArray(array *pyDict) error {
	dtype := kindOfArray(array.get("dtype"))
	if len(dtype) < 2 {
		return invalidf(u.pos, "joblib's array has no dtype")
	}
	if dtype[0] == 'O' {
		if u.nested {
			return invalidf(u.pos, "an array of joblib's stands in another")
		}
		inner := unpickler{data: u.data, pos: u.pos, steps: u.steps, nested: true}
		_, err := inner.read()
		u.pos, u.steps = inner.pos, inner.steps
		return err
	}
	size, err := strconv.ParseUint(dtype[1:], 10, 16)
	shape, ok := array.get("shape").(*pyTuple)
	if err != nil || !ok {
		return invalidf(u.pos, "joblib's array has no size")
	}
	if dtype[0] == 'U' {
		size *= 4
	}
	for _, n := range shape.items {
		length, ok := n.(int64)
		if !ok || length < 0 || length > int64(len(u.data)) || size > uint64(len(u.data)) {
			return invalidf(u.pos, "joblib's array is larger than the file")
		}
		size *= uint64(length)
	}
	if _, aligned := array.get("numpy_array_alignment_bytes").(int64); aligned {
		if _, err := u.counted(1); err != nil {
			return err
		}
	}
	if size > uint64(len(u.data)-u.pos) {
		return truncated(len(u.data))
	}
	u.pos += int(size)
	return nil
}

// global reads two lines, a module and a name in it.
func (u *unpickler) global() (any, error) {
	module, err := u.line()
	if err != nil {
		return nil, err
	}
	name, err := u.line()
	if err != nil {
		return nil, err
	}
	return u.named(string(module[:min(len(module), maxPickleName)]), string(name[:min(len(name), maxPickleName)]))
}

// named notes a global, and refuses those that do not belong to a model.
func (u *unpickler) named(module, name string) (any, error) {
	g := &pyGlobal{module, name}
	switch {
	case g.ofXGBoost(), g.plain(), g.helpsWrapper():
		return g, nil
	case bytes.Contains(u.data, []byte("xgboost.")):
		return nil, foreign(g)
	}
	return nil, refuse(ErrFormat, "it holds %.80q, and no Booster of xgboost.core", g)
}

// foreign refuses a pickle that holds more than a model.
func foreign(g *pyGlobal) error {
	return refuse(ErrUnsupported, "it holds %.80q beside the model, which may change the scores; save the Booster alone "+
		"(model.get_booster().save_model) and prepare rows as before", g)
}

func (u *unpickler) push(v any, err error) error {
	if err == nil {
		u.stack = append(u.stack, v)
	}
	return err
}

// height returns down to where the stack may be taken: to the last mark.
func (u *unpickler) height() int {
	if n := len(u.marks); n > 0 {
		return u.marks[n-1]
	}
	return 0
}

func (u *unpickler) top() (any, error) {
	if len(u.stack) <= u.height() {
		return nil, u.empty()
	}
	return u.stack[len(u.stack)-1], nil
}

func (u *unpickler) pop() (any, error) {
	v, err := u.top()
	if err == nil {
		u.stack = u.stack[:len(u.stack)-1]
	}
	return v, err
}

// popN takes the n values on top, the lowest first.
func (u *unpickler) popN(n int) ([]any, error) {
	if len(u.stack)-u.height() < n {
		return nil, u.empty()
	}
	return u.cut(len(u.stack) - n), nil
}

// popMark takes all values above the last mark.
func (u *unpickler) popMark() ([]any, error) {
	n := len(u.marks)
	if n == 0 {
		return nil, u.empty()
	}
	height := u.marks[n-1]
	u.marks = u.marks[:n-1]
	return u.cut(height), nil
}

func (u *unpickler) cut(height int) []any {
	items := slices.Clone(u.stack[height:])
	clear(u.stack[height:])
	u.stack = u.stack[:height]
	return items
}

func (u *unpickler) empty() error {
	return invalidf(u.pos, "an instruction finds too little before it")
}

// line reads to the end of a line.
func (u *unpickler) line() ([]byte, error) {
	n := bytes.IndexByte(u.data[u.pos:], '\n')
	if n < 0 {
		return nil, truncated(len(u.data))
	}
	line, err := u.take(n + 1)
	return line[:n], err
}

// counted reads a length of so many bytes, and as many bytes as it says.
func (u *unpickler) counted(size int) ([]byte, error) {
	length, err := u.take(size)
	if err != nil {
		return nil, err
	}
	n := littleEndian(length)
	if n > uint64(len(u.data)-u.pos) {
		return nil, invalidf(u.pos, "a length of %d is more than the file holds", n)
	}
	return u.take(int(n))
}

func (u *unpickler) take(n int) ([]byte, error) {
	if n > len(u.data)-u.pos {
		return nil, truncated(len(u.data))
	}
	b := u.data[u.pos : u.pos+n]
	u.pos += n
	return b, nil
}
