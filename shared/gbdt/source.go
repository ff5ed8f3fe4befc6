package gbdt

import "fmt"

// maxNesting bounds how deep values may stand in one another. XGBoost's models need ten.
const maxNesting = 64

// maxNumbers bounds an array of numbers, which takes four bytes in memory for each and may take only one in the file. The
// largest that Limits allow is that of a tree's nodes, or of its vector leaves.
const maxNumbers = 1 << 24

// source reads a model document front to back; jsonSource and ubjSource are its two encodings. Each method consumes one
// value, and fails with an error that wraps ErrInvalid if the value is of another type, damaged or cut short.
// What a reader does not want, it skips, so that only what is kept takes memory.
type source interface {
	// object calls visit for each key; visit must consume the key's value.
	object(visit func(key string) error) error
	// array calls visit for each element; visit must consume it.
	array(visit func(index int) error) error
	// ints reads an array of integers into the memory of buf, if that is large enough; booleans count as 0 and 1 (default_left is
	// boolean until 1.5).
	ints(buf []int32) ([]int32, error)
	// floats reads an array of numbers in the same way, rounded once to float32.
	floats(buf []float32) ([]float32, error)
	// text reads a string, or a number as the text it has or would have.
	text() (string, error)
	// skip reads any value and drops it.
	skip() error
	// read returns which part of the data was read, from 0 to 1.
	read() float64
	// end fails when anything follows the document.
	end() error
}

// invalidf returns an error at a byte offset that wraps ErrInvalid.
func invalidf(offset int, format string, args ...any) error {
	return refuse(ErrInvalid, "byte %d: %s", offset, fmt.Sprintf(format, args...))
}

func tooManyNumbers() error { return refuse(ErrLimit, "more than %d numbers in an array", maxNumbers) }

func truncated(offset int) error { return invalidf(offset, "the file ends in the middle of a value") }

// stringList reads an array of at most limit strings.
func stringList(src source, limit int) ([]string, error) {
	var out []string
	err := src.array(func(i int) error {
		if i >= limit {
			return refuse(ErrLimit, "more than %d strings", limit)
		}
		s, err := src.text()
		out = append(out, s)
		return err
	})
	return out, err
}
