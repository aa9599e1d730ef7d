package raftstore

import (
	"fmt"

	"chronik/raftstore/handover"
	"chronik/segment"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// snapshotReadBytes is how much of the log is read at a time for a snapshot.
const snapshotReadBytes = 1 << 20

// LimitSnapshots has may asked before a snapshot is made: each is as large as
// the log, in memory until it is sent.
func (s *Storage) LimitSnapshots(may func() bool) { s.snapshots = may }

// Snapshot implements raft.Storage: the whole log up to what is applied, for a
// peer whose next entries have been dropped. A log that is too large for that is
// to be handed over as files, which is not built: such a peer waits.
func (s *Storage) Snapshot() (*pb.Snapshot, error) {
	if s.log.Bytes() > handover.BytesMax || s.applied == 0 || (s.snapshots != nil && !s.snapshots()) {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	snap, err := s.makeSnapshot(segment.Index(s.applied))
	if err != nil {
		// Retention was faster: the next attempt is another. Or Err has it.
		_ = s.sentinel(err)
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return snap, nil
}

func (s *Storage) makeSnapshot(index segment.Index) (*pb.Snapshot, error) {
	first := s.log.FirstIndex()
	prev, err := s.log.Term(first - 1)
	if err != nil {
		return nil, err
	}
	term, err := s.log.Term(index)
	if err != nil {
		return nil, err
	}
	start := s.log.StartOffset()
	base, next := start, start
	var data []byte
	for i := first; i <= index; {
		frames, err := s.log.Entries(i, index+1, snapshotReadBytes, s.scratch[:0])
		if err != nil {
			return nil, err
		}
		if i == first {
			base = min(start, frames[0].BaseOffset)
			data = make([]byte, 0, s.log.Bytes()) // a frame takes more in the log
			data = append(data, handover.Begin(first, prev, base, start)...)
		}
		data = handover.Append(data, frames)
		i, next = frames[len(frames)-1].Index+1, frames[len(frames)-1].Next()
		s.Release(frames)
	}
	if data == nil {
		data = handover.Begin(first, prev, base, start)
	}
	if start > next { // records behind index are dropped already
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return &pb.Snapshot{Data: handover.End(data, int(index+1-first)),
		Metadata: &pb.SnapshotMetadata{Index: new(uint64(index)), Term: new(uint64(term)), ConfState: s.conf}}, nil
}

// Install makes the log what a snapshot says, durably, with its members. It
// waits for the disk, and nothing else of this Storage may be called meanwhile;
// Installed must follow when it returns nil. After an error for which DiskFull
// holds it may be called again.
//
// A crash at any step leaves a log that contradicts nothing this node has
// acknowledged: entries that the log and the snapshot have in common stay; what
// is dropped contradicts the snapshot, which is committed, or is older than its
// first entry. The members come first, since a log that goes on beside older
// members might elect a leader of their own (Group.Ahead).
func (s *Storage) Install(l *handover.Log, members *pb.ConfState) error {
	saved := make(chan error, 1)
	s.hs.SaveConfAhead(s.group, uint64(l.Last()), members, func(err error) { saved <- err })
	if err := <-saved; err != nil {
		return err
	}
	if err := s.install(l); err != nil {
		return fmt.Errorf("raftstore: group %d: snapshot of entry %d: %w", s.group, l.Last(), err)
	}
	return nil
}

func (s *Storage) install(l *handover.Log) error {
	common, ok, err := s.common(l)
	if err != nil {
		return err
	}
	switch {
	case !ok:
		common = l.First - 1
		err = s.log.Reset(l.First, l.PrevTerm, l.Base)
	case common < min(s.log.LastIndex(), l.Last()):
		err = s.log.TruncateFrom(common + 1)
	}
	if err != nil {
		return err
	}
	if err := s.log.Append(l.Frames[common+1-l.First:]); err != nil {
		return err
	}
	if err := s.log.SyncWait(); err != nil {
		return err
	}
	return s.log.SetStart(l.Start)
}

// common is the last entry that the log and l have in common, with all before
// it; false when there is none.
func (s *Storage) common(l *handover.Log) (segment.Index, bool, error) {
	last := min(s.log.LastIndex(), l.Last())
	i := max(l.First, s.log.FirstIndex()) - 1
	if i > l.Last() {
		return 0, false, fmt.Errorf("the log begins behind it, at %d", s.log.FirstIndex())
	}
	if i > last {
		return 0, false, nil
	}
	for ; i <= last; i++ {
		term, err := s.log.Term(i)
		if err != nil {
			return 0, false, err
		}
		if term != l.Term(i) {
			if i < s.log.FirstIndex() {
				return 0, false, fmt.Errorf("entry %d, which was committed, is of term %d here and of term %d there", i, term, l.Term(i))
			}
			return i - 1, i > l.First-1, nil
		}
	}
	return last, true, nil
}

// Installed takes note that Install has made the log what l says.
func (s *Storage) Installed(l *handover.Log, members *pb.ConfState) {
	s.tail, s.tailBytes = nil, 0
	s.conf, s.confIndex, s.applied = members, uint64(l.Last()), uint64(l.Last())
	s.hs.SaveConf(s.group, s.confIndex, members, nil)
	s.SaveCommit()
}
