package ipc

import (
	"context"
	"errors"
	"fmt"
	"sync"
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

// runtimeCache remembers what the nucleus said; it does not change while the connection lives.
type runtimeCache struct {
	mu    sync.Mutex
	known Runtime
}

// Runtime tells classic from lite. The first call asks the nucleus: only lite has a component aws.greengrass.NucleusLite.
func (c *Client) Runtime(ctx context.Context) (Runtime, error) {
	c.runtime.mu.Lock()
	defer c.runtime.mu.Unlock()
	if c.runtime.known != 0 {
		return c.runtime.known, nil
	}
	request := GetConfigurationRequest{ComponentName: "aws.greengrass.NucleusLite"}
	err := c.call(ctx, "GetConfiguration", request, nil)
	switch _, missing := errors.AsType[*ResourceNotFoundError](err); {
	case err == nil:
		c.runtime.known = Lite
	case missing:
		c.runtime.known = Classic
	default:
		return 0, fmt.Errorf("tell the kind of nucleus: %w", err)
	}
	return c.runtime.known, nil
}
