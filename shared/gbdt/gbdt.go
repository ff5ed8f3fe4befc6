// Package gbdt loads XGBoost models and scores rows with them, bit for bit as the XGBoost release that wrote the file does
// on an x86-64 CPU with glibc. (The one exception known is the rounding of a few base scores, see objective.margin.)
//
// Parse reads the JSON (since 1.0) and UBJSON (since 1.6) formats; every index of a parsed model has been checked, so
// scoring it cannot go out of bounds. NewScorer makes the part that scores rows:
//
//	data, err := gbdt.ReadFile("model.ubj")
//	model, err := gbdt.Parse(data)
//	scorer := gbdt.NewScorer(model)
//	margin, err = scorer.Margin(margin, row)           // row: model.NumFeature values, NaN = missing
//	prediction = scorer.Predict(prediction, margin)    // what XGBoost's predict gives
//
// A Model may be shared between goroutines; a Scorer belongs to one goroutine at a time.
package gbdt

import (
	"fmt"
	"io"
	"os"
)

// Limits bound what a model may ask for. They are checked before memory is taken.
type Limits struct {
	FileSize int64 // bytes
	Trees    int   // trees in the model
	Nodes    int   // nodes that can be reached, all trees together
	Depth    int   // splits on the way from a root to a leaf
	Features int   // columns of a row
	Outputs  int   // margins a row: classes or targets
}

// DefaultLimits returns the limits that Parse and ReadFile apply.
func DefaultLimits() Limits {
	return Limits{
		FileSize: 256 << 20,
		Trees:    1 << 17,
		Nodes:    1 << 23,
		Depth:    1 << 10,
		Features: 1 << 20,
		Outputs:  1 << 12,
	}
}

// ReadFile reads a model file with the default limit on its size. Give what it returns to Parse.
func ReadFile(path string) ([]byte, error) { return DefaultLimits().ReadFile(path) }

// ReadFile reads the regular file at path; a file larger than l.FileSize bytes gives an error that wraps ErrLimit.
func (l Limits) ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path) // before it is opened: opening a named pipe would wait for its writer
	switch {
	case err != nil:
		return nil, fmt.Errorf("open model: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("open model: %s is not a regular file", path)
	case info.Size() > l.FileSize:
		return nil, l.fileTooBig(info.Size())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	defer f.Close()
	// The file may have grown, hence the second check.
	data, err := io.ReadAll(io.LimitReader(f, l.FileSize+1))
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	if int64(len(data)) > l.FileSize {
		return nil, l.fileTooBig(int64(len(data)))
	}
	return data, nil
}

// Parse reads a model within the default limits. It keeps no reference to data. The error wraps ErrFormat, ErrInvalid,
// ErrUnsupported or ErrLimit.
func Parse(data []byte) (*Model, error) { return DefaultLimits().Parse(data) }

// Parse reads a model within l; see the function Parse.
func (l Limits) Parse(data []byte) (*Model, error) {
	if int64(len(data)) > l.FileSize {
		return nil, l.fileTooBig(int64(len(data)))
	}
	format, err := sniff(data)
	if err != nil {
		return nil, err
	}
	var src source
	switch format {
	case FormatJSON:
		src = &jsonSource{data: data}
	default:
		src = &ubjSource{data: data}
	}
	doc, err := readDocument(src, l)
	if err != nil {
		return nil, err
	}
	model, err := newModel(doc, l)
	if err != nil {
		return nil, err
	}
	model.Format = format
	return model, nil
}

func (l Limits) fileTooBig(size int64) error {
	return refuse(ErrLimit, "%d bytes, at most %d", size, l.FileSize)
}
