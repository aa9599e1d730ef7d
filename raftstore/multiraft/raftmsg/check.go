package raftmsg

import (
	"errors"
	"fmt"
	"math"

	"chronik/raftstore/handover"
	"chronik/segment"

	pb "go.etcd.io/raft/v3/raftpb"
)

// ErrBad is a message from the network that no correct peer sends.
var ErrBad = errors.New("multiraft: malformed message")

// What no group comes near. Kafka's leader epochs, which are terms, have 31 bits.
const (
	termMax  = math.MaxInt32 - 1
	indexMax = 1 << 60
)

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
	if m.GetTerm() > termMax || m.GetLogTerm() > termMax || max(m.GetIndex(), m.GetCommit(), m.GetRejectHint()) > indexMax {
		return fmt.Errorf("%w: %s at term %d of entry %d of term %d, commit %d, hint %d", ErrBad, m.GetType(),
			m.GetTerm(), m.GetIndex(), m.GetLogTerm(), m.GetCommit(), m.GetRejectHint())
	}
	if !mayHave(m.GetType(), m.GetContext()) {
		return fmt.Errorf("%w: %s with a context of %d bytes", ErrBad, m.GetType(), len(m.GetContext()))
	}
	if (m.Snapshot != nil) != (m.GetType() == pb.MsgSnap) || len(m.GetResponses()) > 0 {
		return fmt.Errorf("%w: %s with a snapshot, %t, and %d responses", ErrBad, m.GetType(), m.Snapshot != nil, len(m.GetResponses()))
	}
	if m.GetType() == pb.MsgSnap {
		if err := checkSnapshot(m.GetSnapshot(), m.GetTerm()); err != nil {
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

// mayHave reports whether raft gives a message of a type such a context: to
// heartbeats one for read indexes, which it reads 8 bytes of; to requests for
// votes what kind of a campaign it is.
func mayHave(t pb.MessageType, context []byte) bool {
	switch t {
	case pb.MsgHeartbeat, pb.MsgHeartbeatResp:
		return len(context) == 0 || len(context) >= 8 && len(context) <= ReadContextSize
	case pb.MsgVote, pb.MsgPreVote:
		return len(context) == 0 || string(context) == transfer
	}
	return len(context) == 0
}

// transfer is the context of requests for votes of who was asked to take over.
const transfer = "CampaignTransfer"

func checkSnapshot(s *pb.Snapshot, term uint64) error {
	meta := s.GetMetadata()
	if _, err := handover.Decode(s.GetData(), segment.Index(meta.GetIndex()), segment.Term(meta.GetTerm())); err != nil {
		return fmt.Errorf("%w: snapshot: %w", ErrBad, err)
	}
	if meta.GetIndex() == 0 || meta.GetTerm() == 0 || meta.GetTerm() > term || len(meta.GetConfState().GetVoters()) == 0 {
		return fmt.Errorf("%w: snapshot of entry %d of term %d, members %v", ErrBad, meta.GetIndex(), meta.GetTerm(), meta.GetConfState())
	}
	return nil
}
