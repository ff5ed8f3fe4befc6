package localcore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"edgepdm/shared/durable"
	"edgepdm/shared/ipc"
	"edgepdm/shared/recipe"
	"edgepdm/test/localcore/nucleus"
)

// AddExternal admits a program that the core does not run, such as a test: its recipe gives its configuration and its
// grants. It returns the environment that the program needs, and writes it to Root/env/<name>.env.
func (c *Core) AddExternal(name, recipeFile string) (map[string]string, error) {
	c.deploying.Lock()
	defer c.deploying.Unlock()
	if !c.started || c.closed {
		return nil, errors.New("the core does not run")
	}
	r, err := recipe.Read(recipeFile)
	if err != nil {
		return nil, err
	}
	if r.Name != name {
		return nil, fmt.Errorf("recipe %s is of %s, not of %s", recipeFile, r.Name, name)
	}
	if _, taken := c.component(name); taken || c.externals[name] {
		return nil, fmt.Errorf("there is a component %s already", name)
	}
	now := time.Now().UnixMilli()
	values := c.store.Resolve(name, c.defaults(r), nucleus.Change{}, now)
	if err := c.dialect.CheckConfiguration(values); err != nil {
		return nil, err
	}
	c.configure(name, values, now)
	p := c.server.Issue(name, nil)
	env := map[string]string{"SVCUID": p.Token, nucleus.SocketVariable: c.server.Path()}
	file := filepath.Join(c.opts.Root, "env", name+".env")
	text := fmt.Sprintf("SVCUID=%s\n%s=%s\n", p.Token, nucleus.SocketVariable, c.server.Path())
	if err := durable.WriteFileAtomic(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write environment: %w", err)
	}
	c.externals[name] = true
	return env, nil
}

// Dial admits a program that the core does not run, as AddExternal does, and connects as it. Each of its subscriptions has room for
// queue messages.
func (c *Core) Dial(ctx context.Context, name, recipeFile string, queue int) (*ipc.Client, error) {
	env, err := c.AddExternal(name, recipeFile)
	if err != nil {
		return nil, err
	}
	options, err := ipc.FromEnvironment(func(name string) string { return env[name] })
	if err != nil {
		return nil, err
	}
	options.Queue = queue
	return ipc.Dial(ctx, options)
}

// AddCLI admits greengrass-cli, as the component aws.greengrass.Cli of a classic nucleus does: it writes a token to
// Root/cli_ipc_info. The token may use local topics until the first deployment, which forgets these grants.
func (c *Core) AddCLI() error {
	c.deploying.Lock()
	defer c.deploying.Unlock()
	switch {
	case c.lite:
		return errors.New("nucleus lite has no aws.greengrass.Cli")
	case !c.started || c.closed:
		return errors.New("the core does not run")
	}
	user := fmt.Sprintf("user-%d", os.Geteuid())
	name := "greengrass-cli#" + user
	c.authz.Load(name, map[string]any{nucleus.PubSubService: map[string]any{
		"aws.greengrass.Cli:pubsub:" + user: map[string]any{"operations": []any{"*"}, "resources": []any{"*"}}}})
	c.cli = name
	info, err := json.Marshal(map[string]string{
		"cli_auth_token": c.server.Issue(name, nil).Token, "domain_socket_path": c.server.Path()})
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
		c.authz.Forget(c.cli)
	}
}
