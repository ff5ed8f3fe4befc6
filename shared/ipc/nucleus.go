package ipc

import (
	"context"
	"errors"
	"fmt"
)

// NucleusKind tells the two implementations of the nucleus apart.
type NucleusKind int

// The kinds of nucleus.
const (
	Classic NucleusKind = iota + 1 // aws.greengrass.Nucleus, in Java
	Lite                           // aws.greengrass.NucleusLite, in C
)

func (k NucleusKind) String() string {
	switch k {
	case Classic:
		return "classic"
	case Lite:
		return "lite"
	default:
		return fmt.Sprintf("NucleusKind(%d)", int(k))
	}
}

// Nucleus tells classic from lite. The first call asks the nucleus: only lite has a component aws.greengrass.NucleusLite.
func (c *Client) Nucleus(ctx context.Context) (NucleusKind, error) {
	if known := NucleusKind(c.nucleus.Load()); known != 0 {
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
	c.nucleus.Store(int32(known))
	return known, nil
}
