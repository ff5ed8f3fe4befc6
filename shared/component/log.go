package component

import (
	"context"
	"io"
	"log/slog"
)

// logHandler writes warnings and errors to another file than the rest: a nucleus files what comes from standard error as
// WARN and what comes from standard output as INFO.
type logHandler struct{ out, err slog.Handler }

// NewLogHandler makes a handler that writes text: warnings and errors to err, the rest to out.
func NewLogHandler(out, err io.Writer, level slog.Leveler) slog.Handler {
	options := &slog.HandlerOptions{Level: level}
	return logHandler{slog.NewTextHandler(out, options), slog.NewTextHandler(err, options)}
}

func (h logHandler) of(level slog.Level) slog.Handler {
	if level >= slog.LevelWarn {
		return h.err
	}
	return h.out
}

// Enabled reports whether a record of that level is written.
func (h logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.of(level).Enabled(ctx, level)
}

// Handle writes the record.
func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.of(r.Level).Handle(ctx, r)
}

// WithAttrs adds attributes to all records.
func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.out.WithAttrs(attrs), h.err.WithAttrs(attrs)}
}

// WithGroup puts the attributes of all records into a group.
func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.out.WithGroup(name), h.err.WithGroup(name)}
}
