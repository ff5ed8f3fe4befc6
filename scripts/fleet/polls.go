package main

import (
	"context"
	"io"
)

type pollsReport struct{}

func (r *report) measurePolls(context.Context, options, io.Writer) error { return nil }
