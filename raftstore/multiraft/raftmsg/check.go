package raftmsg

import (
	"errors"
	"fmt"

	"chronik/raftstore/handover"
	"chronik/segment"

	pb "go.etcd.io/raft/v3/raftpb"
)

// ErrBad is a message from the network that no correct peer sends.
var ErrBad = errors.New("multiraft: malformed message")

// ReadContextSize is the size of the context of a question for a read index.
const ReadContextSize = 16

// Check refuses (ErrBad) what no correct peer sends to the node self.
func Check(m *pb.Message, self uint64) error {
	if m == nil {
		return fmt.Errorf("%w: empty", ErrBad)
	}
	switch m.GetType() {
	case pb.MsgApp, pb.MsgAppResp, pb.MsgVote, pb.MsgVoteResp, pb.MsgPreVote, pb.MsgPreVoteResp,
		pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgTimeoutNow, pb.MsgReadIndex, pb.MsgReadIndexResp, pb.MsgSnap:
	default:
		// Local types, and proposals, which a leader makes itself.
		return fmt.Errorf("%w: type %s", ErrBad, m.GetType())
	}
	// Raft sends questions for a read index without a term.
	if m.GetTo() != self || m.GetFrom() == self || m.GetFrom() == 0 || (m.GetTerm() == 0) != (m.GetType() == pb.MsgReadIndex) {
		return fmt.Errorf("%w: %s from %d to %d at term %d", ErrBad, m.GetType(), m.GetFrom(), m.GetTo(), m.GetTerm())
	}
	if (m.Snapshot != nil) != (m.GetType() == pb.MsgSnap) || len(m.GetResponses()) > 0 {
		return fmt.Errorf("%w: %s with a snapshot, %t, and %d responses", ErrBad, m.GetType(), m.Snapshot != nil, len(m.GetResponses()))
	}
	if m.GetType() == pb.MsgSnap {
		if err := checkSnapshot(m.GetSnapshot()); err != nil {
			return err
		}
	}
	if t := m.GetType(); t == pb.MsgReadIndex || t == pb.MsgReadIndexResp {
		if e := m.GetEntries(); len(e) != 1 || e[0] == nil || len(e[0].GetData()) != ReadContextSize {
			return fmt.Errorf("%w: %s with %d entries", ErrBad, t, len(e))
		}
		return nil
	}
	if m.GetType() != pb.MsgApp && len(m.GetEntries()) > 0 {
		return fmt.Errorf("%w: %s with entries", ErrBad, m.GetType())
	}
	index, term := m.GetIndex(), m.GetLogTerm()
	for _, e := range m.GetEntries() {
		index++
		if e.GetIndex() != index || e.GetTerm() < max(term, 1) || e.GetTerm() > m.GetTerm() || e.GetType() > pb.EntryConfChangeV2 || e.GetType() < 0 {
			return fmt.Errorf("%w: entry %d of term %d behind entry %d of term %d", ErrBad, e.GetIndex(), e.GetTerm(), index-1, term)
		}
		term = e.GetTerm()
	}
	return nil
}

func checkSnapshot(s *pb.Snapshot) error {
	meta := s.GetMetadata()
	if _, err := handover.Decode(s.GetData(), segment.Index(meta.GetIndex()), segment.Term(meta.GetTerm())); err != nil {
		return fmt.Errorf("%w: snapshot: %w", ErrBad, err)
	}
	if meta.GetIndex() == 0 || meta.GetTerm() == 0 || len(meta.GetConfState().GetVoters()) == 0 {
		return fmt.Errorf("%w: snapshot of entry %d of term %d, members %v", ErrBad, meta.GetIndex(), meta.GetTerm(), meta.GetConfState())
	}
	return nil
}
