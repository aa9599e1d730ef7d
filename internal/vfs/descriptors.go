package vfs

import (
	"os"

	"golang.org/x/sys/unix"
)

// descriptorsDir lists what this process has open.
const descriptorsDir = "/proc/self/fd"

// Descriptors is how many descriptors this process has open, and how many it
// may have: RLIMIT_NOFILE, whose soft limit the Go runtime raises to the hard
// one at start. Linux 6.2 and later answer without listing them.
func Descriptors() (open, limit int, err error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, 0, os.NewSyscallError("getrlimit", err)
	}
	limit = int(min(l.Cur, 1<<30))
	var st unix.Stat_t
	if err := unix.Stat(descriptorsDir, &st); err != nil {
		return 0, 0, wrap("stat", descriptorsDir, err)
	}
	if st.Size > 0 {
		return int(st.Size), limit, nil
	}
	names, err := OS.ReadDir(descriptorsDir)
	return len(names), limit, err
}
