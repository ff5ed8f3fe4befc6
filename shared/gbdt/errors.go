package gbdt

import (
	"errors"
	"fmt"
)

// What callers branch on; the errors returned wrap one of these and say more.
var (
	// ErrFormat says that the data is not in a format that this package reads. The message names what it looks like.
	ErrFormat = errors.New("unsupported model format")
	// ErrInvalid says that the data is in a known format but damaged, truncated or not a saved model.
	ErrInvalid = errors.New("invalid model")
	// ErrUnsupported says that the model is sound but needs something that this package does not do.
	ErrUnsupported = errors.New("unsupported model")
	// ErrLimit says that the model is larger than the Limits allow.
	ErrLimit = errors.New("model exceeds a limit")
	// ErrNoBestIteration says that Cut was asked for the best iteration of a model that records none.
	ErrNoBestIteration = errors.New("the model has no best iteration")
	// ErrNotExplained says that NewExplainer cannot explain a model that can be scored.
	ErrNotExplained = errors.New("the model cannot be explained")
	// ErrRowLength says that a row does not have the model's number of features.
	ErrRowLength = errors.New("wrong number of values")
	// ErrRowInfinite says that a row holds an infinite value, which XGBoost refuses too.
	ErrRowInfinite = errors.New("infinite value")
)

// refusal is why a model is refused: what kind of reason, where in the document, and the reason itself.
type refusal struct {
	kind error
	path string // "learner: gradient_booster: "
	text string
}

func (r *refusal) Error() string { return r.kind.Error() + ": " + r.path + r.text }

func (r *refusal) Unwrap() error { return r.kind }

func refuse(kind error, format string, args ...any) error {
	return &refusal{kind: kind, text: fmt.Sprintf(format, args...)}
}

// within puts the name of a part of the document in front of where a refusal is. Names come from the file: none is let
// grow the message without bound.
func within(part string, err error) error {
	var r *refusal
	if !errors.As(err, &r) {
		return err
	}
	return &refusal{kind: r.kind, path: fmt.Sprintf("%.40s: %s", part, r.path), text: r.text}
}
