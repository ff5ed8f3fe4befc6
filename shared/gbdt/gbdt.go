// Package gbdt loads XGBoost models and scores rows with them, bit for bit as the XGBoost release that wrote the file does
// on an x86-64 CPU with glibc.
//
// Parse reads every format that XGBoost and SageMaker's containers write (see README.md), by the content of the file; every
// index of a parsed model has been checked, so scoring it cannot go out of bounds. NewScorer makes the part that scores rows:
//
//	data, err := gbdt.ReadFile("model.tar.gz")
//	model, err := gbdt.Parse(data)
//	scorer := gbdt.NewScorer(model)
//	margin, err = scorer.Margin(margin, row)           // row: model.NumFeature values, NaN = missing
//	prediction = scorer.Predict(prediction, margin)    // what XGBoost's predict gives
//
// A Model may be shared between goroutines; a Scorer belongs to one goroutine at a time.
package gbdt

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Limits bound what a model may ask for. They are checked before memory is taken.
type Limits struct {
	FileSize   int64 // bytes, also of what an archive unpacks to
	Trees      int   // trees in the model
	Nodes      int   // nodes of a tree in the file, and nodes that can be reached in all trees together
	Depth      int   // splits on the way from a root to a leaf
	Features   int   // columns of a row
	Outputs    int   // margins a row: classes or targets
	Categories int   // categories in the sets of all splits together
}

// DefaultLimits returns the limits that Parse and ReadFile apply.
func DefaultLimits() Limits {
	return Limits{
		FileSize:   256 << 20,
		Trees:      1 << 17,
		Nodes:      1 << 23,
		Depth:      1 << 10,
		Features:   1 << 20,
		Outputs:    1 << 12,
		Categories: 1 << 22,
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
	data, err := readAll(io.LimitReader(f, l.FileSize+1), info.Size())
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	if int64(len(data)) > l.FileSize {
		return nil, l.fileTooBig(int64(len(data)))
	}
	return data, nil
}

// readAll reads to the end. With the right size it takes memory once; io.ReadAll would take more while it grows.
func readAll(in io.Reader, size int64) ([]byte, error) {
	content := make([]byte, size+1)
	n, err := io.ReadFull(in, content)
	content = content[:n]
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return content, nil
	}
	if err != nil {
		return nil, err
	}
	rest, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	return slices.Concat(content, rest), nil
}

// Parse reads a model within the default limits. It keeps no reference to data. The error wraps ErrFormat, ErrInvalid,
// ErrUnsupported or ErrLimit.
func Parse(data []byte) (*Model, error) { return DefaultLimits().Parse(data) }

// Parse reads a model within l; see the function Parse.
func (l Limits) Parse(data []byte) (*Model, error) {
	if int64(len(data)) > l.FileSize {
		return nil, l.fileTooBig(int64(len(data)))
	}
	kind, err := sniff(data)
	if err != nil {
		return nil, err
	}
	if isPacked(kind) {
		return l.parsePacked(kind, data)
	}
	return l.parseFile(kind, data)
}

// parseFile reads a model of a kind that is no archive.
func (l Limits) parseFile(kind string, data []byte) (*Model, error) {
	doc, err := l.read(kind, data)
	if err != nil {
		return nil, err
	}
	if err := doc.readWrapper(); err != nil {
		return nil, err
	}
	return newModel(doc, l)
}

// read reads a model of any kind but an archive.
func (l Limits) read(kind string, data []byte) (*document, error) {
	switch kind {
	case kindPickle:
		return l.readBooster(data)
	case kindConfigOffset:
		return readConfigOffset(data, l)
	case FormatJSON:
		return readDocument(kind, &jsonSource{data: data}, l)
	case FormatUBJSON:
		return readDocument(kind, &ubjSource{data: data}, l)
	}
	return readLegacy(data, l)
}

// readBooster reads a pickled Booster.
func (l Limits) readBooster(data []byte) (*document, error) {
	pickle, err := readPickle(data)
	if err != nil {
		return nil, err
	}
	kind, err := sniff(pickle.payload)
	if err == nil && (kind == kindPickle || isPacked(kind)) {
		err = refuse(ErrFormat, "it holds no model of XGBoost's own formats")
	}
	if err != nil {
		return nil, within("pickle", err)
	}
	doc, err := l.read(kind, pickle.payload)
	if err != nil {
		return nil, within("pickle", err)
	}
	doc.format, doc.pickled = formatPickle+doc.format, true
	doc.wrapper, doc.missing, doc.endpointCuts = pickle.wrapper, pickle.missing, pickle.bestNTreeLimit > 0
	if best, limit := pickle.bestIteration, pickle.bestNTreeLimit; doc.parallel == 0 && best >= 0 && limit > 0 && limit%(best+1) == 0 {
		doc.parallel = limit / (best + 1) // best_ntree_limit counts trees, in Booster's training.py of 0.90
	}
	return doc, nil
}

func (l Limits) fileTooBig(size int64) error {
	return refuse(ErrLimit, "%d bytes, at most %d", size, l.FileSize)
}
