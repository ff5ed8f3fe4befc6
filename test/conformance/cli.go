package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"edgepdm/shared/ipc"
)

// FromCLI returns the connection that greengrass-cli would use on the classic nucleus in root, such as /greengrass/v2. The
// component aws.greengrass.Cli writes its token into root/cli_ipc_info, a file for each user or group that may use it: see
// NucleusAdapterIpcClientImpl.loadCliIpcInfo of aws-greengrass/aws-greengrass-cli.
func FromCLI(root string) (ipc.Options, error) {
	dir := filepath.Join(root, "cli_ipc_info")
	files := []string{fmt.Sprintf("user-%d", os.Geteuid()), fmt.Sprintf("group-%d", os.Getegid())}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrPermission) { // the two may be readable though the folder is not
		return ipc.Options{}, fmt.Errorf("find the CLI's token (is aws.greengrass.Cli deployed?): %w", err)
	}
	for _, entry := range entries {
		files = append(files, entry.Name())
	}
	for _, name := range files {
		text, readErr := os.ReadFile(filepath.Join(dir, name))
		if readErr != nil {
			err = errors.Join(err, readErr)
			continue
		}
		var info struct {
			Token  string `json:"cli_auth_token"`
			Socket string `json:"domain_socket_path"`
		}
		if err := json.Unmarshal(text, &info); err != nil {
			return ipc.Options{}, fmt.Errorf("decode %s: %w", filepath.Join(dir, name), err)
		}
		if info.Token == "" || info.Socket == "" {
			return ipc.Options{}, fmt.Errorf("%s lacks cli_auth_token or domain_socket_path", filepath.Join(dir, name))
		}
		return ipc.Options{Socket: info.Socket, AuthToken: info.Token}, nil
	}
	return ipc.Options{}, fmt.Errorf("no file of %s can be read; run as a user or group that may use greengrass-cli: %w", dir, err)
}
