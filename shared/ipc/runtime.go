package ipc

import (
	"context"
	"errors"
	"fmt"
)

// Runtime is the kind of nucleus.
type Runtime int

// The kinds of nucleus.
const (
	Classic Runtime = iota + 1 // aws.greengrass.Nucleus, in Java
	Lite                       // aws.greengrass.NucleusLite, in C
)

func (r Runtime) String() string {
	switch r {
	case Classic:
		return "classic"
	case Lite:
		return "lite"
	default:
		return fmt.Sprintf("Runtime(%d)", int(r))
	}
}

// Runtime tells classic from lite. The first call asks the nucleus: only lite has a component aws.greengrass.NucleusLite.
func (c *Client) Runtime(ctx context.Context) (Runtime, error) {
	if known := Runtime(c.runtime.Load()); known != 0 {
		return known, nil
	}
	known := Lite
	request := GetConfigurationRequest{ComponentName: "aws.greengrass.NucleusLite"}
	err := c.perform(ctx, "GetConfiguration", request)
	switch _, missing := errors.AsType[*ResourceNotFoundError](err); {
	case err == nil:
	case missing:
		known = Classic
	default:
		return 0, fmt.Errorf("tell the kind of nucleus: %w", err)
	}
	c.runtime.Store(int32(known))
	return known, nil
}
