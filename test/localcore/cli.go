package localcore

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"edgepdm/shared/durable"
)

// AddCLI admits greengrass-cli, as the component aws.greengrass.Cli of a classic nucleus does: it writes a token to
// Root/cli_ipc_info. The token may use local topics until the first deployment, which forgets these grants.
func (c *Core) AddCLI() error {
	c.deploying.Lock()
	defer c.deploying.Unlock()
	switch {
	case c.opts.Mode == Lite:
		return errors.New("nucleus lite has no aws.greengrass.Cli")
	case !c.started || c.closed:
		return errors.New("the core does not run")
	}
	user := fmt.Sprintf("user-%d", os.Geteuid())
	name := "greengrass-cli#" + user
	c.authz.load(name, map[string]any{pubsubService: map[string]any{
		"aws.greengrass.Cli:pubsub:" + user: map[string]any{"operations": []any{"*"}, "resources": []any{"*"}}}})
	c.cli = name
	info, err := json.Marshal(map[string]string{
		"cli_auth_token": c.server.issue(name, nil).token, "domain_socket_path": c.server.path})
	if err != nil {
		return err
	}
	dir := filepath.Join(c.opts.Root, "cli_ipc_info")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder of the CLI's token: %w", err)
	}
	if err := durable.WriteFileAtomic(filepath.Join(dir, user), info, 0o600); err != nil {
		return fmt.Errorf("write the CLI's token: %w", err)
	}
	return nil
}

// endCLI is what a deployment does to the CLI: the nucleus loads the policies of components again, and the CLI is none.
func (c *Core) endCLI() {
	if c.cli != "" {
		c.authz.forget(c.cli)
	}
}
