package gbdt

import (
	"bytes"
	"encoding/binary"
)

// minPayload is less than any model takes, and more than any name in a pickle.
const minPayload = 64

// pickleFacts are what a pickled Booster tells besides its model.
type pickleFacts struct {
	payload []byte // what Booster.__getstate__ put under "handle": a model in another format
	// The attributes of the Python object that early stopping sets; -1 where there is none. Releases before 1.3 keep the
	// second nowhere else.
	bestIteration, bestNTreeLimit int
}

// readPickle finds the model in a pickle of an XGBoost Booster, of the protocols 2 to 5 (Lib/pickletools.py in CPython).
//
// A pickle is a program that builds Python objects. It is not run here: its instructions are only stepped over, those
// outside a closed list end the reading, and nothing is built or called. The model is the largest string of bytes in it that
// looks like one.
func readPickle(data []byte) (pickleFacts, error) {
	w := pickleWalk{data: data, facts: pickleFacts{bestIteration: -1, bestNTreeLimit: -1}}
	stopped := false
	for !stopped {
		var err error
		if stopped, err = w.step(); err != nil {
			return w.facts, within("pickle", err)
		}
	}
	switch {
	case w.pos < len(data):
		return w.facts, refuse(ErrInvalid, "pickle: %d bytes follow its end", len(data)-w.pos)
	case !w.booster:
		return w.facts, refuse(ErrFormat, "the pickle names no Booster of xgboost.core")
	case w.facts.payload == nil:
		return w.facts, refuse(ErrInvalid, "pickle: the Booster in it holds no model")
	case w.models > 1:
		return w.facts, refuse(ErrUnsupported, "pickle: it holds %d models; save one", w.models)
	}
	return w.facts, nil
}

type pickleWalk struct {
	data    []byte
	pos     int
	version byte   // of the protocol
	booster bool   // xgboost.core was named
	models  int    // strings of bytes that look like a model
	key     string // the text just read, the key of the value that comes next if that is a number
	facts   pickleFacts
}

// step reads one instruction and says whether it ended the pickle.
func (w *pickleWalk) step() (stopped bool, err error) {
	start := w.pos
	code, err := w.take(1)
	if err != nil {
		return false, err
	}
	switch op := code[0]; op {
	case '.': // STOP
		return true, nil
	case 'c': // GLOBAL
		return false, w.global()
	case 0x80: // PROTO
		version, err := w.take(1)
		if err == nil && (version[0] < 2 || version[0] > 5) {
			err = refuse(ErrFormat, "protocol %d, of which 2 to 5 are known", version[0])
		}
		if err == nil {
			w.version = version[0]
		}
		return false, err
	case 0x95: // FRAME, which says how much may be read at once
		_, err = w.take(8)
	case 'q', 'h': // BINPUT, BINGET: by index into the memo
		_, err = w.take(1)
		return false, err // between a key and its value
	case 'r', 'j': // LONG_BINPUT, LONG_BINGET
		_, err = w.take(4)
		return false, err
	case 0x94: // MEMOIZE
		return false, nil
	case 'K', 'M', 'J', 0x8a: // BININT1, BININT2, BININT, LONG1
		err = w.integer(op)
	case 'G': // BINFLOAT
		_, err = w.take(8)
	case 0x8b: // LONG4
		_, err = w.counted(4)
	case 0x8c, 'X', 0x8d: // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8
		return false, w.text(op)
	case 'U', 'T', 'C', 'B', 0x8e, 0x96: // SHORT_BINSTRING, BINSTRING, SHORT_BINBYTES, BINBYTES, BINBYTES8, BYTEARRAY8
		err = w.bytes(op)
	case '(', '0', '1', '2', // MARK, POP, POP_MARK, DUP
		'N', 0x88, 0x89, // NONE, NEWTRUE, NEWFALSE
		')', 't', 0x85, 0x86, 0x87, // EMPTY_TUPLE, TUPLE, TUPLE1, TUPLE2, TUPLE3
		']', 'l', 'a', 'e', // EMPTY_LIST, LIST, APPEND, APPENDS
		'}', 'd', 's', 'u', // EMPTY_DICT, DICT, SETITEM, SETITEMS
		0x8f, 0x90, 0x91, // EMPTY_SET, ADDITEMS, FROZENSET
		0x93, 'R', 'b', 0x81, 0x92: // STACK_GLOBAL, REDUCE, BUILD, NEWOBJ, NEWOBJ_EX
	case 'P', 'Q', 0x97: // PERSID, BINPERSID, NEXT_BUFFER
		return false, invalidf(start, "part of it stands outside the file (instruction %#02x)", op)
	default:
		return false, invalidf(start, "instruction %#02x is none that a pickled Booster needs", op)
	}
	w.key = ""
	return false, err
}

