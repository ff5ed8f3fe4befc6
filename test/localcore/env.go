package localcore

import (
	"encoding/json"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const (
	socketVariable = "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT"
	// nucleusVersion is the classic nucleus that the core stands in for.
	nucleusVersion = "2.18.0"
)

// hostPlatform returns what a recipe's Platform is compared with.
func hostPlatform() map[string]string {
	host := map[string]string{"os": runtime.GOOS, "architecture": runtime.GOARCH, "runtime": "aws_nucleus_classic"}
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

// environment returns what a classic nucleus sets for a component's script, and of the host's own environment only what
// every script may count on.
func (c *Core) environment(p *principal, s *spec, st *step) []string {
	env := map[string]string{
		"PATH": hostValue("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
		"HOME": hostValue("HOME", "/"),
		"LANG": hostValue("LANG", "C.UTF-8"),
		"USER": userName(),

		"SVCUID":                                p.token,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN":     p.token,
		"AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH": filepath.Join(c.opts.Root, "ipc.socket"),
		socketVariable:                          filepath.Join(c.opts.Root, "ipc.socket"),
		"AWS_REGION":                            c.opts.Region,
		"AWS_DEFAULT_REGION":                    c.opts.Region,
		"AWS_USE_FIPS_ENDPOINT":                 "false",
		"AWS_IOT_THING_NAME":                    c.opts.ThingName,
		"GGC_VERSION":                           nucleusVersion,
		"GG_ROOT_CA_PATH":                       filepath.Join(c.opts.Root, "rootCA.pem"),
	}
	if len(env[socketVariable]) > maxSocketPath {
		env[socketVariable] = "../../ipc.socket" // from the component's work directory
	}
	if c.opts.CredentialsURL != "" {
		env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = c.opts.CredentialsURL
	}
	for _, set := range []map[string]string{s.setenv, st.setenv} {
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

// variable is a recipe variable: {namespace:key}. A key holds no ':' and no '}'.
var variable = regexp.MustCompile(`\{([.\w-]+):([^:}]*)\}`)

// resolveSpec fills the recipe variables of a manifest's lifecycle in, as a classic nucleus does when it deploys.
func (c *Core) resolveSpec(r *recipe, m *manifest, config map[string]any) *spec {
	fill := func(text string) string {
		return variable.ReplaceAllStringFunc(text, func(whole string) string {
			parts := variable.FindStringSubmatch(whole)
			v, ok := c.lookup(r, parts[1], parts[2], config)
			if !ok {
				c.log.Error("recipe variable is not resolved and stays as it is", "component", r.name, "variable", whole)
				return whole
			}
			return v
		})
	}
	fillAll := func(env map[string]string) map[string]string {
		out := make(map[string]string, len(env))
		for k, v := range env {
			out[k] = fill(v)
		}
		return out
	}
	fillStep := func(s *step) *step {
		if s == nil {
			return nil
		}
		filled := *s
		filled.script, filled.setenv = fill(s.script), fillAll(s.setenv)
		return &filled
	}
	return &spec{name: r.name, version: r.version, install: fillStep(m.install), run: fillStep(m.run), setenv: fillAll(m.setenv)}
}

func (c *Core) lookup(r *recipe, namespace, key string, config map[string]any) (string, bool) {
	switch namespace + ":" + key {
	case "artifacts:path":
		return c.artifactDir(r.name, r.version), true
	case "artifacts:decompressedPath":
		return filepath.Join(c.opts.Root, "packages", "artifacts-unarchived", r.name, r.version), true
	case "work:path":
		return c.workDir(r.name), true
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
	switch v := v.(type) {
	case string:
		return v, true
	case map[string]any, []any:
		return compactJSON(v), true
	default:
		return string(appendGson(nil, v)), true
	}
}

// compactJSON prints a container as Jackson does: nothing escaped that need not be.
func compactJSON(v any) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // the store holds only what JSON can say
		return ""
	}
	return strings.TrimSpace(b.String())
}

func (c *Core) workDir(name string) string { return filepath.Join(c.opts.Root, "work", name) }
