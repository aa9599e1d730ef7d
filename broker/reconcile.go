package broker

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"chronik/broker/cluster"
	"chronik/broker/partition"
	"chronik/internal/vfs"
)

// Reconciling makes what runs on this node equal to what the metadata says:
// it opens and deletes partitions and refreshes configs. One goroutine does
// it, woken when metadata changes.

func (b *Broker) reconcileLoop() {
	full := true // for all that is known
	for {
		again := make(chan struct{})
		if full {
			b.opt.Clock.AfterFunc(roomPause, func() { close(again) })
		}
		select {
		case <-b.meta.Changed():
		case <-again:
		case <-b.ctx.Done():
			return
		}
		full = b.reconcile()
	}
}

// roomPause is the time between two attempts to open partitions on a full disk.
const roomPause = time.Second

// opening is one partition to open.
type opening struct {
	t    *topic
	i    int
	p    *partition.Partition
	fail error
}

// reconcile reports whether a partition could not be opened for want of room.
func (b *Broker) reconcile() (full bool) {
	var want []*cluster.Topic
	var version uint64
	confs := map[string]map[string]string{}
	b.meta.View(func(s *cluster.State) {
		want, version = s.Topics(), s.Version()
		for _, t := range want {
			confs[t.Name] = s.Config(cluster.Resource{Type: cluster.ResourceTopic, Name: t.Name})
		}
		if err := b.refreshSettings(s); err != nil {
			b.opt.Logger.Error("broker settings in the metadata are not valid", "err", err)
		}
	})
	gone, open := b.plan(want, confs)
	for _, t := range gone {
		b.deleteLocal(t)
	}
	inParallel(len(open), func(i int) {
		o := open[i]
		if o.p, o.fail = b.openPartition(o.t, o.i); o.fail != nil {
			b.opt.Logger.Error("cannot open a partition", "topic", o.t.info.Name, "partition", o.i, "err", o.fail)
		}
	})
	b.mu.Lock()
	for _, o := range open {
		o.t.parts[o.i], o.t.failed[o.i] = o.p, o.fail
		full = full || errors.Is(o.fail, vfs.ErrNoSpace)
	}
	b.reconciled = version
	close(b.progress)
	b.progress = make(chan struct{})
	b.mu.Unlock()
	return full
}

// plan updates the topic tables, and returns the topics to delete and the
// partitions to open. A partition that failed to open is not tried again
// until the process restarts, for its files want a look first; but for one that
// found no room on the disk.
func (b *Broker) plan(want []*cluster.Topic, confs map[string]map[string]string) (gone []*topic, open []*opening) {
	b.mu.Lock()
	defer b.mu.Unlock()
	keep := map[cluster.TopicID]bool{}
	for _, info := range want {
		keep[info.ID] = true
	}
	for id, t := range b.byID {
		if !keep[id] {
			gone = append(gone, t)
			delete(b.byID, id)
			delete(b.topics, t.info.Name)
		}
	}
	for _, info := range want {
		t := b.byID[info.ID]
		if t == nil {
			t = &topic{}
			b.topics[info.Name], b.byID[info.ID] = t, t
		}
		t.info = info
		t.conf.Store(b.resolveTopic(info.Name, confs[info.Name]))
		for i := range info.Partitions {
			if (i >= len(t.parts) || errors.Is(t.failed[i], vfs.ErrNoSpace)) && slices.Contains(info.Partitions[i].Replicas, b.opt.NodeID) {
				open = append(open, &opening{t: t, i: i})
			}
		}
		// Lookups find a partition only once it is open.
		grow := len(info.Partitions) - len(t.parts)
		t.parts = append(slices.Clip(t.parts), make([]*partition.Partition, grow)...)
		t.failed = append(slices.Clip(t.failed), make([]error, grow)...)
		for i := len(t.failed) - grow; i < len(t.failed); i++ {
			t.failed[i] = errOpening
		}
	}
	return gone, open
}

var errOpening = errors.New("partition is being opened")

// parallelMax is how many partitions are opened or deleted at a time: both
// wait for the disk.
const parallelMax = 64

// inParallel calls f for 0 to n-1.
func inParallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallelMax)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	wg.Wait()
}

func (b *Broker) partitionDir(t *cluster.Topic, i int) string {
	return filepath.Join(b.opt.DataDir, topicsDir, partition.DirName(t.Name, int32(i), t.Partitions[i].GroupID))
}

const topicsDir = "topics"

