package partition

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"chronik/internal/vfs"
	"chronik/raftstore/multiraft"
	"chronik/wal"
)

// DirName names the directory of a partition's log. The raft group makes it
// unique for ever: a recreated topic's partition has another one.
func DirName(topic string, partition int32, group uint64) string {
	return fmt.Sprintf("%s-%d@%d", topic, partition, group)
}

// GroupOf is the raft group in a name that DirName made.
func GroupOf(dirName string) (group uint64, ok bool) {
	_, id, ok := strings.Cut(dirName, "@")
	group, err := strconv.ParseUint(id, 10, 64)
	return group, ok && err == nil
}

// Remove removes the log of a partition that is not open, and what is
// recorded of its raft group. It may be called again after a crash in between.
func Remove(host *multiraft.Host, group uint64, fs vfs.FS, dir string) error {
	return errors.Join(host.Forget(group), wal.Remove(fs, dir))
}
