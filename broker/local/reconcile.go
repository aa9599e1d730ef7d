package local

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"chronik/broker/cluster"
	"chronik/broker/partition"
	"chronik/broker/partition/dirs"
	"chronik/internal/vfs"
)

// Wanted is what the metadata says there should be.
type Wanted struct {
	Version  uint64 // of the metadata
	Topology uint64 // what it counts decides whether there is anything to do
	Topics   []*cluster.Topic
	Configs  map[string]map[string]string // overrides, by topic
	Live     map[int32]bool               // brokers that are not fenced; nil: unknown
}

// opening is one partition to open.
type opening struct {
	t    *Topic
	i    int
	at   cluster.Partition
	lead bool // this node is to lead it first
	p    *partition.Partition
	fail error
}

// Skip takes note of a version whose topology is the one that is here
// already, and reports whether it is.
func (s *Set) Skip(version, topology uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reconciled == 0 || s.topology != topology {
		return false
	}
	s.reachLocked(version, topology)
	return true
}

func (s *Set) reachLocked(version, topology uint64) {
	s.reconciled, s.topology = max(s.reconciled, version), topology
	close(s.progress)
	s.progress = make(chan struct{})
}

// Reconcile makes what is here equal to what is wanted, and reports whether a
// partition could not be opened for want of room: call it again later.
func (s *Set) Reconcile(w Wanted) (full bool) {
	gone, open := s.plan(w)
	for _, t := range gone {
		s.deleteLocal(t)
	}
	inParallel(len(open), func(i int) {
		o := open[i]
		if o.p, o.fail = s.open(o); o.fail != nil {
			s.opt.Logger.Error("cannot open a partition", "topic", o.t.Name, "partition", o.i, "err", o.fail)
			o.fail = fmt.Errorf("%w: %w", ErrFailed, o.fail)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range open {
		o.t.parts[o.i], o.t.failed[o.i] = o.p, o.fail
		full = full || errors.Is(o.fail, vfs.ErrNoSpace)
	}
	s.reachLocked(w.Version, w.Topology)
	return full
}

// plan updates the topic tables, and returns the topics to delete and the
// partitions to open.
func (s *Set) plan(w Wanted) (gone []*Topic, open []*opening) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keep := map[cluster.TopicID]bool{}
	for _, info := range w.Topics {
		keep[info.ID] = true
	}
	for id, t := range s.byID {
		if !keep[id] {
			gone = append(gone, t)
			delete(s.byID, id)
			delete(s.topics, t.Name)
		}
	}
	for _, info := range w.Topics {
		t := s.byID[info.ID]
		if t == nil {
			t = &Topic{Name: info.Name, ID: info.ID}
			s.topics[info.Name], s.byID[info.ID] = t, t
		}
		t.info = info
		t.conf.Store(s.opt.Resolve(info.Name, w.Configs[info.Name]))
		open = append(open, s.growLocked(t, w.Live)...)
	}
	return gone, open
}

// growLocked gives a topic's new partitions their places, and returns those to
// open.
func (s *Set) growLocked(t *Topic, live map[int32]bool) (open []*opening) {
	have, all := len(t.parts), t.info.Partitions
	parts, failed := make([]*partition.Partition, len(all)), make([]error, len(all))
	copy(parts, t.parts)
	copy(failed, t.failed)
	for i, at := range all {
		switch {
		case i < have && !errors.Is(failed[i], vfs.ErrNoSpace):
		case !slices.Contains(at.Replicas, s.opt.NodeID):
			failed[i] = ErrElsewhere
		default:
			if i >= have {
				failed[i] = ErrOpening
			}
			open = append(open, &opening{t: t, i: i, at: at, lead: firstLive(at.Replicas, live) == s.opt.NodeID})
		}
	}
	t.parts, t.failed = parts, failed
	return open
}

// firstLive is the first of the replicas whose broker is live, of all when
// none is known to be.
func firstLive(replicas []int32, live map[int32]bool) int32 {
	if i := slices.IndexFunc(replicas, func(id int32) bool { return live[id] }); i >= 0 {
		return replicas[i]
	}
	return replicas[0]
}

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

func (s *Set) partitionDir(t *Topic, i int, groupID uint64) (string, error) {
	name, err := dirs.Name(t.Name, int32(i), groupID)
	if err != nil {
		return "", err
	}
	return filepath.Join(s.opt.Dir, name), nil
}

func (s *Set) open(o *opening) (*partition.Partition, error) {
	dir, err := s.partitionDir(o.t, o.i, o.at.GroupID)
	if err != nil {
		return nil, err
	}
	voters := make([]uint64, len(o.at.Replicas))
	for j, id := range o.at.Replicas {
		voters[j] = uint64(id)
	}
	opt := &s.opt
	return partition.Open(partition.Options{
		Topic: o.t.Name, Partition: int32(o.i), GroupID: o.at.GroupID, Voters: voters, Candidate: o.lead,
		Dir: dir, FS: opt.FS, Syncer: opt.Syncer, Maps: opt.Maps, Host: opt.Raft, Clock: opt.Clock,
		Rand: opt.NewRand(), Logger: opt.Logger, Metrics: opt.Metrics, Settings: o.t.conf.Load, Verify: opt.Verify,
	}, func(p *partition.Partition, leading bool, epoch int32) {
		opt.Role(o.t, int32(o.i), o.at, p, leading, epoch)
	})
}

// deleteLocal closes the partitions of a deleted topic and removes their
// files.
func (s *Set) deleteLocal(t *Topic) {
	inParallel(len(t.parts), func(i int) {
		if errors.Is(t.failed[i], ErrElsewhere) {
			return
		}
		if p := t.parts[i]; p != nil {
			if err := p.Close(); err != nil {
				s.opt.Logger.Warn("closing a deleted partition", "topic", t.Name, "partition", i, "err", err)
			}
			_, epoch := p.Leader()
			s.opt.Role(t, int32(i), t.info.Partitions[i], p, false, epoch) // closing tells nobody
		}
		// Also of one that could not be opened.
		group := t.info.Partitions[i].GroupID
		dir, err := s.partitionDir(t, i, group)
		if err == nil {
			err = dirs.Remove(s.opt.Raft, group, s.opt.FS, dir)
		}
		if err != nil {
			s.opt.Logger.Error("cannot remove a deleted partition", "topic", t.Name, "partition", i, "err", err)
		}
	})
	s.opt.Deleted(t.Name)
}

// RemoveOrphans removes directories of partitions that the metadata no longer
// knows: the topic was deleted while this node was down, or a crash came
// between its deletion and that of its files. The metadata in known must be
// all that is committed. It refuses, with metadataLost, when the metadata
// knows no topic at all, which is no such crash but metadata that has been
// lost.
func (s *Set) RemoveOrphans(known map[uint64]bool, hadTopics bool) (metadataLost bool, err error) {
	found, err := dirs.RemoveOthers(s.opt.Raft, known, !hadTopics, s.opt.FS, s.opt.Dir, s.opt.Logger)
	return err == nil && found && !hadTopics, err
}
