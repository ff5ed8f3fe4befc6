package localcore

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// startUnprivileged starts a command that permissions of files hold for, as they do for a nucleus's ggc_user, though the
// core is root: its capabilities to pass them over are dropped. Where the core may not drop any, it starts the command as
// it is.
func startUnprivileged(cmd *exec.Cmd) error {
	if os.Geteuid() != 0 {
		return cmd.Start()
	}
	started := make(chan error)
	go func() { // ends with its thread, which must do nothing else afterwards: it is never unlocked
		runtime.LockOSThread()
		for _, capability := range []uintptr{unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH} {
			err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
			if err != nil && !errors.Is(err, unix.EPERM) {
				started <- fmt.Errorf("drop capabilities: %w", err)
				return
			}
		}
		started <- cmd.Start()
	}()
	return <-started
}
