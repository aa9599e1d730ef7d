package dirs

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"chronik/internal/vfs"
	"chronik/raftstore/multiraft"
	"chronik/wal"
)

// Name is the name of the directory of a partition's log. The raft group makes it
// unique for ever: a recreated topic's partition has another one. It is an error
// when the topic's name is none, and would be a path.
func Name(topic string, partition int32, group uint64) (string, error) {
	if topic == "" || topic == "." || topic == ".." || strings.ContainsAny(topic, "/\\@\x00") {
		return "", fmt.Errorf("%w: %q", ErrName, topic)
	}
	return fmt.Sprintf("%s-%d@%d", topic, partition, group), nil
}

// ErrName is a topic's name that no directory can have.
var ErrName = errors.New("the topic's name is no name of a directory")

// GroupOf is the raft group in a name that Name made.
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

// RemoveOthers removes the directories in root, which is made if missing, of
// partitions whose groups are not known, and reports whether there were any.
// With keep it removes none.
func RemoveOthers(host *multiraft.Host, known map[uint64]bool, keep bool, fsys vfs.FS, root string, log *slog.Logger) (found bool, err error) {
	if err := fsys.MkdirAll(root); err != nil {
		return false, fmt.Errorf("create %s: %w", root, err)
	}
	names, err := fsys.ReadDir(root)
	if err != nil {
		return false, fmt.Errorf("list %s: %w", root, err)
	}
	for _, name := range names {
		group, ok := GroupOf(name)
		if !ok || known[group] {
			continue
		}
		if found = true; keep {
			continue
		}
		log.Warn("removing a partition that the metadata does not know", "dir", name)
		if err := Remove(host, group, fsys, root+"/"+name); err != nil {
			return true, err
		}
	}
	return found, nil
}