func (b *Broker) openPartition(t *topic, i int) (*partition.Partition, error) {
	info := t.info.Partitions[i]
	voters := make([]uint64, len(info.Replicas))
	for j, id := range info.Replicas {
		voters[j] = uint64(id)
	}
	var onRole partition.RoleFunc
	if t.info.Name == offsetsTopic {
		onRole = func(p *partition.Partition, leading bool, epoch int32) { b.RoleChanged(int32(i), p, leading, epoch) }
	}
	return partition.Open(partition.Options{
		Topic: t.info.Name, Partition: int32(i), GroupID: info.GroupID, Voters: voters,
		Dir: b.partitionDir(t.info, i), FS: b.opt.FS, Syncer: b.opt.Syncer, Maps: b.opt.Maps, Host: b.opt.Raft, Clock: b.opt.Clock,
		Rand: b.newRand(), Logger: b.opt.Logger, Metrics: b.opt.Metrics, Settings: t.conf.Load,
	}, onRole)
}

// deleteLocal closes the partitions of a deleted topic and removes their
// files, and drops the offsets that groups committed for it (O15).
func (b *Broker) deleteLocal(t *topic) {
	inParallel(len(t.parts), func(i int) {
		if p := t.parts[i]; p != nil {
			if err := p.Close(); err != nil {
				b.opt.Logger.Warn("closing a deleted partition", "topic", t.info.Name, "partition", i, "err", err)
			}
		}
		// Also of one that could not be opened.
		if err := partition.Remove(b.opt.Raft, t.info.Partitions[i].GroupID, b.opt.FS, b.partitionDir(t.info, i)); err != nil {
			b.opt.Logger.Error("cannot remove a deleted partition", "topic", t.info.Name, "partition", i, "err", err)
		}
	})
	b.TopicDeleted(t.info.Name)
}

// removeOrphans removes directories of partitions that the metadata no longer
// knows: a crash came between a topic's deletion and that of its files. It
// refuses when the metadata knows no topic at all, which is no such crash but
// metadata that has been lost.
func (b *Broker) removeOrphans() error {
	known, started := map[uint64]bool{}, false
	b.meta.View(func(s *cluster.State) {
		for _, t := range s.Topics() {
			for _, p := range t.Partitions {
				known[p.GroupID] = true
			}
		}
		started = s.HadTopics()
	})
	found, err := partition.RemoveOthers(b.opt.Raft, known, !started, b.opt.FS, filepath.Join(b.opt.DataDir, topicsDir), b.opt.Logger)
	if err == nil && found && !started {
		return fmt.Errorf("%w: %s holds partitions, but the metadata beside it has never known a topic; restore %s, or move %[2]s away",
			ErrStorage, filepath.Join(b.opt.DataDir, topicsDir), b.metadataDir())
	}
	return err
}

// awaitVersion waits until the partitions of a metadata version are open.
func (b *Broker) awaitVersion(ctx context.Context, version uint64) error {
	for {
		b.mu.RLock()
		reached, progress := b.reconciled >= version, b.progress
		b.mu.RUnlock()
		if reached {
			return nil
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrRequestTimedOut, ctx.Err())
		case <-b.ctx.Done():
			return ErrShuttingDown
		}
	}
}

// awaitLeaders waits until every partition of the named topics (all, when
// none is named) that is open here has a leader. One of a named topic that
// could not be opened is an error.
func (b *Broker) awaitLeaders(ctx context.Context, names ...string) error {
	var parts []*partition.Partition
	var failed error
	b.mu.RLock()
	for name, t := range b.topics {
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		for i, p := range t.parts {
			if p != nil {
				parts = append(parts, p)
			} else if err := t.failed[i]; len(names) > 0 && !errors.Is(err, errOpening) {
				failed = fmt.Errorf("%w: %w", ErrStorage, err)
			}
		}
	}
	b.mu.RUnlock()
	if failed != nil {
		return failed
	}
	w := partition.NewWatcher()
	for _, p := range parts {
		if err := awaitLeader(ctx, p, w); err != nil && (len(names) > 0 || !errors.Is(err, ErrStorage)) {
			return err
		}
	}
	return nil
}

func awaitLeader(ctx context.Context, p *partition.Partition, w *partition.Watcher) error {
	p.Watch(w)
	defer p.Unwatch(w)
	for {
		switch s := p.State(); {
		case s.Leader != 0 || s.Err != nil:
			return nil
		case s.NoRoom != nil: // it leads when there is some
			return fromBelow(s.NoRoom)
		}
		select {
		case <-w.C():
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrRequestTimedOut, ctx.Err())
		}
	}
}
