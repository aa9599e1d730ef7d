package raftmsg

import (
	"errors"
	"fmt"

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
		pb.MsgHeartbeat, pb.MsgHeartbeatResp, pb.MsgTimeoutNow, pb.MsgReadIndex, pb.MsgReadIndexResp:
	default:
		// Local types, proposals (which a leader makes itself) and
		// snapshots (segment hand-off is not built).
		return fmt.Errorf("%w: type %s", ErrBad, m.GetType())
	}
	// Raft sends questions for a read index without a term.
	if m.GetTo() != self || m.GetFrom() == self || m.GetFrom() == 0 || (m.GetTerm() == 0) != (m.GetType() == pb.MsgReadIndex) {
		return fmt.Errorf("%w: %s from %d to %d at term %d", ErrBad, m.GetType(), m.GetFrom(), m.GetTo(), m.GetTerm())
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
