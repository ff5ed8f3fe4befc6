package deploy

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"edgepdm/shared/event"
	"edgepdm/shared/request"
	"edgepdm/test/need"
)

// Every command topic of the programs is granted by a recipe, has a reply that a recipe grants, and is in docs/commands.md
// with both and with a line for greengrass-cli; the texts of that page are what the commands print.
func TestEveryCommandIsDocumented(t *testing.T) {
	root := need.Root(t)
	page := string(read(t, root, "docs", "commands.md"))
	topic := regexp.MustCompile(`= prefixCommand \+ "([a-z]+/[a-z-]+)"`)
	var topics []string
	var recipes, source strings.Builder
	for _, folder := range []string{"components", "shared", "recipes"} {
		err := fs.WalkDir(os.DirFS(filepath.Join(root, folder)), ".", func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case strings.HasSuffix(path, "recipe.yaml"):
				recipes.Write(read(t, root, folder, path))
			case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
				text := read(t, root, folder, path)
				source.Write(text)
				for _, m := range topic.FindAllSubmatch(text, -1) {
					topics = append(topics, "pdm/v1/command/"+string(m[1]))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(topics) < 2 {
		t.Fatalf("found are the topics %v", topics)
	}
	for _, command := range topics {
		if strings.HasPrefix(command, event.TopicDemoPrefix) { // they are the demo page's, and no commands of a plant
			if production := strings.Contains(string(read(t, root, "recipes/operator-console/recipe.yaml")), event.TopicDemoPrefix); production {
				t.Errorf("the console's recipe grants %s", command)
			}
			continue
		}
		reply := event.ReplyTopic(command)
		for _, name := range []string{command, reply} {
			if !strings.Contains(recipes.String(), name) {
				t.Errorf("no recipe grants %s", name)
			}
			if !strings.Contains(page, "`"+name+"`") {
				t.Errorf("docs/commands.md does not have %s", name)
			}
		}
		if !strings.Contains(page, "pubsub pub --topic "+command+" ") {
			t.Errorf("docs/commands.md does not send %s with greengrass-cli", command)
		}
	}
	for _, root := range request.DefaultRoots() {
		if !strings.Contains(page, "`"+root+"`") {
			t.Errorf("docs/commands.md does not name the root %s", root)
		}
	}
	texts := []string{"has not run there yet with an accepted configuration, or it is an older version", "the component's work ended before it answered", request.ErrNotTaken.Error(),
		request.ErrWaits.Error(), request.ErrNoAnswer.Error()}
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("docs/commands.md does not explain %q", text)
		}
	}
	for _, text := range texts[:2] {
		if !strings.Contains(source.String(), text) {
			t.Errorf("no program prints %q", text)
		}
	}
}