// global reads GLOBAL's two lines, a module and a name in it.
func (w *pickleWalk) global() error {
	for range 2 {
		n := bytes.IndexByte(w.data[w.pos:], '\n')
		if n < 0 {
			return truncated(len(w.data))
		}
		line, err := w.take(n + 1)
		if err != nil {
			return err
		}
		w.named(string(line[:n]))
	}
	w.key = ""
	return nil
}

func (w *pickleWalk) named(name string) { w.booster = w.booster || name == "xgboost.core" }

func (w *pickleWalk) integer(op byte) error {
	var value []byte
	var err error
	switch op {
	case 'K':
		value, err = w.take(1)
	case 'M':
		value, err = w.take(2)
	case 'J':
		value, err = w.take(4)
	default:
		value, err = w.counted(1)
	}
	if err != nil || len(value) > 4 {
		return err
	}
	n := int(int32(littleEndian(value)))
	switch w.key {
	case "best_iteration":
		w.facts.bestIteration = n
	case "best_ntree_limit":
		w.facts.bestNTreeLimit = n
	}
	return nil
}

// text reads a string. Protocol 2 has no bytes: it writes each as the character with its number.
func (w *pickleWalk) text(op byte) error {
	value, err := w.counted(lengthOf(op))
	if err != nil {
		return err
	}
	w.key = ""
	if len(value) < minPayload {
		w.key = string(value)
		w.named(w.key)
		return nil
	}
	if w.version > 2 {
		return nil
	}
	raw := make([]byte, 0, len(value))
	for _, r := range string(value) { // what is no UTF-8 gives a character above 255
		if r > 0xff {
			return nil
		}
		raw = append(raw, byte(r))
	}
	w.offer(raw)
	return nil
}

func (w *pickleWalk) bytes(op byte) error {
	value, err := w.counted(lengthOf(op))
	if err == nil && len(value) >= minPayload {
		w.offer(value)
	}
	return err
}

// offer keeps the largest of the strings of bytes that look like a model, or if there is none, the largest at all: what is
// wrong with that can be said.
func (w *pickleWalk) offer(value []byte) {
	first := false
	if _, err := sniff(value); err == nil {
		w.models++
		first = w.models == 1
	} else if w.models > 0 {
		return
	}
	if first || len(value) > len(w.facts.payload) {
		w.facts.payload = value
	}
}

// lengthOf returns how many bytes the length takes that follows an instruction.
func lengthOf(op byte) int {
	switch op {
	case 0x8c, 'U', 'C':
		return 1
	case 0x8d, 0x8e, 0x96:
		return 8
	}
	return 4
}

// counted reads a length of so many bytes, and as many bytes as it says.
func (w *pickleWalk) counted(size int) ([]byte, error) {
	length, err := w.take(size)
	if err != nil {
		return nil, err
	}
	n := littleEndian(length)
	if n > uint64(len(w.data)-w.pos) {
		return nil, invalidf(w.pos, "a length of %d is more than the file holds", n)
	}
	return w.take(int(n))
}

func (w *pickleWalk) take(n int) ([]byte, error) {
	if n > len(w.data)-w.pos {
		return nil, truncated(len(w.data))
	}
	b := w.data[w.pos : w.pos+n]
	w.pos += n
	return b, nil
}

// littleEndian reads an unsigned number of at most eight bytes.
func littleEndian(b []byte) uint64 {
	var full [8]byte
	copy(full[:], b)
	return binary.LittleEndian.Uint64(full[:])
}
