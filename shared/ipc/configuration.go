package ipc

import "context"

// Configuration returns the value at keyPath of the component's own configuration; no keys mean all of it. The value of
// a map is the map, of a leaf or list {"<last key>": value}. A missing key is a *ResourceNotFoundError. Nucleus lite gives
// the scalars of YAML recipes as strings.
func (c *Client) Configuration(ctx context.Context, keyPath ...string) (map[string]any, error) {
	return c.ComponentConfiguration(ctx, "", keyPath...)
}

// ComponentConfiguration is Configuration of another component: any component may read it.
func (c *Client) ComponentConfiguration(ctx context.Context, component string, keyPath ...string) (map[string]any, error) {
	response, err := c.GetConfiguration(ctx, GetConfigurationRequest{ComponentName: component, KeyPath: keyPath})
	if err != nil || len(response.Value) == 0 {
		return nil, err
	}
	var value map[string]any
	if err := response.Value.Decode(&value); err != nil {
		return nil, within("GetConfiguration", err)
	}
	return value, nil
}
