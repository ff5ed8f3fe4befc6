package deploy

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/shared/recipe"
)

// greengrassCloud stands in for the service AWS IoT Greengrass, which moto lacks, as far as the pages use it.
type greengrassCloud struct {
	t           *testing.T
	mu          sync.Mutex
	components  map[string]bool // by the version's ARN
	deployments []*cloudDeployment
	devices     map[string]bool // those that are deleted
}

type cloudDeployment struct {
	ID         string `json:"deploymentId"`
	Status     string `json:"deploymentStatus"`
	components map[string]struct {
		Version string `json:"componentVersion"`
	}
}

func newGreengrassCloud(t *testing.T) (*greengrassCloud, string) {
	t.Helper()
	c := &greengrassCloud{t: t, components: make(map[string]bool), devices: make(map[string]bool)}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return c, server.URL
}

// state returns the registered versions, the deployments with the suite's version and their status, and the deleted devices.
func (c *greengrassCloud) state() (components, deployments, devices []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.deployments {
		deployments = append(deployments, d.components[event.Suite].Version+" "+d.Status)
	}
	return slices.Sorted(maps.Keys(c.components)), deployments, slices.Sorted(maps.Keys(c.devices))
}

func (c *greengrassCloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Error(err)
	}
	status, answer := c.answer(r, body)
	w.Header().Set("Content-Type", "application/json")
	if status != http.StatusOK {
		w.Header().Set("X-Amzn-Errortype", "ConflictException")
	}
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		c.t.Error(err)
	}
}

// answer returns what the service says to a request.
func (c *greengrassCloud) answer(r *http.Request, body []byte) (int, map[string]any) {
	conflict := map[string]any{"message": "conflict"}
	path, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/greengrass/v2/"))
	if err != nil {
		c.t.Error(err)
	}
	kind, rest, _ := strings.Cut(path, "/")
	switch {
	case kind == "createComponentVersion":
		arn := c.arn(body)
		if c.components[arn] {
			return http.StatusConflict, conflict
		}
		c.components[arn] = true
		return http.StatusOK, map[string]any{"arn": arn}
	case kind == "components" && strings.HasSuffix(rest, "/versions"):
		list := []map[string]string{}
		for arn := range c.components {
			if strings.HasPrefix(arn, strings.TrimSuffix(rest, "/versions")+":versions:") {
				list = append(list, map[string]string{"arn": arn})
			}
		}
		return http.StatusOK, map[string]any{"componentVersions": list}
	case kind == "components" && r.Method == http.MethodDelete && c.components[rest]:
		delete(c.components, rest)
		return http.StatusOK, map[string]any{}
	case kind == "deployments":
		return c.deployment(r, rest, body)
	case kind == "coreDevices" && r.Method == http.MethodDelete:
		c.devices[rest] = true
		return http.StatusOK, map[string]any{}
	case kind == "coreDevices" && r.Method == http.MethodGet:
		return http.StatusOK, map[string]any{"status": "HEALTHY"}
	}
	c.t.Errorf("there is no %s %s", r.Method, path)
	return http.StatusConflict, conflict
}

// arn reads the recipe that is registered.
func (c *greengrassCloud) arn(body []byte) string {
	var request struct {
		Recipe []byte `json:"inlineRecipe"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		c.t.Errorf("read request: %v", err)
	}
	r, err := recipe.Parse(request.Recipe)
	if err != nil {
		c.t.Errorf("read recipe: %v", err)
		return ""
	}
	return "arn:aws:greengrass:eu-west-1:123456789012:components:" + r.Name + ":versions:" + r.Version
}

// deployment creates, lists, cancels or deletes deployments, of which one is active.
func (c *greengrassCloud) deployment(r *http.Request, rest string, body []byte) (int, map[string]any) {
	if rest == "" && r.Method == http.MethodGet {
		list := []*cloudDeployment{}
		for _, d := range c.deployments {
			if r.URL.Query().Get("historyFilter") == "ALL" || d.Status == "ACTIVE" {
				list = append(list, d)
			}
		}
		return http.StatusOK, map[string]any{"deployments": list}
	}
	if rest == "" {
		d := &cloudDeployment{ID: "d-" + strconv.Itoa(len(c.deployments)+1), Status: "ACTIVE"}
		request := struct{ Components any }{&d.components}
		if err := json.Unmarshal(body, &request); err != nil {
			c.t.Error(err)
		}
		for _, other := range c.deployments {
			other.Status = "INACTIVE"
		}
		c.deployments = append(c.deployments, d)
		return http.StatusOK, map[string]any{"deploymentId": d.ID}
	}
	id, action, _ := strings.Cut(rest, "/")
	for i, d := range c.deployments {
		switch {
		case d.ID != id:
		case action == "cancel" && d.Status == "ACTIVE":
			d.Status = "CANCELED"
			return http.StatusOK, map[string]any{}
		case r.Method == http.MethodDelete && d.Status != "ACTIVE":
			c.deployments = append(c.deployments[:i:i], c.deployments[i+1:]...)
			return http.StatusOK, map[string]any{}
		}
	}
	return http.StatusConflict, map[string]any{"message": "conflict"}
}
