package raftstore

import (
	"errors"
	"fmt"
	"slices"

	"chronik/segment"

	pb "go.etcd.io/raft/v3/raftpb"
)

// ErrLostData is the sentinel under *LostDataError.
var ErrLostData = errors.New("raftstore: acknowledged data is missing")

// LostDataError says that a group's files contradict each other in a way that
// no crash explains: something that was durable is gone. The group must not
// vote, lead or acknowledge before a peer or a backup has repaired it.
type LostDataError struct {
	Group     uint64
	What      string
	Commit    uint64 // committed according to the hard state
	LastIndex uint64 // end of the log
}

func (e *LostDataError) Error() string {
	return fmt.Sprintf("raftstore: group %d: %s (committed %d, log ends at %d): refusing to start it", e.Group, e.What, e.Commit, e.LastIndex)
}

// Unwrap returns ErrLostData.
func (e *LostDataError) Unwrap() error { return ErrLostData }

// LoadOptions says how a group starts.
type LoadOptions struct {
	NodeID      uint64
	Voters      []uint64 // of a group that has no hard state yet
	Applied     uint64   // the state machine holds the entries up to here already
	SkipApplied bool     // it wants only what is committed from now on
}

// Load reads the group's hard state, checks it against the log and decides
// where raft starts. A new group's members are made durable: from then on a
// log without a hard state proves that the hard state was lost.
//
// The hard state may lag behind the log, since commit is persisted lazily and
// term and vote are synced beside the entries: the term is at least that of
// the last entry (had this node voted in it, the vote would be durable), and
// the commit at least what is applied and the entry that made the ConfState.
func (s *Storage) Load(o LoadOptions) error {
	last := uint64(s.log.LastIndex())
	g, known := s.hs.Load(s.group)
	if !known {
		if last > 0 {
			return &LostDataError{Group: s.group, What: "the log has entries but the hard state knows no such group", LastIndex: last}
		}
		g = Group{Conf: &pb.ConfState{Voters: slices.Sorted(slices.Values(o.Voters))}}
		saved := make(chan error, 1)
		s.hs.SaveConf(s.group, 0, g.Conf, func(err error) { saved <- err })
		if err := <-saved; err != nil {
			s.hs.Remove(s.group) // it is not known: the next attempt saves it again
			return err
		}
	}
	st := g.State
	st.Commit = max(st.Commit, o.Applied, uint64(s.log.FirstIndex())-1)
	if !g.Ahead || g.ConfIndex <= last {
		st.Commit = max(st.Commit, g.ConfIndex)
	}
	if st.Commit > last {
		return &LostDataError{Group: s.group, What: "committed entries are missing", Commit: st.Commit, LastIndex: last}
	}
	if uint64(s.log.DurableIndex()) < last { // raft takes what the log holds at the start for durable
		if err := s.log.SyncWait(); err != nil {
			return fmt.Errorf("raftstore: group %d: %w", s.group, err)
		}
	}
	lastTerm, err := s.log.Term(segment.Index(last))
	if err != nil {
		return fmt.Errorf("raftstore: group %d: term of the last entry %d: %w", s.group, last, err)
	}
	if uint64(lastTerm) > st.Term {
		st.Term, st.Vote = uint64(lastTerm), 0
	}
	s.conf, s.confIndex = g.Conf, g.ConfIndex
	if s.SoleVoter(o.NodeID) {
		// Its own durable log is a majority: all of it is committed. But
		// a change of members in it has to be applied in its turn.
		plain, err := s.onlyData(st.Commit+1, last)
		if err != nil {
			return err
		}
		if plain {
			st.Commit = last
		}
	}
	s.initial, s.saved, s.applied = st, g.State, o.Applied
	if o.SkipApplied {
		s.applied = st.Commit
	}
	if first := uint64(s.log.FirstIndex()); s.applied+1 < first {
		return &LostDataError{Group: s.group, What: fmt.Sprintf("the state machine needs entry %d and the log begins at %d", s.applied+1, first), Commit: st.Commit, LastIndex: last}
	}
	return nil
}

// onlyData reports whether no entry of [lo, last] changes the members.
func (s *Storage) onlyData(lo, last uint64) (bool, error) {
	for lo <= last {
		frames, err := s.log.Entries(segment.Index(lo), segment.Index(last+1), 1<<20, s.scratch[:0])
		if err != nil {
			return false, fmt.Errorf("raftstore: group %d: %w", s.group, err)
		}
		for i := range frames {
			if frames[i].Kind != segment.KindData {
				return false, nil
			}
		}
		lo += uint64(len(frames))
		s.Release(frames)
	}
	return true, nil
}

// SoleVoter reports whether the given node is the group's only voter.
func (s *Storage) SoleVoter(node uint64) bool {
	return len(s.conf.GetVoters()) == 1 && s.conf.GetVoters()[0] == node && len(s.conf.GetVotersOutgoing()) == 0
}

// Alone reports whether the given node is the group's only voter and nobody
// learns from it: entries go nowhere but into its own log.
func (s *Storage) Alone(node uint64) bool {
	return s.SoleVoter(node) && len(s.conf.GetLearners()) == 0 && len(s.conf.GetLearnersNext()) == 0
}

// Conf is the group's present members; it must not be changed.
func (s *Storage) Conf() *pb.ConfState { return s.conf }

// ConfIndex is the index of the entry that made them.
func (s *Storage) ConfIndex() uint64 { return s.confIndex }

// SaveConf records the members made by the entry at index, durable when done
// is called.
func (s *Storage) SaveConf(index uint64, cs *pb.ConfState, done func(error)) {
	s.conf, s.confIndex = cs, index
	s.hs.SaveConf(s.group, index, cs, done)
}

// SaveVote records term and vote, durable when done is called, with the commit
// index as far as it may be persisted.
func (s *Storage) SaveVote(term, vote uint64, done func(error)) {
	s.saved = State{Term: term, Vote: vote, Commit: s.commitToSave()}
	s.hs.Save(s.group, s.saved, done)
}

// Voted reports whether that term and vote have been saved already.
func (s *Storage) Voted(term, vote uint64) bool { return s.saved.Term == term && s.saved.Vote == vote }

// SaveCommit records the commit index, if it has moved, without waiting for
// the disk (HardStates.Save says when it gets there).
func (s *Storage) SaveCommit() {
	if c := s.commitToSave(); c > s.saved.Commit {
		s.saved.Commit = c
		s.hs.Save(s.group, s.saved, nil)
	}
}

// commitToSave is the greatest commit index that may be persisted: what is
// applied (so that a change of members up to it is durable in its ConfState)
// and durable in the log (so that a commit beyond the log proves a loss).
func (s *Storage) commitToSave() uint64 {
	return max(s.saved.Commit, min(s.applied, uint64(s.log.DurableIndex())))
}
