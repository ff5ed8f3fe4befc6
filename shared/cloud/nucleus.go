package cloud

import (
	"context"
	"errors"
	"fmt"

	"edgepdm/shared/ipc"
)

// nucleusComponents are the names under which a nucleus keeps its own configuration: the classic one's, to which
// snapshots of nucleus lite answer, too, and that of lite as released.
func nucleusComponents() []string {
	return []string{"aws.greengrass.Nucleus", "aws.greengrass.NucleusLite"}
}

// NucleusSetting returns a text of the nucleus's own configuration; "" when it has none.
func NucleusSetting(ctx context.Context, client *ipc.Client, key string) (string, error) {
	for _, component := range nucleusComponents() {
		value, err := client.ComponentConfiguration(ctx, component, key)
		if _, missing := errors.AsType[*ipc.ResourceNotFoundError](err); missing {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read the nucleus's %s: %w", key, err)
		}
		if text, _ := value[key].(string); text != "" {
			return text, nil
		}
	}
	return "", nil
}
