package localcore

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"edgepdm/shared/recipe"
	"edgepdm/test/localcore/nucleus"
)

const tokenExchange = "aws.greengrass.TokenExchangeService"

// hostPlatform returns what a recipe's Platform is compared with.
func (c *Core) hostPlatform() map[string]string {
	host := map[string]string{"os": runtime.GOOS, "architecture": runtime.GOARCH, "runtime": c.traits.Runtime}
	if runtime.GOARCH == "arm64" {
		host["architecture"] = "aarch64"
	}
	var uts syscall.Utsname
	if runtime.GOARCH == "arm" && syscall.Uname(&uts) == nil {
		var machine []byte
		for _, b := range uts.Machine {
			machine = append(machine, byte(b))
		}
		host["architecture.detail"] = string(bytes.TrimRight(machine, "\x00"))
	}
	return host
}

// environment returns what the nucleus sets for a component's script, and of the host's own environment only what
// every script may count on.
func (c *Core) environment(p *nucleus.Principal, s *spec, st *recipe.Step) []string {
	env := map[string]string{
		"PATH": cmp.Or(os.Getenv("PATH"), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
		"HOME": cmp.Or(os.Getenv("HOME"), "/"),
		"LANG": cmp.Or(os.Getenv("LANG"), "C.UTF-8"),
		"USER": os.Getenv("USER"),

		"SVCUID":                            p.Token,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN": p.Token,
		"AWS_REGION":                        c.opts.Region,
		"AWS_DEFAULT_REGION":                c.opts.Region,
		"AWS_IOT_THING_NAME":                c.opts.ThingName,
		"GGC_VERSION":                       c.traits.Version,
		"GG_ROOT_CA_PATH":                   filepath.Join(c.opts.Root, rootCAFile),
	}
	if u, err := user.Current(); err == nil {
		env["USER"] = u.Username
	}
	c.dialect.Environment(env, s.credentials)
	maps.Copy(env, s.setenv)
	maps.Copy(env, st.Setenv)
	list := make([]string, 0, len(env))
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return list
}

// resolveSpec fills the recipe variables of a manifest's lifecycle in.
func (c *Core) resolveSpec(r *recipe.Recipe, m *recipe.Manifest, config map[string]any) (*spec, error) {
	var failed error
	fill := func(text string, inScript bool) string {
		filled, err := c.dialect.Fill(text, inScript, func(namespace, key string) (any, bool) {
			return c.lookup(r, namespace, key, config)
		})
		if err != nil && failed == nil {
			failed = fmt.Errorf("recipe of %s %s: %w", r.Name, r.Version, err)
		}
		return filled
	}
	fillAll := func(env map[string]string) map[string]string {
		out := make(map[string]string, len(env))
		for k, v := range env {
			out[k] = fill(v, false)
		}
		return out
	}
	fillStep := func(s *recipe.Step) *recipe.Step {
		if s == nil {
			return nil
		}
		filled := *s
		filled.Script, filled.Setenv = fill(s.Script, true), fillAll(s.Setenv)
		return &filled
	}
	_, credentials := r.Dependencies[tokenExchange]
	s := &spec{name: r.Name, version: r.Version, install: fillStep(m.Install), run: fillStep(m.Run),
		setenv: fillAll(m.Setenv), artifacts: m.Artifacts, credentials: credentials}
	return s, failed
}

// lookup returns a recipe variable's value.
func (c *Core) lookup(r *recipe.Recipe, namespace, key string, config map[string]any) (any, bool) {
	end := "" // of a path
	if c.lite {
		end = "/"
	}
	switch namespace + ":" + key {
	case "artifacts:path":
		return c.artifactDir(r.Name, r.Version) + end, true
	case "work:path":
		return c.workDir(r.Name) + end, true
	case "kernel:rootPath":
		return c.opts.Root, true
	case "iot:thingName":
		return c.opts.ThingName, true
	}
	if namespace != "configuration" || key != "" && key[0] != '/' {
		return nil, false
	}
	var v any = config
	for _, name := range pointerPath(key) { // an index of a list is no variable here
		at, _ := v.(map[string]any)
		child, ok := at[name] // JSON pointers are case-sensitive
		if !ok {
			return nil, false
		}
		v = child
	}
	return v, true
}

func (c *Core) workDir(name string) string { return filepath.Join(c.opts.Root, "work", name) }
