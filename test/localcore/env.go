package localcore

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"

	"edgepdm/shared/recipe"
)

const (
	socketVariable      = "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"
	credentialsVariable = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	tokenExchange       = "aws.greengrass.TokenExchangeService"
)

// hostPlatform returns what a recipe's Platform is compared with.
func (d *dialect) hostPlatform() map[string]string {
	host := map[string]string{"os": runtime.GOOS, "architecture": runtime.GOARCH, "runtime": d.runtime}
	if runtime.GOARCH == "arm64" {
		host["architecture"] = "aarch64"
	}
	var uts syscall.Utsname
	if runtime.GOARCH == "arm" && syscall.Uname(&uts) == nil {
		var machine []byte
		for _, b := range uts.Machine {
			if b == 0 {
				break
			}
			machine = append(machine, byte(b))
		}
		host["architecture.detail"] = string(machine)
	}
	return host
}

// environment returns what the nucleus sets for a component's script, and of the host's own environment only what
// every script may count on.
func (c *Core) environment(p *principal, s *spec, st *recipe.Step) []string {
	env := map[string]string{
		"PATH": hostValue("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
		"HOME": hostValue("HOME", "/"),
		"LANG": hostValue("LANG", "C.UTF-8"),
		"USER": userName(),

		"SVCUID":                            p.token,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN": p.token,
		"AWS_REGION":                        c.opts.Region,
		"AWS_DEFAULT_REGION":                c.opts.Region,
		"AWS_IOT_THING_NAME":                c.opts.ThingName,
		"GGC_VERSION":                       c.dialect.version,
		"GG_ROOT_CA_PATH":                   filepath.Join(c.opts.Root, rootCAFile),
	}
	c.dialect.environment(env, s)
	for _, set := range []map[string]string{s.setenv, st.Setenv} {
		for k, v := range set {
			env[k] = v
		}
	}
	list := make([]string, 0, len(env))
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	slices.Sort(list)
	return list
}

func hostValue(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}

// resolveSpec fills the recipe variables of a manifest's lifecycle in.
func (c *Core) resolveSpec(r *recipe.Recipe, m *recipe.Manifest, config map[string]any) (*spec, error) {
	var failed error
	fill := func(text string, inScript bool) string {
		filled, err := c.dialect.fill(text, inScript, func(namespace, key string) (string, bool) {
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

func (c *Core) lookup(r *recipe.Recipe, namespace, key string, config map[string]any) (string, bool) {
	switch namespace + ":" + key {
	case "artifacts:path":
		return c.artifactDir(r.Name, r.Version) + c.dialect.pathEnd, true
	case "artifacts:decompressedPath":
		return filepath.Join(c.opts.Root, "packages", "artifacts-unarchived", r.Name, r.Version) + c.dialect.pathEnd, true
	case "work:path":
		return c.workDir(r.Name) + c.dialect.pathEnd, true
	case "kernel:rootPath":
		return c.opts.Root, true
	case "iot:thingName":
		return c.opts.ThingName, true
	}
	if namespace != "configuration" || key != "" && key[0] != '/' {
		return "", false
	}
	var v any = config
	for _, name := range pointerPath(key) {
		switch at := v.(type) {
		case map[string]any:
			child, ok := at[name] // JSON pointers are case-sensitive
			if !ok {
				return "", false
			}
			v = child
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(at) {
				return "", false
			}
			v = at[i]
		default:
			return "", false
		}
	}
	if text, ok := v.(string); ok {
		return text, true
	}
	return c.dialect.variableText(v), true
}

func (c *Core) workDir(name string) string { return filepath.Join(c.opts.Root, "work", name) }
